package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"time"
	"unicode"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"
)

const (
	maxActor = 64      // bytes
	maxAudit = 100_000 // entries; then the oldest goes for each new one
	maxPage  = 1000    // what List and Audit return at once
)

// An Entry of the audit log says who did what to whom, and when. It is written in
// the transaction of what it tells, and nothing here changes or removes one.
type Entry struct {
	Seq   uint64 // 1, 2, 3 …
	Time  time.Time
	Actor Actor
	Act   Act
	Name  string // of the account, or "" where it was about the whole database
}

// An Actor is who did something, as far as that is known: 1 to 64 bytes of text.
type Actor string

// TheUser is a person who acts on their own account.
const TheUser Actor = "the user"

// OnFile is the user of this process, who has the database file itself.
func OnFile() Actor {
	if uid := os.Getuid(); uid >= 0 {
		return Actor(fmt.Sprintf("uid %d on the file", uid))
	}
	return "a user on the file"
}

// ViaSocket is a user at the other end of the admin socket.
func ViaSocket(uid uint32) Actor { return Actor(fmt.Sprintf("uid %d via socket", uid)) }

func (a Actor) check() error {
	if len(a) < 1 || len(a) > maxActor {
		return fmt.Errorf("who acts is told in 1 to %d bytes, not %d", maxActor, len(a))
	}
	for _, r := range a {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return fmt.Errorf("who acts is told in printable text")
		}
	}
	return nil
}

// An Act is what was done.
type Act uint8

const (
	Added           Act = iota + 1 // with a password
	Invited                        // added with a code
	PasswordSet                    // by an admin, or by the user whom a code let in
	PasswordChanged                // by the user, who proved the old one
	ResetByCode                    // a code took the password's place
	Disabled
	Enabled
	Removed
	BackedUp // a copy was made
	Restored // this database is a copy that was put back
	Migrated // the layout is newer since then
)

var acts = [...]string{Added: "added", Invited: "invited", PasswordSet: "password set", PasswordChanged: "password changed", ResetByCode: "reset by code",
	Disabled: "disabled", Enabled: "enabled", Removed: "removed", BackedUp: "backed up", Restored: "restored", Migrated: "migrated"}

func (a Act) String() string {
	if a == 0 || int(a) >= len(acts) {
		return fmt.Sprintf("act %d", uint8(a))
	}
	return acts[a]
}

// record appends an entry and returns its number.
func record(tx *bolt.Tx, now time.Time, by Actor, act Act, name string) (seq uint64, err error) {
	if err := by.check(); err != nil {
		return 0, err
	}
	b := tx.Bucket(auditBucket)
	if seq, err = b.NextSequence(); err != nil {
		return 0, err
	}
	if err := b.Put(encodeSeq(seq), encodeEntry(&Entry{Time: now, Actor: by, Act: act, Name: name})); err != nil {
		return 0, err
	}
	if seq <= maxAudit {
		return seq, nil
	}
	c := b.Cursor()
	for k, _ := c.First(); len(k) == 8 && binary.BigEndian.Uint64(k) <= seq-maxAudit; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// Audit returns the next entries after the one of that number, at most n and at
// most 1,000. None are left when it returns none. The error is ErrDamaged.
func (s *Store) Audit(after uint64, n int) ([]Entry, error) {
	var page []Entry
	err := s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(auditBucket)
		if b == nil { // of schema 1
			return nil
		}
		key := encodeSeq(after)
		c := b.Cursor()
		k, v := c.Seek(key)
		if bytes.Equal(k, key) {
			k, v = c.Next()
		}
		for ; k != nil && len(page) < min(n, maxPage); k, v = c.Next() {
			e, ok := decodeEntry(k, v)
			if !ok {
				return damaged(s.path, "an entry of the audit log is not whole", nil)
			}
			page = append(page, e)
		}
		return nil
	})
	return page, err
}
