package store

import (
	"bytes"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

const maxName = 32 // bytes

// Account is what the server keeps of a person. Times keep milliseconds.
type Account struct {
	Verifier [256]byte // SRP (RFC 5054 §2.5.3)
	Created  time.Time
	Changed  time.Time // when the verifier was last set
	Disabled bool
	Code     bool      // the verifier is of a one-time code, and no password was set since
	Expires  time.Time // when the code does, or zero for never

	// Generation is the number of the account's last change, which no other
	// change of any account ever had: that of its entry in the audit log.
	Generation uint64
}

// Account returns the account of that name and whether there is one. The error
// is ErrDamaged, or one about a name that is empty or above 32 bytes.
func (s *Store) Account(name string) (a Account, ok bool, err error) {
	if err := checkName(name); err != nil {
		return Account{}, false, err
	}
	err = s.view(func(tx *bolt.Tx) error {
		a, ok, err = s.account(tx, name)
		return err
	})
	if err != nil {
		return Account{}, false, err
	}
	return a, ok, nil
}

// Add makes an account. It never overwrites: ErrExists if the name has one. Other
// errors are ErrNotSaved, ErrDamaged, and one about a name that is empty or
// above 32 bytes. The account's generation is a new one, whatever a's is.
func (s *Store) Add(name string, a Account, by Actor) error {
	if err := checkName(name); err != nil {
		return err
	}
	act := Added
	if a.Code {
		act = Invited
	}
	return s.update(func(tx *bolt.Tx) error {
		_, ok, err := s.account(tx, name)
		if err != nil {
			return err
		}
		if ok {
			return &failure{fmt.Sprintf("there is already an account %q in the database %s, and it was left as it is: choose another name", name, s.path), ErrExists, nil}
		}
		return put(tx, name, &a, a.Created, by, act)
	})
}

// SetVerifier replaces an account's verifier and sets the time of its change: a
// code's if code, which expires then (or never, for the zero time), or a
// password's. It returns the account's new generation.
//
// A generation that is not 0 says which account it is for: ErrChanged if it has
// another one by now. ErrNoAccount if there is none. Other errors are Add's.
func (s *Store) SetVerifier(name string, generation uint64, v *[256]byte, code bool, expires, now time.Time, by Actor) (uint64, error) {
	return s.change(name, now, by, func(a *Account) (Act, error) {
		if generation != 0 && generation != a.Generation {
			return 0, &failure{fmt.Sprintf("the account %q in the database %s was changed meanwhile, and this change was not made: look at it, and try again", name, s.path), ErrChanged, nil}
		}
		act := PasswordSet
		switch {
		case code:
			act = ResetByCode
		case by == TheUser && !a.Code:
			act = PasswordChanged
		}
		if !code {
			expires = time.Time{}
		}
		a.Verifier, a.Changed, a.Code, a.Expires = *v, now, code, expires
		return act, nil
	})
}

// SetDisabled disables an account or enables it again; where it is so already it
// does nothing. Its errors are SetVerifier's.
func (s *Store) SetDisabled(name string, disabled bool, now time.Time, by Actor) error {
	_, err := s.change(name, now, by, func(a *Account) (Act, error) {
		if a.Disabled == disabled {
			return unchanged, nil
		}
		a.Disabled = disabled
		if disabled {
			return Disabled, nil
		}
		return Enabled, nil
	})
	return err
}

// Remove forgets an account; the name can be added again. Only the audit log
// still has it. Its errors are SetVerifier's.
func (s *Store) Remove(name string, now time.Time, by Actor) error {
	_, err := s.change(name, now, by, func(*Account) (Act, error) { return Removed, nil })
	return err
}

// unchanged is the act of a change that changes nothing.
const unchanged Act = 0

// change lets edit change an account, or has it removed when the act is that.
func (s *Store) change(name string, now time.Time, by Actor, edit func(*Account) (Act, error)) (generation uint64, err error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	err = s.update(func(tx *bolt.Tx) error {
		a, ok, err := s.account(tx, name)
		if err != nil {
			return err
		}
		if !ok {
			return &failure{fmt.Sprintf("there is no account %q in the database %s: see how the name is spelled, or add it first", name, s.path), ErrNoAccount, nil}
		}
		act, err := edit(&a)
		switch {
		case err != nil:
			return err
		case act == unchanged:
		case act == Removed:
			if _, err := record(tx, now, by, act, name); err != nil {
				return err
			}
			return tx.Bucket(accountsBucket).Delete([]byte(name))
		default:
			if err := put(tx, name, &a, now, by, act); err != nil {
				return err
			}
		}
		generation = a.Generation
		return nil
	})
	if err != nil {
		return 0, err
	}
	return generation, nil
}

// put records what is done to an account and writes it, with its new generation.
func put(tx *bolt.Tx, name string, a *Account, now time.Time, by Actor, act Act) (err error) {
	if a.Generation, err = record(tx, now, by, act, name); err != nil {
		return err
	}
	return tx.Bucket(accountsBucket).Put([]byte(name), encodeAccount(a))
}

// Listed is an account in a list: without its verifier.
type Listed struct {
	Name string
	Account
}

// List returns the next accounts after that name in byte order ("" starts), at
// most n and at most 1,000. None are left when it returns none. The error is
// ErrDamaged.
func (s *Store) List(after string, n int) ([]Listed, error) {
	var page []Listed
	err := s.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(accountsBucket).Cursor()
		k, v := c.Seek([]byte(after))
		if string(k) == after {
			k, v = c.Next()
		}
		for ; k != nil && len(page) < min(n, maxPage); k, v = c.Next() {
			a, ok := decodeAccount(s.schema, v)
			if !ok || checkName(string(k)) != nil {
				return damaged(s.path, fmt.Sprintf("the account %q is not whole", k), nil)
			}
			clear(a.Verifier[:])
			page = append(page, Listed{string(k), a})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// nobody is decoded where there is no account and no neighbour either.
var nobody [accountSize]byte

// account copies one account out of a transaction.
func (s *Store) account(tx *bolt.Tx, name string) (Account, bool, error) {
	key := []byte(name)
	// Seek instead of Get, which takes a bucket in an account's place for
	// nothing there.
	k, v := tx.Bucket(accountsBucket).Cursor().Seek(key)
	found := bytes.Equal(k, key)
	if size := sizeOf(s.schema); !found && len(v) != size {
		v = nobody[:size]
	}
	// A name without an account gets its neighbour's decoded, and nothing of
	// it: to stop before would be some 50 ns faster, which adds up to who has
	// an account.
	a, ok := decodeAccount(s.schema, v)
	if !found {
		return Account{}, false, nil
	}
	if !ok {
		return Account{}, false, damaged(s.path, fmt.Sprintf("the account %q is not whole", name), nil)
	}
	return a, true, nil
}

// checkName refuses what can't be a key here. What a good name is, callers know.
func checkName(name string) error {
	if len(name) < 1 || len(name) > maxName {
		return fmt.Errorf("a name has 1 to %d bytes, and this one has %d: choose another", maxName, len(name))
	}
	return nil
}
