package server

import (
	"errors"
	"fmt"
	"time"

	"sim/proto"
	"sim/store"
)

// Accounts is the administration of accounts. It gets verifiers, and never a password. What it changes is on the disk when the error is nil;
// store.ErrNotSaved says that the disk did not take it.
type Accounts interface {
	// Salt returns what a verifier of the name is made with, and whether the name has an account.
	Salt(name proto.Name) (salt [32]byte, params proto.Argon2, taken bool, err error)

	// Add makes an account. The error is store.ErrExists when the name has one.
	Add(name proto.Name, c Credential) error

	// These change an account, or return store.ErrNoAccount. But for enabling, they end its sessions.
	SetCredential(name proto.Name, c Credential) error
	SetDisabled(name proto.Name, disabled bool) error
	Remove(name proto.Name) error

	// List returns some of the people after a name ("" starts), in order; none are left when it returns none.
	List(after string) ([]Person, error)

	// Log returns some of the entries of the audit log after the one of that number; none are left when it returns none.
	Log(after uint64) ([]store.Entry, error)

	// Live says whether a server runs: only then it is known who is online.
	Live() bool

	Close() error
}

// A Credential is what a person logs in with.
type Credential struct {
	Verifier *[256]byte
	Code     bool      // the verifier is of a one-time code
	Expires  time.Time // when the code does; never for the zero time
}

// Person is what an admin sees of an account.
type Person struct {
	Name     string
	Created  time.Time
	Changed  time.Time
	Disabled bool
	Code     bool
	Expires  time.Time
	Online   bool
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
	if errors.Is(err, store.ErrHeld) && adminSupported {
		// Perhaps by a server that has made its socket since.
		if remote, err := dialAccounts(admin); remote != nil || err != nil {
			return remote, err
		}
		return nil, fmt.Errorf("%w; if that is a server, nobody answers at %s: give this command the --admin that the server has, or restart the server if its socket was deleted", err, admin)
	}
	if err != nil {
		return nil, err
	}
	return &localAccounts{store: st, directory: NewDirectory(st), by: store.OnFile()}, nil
}

// localAccounts are the accounts of a store.
type localAccounts struct {
	store     *store.Store
	directory *proto.Directory
	by        store.Actor
	server    *Server // whose sessions end with their accounts; nil where none runs
}

func (l *localAccounts) Salt(name proto.Name) (salt [32]byte, params proto.Argon2, taken bool, err error) {
	_, taken, err = l.store.Account(name.String())
	return l.directory.Salt(name), l.directory.Argon2, taken, err
}

func (l *localAccounts) Add(name proto.Name, c Credential) error {
	if name.Reserved() {
		return fmt.Errorf("the name %s is reserved: people could take it for the system's own voice", name)
	}
	if err := proto.CheckVerifier(c.Verifier); err != nil {
		return fmt.Errorf("the account %s was not made: %w", name, err)
	}
	now := time.Now()
	return l.store.Add(name.String(), store.Account{Verifier: *c.Verifier, Created: now, Changed: now, Code: c.Code, Expires: c.Expires}, l.by)
}

func (l *localAccounts) SetCredential(name proto.Name, c Credential) error {
	if err := proto.CheckVerifier(c.Verifier); err != nil {
		return fmt.Errorf("the account %s was left as it was: %w", name, err)
	}
	_, err := l.store.SetVerifier(name.String(), 0, c.Verifier, c.Code, c.Expires, time.Now(), l.by)
	return l.changed(name, err)
}

func (l *localAccounts) SetDisabled(name proto.Name, disabled bool) error {
	return l.changed(name, l.store.SetDisabled(name.String(), disabled, time.Now(), l.by))
}

func (l *localAccounts) Remove(name proto.Name) error {
	return l.changed(name, l.store.Remove(name.String(), time.Now(), l.by))
}

// changed ends the sessions of an account that was changed.
func (l *localAccounts) changed(name proto.Name, err error) error {
	if err == nil && l.server != nil {
		l.server.recheck(name)
	}
	return err
}

func (l *localAccounts) List(after string) ([]Person, error) {
	page, err := l.store.List(after, adminPage)
	if err != nil {
		return nil, err
	}
	var people []Person
	for _, a := range page {
		people = append(people, Person{
			Name: a.Name, Created: a.Created, Changed: a.Changed, Disabled: a.Disabled, Code: a.Code, Expires: a.Expires,
			Online: l.server != nil && l.server.online(a.Name),
		})
	}
	return people, nil
}

func (l *localAccounts) Log(after uint64) ([]store.Entry, error) {
	return l.store.Audit(after, adminPage)
}

func (l *localAccounts) Live() bool { return l.server != nil }

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

func (s *Server) online(name string) bool {
	n, err := proto.ParseName(name)
	return err == nil && s.registry.online(n)
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
