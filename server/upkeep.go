package server

import (
	"context"
	"crypto/ecdh"
	"encoding/json"
	"io"
	"time"

	"sim/proto"
	"sim/store"
)

// Upkeep takes care of a database as a whole.
type Upkeep interface {
	// Backup writes a compacted copy of the database to w. When the error is nil the copy is whole.
	Backup(ctx context.Context, w io.Writer) error

	// Check looks at every page and every account. The error says what is wrong.
	Check() (store.Health, error)

	// List is that of Accounts.
	List(after string) ([]Person, error)

	// Where tells which key the server has, and where it listens.
	Where() (Where, error)

	// Live says whether a server runs on the database.
	Live() bool

	Close() error
}

// Where is how a server is reached.
type Where struct {
	Key       [proto.PublicKeySize]byte
	Listen    string   // HOST:PORT; "" when none runs
	Addresses []string // what the server prints when it starts
}

// OpenUpkeep is OpenAccounts for the care of the database.
func OpenUpkeep(db, admin string, open func() (*store.Store, error)) (Upkeep, error) {
	a, err := OpenAccounts(db, admin, open)
	if err != nil {
		return nil, err
	}
	return a.(Upkeep), nil
}

// Both kinds of Accounts are Upkeep as well.
var (
	_ Upkeep = (*localAccounts)(nil)
	_ Upkeep = (*socketAccounts)(nil)
)

func (l *localAccounts) Backup(ctx context.Context, w io.Writer) error {
	return l.store.Backup(writerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return w.Write(p)
	}), time.Now(), l.by)
}

// writerFunc is a function that writes.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (l *localAccounts) Check() (store.Health, error) { return l.store.Check() }

func (l *localAccounts) Where() (w Where, err error) {
	if l.server == nil {
		id := l.store.Identity()
		key, err := ecdh.X25519().NewPrivateKey(id.PrivateKey[:])
		id = store.Identity{}
		if err != nil {
			return w, err
		}
		return Where{Key: [proto.PublicKeySize]byte(key.PublicKey().Bytes())}, nil
	}
	w = Where{Key: l.server.key, Listen: l.server.listener.Addr().String()}
	for _, address := range l.server.Addresses() {
		if len(w.Addresses) < maxAddresses {
			w.Addresses = append(w.Addresses, address.String())
		}
	}
	return w, nil
}

// check and where are the operations of the admin socket.
func (call *adminCall) check([]byte) ([]byte, error) {
	health, err := call.upkeep.Check()
	if err != nil {
		return nil, err
	}
	return json.Marshal(health)
}

func (call *adminCall) where([]byte) ([]byte, error) {
	w, err := call.upkeep.Where()
	if err != nil {
		return nil, err
	}
	return json.Marshal(w)
}

func (a *socketAccounts) Check() (health store.Health, err error) {
	err = a.page(&health, adminCheck, nil)
	return health, err
}

func (a *socketAccounts) Where() (w Where, err error) {
	err = a.page(&w, adminWhere, nil)
	return w, err
}
