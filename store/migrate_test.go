package store

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func init() {
	helpers["open"] = func(path string) {
		s, err := Open(path, testOptions)
		if err != nil {
			fail(err)
		}
		s.Close()
	}
}

// goldenNames are in testdata/schema1.db.gz, which the last sim of schema 1 made.
var goldenNames = []string{"a", "alice", "bob", strings.Repeat("z", 32)}

func golden(t *testing.T) []byte {
	t.Helper()
	f, err := os.Open("testdata/schema1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oldDatabase writes schema 1 by hand, for so many accounts.
func oldDatabase(t *testing.T, path string, accounts int) {
	t.Helper()
	edit(t, path, func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucket([]byte("sim.meta"))
		if err != nil {
			return err
		}
		identity := make([]byte, 113)
		for i := range identity {
			identity[i] = byte(i + 1)
		}
		meta.Put([]byte("schema"), []byte{0, 0, 0, 1})
		meta.Put([]byte("identity"), identity)
		b, err := tx.CreateBucket([]byte("sim.accounts"))
		for i := range accounts {
			name := []byte{'u', byte('a' + i/26%26), byte('a' + i%26)}
			a := account(string(name))
			v := binary.BigEndian.AppendUint64(a.Verifier[:], uint64(monday.UnixMilli()))
			v = binary.BigEndian.AppendUint64(v, uint64(tuesday.UnixMilli()))
			b.Put(name, v)
		}
		return err
	})
}

// wantGolden checks that everybody of the old database is there, as they were.
func wantGolden(t *testing.T, s *Store) {
	t.Helper()
	if got, err := allNames(s); err != nil || !slices.Equal(got, goldenNames) {
		t.Errorf("%q, %v", got, err)
	}
	for _, name := range goldenNames {
		if a, ok, err := saved(s, name); err != nil || !ok || a != account(name) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if id := s.Identity(); id.ArgonTime != 3 || !id.Created.Equal(monday) {
		t.Errorf("another identity: %v", id.Created)
	}
}

func TestMigration(t *testing.T) {
	old := golden(t)
	path := newPath(t)
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}

	// To look at it changes nothing.
	s, err := Look(path)
	if err != nil {
		t.Fatal(err)
	}
	wantGolden(t, s)
	if h, err := s.Check(); err != nil || h.Schema != 1 || h.Accounts != 4 || h.Entries != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	if entries, err := s.Audit(0, 10); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	s.Close()
	if now, _ := os.ReadFile(path); !bytes.Equal(now, old) {
		t.Fatal("it was changed by a look")
	}

	s = mustOpen(t, path)
	wantGolden(t, s)
	if s.OldCopy() != path+".schema1" || s.Made() {
		t.Errorf("copy %q, made %v", s.OldCopy(), s.Made())
	}
	if b, err := os.ReadFile(s.OldCopy()); err != nil || !bytes.Equal(b, old) {
		t.Errorf("the copy is not what was there: %v", err)
	}
	if info, err := os.Stat(s.OldCopy()); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	entries, err := s.Audit(0, 10)
	if err != nil || len(entries) != 1 || entries[0].Act != Migrated || !entries[0].Time.Equal(monday) {
		t.Errorf("%v, %v", entries, err)
	}
	a, _, _ := s.Account("alice")
	if a.Generation == 0 || a.Disabled || a.Code || !a.Expires.IsZero() {
		t.Errorf("%+v", a)
	}
	if err := s.SetDisabled("alice", true, tuesday, testActor); err != nil {
		t.Error(err)
	}
	s.Close()

	// The next time there is nothing to be done.
	s = mustOpen(t, path)
	if s.OldCopy() != "" {
		t.Error("a second copy was made")
	}
	s.Close()

	// A copy never takes another's place.
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path)
	if s.OldCopy() != path+".schema1.1" {
		t.Errorf("copy %q", s.OldCopy())
	}
}

// What a process leaves that was killed between two steps.
func TestMigrationKilledBetweenSteps(t *testing.T) {
	old := golden(t)
	for name, left := range map[string]map[string][]byte{
		"a part of the copy":              {"sim.db.schema1.partial-123": old[:5000]},
		"the copy without its name":       {"sim.db.schema1.partial-123": old},
		"the copy with both names":        {"sim.db.schema1.partial-123": old, "sim.db.schema1": old},
		"the copy, and no transaction":    {"sim.db.schema1": old},
		"a backup's part, from an older ": {"sim.db.partial-9": old},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			left["sim.db"] = old
			for file, content := range left {
				if err := os.WriteFile(filepath.Join(filepath.Dir(path), file), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := mustOpen(t, path)
			wantGolden(t, s)
			if b, err := os.ReadFile(s.OldCopy()); err != nil || !bytes.Equal(b, old) {
				t.Errorf("the copy is not what was there: %v", err)
			}
			if parts, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.partial-*")); len(parts) != 0 {
				t.Errorf("left: %v", parts)
			}
		})
	}
}

// TestMigrationKilled kills a process somewhere in it. What it leaves has one
// layout or the other, whole.
func TestMigrationKilled(t *testing.T) {
	path := newPath(t)
	oldDatabase(t, path, 500)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := map[uint32]int{}
	for range 20 {
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := helper(t, "open", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); { // it makes the copy as soon as it starts
			if parts, _ := filepath.Glob(path + ".schema1*"); len(parts) > 0 {
				time.Sleep(time.Duration(rand.IntN(6000)) * time.Microsecond)
				cmd.Process.Kill()
				break
			}
		}
		cmd.Wait()
		s, err := Look(path)
		if err != nil {
			t.Fatal(err)
		}
		h, err := s.Check()
		if err != nil || h.Accounts != 500 {
			t.Fatalf("%+v, %v", h, err)
		}
		before[h.Schema]++
		s.Close()

		s = mustOpen(t, path)
		if h, err := s.Check(); err != nil || h.Schema != 2 || h.Accounts != 500 || h.Entries != 1 {
			t.Fatalf("%+v, %v", h, err)
		}
		s.Close()
		copies, _ := filepath.Glob(path + ".schema1*")
		for _, c := range copies {
			s, err := Look(c)
			if err != nil {
				t.Fatal(err)
			}
			if h, err := s.Check(); err != nil || h.Schema != 1 || h.Accounts != 500 {
				t.Errorf("%s: %+v, %v", c, h, err)
			}
			s.Close()
			os.Remove(c)
		}
	}
	t.Logf("the layout that the killed processes left: %v", before)
}

func TestMigrationOfDamage(t *testing.T) {
	path := newPath(t)
	oldDatabase(t, path, 3)
	edit(t, path, func(tx *bolt.Tx) error { return tx.Bucket(accountsBucket).Put([]byte("mallory"), make([]byte, 271)) })
	_, err := Open(path, testOptions)
	wantError(t, err, ErrDamaged, path)
	if copies, _ := filepath.Glob(path + ".schema1*"); len(copies) != 0 {
		t.Errorf("left: %v", copies)
	}
	edit(t, path, func(tx *bolt.Tx) error { return tx.Bucket(accountsBucket).Delete([]byte("mallory")) })
	mustOpen(t, path)
}
