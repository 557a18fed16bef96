package store

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	schemaVersion = 1

	identitySize = 3*32 + 4 + 4 + 1 + 8
	accountSize  = 256 + 8 + 8

	maxName = 32 // bytes

	holdTimeout = time.Second // how long Open waits for a file that is held
)

var (
	metaBucket     = []byte("sim.meta")
	accountsBucket = []byte("sim.accounts")
	schemaKey      = []byte("schema")
	identityKey    = []byte("identity")
)

// Identity is what makes a server the one its users know. It is made once, with
// the database, and never changes.
type Identity struct {
	PrivateKey   [32]byte // X25519 (RFC 7748)
	SaltSecret   [32]byte // gives every name its salt
	InventSecret [32]byte // gives a name without an account its verifier
	ArgonTime    uint32   // passes
	ArgonMemory  uint32   // KiB
	ArgonThreads uint8    // lanes
	Created      time.Time
}

// Account is what the server keeps of a person. Times keep milliseconds.
type Account struct {
	Verifier [256]byte // SRP (RFC 5054 §2.5.3)
	Created  time.Time
	Changed  time.Time // when the verifier was last set
}

// Options of Open. The costs of Argon2id are for a new database only; an
// existing one keeps its own.
type Options struct {
	Now          func() time.Time // time.Now where nil
	ArgonTime    uint32           // passes
	ArgonMemory  uint32           // KiB
	ArgonThreads uint8            // lanes
}

// A Store is an open database. Its methods may be called from several
// goroutines, Close only after all others have returned.
type Store struct {
	// immutable
	path     string
	file     *os.File // bbolt's; it holds the lock
	db       *bolt.DB
	identity Identity
	exposed  bool

	// broken holds the error of a write that met damage. bbolt can't be
	// trusted to have let go of its locks then, so nothing is tried again.
	broken atomic.Pointer[failure]
}

// Open opens the database at path and holds it until Close. Where there is no
// file, or one in which nothing was ever written, it makes a new one (mode
// 0600) with a fresh Identity, in one transaction: a process that dies in the
// middle leaves no identity or a whole one.
//
// It returns ErrHeld after a second if the file is held, ErrNotOurs, ErrNewer
// and ErrDamaged without having changed a byte, and ErrNotSaved if a new
// database could not be written. Other errors (a missing directory, a missing
// permission) wrap those of package fs.
func Open(path string, opts Options) (*Store, error) {
	fresh := false
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir := filepath.Dir(path)
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the database %s can't be made since the directory %s doesn't exist: make it, or name another file: %w", path, dir, err)
		}
		fresh = true
	case err != nil:
		return nil, noAccess(path, err)
	case info.IsDir():
		return nil, notOurs(path, "a directory", nil)
	case !info.Mode().IsRegular():
		return nil, notOurs(path, "not a regular file", nil)
	case info.Size() == 0:
		fresh = true
	}
	// To open a file for writing, bbolt may change it. So what is there is
	// looked at first through a handle that can't write.
	if !fresh {
		if err := inspect(path); err != nil {
			return nil, err
		}
	}
	s, err := open(path, false)
	if err != nil {
		if fresh && !errors.Is(err, ErrHeld) && !isAccess(err) {
			err = notSaved(path, err)
		}
		return nil, err
	}
	if err := s.load(opts); err != nil {
		s.Close()
		return nil, err
	}
	if info, err := s.file.Stat(); err == nil && runtime.GOOS != "windows" {
		s.exposed = info.Mode().Perm()&0o077 != 0
	}
	return s, nil
}

// inspect returns an error when what is at path can't be opened for writing
// without harm.
func inspect(path string) error {
	s, err := open(path, true)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.view(func(tx *bolt.Tx) error {
		if _, err := s.read(tx); err != errEmpty {
			return err
		}
		return nil
	})
}

// open opens what bbolt takes for a database, ours or not.
func open(path string, readOnly bool) (s *Store, err error) {
	s = &Store{path: path}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		// bbolt panics on pages that it can't make sense of.
		if r := recover(); r != nil {
			if s.file != nil {
				abandon(s.file)
			}
			s, err = nil, damaged(path, "its pages don't fit together", fmt.Errorf("%v", r))
		}
	}()
	s.db, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout:  holdTimeout,
		ReadOnly: readOnly,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			s.file = f
			return f, err
		},
	})
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, held(path, err)
	case isAccess(err):
		return nil, noAccess(path, err)
	case !readOnly:
		return nil, fmt.Errorf("open the database %s: %w", path, err)
	case looksLikeBolt(path):
		return nil, cutShort(path, err)
	}
	return nil, notOurs(path, "another kind of file", err)
}

func isAccess(err error) bool {
	return errors.As(err, new(*fs.PathError)) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || isReadOnly(err))
}

func noAccess(path string, cause error) error {
	return fmt.Errorf("the database %s can't be opened: see that this user may read and write it: %w", path, cause)
}

// looksLikeBolt reports whether the file at path starts as a bbolt file does: a
// page header of 16 bytes, then bbolt's magic number in the machine's order.
func looksLikeBolt(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [20]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return false
	}
	return binary.NativeEndian.Uint32(head[16:]) == 0xED0CDAED
}

// errEmpty is returned by read for a database in which nothing was ever written.
var errEmpty = errors.New("empty")

// read checks what is in the database, as far as every use of it needs.
func (s *Store) read(tx *bolt.Tx) (Identity, error) {
	// Reading a page that a cut file no longer has is a fault, and no error.
	if info, err := s.file.Stat(); err != nil {
		return Identity{}, noAccess(s.path, err)
	} else if info.Size() < tx.Size() {
		return Identity{}, cutShort(s.path, nil)
	}
	var buckets [][]byte
	if err := tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		buckets = append(buckets, bytes.Clone(name))
		return nil
	}); err != nil {
		return Identity{}, damaged(s.path, "its buckets can't be listed", err)
	}
	if len(buckets) == 0 {
		return Identity{}, errEmpty
	}
	meta, accounts := tx.Bucket(metaBucket), tx.Bucket(accountsBucket)
	if meta == nil && accounts == nil {
		return Identity{}, notOurs(s.path, "another program's database", nil)
	}
	if meta == nil {
		return Identity{}, damaged(s.path, "the server's key is missing", nil)
	}
	schema := meta.Get(schemaKey)
	if len(schema) != 4 || binary.BigEndian.Uint32(schema) == 0 {
		return Identity{}, damaged(s.path, "it doesn't say which version made it", nil)
	}
	if v := binary.BigEndian.Uint32(schema); v > schemaVersion {
		return Identity{}, newer(s.path, v)
	}
	id, ok := decodeIdentity(meta.Get(identityKey))
	if !ok {
		return Identity{}, damaged(s.path, "the server's key is missing or not whole", nil)
	}
	if accounts == nil {
		return Identity{}, damaged(s.path, "the accounts are missing", nil)
	}
	if len(buckets) != 2 {
		return Identity{}, damaged(s.path, "there is something in it that doesn't belong there", nil)
	}
	return id, nil
}

// load reads the identity, or makes it where there is none.
func (s *Store) load(opts Options) error {
	err := s.view(func(tx *bolt.Tx) (err error) {
		s.identity, err = s.read(tx)
		return err
	})
	if err != errEmpty {
		return err
	}
	if opts.ArgonTime == 0 || opts.ArgonMemory == 0 || opts.ArgonThreads == 0 {
		return fmt.Errorf("the database %s was not made: the parameters of Argon2id may not be zero", s.path)
	}
	now := time.Now
	if opts.Now != nil {
		now = opts.Now
	}
	id := Identity{
		ArgonTime:    opts.ArgonTime,
		ArgonMemory:  opts.ArgonMemory,
		ArgonThreads: opts.ArgonThreads,
		Created:      storedTime(now()),
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make the server's key: %w", err)
	}
	id.PrivateKey = [32]byte(key.Bytes())
	rand.Read(id.SaltSecret[:])
	rand.Read(id.InventSecret[:])

	value := encodeIdentity(&id)
	defer clear(value)
	err = s.update(func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(accountsBucket); err != nil {
			return err
		}
		if err := meta.Put(schemaKey, binary.BigEndian.AppendUint32(nil, schemaVersion)); err != nil {
			return err
		}
		return meta.Put(identityKey, value)
	})
	if err != nil {
		return err
	}
	// The file's name, too, has to be there after a power cut.
	if err := syncDir(filepath.Dir(s.path)); err != nil {
		return notSaved(s.path, err)
	}
	s.identity = id
	return nil
}

// syncDir makes the names in a directory durable, where the system knows how.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil // may be written to but not listed: nothing to be done
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !isUnsupported(err) {
		return err
	}
	return nil
}

// view runs a read-only transaction. What fn was given dies with it.
func (s *Store) view(fn func(*bolt.Tx) error) error {
	return s.guard(false, func() error { return s.db.View(fn) })
}

// update runs a transaction that is on the disk when it returns nil. An error of
// fn comes back as it is; one of the commit as ErrNotSaved.
func (s *Store) update(fn func(*bolt.Tx) error) error {
	return s.guard(true, func() error {
		var refused error
		err := s.db.Update(func(tx *bolt.Tx) error {
			refused = fn(tx)
			return refused
		})
		if err != nil && err != refused {
			return notSaved(s.path, err)
		}
		return err
	})
}

// guard turns bbolt's panics, and faults in its memory map, into ErrDamaged.
func (s *Store) guard(writes bool, run func() error) (err error) {
	if broken := s.broken.Load(); broken != nil {
		return broken
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		err = damaged(s.path, "its pages don't fit together", fmt.Errorf("%v", r))
		if writes {
			s.broken.Store(err.(*failure))
		}
	}()
	return run()
}

// Close lets go of the file and clears the secrets that the Store holds.
func (s *Store) Close() error {
	s.identity = Identity{}
	if s.broken.Load() != nil {
		// bbolt's Close would wait for the lock of the write that went
		// wrong. Its memory map stays until the process ends.
		return abandon(s.file)
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the database %s: %w", s.path, err)
	}
	return nil
}

// Identity returns a copy, which the caller clears after use.
func (s *Store) Identity() Identity { return s.identity }

// Exposed reports whether others than the file's owner had access to it by its
// mode when it was opened; never on Windows, which has other means.
func (s *Store) Exposed() bool { return s.exposed }

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
// above 32 bytes.
func (s *Store) Add(name string, a Account) error {
	if err := checkName(name); err != nil {
		return err
	}
	return s.update(func(tx *bolt.Tx) error {
		_, ok, err := s.account(tx, name)
		if err != nil {
			return err
		}
		if ok {
			return &failure{fmt.Sprintf("there is already an account %q in the database %s, and it was left as it is: choose another name", name, s.path), ErrExists, nil}
		}
		return tx.Bucket(accountsBucket).Put([]byte(name), encodeAccount(&a))
	})
}

// SetVerifier replaces an account's verifier and sets the time of its change. It
// returns ErrNoAccount if there is none. Other errors are Add's.
func (s *Store) SetVerifier(name string, v *[256]byte, now time.Time) error {
	if err := checkName(name); err != nil {
		return err
	}
	return s.update(func(tx *bolt.Tx) error {
		a, ok, err := s.account(tx, name)
		if err != nil {
			return err
		}
		if !ok {
			return &failure{fmt.Sprintf("there is no account %q in the database %s: see how the name is spelled, or add it first", name, s.path), ErrNoAccount, nil}
		}
		a.Verifier, a.Changed = *v, now
		return tx.Bucket(accountsBucket).Put([]byte(name), encodeAccount(&a))
	})
}

// Names returns all names in byte order. The error is ErrDamaged.
func (s *Store) Names() ([]string, error) {
	var names []string
	err := s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(accountsBucket).ForEach(func(k, v []byte) error {
			if checkName(string(k)) != nil || len(v) != accountSize {
				return damaged(s.path, fmt.Sprintf("the account %q is not whole", k), nil)
			}
			names = append(names, string(k))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return names, nil
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
	if !found && len(v) != accountSize {
		v = nobody[:]
	}
	// A name without an account gets its neighbour's decoded, and nothing of
	// it: to stop before would be some 50 ns faster, which adds up to who has
	// an account.
	a, ok := decodeAccount(v)
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

// storedTime is t as it comes back from the database.
func storedTime(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixMilli()))
}

func decodeTime(b []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
}

func encodeIdentity(id *Identity) []byte {
	b := make([]byte, 0, identitySize)
	b = append(b, id.PrivateKey[:]...)
	b = append(b, id.SaltSecret[:]...)
	b = append(b, id.InventSecret[:]...)
	b = binary.BigEndian.AppendUint32(b, id.ArgonTime)
	b = binary.BigEndian.AppendUint32(b, id.ArgonMemory)
	b = append(b, id.ArgonThreads)
	return appendTime(b, id.Created)
}

// decodeIdentity refuses another length, and zeros where there are never any: a
// disk gives them for what it has lost.
func decodeIdentity(b []byte) (Identity, bool) {
	if len(b) != identitySize {
		return Identity{}, false
	}
	id := Identity{
		PrivateKey:   [32]byte(b[0:32]),
		SaltSecret:   [32]byte(b[32:64]),
		InventSecret: [32]byte(b[64:96]),
		ArgonTime:    binary.BigEndian.Uint32(b[96:100]),
		ArgonMemory:  binary.BigEndian.Uint32(b[100:104]),
		ArgonThreads: b[104],
		Created:      decodeTime(b[105:113]),
	}
	zero := [32]byte{}
	if id.PrivateKey == zero || id.SaltSecret == zero || id.InventSecret == zero ||
		id.ArgonTime == 0 || id.ArgonMemory == 0 || id.ArgonThreads == 0 {
		return Identity{}, false
	}
	return id, true
}

func encodeAccount(a *Account) []byte {
	b := make([]byte, 0, accountSize)
	b = append(b, a.Verifier[:]...)
	b = appendTime(b, a.Created)
	return appendTime(b, a.Changed)
}

func decodeAccount(b []byte) (Account, bool) {
	if len(b) != accountSize {
		return Account{}, false
	}
	return Account{
		Verifier: [256]byte(b[:256]),
		Created:  decodeTime(b[256:264]),
		Changed:  decodeTime(b[264:272]),
	}, true
}
