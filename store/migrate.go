package store

import (
	"fmt"
	"io"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"sim/internal/wholefile"
)

// migrate brings schema 1 forward in one transaction, after a copy of the file
// beside it: a process that dies in the middle leaves the one layout or the other.
func (s *Store) migrate(now time.Time, keepCopy bool) (err error) {
	if keepCopy {
		if s.oldCopy, err = s.keepCopy(); err != nil {
			return notSaved(s.path, fmt.Errorf("before its layout changes, a copy is made: %w", err))
		}
	}
	if err := s.update(func(tx *bolt.Tx) error { return s.migrateTo2(tx, now) }); err != nil {
		os.Remove(s.oldCopy) // a full disk would get one more at every start
		return err
	}
	s.schema = schemaVersion
	return nil
}

// keepCopy copies the file byte for byte, and returns the copy's name.
func (s *Store) keepCopy() (name string, err error) {
	info, err := s.file.Stat()
	if err != nil {
		return "", err
	}
	f, err := wholefile.Create(s.path + ".schema1")
	if err != nil {
		return "", err
	}
	defer f.Abort()
	giveTo(f.File, s.path)
	// Nobody writes: the file is held, and nothing else has this Store yet.
	if _, err := io.Copy(f, io.NewSectionReader(s.file, 0, info.Size())); err != nil {
		return "", err
	}
	return f.CommitNew()
}

// migrateTo2 starts the audit log, and gives every account the rest that it has
// in schema 2. All of them have one generation, which no later change has.
func (s *Store) migrateTo2(tx *bolt.Tx, now time.Time) error {
	if _, err := tx.CreateBucket(auditBucket); err != nil {
		return err
	}
	generation, err := record(tx, now, OnFile(), Migrated, "")
	if err != nil {
		return err
	}
	b := tx.Bucket(accountsBucket)
	accounts := map[string]Account{} // a bucket may not change while it is walked through
	if err := b.ForEach(func(k, v []byte) error {
		a, ok := decodeAccount(1, v)
		if !ok {
			return damaged(s.path, fmt.Sprintf("the account %q is not whole", k), nil)
		}
		a.Generation = generation
		accounts[string(k)] = a
		return nil
	}); err != nil {
		return err
	}
	for name, a := range accounts {
		if err := b.Put([]byte(name), encodeAccount(&a)); err != nil {
			return err
		}
	}
	return tx.Bucket(metaBucket).Put(schemaKey, encodeSchema(schemaVersion))
}
