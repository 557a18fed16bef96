package server

import (
	"errors"
	"fmt"
	"time"

	"sim/proto"
	"sim/store"
)

// Accounts is the administration of accounts. It gets verifiers, and never a password.
type Accounts interface {
	// Salt returns what a verifier of the name is made with, and whether the name has an account.
	Salt(name proto.Name) (salt [32]byte, params proto.Argon2, taken bool, err error)

	// Add makes an account; it is on the disk when the error is nil. The error is store.ErrExists when the name has one, and
	// store.ErrNotSaved when the disk did not take it.
	Add(name proto.Name, verifier *[256]byte) error

	Close() error
}

// OpenAccounts returns the accounts of the server that runs on a database, through its admin socket (an empty path means AdminPath's), or,
// if none does, those of the database itself, which open opens.
func OpenAccounts(db, admin string, open func() (*store.Store, error)) (Accounts, error) {
	if admin == "" {
		admin = AdminPath(db)
	}
	remote, err := dialAccounts(admin)
	if remote != nil || err != nil {
		return remote, err
	}
	st, err := open()
	if errors.Is(err, store.ErrHeld) {
		// Perhaps by a server that has made its socket since.
		if remote, err := dialAccounts(admin); remote != nil || err != nil {
			return remote, err
		}
	}
	if err != nil {
		return nil, err
	}
	return &localAccounts{st, NewDirectory(st)}, nil
}

// localAccounts are the accounts of a store.
type localAccounts struct {
	store     *store.Store
	directory *proto.Directory
}

func (l *localAccounts) Salt(name proto.Name) (salt [32]byte, params proto.Argon2, taken bool, err error) {
	_, taken, err = l.store.Account(name.String())
	return l.directory.Salt(name), l.directory.Argon2, taken, err
}

func (l *localAccounts) Add(name proto.Name, verifier *[256]byte) error {
	if name.Reserved() {
		return fmt.Errorf("the name %s is reserved: people could take it for the system's own voice", name)
	}
	if err := proto.CheckVerifier(verifier); err != nil {
		return fmt.Errorf("the account %s was not made: %w", name, err)
	}
	now := time.Now()
	return l.store.Add(name.String(), store.Account{Verifier: *verifier, Created: now, Changed: now}, store.OnFile())
}

func (l *localAccounts) Close() error {
	clear(l.directory.SaltSecret[:])
	clear(l.directory.InventSecret[:])
	return l.store.Close()
}

// recheck ends the sessions of a name whose account is another one by now.
func (s *Server) recheck(name proto.Name) {
	for _, session := range s.registry.of(name) {
		session.recheck()
	}
}

// NewDirectory returns what logins need to know of a store.
func NewDirectory(st *store.Store) *proto.Directory {
	id := st.Identity()
	d := &proto.Directory{
		SaltSecret:   id.SaltSecret,
		InventSecret: id.InventSecret,
		Argon2:       proto.Argon2{Time: id.ArgonTime, Memory: id.ArgonMemory, Threads: id.ArgonThreads},
		Lookup: func(name proto.Name) (proto.Account, error) {
			a, found, err := st.Account(name.String())
			expired := a.Code && !a.Expires.IsZero() && !time.Now().Before(a.Expires)
			return proto.Account{
				Verifier: a.Verifier, Exists: found && !a.Disabled && !expired,
				Enrol: a.Code, Generation: a.Generation,
			}, err
		},
	}
	id = store.Identity{}
	return d
}
