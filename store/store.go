package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
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

// A Store is an open database. Its methods may be called from several
// goroutines, Close only after all others have returned.
type Store struct {
	// immutable
	path     string
	file     *os.File // bbolt's; it holds the lock
	db       *bolt.DB
	identity Identity
	schema   uint32
	made     bool
	oldCopy  string
	exposed  bool

	backup sync.Mutex // held while one is made

	// broken holds the error of a write that met damage. bbolt can't be
	// trusted to have let go of its locks then, so nothing is tried again.
	broken atomic.Pointer[failure]
}

// view runs a read-only transaction. What fn was given dies with it.
func (s *Store) view(fn func(*bolt.Tx) error) error {
	return s.guard(false, func() error { return s.db.View(fn) })
}

// update runs a transaction that is on the disk when it returns nil. An error of
// fn comes back as it is; one of the commit as ErrNotSaved, and so does a file
// that is no longer the one in its place.
func (s *Store) update(fn func(*bolt.Tx) error) error {
	if err := s.inPlace(); err != nil {
		return err
	}
	return s.write(fn)
}

// inPlace refuses to promise what the next start would not find.
func (s *Store) inPlace() error {
	open, err := s.file.Stat()
	if err != nil {
		return noAccess(s.path, err)
	}
	named, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(open, named) {
		return moved(s.path)
	}
	return nil
}

// write is update for a file wherever it is.
func (s *Store) write(fn func(*bolt.Tx) error) error {
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

// Made reports whether Open made the database.
func (s *Store) Made() bool { return s.made }

// OldCopy returns the name of the copy that Open made before it brought an older
// layout forward, or "". The copy holds the server's key.
func (s *Store) OldCopy() string { return s.oldCopy }

// Exposed reports whether others than the file's owner had access to it by its
// mode when it was opened; never on Windows, which has other means.
func (s *Store) Exposed() bool { return s.exposed }
