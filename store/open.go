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
	"sim/internal/wholefile"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	holdTimeout = time.Second // how long Open waits for a file that is held
	growth      = 32 << 10    // by what a file grows; bbolt asks for 16 MiB at once where more than that is mapped
)

// Options of Open. The costs of Argon2id are for a new database only; an
// existing one keeps its own.
type Options struct {
	Now          func() time.Time // time.Now where nil
	Existing     bool             // never make a database: an error of fs.ErrNotExist where there is none
	ArgonTime    uint32           // passes
	ArgonMemory  uint32           // KiB
	ArgonThreads uint8            // lanes

	noCopy bool // of an older layout, since this database is a copy already
}

// Open opens the database at path and holds it until Close. Where there is no
// file, or one in which nothing was ever written, it makes a new one (mode
// 0600) with a fresh Identity, in one transaction: a process that dies in the
// middle leaves no identity or a whole one, and where the disk doesn't take it
// there is no file again. One of an older layout it brings forward, after a copy.
//
// It returns ErrHeld after a second if the file is held, ErrNotOurs, ErrNewer
// and ErrDamaged without having changed a byte, and ErrNotSaved if a new
// database, or the new layout, could not be written. Other errors (a missing
// directory, a missing permission) wrap those of package fs.
func Open(path string, opts Options) (*Store, error) {
	fresh, err := isFresh(path)
	switch {
	case err != nil:
		return nil, err
	case fresh && opts.Existing:
		return nil, missing(path)
	case fresh:
		dir := filepath.Dir(path)
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the database %s can't be made since the directory %s doesn't exist: make it, or name another file: %w", path, dir, err)
		}
	default:
		// To open a file for writing, bbolt may change it. So what is there
		// is looked at first through a handle that can't write.
		if err := inspect(path); err != nil && (err != errEmpty || opts.Existing) {
			return nil, orMissing(path, err)
		}
	}
	_, err = os.Lstat(path)
	absent := errors.Is(err, fs.ErrNotExist)
	s, err := open(path, readWrite)
	switch {
	case err == nil:
	case fresh && isAccess(err):
		if _, e := os.Lstat(path); errors.Is(e, fs.ErrNotExist) {
			err = notMade(path, errors.Unwrap(err))
		}
		return nil, err
	case fresh && !errors.Is(err, ErrHeld):
		if absent {
			removeBegun(path)
		}
		return nil, notSaved(path, err)
	default:
		return nil, err
	}
	if fresh {
		giveTo(s.file, filepath.Dir(path))
		if err := s.file.Chmod(0o600); err != nil && runtime.GOOS != "windows" { // an empty file that was there may be anybody's to read
			s.Close()
			return nil, notSaved(path, err)
		}
	}
	if err := s.load(opts); err != nil {
		if absent && errors.Is(err, ErrNotSaved) {
			os.Remove(path) // which nobody else has meanwhile
		}
		s.Close()
		return nil, err
	}
	wholefile.RemovePartial(path) // of a backup that was killed
	return s, nil
}

// Look opens a database that is there, of any layout up to today's, for reading
// alone, and keeps others from writing to it until Close. Its errors are Open's,
// and one of fs.ErrNotExist where there is none.
func Look(path string) (*Store, error) {
	fresh, err := isFresh(path)
	if err != nil {
		return nil, err
	}
	if fresh {
		return nil, missing(path)
	}
	if err := inspect(path); err != nil {
		return nil, orMissing(path, err)
	}
	s, err := open(path, readAll)
	if err != nil {
		return nil, err
	}
	if err := s.look(); err != nil {
		s.Close()
		return nil, orMissing(path, err)
	}
	return s, nil
}

// inspect returns what is wrong with the database at path, or errEmpty.
func inspect(path string) error {
	s, err := open(path, readOnly)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.look()
}

// isFresh reports whether there is nothing at path, or a file without a byte. It
// returns an error when there is what can't be a database.
func isFresh(path string) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, noAccess(path, err)
	case info.IsDir():
		return false, notOurs(path, "a directory", nil)
	case !info.Mode().IsRegular():
		return false, notOurs(path, "not a regular file", nil)
	}
	return info.Size() == 0, nil
}

func orMissing(path string, err error) error {
	if err == errEmpty {
		return missing(path)
	}
	return err
}

// A way is how a file is opened.
type way int

const (
	readWrite way = iota
	readOnly
	readAll // and only, with the list of free pages, which a check needs
)

// open opens what bbolt takes for a database, ours or not.
func open(path string, how way) (s *Store, err error) {
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
		Timeout:         holdTimeout,
		ReadOnly:        how != readWrite,
		InitialMmapSize: mapped,
		PreLoadFreelist: how == readAll, // here, where a panic is caught
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			s.file = f
			return f, err
		},
	})
	switch {
	case err == nil:
		s.db.AllocSize = growth
		return s, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, held(path, err)
	case isAccess(err):
		return nil, noAccess(path, err)
	case how == readWrite:
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

func notMade(path string, cause error) error {
	return fmt.Errorf("the database %s can't be made: see that this user may make files in %s, or name another file: %w", path, filepath.Dir(path), cause)
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
func (s *Store) read(tx *bolt.Tx) (id Identity, schema uint32, err error) {
	// Reading a page that a cut file no longer has is a fault, and no error.
	if info, err := s.file.Stat(); err != nil {
		return Identity{}, 0, noAccess(s.path, err)
	} else if info.Size() < tx.Size() {
		return Identity{}, 0, cutShort(s.path, nil)
	}
	var buckets [][]byte
	if err := tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		buckets = append(buckets, bytes.Clone(name))
		return nil
	}); err != nil {
		return Identity{}, 0, damaged(s.path, "its buckets can't be listed", err)
	}
	if len(buckets) == 0 {
		return Identity{}, 0, errEmpty
	}
	meta, accounts := tx.Bucket(metaBucket), tx.Bucket(accountsBucket)
	if meta == nil && accounts == nil {
		return Identity{}, 0, notOurs(s.path, "another program's database", nil)
	}
	if meta == nil {
		return Identity{}, 0, damaged(s.path, "the server's key is missing", nil)
	}
	v := meta.Get(schemaKey)
	if len(v) != 4 || binary.BigEndian.Uint32(v) == 0 {
		return Identity{}, 0, damaged(s.path, "it doesn't say which version made it", nil)
	}
	if schema = binary.BigEndian.Uint32(v); schema > schemaVersion {
		return Identity{}, 0, newer(s.path, schema)
	}
	id, ok := decodeIdentity(meta.Get(identityKey))
	if !ok {
		return Identity{}, 0, damaged(s.path, "the server's key is missing or not whole", nil)
	}
	if accounts == nil {
		return Identity{}, 0, damaged(s.path, "the accounts are missing", nil)
	}
	want := 3
	if schema == 1 {
		want = 2
	} else if tx.Bucket(auditBucket) == nil {
		return Identity{}, 0, damaged(s.path, "the audit log is missing", nil)
	}
	if len(buckets) != want {
		return Identity{}, 0, damaged(s.path, "there is something in it that doesn't belong there", nil)
	}
	return id, schema, nil
}

// look reads what is there; errEmpty when that is nothing.
func (s *Store) look() error {
	if info, err := s.file.Stat(); err == nil && runtime.GOOS != "windows" {
		s.exposed = info.Mode().Perm()&0o077 != 0
	}
	return s.view(func(tx *bolt.Tx) (err error) {
		s.identity, s.schema, err = s.read(tx)
		return err
	})
}

// load reads what is there, or makes it where there is nothing, and brings an
// older layout forward.
func (s *Store) load(opts Options) error {
	// It may have been replaced while this process waited to hold it.
	held, err := s.file.Stat()
	if err != nil {
		return noAccess(s.path, err)
	}
	if named, err := os.Stat(s.path); err != nil || !os.SameFile(held, named) {
		return &failure{fmt.Sprintf("the database %s was just replaced by another one: try again", s.path), ErrHeld, err}
	}
	now := time.Now
	if opts.Now != nil {
		now = opts.Now
	}
	switch err := s.look(); {
	case err == errEmpty && !opts.Existing:
		return s.create(opts, now())
	case err != nil:
		return orMissing(s.path, err)
	case s.schema == 1:
		return s.migrate(now(), !opts.noCopy)
	}
	return nil
}

// create makes the identity and all that a database has.
func (s *Store) create(opts Options, now time.Time) error {
	if opts.ArgonTime == 0 || opts.ArgonMemory == 0 || opts.ArgonThreads == 0 {
		return fmt.Errorf("the database %s was not made: the parameters of Argon2id may not be zero", s.path)
	}
	id := Identity{
		ArgonTime:    opts.ArgonTime,
		ArgonMemory:  opts.ArgonMemory,
		ArgonThreads: opts.ArgonThreads,
		Created:      storedTime(now),
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
		for _, name := range [][]byte{accountsBucket, auditBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		if err := meta.Put(schemaKey, encodeSchema(schemaVersion)); err != nil {
			return err
		}
		return meta.Put(identityKey, value)
	})
	if err != nil {
		return err
	}
	// The file's name, too, has to be there after a power cut.
	if err := wholefile.SyncDir(filepath.Dir(s.path)); err != nil {
		return notSaved(s.path, err)
	}
	s.identity, s.schema, s.made = id, schemaVersion, true
	return nil
}
