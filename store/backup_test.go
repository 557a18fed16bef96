package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// backup makes a database of alice and bob, and returns it with its backup.
func backup(t *testing.T) (s *Store, content []byte) {
	t.Helper()
	s = mustOpen(t, newPath(t))
	for _, name := range []string{"alice", "bob"} {
		if err := s.Add(name, account(name), testActor); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := s.Backup(&b, tuesday, testActor); err != nil {
		t.Fatal(err)
	}
	return s, b.Bytes()
}

// files are the names in a database's directory.
func files(t *testing.T, path string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A backup is a database: it can be put in the place of the lost one, or be run.
func TestBackupAndRestore(t *testing.T) {
	s, content := backup(t)
	if got := files(t, s.path); !slices.Equal(got, []string{"sim.db"}) {
		t.Errorf("beside the database: %q", got)
	}
	if got := log(t, s); got[len(got)-1] != "3 uid 1000 in a test: backed up" {
		t.Errorf("told: %q", got)
	}

	path := newPath(t)
	kept, err := Restore(path, bytes.NewReader(content), false, tuesday, testActor)
	if err != nil || kept != "" {
		t.Fatal(kept, err)
	}
	r := mustOpen(t, path)
	if r.Identity() != s.Identity() {
		t.Error("another identity")
	}
	for _, name := range []string{"alice", "bob"} {
		if a, ok, err := saved(r, name); err != nil || !ok || a != account(name) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	want := []string{"1 uid 1000 in a test: added alice", "2 uid 1000 in a test: added bob", "3 uid 1000 in a test: restored"}
	if got := log(t, r); !slices.Equal(got, want) {
		t.Errorf("told: %q", got)
	}
	if r.Exposed() {
		t.Error("others can read it")
	}
	if got := files(t, path); !slices.Equal(got, []string{"sim.db"}) {
		t.Errorf("beside the database: %q", got)
	}
}

// What was freed is not in a backup: neither its room nor a removed account.
func TestBackupIsCompact(t *testing.T) {
	s := mustOpen(t, newPath(t))
	for i := range 300 {
		name := fmt.Sprintf("user%04d", i)
		if err := s.Add(name, account(name), testActor); err != nil {
			t.Fatal(err)
		}
	}
	v := account("user0150").Verifier
	for i := range 300 {
		if err := s.Remove(fmt.Sprintf("user%04d", i), tuesday, testActor); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := s.Backup(&b, tuesday, testActor); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.path)
	if err != nil || int64(b.Len()) >= info.Size() {
		t.Errorf("%d of %d bytes", b.Len(), info.Size())
	}
	if bytes.Contains(b.Bytes(), v[:]) {
		t.Error("a removed account is in it")
	}
}

// People are added while backups are made. Each backup is one moment's.
func TestBackupWhileOthersWrite(t *testing.T) {
	s := mustOpen(t, newPath(t))
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range 60 {
				name := fmt.Sprintf("user%d-%03d", w, i)
				if err := s.Add(name, account(name), testActor); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	dir := t.TempDir()
	for i := 0; ; i++ {
		var b bytes.Buffer
		if err := s.Backup(&b, tuesday, testActor); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Check(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if _, err := Restore(path, &b, false, tuesday, testActor); err != nil {
			t.Fatal(err)
		}
		r := mustOpen(t, path)
		all, err := allNames(r)
		if err != nil {
			t.Fatal(err)
		}
		// Nobody is missing who was there before somebody who is there.
		for w := range 2 {
			n := 0
			for _, name := range all {
				if strings.HasPrefix(name, fmt.Sprintf("user%d-", w)) {
					if want := fmt.Sprintf("user%d-%03d", w, n); name != want {
						t.Fatalf("%s, and not %s", name, want)
					}
					n++
				}
			}
		}
		r.Close()
		select {
		case <-done:
			if len(all) == 120 {
				return
			}
		default:
		}
	}
}

type blocked struct{ inside, leave chan struct{} }

func (b *blocked) Write(p []byte) (int, error) {
	b.inside <- struct{}{}
	<-b.leave
	return 0, errors.New("the other end is gone")
}

// Whoever takes the bytes is slow, and then gone. Nobody waits for that.
func TestBackupToASlowReader(t *testing.T) {
	s, _ := backup(t)
	w := &blocked{make(chan struct{}), make(chan struct{})}
	result := make(chan error)
	go func() { result <- s.Backup(w, tuesday, testActor) }()
	<-w.inside
	if got := log(t, s); got[len(got)-1] != "4 uid 1000 in a test: backed up" {
		t.Errorf("a byte leaves, and nothing is told of it: %q", got)
	}
	for i := range 200 { // so many that the file has to grow
		name := fmt.Sprintf("user%04d", i)
		if err := s.Add(name, account(name), testActor); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Backup(&bytes.Buffer{}, tuesday, testActor); err == nil || !strings.Contains(err.Error(), "another backup") {
		t.Errorf("a second one: %v", err)
	}
	close(w.leave)
	if err := <-result; err == nil || err.Error() != "the other end is gone" {
		t.Error(err)
	}
	if got := files(t, s.path); !slices.Equal(got, []string{"sim.db"}) {
		t.Errorf("left: %q", got)
	}
}

func TestRestoreOverAnother(t *testing.T) {
	_, content := backup(t)
	path := newPath(t)
	mallorys := mustOpen(t, path)
	_, err := Restore(path, bytes.NewReader(content), true, tuesday, testActor)
	wantError(t, err, ErrHeld, path) // a server has it
	id := mallorys.Identity()
	mallorys.Close()

	before, _ := os.ReadFile(path)
	if _, err := Restore(path, bytes.NewReader(content), false, tuesday, testActor); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "--force") {
		t.Errorf("%v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("it was changed")
	}
	for _, want := range []string{path + ".before-restore", path + ".before-restore.1"} {
		kept, err := Restore(path, bytes.NewReader(content), true, tuesday, testActor)
		if err != nil || kept != want {
			t.Fatal(kept, err)
		}
	}
	if s := mustOpen(t, path+".before-restore"); s.Identity() != id {
		t.Error("another database was kept")
	}
	if s := mustOpen(t, path); s.Identity() == id {
		t.Error("nothing was restored")
	}
}

// The database is damaged, empty or something else: the very time for a restore.
func TestRestoreOverDamage(t *testing.T) {
	_, content := backup(t)
	for name, there := range map[string][]byte{"cut": content[:5000], "empty": {}, "text": []byte("hello")} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			if err := os.WriteFile(path, there, 0o600); err != nil {
				t.Fatal(err)
			}
			kept, err := Restore(path, bytes.NewReader(content), true, tuesday, testActor)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(kept); !bytes.Equal(b, there) {
				t.Error("it was not kept")
			}
			mustOpen(t, path)
		})
	}
}

// A server waits for the database while another one is put in its place: it may
// not go on with the one that was put aside.
func TestReplacedWhileItIsOpened(t *testing.T) {
	s, _ := backup(t)
	path := s.path
	s.Close()
	opened, err := open(path, readWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if err := os.Rename(path, path+".aside"); err != nil {
		t.Skip(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, opened.load(testOptions), ErrHeld, path)
	os.Remove(path)
	wantError(t, opened.load(testOptions), ErrHeld, path)
	os.Rename(path+".aside", path)
}

// Whatever mallory did to a backup: an error, and nothing is changed.
func TestRestoreOfADamagedBackup(t *testing.T) {
	_, content := backup(t)
	page := os.Getpagesize()
	flip := func(at int) []byte {
		b := bytes.Clone(content)
		b[at] ^= 0x40
		return b
	}
	cases := map[string]struct {
		content []byte
		kind    error
	}{
		"nothing":         {nil, ErrNotOurs},
		"text":            {[]byte("hello"), ErrNotOurs},
		"another program": {append([]byte("SQLite format 3\x00"), content...), ErrNotOurs},
		"cut in its head": {content[:100], ErrDamaged},
		"cut":             {content[:4*page], ErrDamaged},
	}
	// Leaves and the free list. The others are free, as are those that a new file begins with, and as good as any.
	for at := 4 * page; at < len(content); at += page {
		if flags := content[at+8]; flags == 0x02 || flags == 0x10 {
			cases[fmt.Sprintf("page %d", at/page)] = struct {
				content []byte
				kind    error
			}{flip(at + 8), ErrDamaged}
		}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sim.db")
			_, err := Restore(path, bytes.NewReader(c.content), false, tuesday, testActor)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), "nothing was changed") || strings.Contains(err.Error(), "partial") {
				t.Errorf("%v", err)
			}
			if got := files(t, path); len(got) != 0 {
				t.Errorf("left: %q", got)
			}
		})
	}
	for name, c := range map[string]struct {
		change func(*bolt.Tx) error
		kind   error
	}{
		"of a later version": {meta(schemaKey, encodeSchema(3)), ErrNewer},
		"a lost account": {func(tx *bolt.Tx) error {
			return tx.Bucket(accountsBucket).Put([]byte("alice"), make([]byte, accountSize))
		}, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			changed := filepath.Join(t.TempDir(), "changed.db")
			os.WriteFile(changed, content, 0o600)
			edit(t, changed, c.change)
			b, _ := os.ReadFile(changed)
			path := filepath.Join(t.TempDir(), "sim.db")
			if _, err := Restore(path, bytes.NewReader(b), false, tuesday, testActor); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), "nothing was changed") {
				t.Error(err)
			}
			if got := files(t, path); len(got) != 0 {
				t.Errorf("left: %q", got)
			}
		})
	}
}

func TestRestoreOfAnOlderLayout(t *testing.T) {
	path := newPath(t)
	if _, err := Restore(path, bytes.NewReader(golden(t)), false, monday, testActor); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, path)
	wantGolden(t, s)
	if got := files(t, path); !slices.Equal(got, []string{"sim.db"}) {
		t.Errorf("beside the database: %q", got)
	}
}

func TestCheck(t *testing.T) {
	s, content := backup(t)
	if h, err := s.Check(); err != nil || h.Accounts != 2 || h.Entries != 3 || h.Schema != 2 || h.Size < int64(len(content)) || !h.Newest.Equal(tuesday) || h.ArgonTime != 3 {
		t.Errorf("%+v, %v", h, err)
	}
	account := func(change func(v []byte) []byte) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			b := tx.Bucket(accountsBucket)
			return b.Put([]byte("alice"), change(bytes.Clone(b.Get([]byte("alice")))))
		}
	}
	for name, damage := range map[string]func(*bolt.Tx) error{
		"a short account":        account(func(v []byte) []byte { return v[1:] }),
		"an account of schema 1": account(func(v []byte) []byte { return v[:accountSize1] }),
		"no verifier":            account(func(v []byte) []byte { clear(v[:256]); return v }),
		"an unknown state":       account(func(v []byte) []byte { v[272] = 4; return v }),
		"no generation":          account(func(v []byte) []byte { clear(v[281:]); return v }),
		"a generation to come":   account(func(v []byte) []byte { v[288] = 9; return v }),
		"the first is missing":   func(tx *bolt.Tx) error { return tx.Bucket(auditBucket).Delete(encodeSeq(1)) },
		"the last is missing":    func(tx *bolt.Tx) error { return tx.Bucket(auditBucket).Delete(encodeSeq(2)) },
		"an entry under another number": func(tx *bolt.Tx) error {
			b := tx.Bucket(auditBucket)
			return errors.Join(b.Put(encodeSeq(3), b.Get(encodeSeq(2))), b.Delete(encodeSeq(2)))
		},
		"an entry to come":         func(tx *bolt.Tx) error { return tx.Bucket(auditBucket).SetSequence(1) },
		"an entry that is not one": func(tx *bolt.Tx) error { return tx.Bucket(auditBucket).Put(encodeSeq(1), make([]byte, 9)) },
		"an actor that is too long": func(tx *bolt.Tx) error {
			return tx.Bucket(auditBucket).Put(encodeSeq(1), append(make([]byte, 9), 200))
		},
		"no audit log": func(tx *bolt.Tx) error { return tx.DeleteBucket(auditBucket) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sim.db")
			os.WriteFile(path, content, 0o600)
			edit(t, path, damage)
			s, err := Look(path)
			if err == nil {
				_, err = s.Check()
				s.Close()
			}
			wantError(t, err, ErrDamaged, path)
		})
	}
}

// A page that is neither in use nor free: only bbolt's own check sees it.
func TestCheckOfPages(t *testing.T) {
	s, _ := backup(t)
	s.Close()
	content, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	page := os.Getpagesize()
	for at := 2 * page; at < len(content); at += page {
		if content[at+8] == 0x10 && content[at+10] > 0 { // the free list, and how many pages are on it
			content[at+10]--
			found = true
		}
	}
	if !found {
		t.Fatal("no free page")
	}
	path := filepath.Join(t.TempDir(), "sim.db")
	os.WriteFile(path, content, 0o600)
	_, err = mustOpen(t, path).Check()
	wantError(t, err, ErrDamaged, path)
}

// To look, or to open what must be there, makes nothing.
func TestMissing(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"nothing":       func(string) error { return nil },
		"no byte":       func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"no bucket yet": func(path string) error { edit(t, path, func(*bolt.Tx) error { return nil }); return nil },
	} {
		path := filepath.Join(t.TempDir(), "sim.db")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		before := files(t, path)
		options := testOptions
		options.Existing = true
		for _, open := range []func() (*Store, error){
			func() (*Store, error) { return Look(path) },
			func() (*Store, error) { return Open(path, options) },
		} {
			if _, err := open(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := files(t, path); !slices.Equal(got, before) {
			t.Errorf("%s: made %q", name, got)
		}
	}
	s := mustOpen(t, newPath(t))
	if !s.Made() {
		t.Error("it doesn't say that it made it")
	}
	s.Close()
	s = mustOpen(t, s.path)
	if s.Made() {
		t.Error("it says that it made it")
	}
}

// mallory, or the admin by mistake, moves, deletes or replaces the file under a
// server. No change is promised that the next start would not find, and a backup
// still saves what there is.
func TestMovedWhileOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file stays in its place there")
	}
	for name, move := range map[string]func(path string) error{
		"moved":   func(path string) error { return os.Rename(path, path+".away") },
		"deleted": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("a song"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(filepath.Join(t.TempDir(), "sim.db"), testOptions)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Add("alice", account("alice"), testActor); err != nil {
				t.Fatal(err)
			}
			if err := move(s.path); err != nil {
				t.Fatal(err)
			}
			err = s.Add("bob", account("bob"), testActor)
			if !errors.Is(err, ErrNotSaved) || !strings.Contains(err.Error(), "was moved, deleted or replaced") {
				t.Errorf("adding bob: %v", err)
			}
			if _, err := s.Check(); !errors.Is(err, ErrNotSaved) {
				t.Errorf("the check: %v", err)
			}
			if _, there, err := s.Account("alice"); !there || err != nil {
				t.Errorf("alice can't log in any more: %v, %v", there, err)
			}
			var b bytes.Buffer
			if err := s.Backup(&b, tuesday, testActor); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "saved")
			if _, err := Restore(path, &b, false, tuesday, testActor); err != nil {
				t.Fatal(err)
			}
			r := mustOpen(t, path)
			if names, err := allNames(r); err != nil || !slices.Equal(names, []string{"alice"}) {
				t.Errorf("the backup has %q, %v", names, err)
			}
		})
	}
}
