package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"sim/internal/wholefile"
)

// Backup writes a compacted copy of the database to w: a database itself. Others
// use the Store meanwhile, and what they change after the call began may not be in
// the copy. That a copy was made is recorded before the first byte of it leaves.
//
// The copy is made beside the database first, so that a slow w holds nothing up. On
// a disk that takes no changes any more, which is when a backup is wanted most, it is
// made in the system's directory for passing files, and nothing is recorded.
//
// The errors are ErrDamaged, ErrNotSaved when there is no room for the copy, one
// about another backup that is being made, and w's as they are.
func (s *Store) Backup(w io.Writer, now time.Time, by Actor) error {
	if !s.backup.TryLock() {
		return fmt.Errorf("another backup of the database %s is being made: wait until it is done, and try again", s.path)
	}
	defer s.backup.Unlock()
	f, err := wholefile.Create(s.path)
	unrecorded := isReadOnly(err)
	if unrecorded {
		f, err = wholefile.Create(filepath.Join(os.TempDir(), filepath.Base(s.path)))
	}
	if err != nil {
		return notCopied(s.path, err)
	}
	defer f.Abort()
	if err := s.compact(f.Name()); err != nil {
		return err
	}
	if unrecorded {
		_, err = io.Copy(w, f.File)
		return err
	}
	if err := s.write(func(tx *bolt.Tx) error { // a backup saves a database whose file was deleted, too
		_, err := record(tx, now, by, BackedUp, "")
		return err
	}); err != nil {
		return err
	}
	_, err = io.Copy(w, f.File)
	return err
}

// OpenToBackup is Open for a database that there is, and Look on a disk that takes no
// changes.
func OpenToBackup(path string) (*Store, error) {
	s, err := Open(path, Options{Existing: true})
	if isReadOnly(err) {
		return Look(path)
	}
	return s, err
}

// compact copies what is in the database to a file that is empty.
//
// It is one transaction that reads, open until the copy is on the disk: what is put
// into a bucket must stay in the memory map until the commit. bbolt's own Compact
// lets go of it before, and copies rubbish, or faults, when others write meanwhile.
func (s *Store) compact(path string) error {
	to, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: holdTimeout, NoSync: true}) // it is a passing file
	if err != nil {
		return notCopied(s.path, err)
	}
	defer to.Close()
	return s.view(func(from *bolt.Tx) error {
		var health Health
		if err := s.walk(from, &health); err != nil {
			return err // a copy of what is damaged would be one, too
		}
		if err := to.Update(func(tx *bolt.Tx) error {
			return from.ForEach(func(name []byte, b *bolt.Bucket) error { return copyBucket(tx, name, b) })
		}); err != nil {
			return notCopied(s.path, err)
		}
		return nil
	})
}

// copyBucket copies one that has no buckets in it, as none of ours has.
func copyBucket(to *bolt.Tx, name []byte, from *bolt.Bucket) error {
	b, err := to.CreateBucket(name)
	if err != nil {
		return err
	}
	if err := b.SetSequence(from.Sequence()); err != nil {
		return err
	}
	b.FillPercent = 1 // nobody adds to it
	return from.ForEach(b.Put)
}

// Restore makes the database at path from a copy of one, after every part of it
// was checked. Where there is a database it returns an error of fs.ErrExist, or,
// with replace, keeps that one under the name that it returns. It returns ErrHeld
// while a server has it. Nothing is changed when there is an error.
func Restore(path string, content io.Reader, replace bool, now time.Time, by Actor) (kept string, err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	there, release, err := hold(path, replace)
	if err != nil {
		return "", err
	}
	defer release()
	f, err := wholefile.Create(path)
	if err != nil {
		return "", notSaved(path, err)
	}
	defer f.Abort()
	like := path
	if !there {
		like = filepath.Dir(path)
	}
	giveTo(f.File, like)
	if _, err := io.Copy(f, content); err != nil {
		if wrote, ok := errors.AsType[*fs.PathError](err); ok && wrote.Path == f.Name() {
			err = notSaved(path, wrote.Err)
		}
		return "", err
	}
	if err := prove(f.Name(), now, by); err != nil {
		return "", notRestored(path, err)
	}
	if runtime.GOOS == "windows" {
		release() // no file that is open can be replaced there
	}
	if there {
		if kept, err = wholefile.Keep(path, path+".before-restore"); err != nil {
			return "", notSaved(path, err)
		}
	}
	if err := f.Commit(there); err != nil {
		if kept != "" {
			os.Remove(kept)
		}
		return "", notSaved(path, err)
	}
	return kept, nil
}

// prove checks a copy, and records in it that it was put back.
func prove(path string, now time.Time, by Actor) error {
	s, err := Open(path, Options{Existing: true, noCopy: true, Now: func() time.Time { return now }})
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Check(); err != nil {
		return err
	}
	return s.update(func(tx *bolt.Tx) error {
		_, err := record(tx, now, by, Restored, "")
		return err
	})
}

// MayRestore returns the error that Restore would return because of what is at
// path now.
func MayRestore(path string, replace bool) error {
	_, release, err := hold(path, replace)
	if err == nil {
		release()
	}
	return err
}

// hold reports whether there is a file at path that may be replaced, and keeps a
// server from starting on it until release. A file that is no database can't be
// held, and needn't be.
func hold(path string, replace bool) (there bool, release func(), err error) {
	release = func() {}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, release, nil
	case err != nil:
		return false, release, noAccess(path, err)
	case info.IsDir():
		return false, release, notOurs(path, "a directory", nil)
	}
	if info.Size() > 0 {
		s, err := open(path, readOnly)
		if errors.Is(err, ErrHeld) || err != nil && isAccess(err) {
			return true, release, err
		}
		if err == nil { // or damaged, perhaps: the very time for a restore
			release = sync.OnceFunc(func() { s.Close() })
		}
	}
	if !replace {
		release()
		return true, nil, &failure{fmt.Sprintf("there is a database %s already, and it was left as it is: name another file with --db, or --force to put it aside", path), fs.ErrExist, nil}
	}
	return true, release, nil
}
