package store

import (
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Health is what a check found in a database that is well.
type Health struct {
	Schema   uint32
	Accounts int
	Entries  int       // of the audit log
	Size     int64     // bytes of the file
	Newest   time.Time // when the newest thing in it was written

	ArgonTime    uint32 // the identity's
	ArgonMemory  uint32
	ArgonThreads uint8
}

// Check looks at every page, account and entry of the audit log. Changes wait
// until it is done. The error is ErrDamaged, and says the first thing that is wrong;
// or ErrNotSaved where the file is no longer in its place.
func (s *Store) Check() (Health, error) {
	if err := s.inPlace(); err != nil {
		return Health{}, err
	}
	id := &s.identity
	health := Health{Schema: s.schema, Newest: id.Created, ArgonTime: id.ArgonTime, ArgonMemory: id.ArgonMemory, ArgonThreads: id.ArgonThreads}
	info, err := s.file.Stat()
	if err != nil {
		return Health{}, noAccess(s.path, err)
	}
	health.Size = info.Size()
	// What is wrong with a page is a panic or a fault in this walk, where it is
	// caught. bbolt's own check then looks at pages in a goroutine of its own,
	// where a fault would end the process.
	err = s.view(func(tx *bolt.Tx) error { return s.walk(tx, &health) })
	if err != nil {
		return Health{}, err
	}
	err = s.guard(false, func() error {
		// With a transaction that could write, nobody else frees pages meanwhile.
		tx, err := s.db.Begin(!s.db.IsReadOnly())
		if err != nil {
			return noAccess(s.path, err)
		}
		defer tx.Rollback()
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = damaged(s.path, "its pages don't fit together", err)
			}
		}
		return first
	})
	if err != nil {
		return Health{}, err
	}
	return health, nil
}

// walk reads everything once, and counts.
func (s *Store) walk(tx *bolt.Tx, health *Health) error {
	if _, _, err := s.read(tx); err != nil {
		return orMissing(s.path, err)
	}
	var last uint64 // of the audit log
	if b := tx.Bucket(auditBucket); b != nil {
		last = b.Sequence()
		next := last - min(last, maxAudit) + 1
		if err := b.ForEach(func(k, v []byte) error {
			e, ok := decodeEntry(k, v)
			if !ok || e.Seq != next {
				return damaged(s.path, fmt.Sprintf("the audit log is not whole at its entry %d", next), nil)
			}
			next++
			health.Entries++
			health.newer(e.Time)
			return nil
		}); err != nil {
			return err
		}
		if next != last+1 {
			return damaged(s.path, fmt.Sprintf("the audit log ends before its entry %d", next), nil)
		}
	}
	return tx.Bucket(accountsBucket).ForEach(func(k, v []byte) error {
		a, ok := decodeAccount(s.schema, v)
		if !ok || checkName(string(k)) != nil || a.Generation > last {
			return damaged(s.path, fmt.Sprintf("the account %q is not whole", k), nil)
		}
		if allZero(a.Verifier[:]) {
			return damaged(s.path, fmt.Sprintf("the account %q has no verifier", k), nil)
		}
		health.Accounts++
		health.newer(a.Changed)
		return nil
	})
}

func (h *Health) newer(t time.Time) {
	if t.After(h.Newest) {
		h.Newest = t
	}
}

// allZero reports whether b is what a disk gives for what it has lost.
func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	return true
}
