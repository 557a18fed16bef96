package store

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// helperEnv names the part that a re-executed test binary plays.
const helperEnv = "SIM_STORE_TEST_HELPER"

var helpers = map[string]func(path string){"hold": holdHelper, "add": addHelper}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		helpers[name](os.Args[1])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helper(t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, path)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

var (
	monday  = time.Date(2026, 3, 2, 8, 30, 0, 123_000_000, time.UTC)
	tuesday = monday.Add(24 * time.Hour)

	testOptions = Options{Now: func() time.Time { return monday }, ArgonTime: 3, ArgonMemory: 65536, ArgonThreads: 4}
)

// newPath is where a test's database goes; the file is checked after the test.
func newPath(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "sim.db")
	t.Cleanup(func() { checkFile(t, path) })
	return path
}

// checkFile runs bbolt's consistency check.
func checkFile(t *testing.T, path string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Errorf("check %s: %v", path, err)
		return
	}
	defer db.Close()
	db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("check %s: %v", path, err)
		}
		return nil
	})
}

func mustOpen(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// account is an account whose verifier depends on every byte of the name.
func account(name string) Account {
	a := Account{Created: monday, Changed: tuesday}
	for i := range a.Verifier {
		a.Verifier[i] = name[i%len(name)] ^ byte(i)
	}
	return a
}

// wantError checks that err is of the kind and is a sentence with the path.
func wantError(t *testing.T, err, kind error, path string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, other := range []error{ErrHeld, ErrNotOurs, ErrNewer, ErrDamaged, ErrExists, ErrNoAccount, ErrChanged, ErrNotSaved} {
		if other != kind && errors.Is(err, other) {
			t.Errorf("%v is also %v", err, other)
		}
	}
	if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), ":") {
		t.Errorf("no path or no advice in: %v", err)
	}
}

func TestCreate(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	id := s.Identity()
	zero := [32]byte{}
	if id.PrivateKey == zero || id.SaltSecret == zero || id.InventSecret == zero ||
		id.PrivateKey == id.SaltSecret || id.SaltSecret == id.InventSecret || id.PrivateKey == id.InventSecret {
		t.Errorf("keys missing or alike: %+v", id)
	}
	if _, err := ecdh.X25519().NewPrivateKey(id.PrivateKey[:]); err != nil {
		t.Error(err)
	}
	if id.ArgonTime != 3 || id.ArgonMemory != 65536 || id.ArgonThreads != 4 || !id.Created.Equal(monday) {
		t.Errorf("not what was asked for: %+v", id)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if s.Exposed() {
		t.Error("a new database is exposed")
	}

	other := mustOpen(t, newPath(t)).Identity()
	if other.PrivateKey == id.PrivateKey || other.SaltSecret == id.SaltSecret || other.InventSecret == id.InventSecret {
		t.Error("two databases share a secret")
	}
}

func TestCreateInOneTransaction(t *testing.T) {
	path := newPath(t)
	mustOpen(t, path).Close()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.View(func(tx *bolt.Tx) error {
		if tx.ID() != 2 { // bbolt's own first pages count as 0 and 1
			t.Errorf("the database was made in %d transactions", tx.ID()-1)
		}
		return nil
	})
}

// A power cut can't be had in a test, so this looks at what guards against it.
func TestCommitsAreSynced(t *testing.T) {
	s := mustOpen(t, newPath(t))
	if s.db.NoSync || s.db.NoGrowSync || s.db.NoFreelistSync {
		t.Error("a commit comes back before it is on the disk")
	}
}

func TestCreateNeedsParameters(t *testing.T) {
	for _, spoil := range []func(*Options){
		func(o *Options) { o.ArgonTime = 0 },
		func(o *Options) { o.ArgonMemory = 0 },
		func(o *Options) { o.ArgonThreads = 0 },
	} {
		path := newPath(t)
		opts := testOptions
		spoil(&opts)
		if s, err := Open(path, opts); err == nil {
			s.Close()
			t.Errorf("made with %+v", opts)
		}
		mustOpen(t, path) // nothing is in the way
	}
}

func TestSecondOpenHasTheSameIdentity(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	id := s.Identity()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Identity() != (Identity{}) {
		t.Error("the secrets outlive Close")
	}
	// Other parameters, and none, are for new databases only.
	for _, opts := range []Options{{ArgonTime: 9, ArgonMemory: 9, ArgonThreads: 9}, {}} {
		s, err := Open(path, opts)
		if err != nil {
			t.Fatal(err)
		}
		if s.Identity() != id {
			t.Errorf("%+v became %+v", id, s.Identity())
		}
		s.Close()
	}
}

// What a process leaves that was killed while it made the database.
func TestNothingWrittenYetCountsAsNew(t *testing.T) {
	t.Run("zero length", func(t *testing.T) {
		path := newPath(t)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, path)
	})
	t.Run("no bucket", func(t *testing.T) {
		path := newPath(t)
		edit(t, path, func(*bolt.Tx) error { return nil })
		mustOpen(t, path)
	})
}

func TestAccounts(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	if names, err := allNames(s); err != nil || len(names) != 0 {
		t.Errorf("names of a new database: %q, %v", names, err)
	}
	names := []string{"bob", "alice", "a", strings.Repeat("z", 32)}
	for _, name := range names {
		if err := s.Add(name, account(name), testActor); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = mustOpen(t, path)
	for _, name := range names {
		if a, ok, err := saved(s, name); err != nil || !ok || a != account(name) {
			t.Errorf("%s: %v, %v, %v", name, a, ok, err)
		}
	}
	for _, name := range []string{"al", "alice1", "mallory", "Bob"} {
		if a, ok, err := saved(s, name); err != nil || ok || a != (Account{}) {
			t.Errorf("%s: %v, %v, %v", name, a, ok, err)
		}
	}
	got, err := allNames(s)
	if slices.Sort(names); err != nil || !slices.Equal(got, names) {
		t.Errorf("names %q, %v", got, err)
	}
}

func TestAddNeverOverwrites(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	if err := s.Add("alice", account("alice"), testActor); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.Add("alice", account("mallory"), testActor), ErrExists, path)
	if a, _, _ := saved(s, "alice"); a != account("alice") {
		t.Error("alice's account was overwritten")
	}
}

// Of many that add one name at once, one succeeds, and its account is kept.
func TestAddsAtOnce(t *testing.T) {
	s := mustOpen(t, newPath(t))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var winners []string
	for i := range 8 {
		wg.Go(func() {
			who := fmt.Sprint("mallory", i)
			err := s.Add("alice", account(who), testActor)
			if err != nil && !errors.Is(err, ErrExists) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				winners = append(winners, who)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(winners) != 1 {
		t.Fatalf("%d succeeded", len(winners))
	}
	if a, _, _ := saved(s, "alice"); a != account(winners[0]) {
		t.Error("another's account was kept")
	}
}

func TestSetVerifier(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	v := account("new").Verifier
	wantError(t, setVerifier(s, "alice", &v, tuesday), ErrNoAccount, path)
	if _, ok, _ := saved(s, "alice"); ok {
		t.Error("an account was made")
	}
	a := account("alice")
	a.Changed = monday
	if err := s.Add("alice", a, testActor); err != nil {
		t.Fatal(err)
	}
	if err := setVerifier(s, "alice", &v, tuesday.Add(time.Microsecond)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	want := Account{Verifier: v, Created: monday, Changed: tuesday}
	if a, ok, err := saved(mustOpen(t, path), "alice"); err != nil || !ok || a != want {
		t.Errorf("%v, %v, %v", a, ok, err)
	}
}

func TestNamesOutOfBounds(t *testing.T) {
	s := mustOpen(t, newPath(t))
	var v [256]byte
	for _, name := range []string{"", strings.Repeat("x", 33)} {
		_, _, err := saved(s, name)
		for _, err := range []error{err, s.Add(name, Account{}, testActor), s.Remove(name, monday, testActor), s.SetDisabled(name, true, monday, testActor), setVerifier(s, name, &v, monday)} {
			if err == nil || !strings.Contains(err.Error(), "a name has 1 to 32 bytes") {
				t.Errorf("a name of %d bytes: %v", len(name), err)
			}
		}
	}
}

func TestHeld(t *testing.T) {
	path := newPath(t)
	cmd := helper(t, "hold", path)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	wantHeld := func() {
		t.Helper()
		start := time.Now()
		s, err := Open(path, testOptions)
		if err == nil {
			s.Close()
		}
		wantError(t, err, ErrHeld, path)
		if d := time.Since(start); d > 2*holdTimeout+time.Second {
			t.Errorf("it took %v to say so", d)
		}
	}
	wantHeld()
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path)
	wantHeld() // by this process
}

// A new file that another process has made but not yet written to.
func TestHeldBeforeTheFirstByte(t *testing.T) {
	path := newPath(t)
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, testOptions)
	wantError(t, err, ErrHeld, path)
	db.Close()
	mustOpen(t, path)
}

func holdHelper(path string) {
	s, err := Open(path, testOptions)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println("held")
	bufio.NewReader(os.Stdin).ReadString('\n')
}

// edit changes a database behind the Store's back.
func edit(t *testing.T, path string, fn func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(fn); err != nil {
		t.Fatal(err)
	}
}

// wantRefused opens what is at path, wants the error and not a byte changed.
func wantRefused(t *testing.T, path string, kind error) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(path)
	s, err := Open(path, testOptions)
	if err == nil {
		s.Close()
	}
	wantError(t, err, kind, path)
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	if now, err := os.Stat(path); err != nil || now.Mode() != info.Mode() || !now.ModTime().Equal(info.ModTime()) {
		t.Error("the file was touched")
	}
	// And it isn't kept locked.
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err == nil {
		db.Close()
	} else if strings.Contains(err.Error(), "timeout") {
		t.Error("the file is still locked")
	}
}

func TestNotOurs(t *testing.T) {
	garbage := make([]byte, 65536)
	rand.NewChaCha8([32]byte{}).Read(garbage)
	for name, content := range map[string][]byte{
		"one byte":        {0},
		"text":            []byte("alice: hello\n"),
		"a page of text":  bytes.Repeat([]byte("alice: hello\n"), 1000),
		"zeros":           make([]byte, 65536),
		"random":          garbage,
		"another program": append([]byte("SQLite format 3\x00"), garbage...),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sim.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, path, ErrNotOurs)
		})
	}
	other := func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("users"))
		if err != nil {
			return err
		}
		return b.Put([]byte("alice"), []byte("hello"))
	}
	t.Run("other buckets", func(t *testing.T) {
		path := newPath(t)
		edit(t, path, other)
		wantRefused(t, path, ErrNotOurs)
	})
	// bbolt writes to such a file as soon as it opens it.
	t.Run("other buckets, free list unsaved", func(t *testing.T) {
		path := newPath(t)
		db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(other); err != nil {
			t.Fatal(err)
		}
		db.Close()
		wantRefused(t, path, ErrNotOurs)
	})
	t.Run("directory", func(t *testing.T) {
		dir := t.TempDir()
		_, err := Open(dir, testOptions)
		wantError(t, err, ErrNotOurs, dir)
		if !strings.Contains(err.Error(), "a directory") {
			t.Error(err)
		}
	})
	t.Run("device", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("no such device")
		}
		_, err := Open(os.DevNull, testOptions)
		wantError(t, err, ErrNotOurs, os.DevNull)
	})
}

func TestMissingDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	_, err := Open(filepath.Join(dir, "sim.db"), testOptions)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "the directory "+dir+" doesn't exist") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("it was made")
	}
}

func TestNoPermission(t *testing.T) {
	if os.Getuid() <= 0 {
		t.Skip("needs a user whom modes stop")
	}
	path := newPath(t)
	mustOpen(t, path).Close()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, testOptions); !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrNotOurs) {
		t.Errorf("%v", err)
	}
}

func TestExposed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing")
	}
	path := newPath(t)
	mustOpen(t, path).Close()
	for mode, want := range map[fs.FileMode]bool{0o600: false, 0o700: false, 0o640: true, 0o604: true, 0o620: true, 0o602: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, path)
		if s.Exposed() != want {
			t.Errorf("%v: %v", mode, s.Exposed())
		}
		s.Close()
	}
}

func TestNewer(t *testing.T) {
	for _, v := range []uint32{3, 1 << 31} {
		path := newPath(t)
		mustOpen(t, path).Close()
		edit(t, path, func(tx *bolt.Tx) error {
			// A later layout may look in any way but for the version.
			if err := tx.DeleteBucket(accountsBucket); err != nil {
				return err
			}
			return tx.Bucket(metaBucket).Put(schemaKey, binary.BigEndian.AppendUint32(nil, v))
		})
		wantRefused(t, path, ErrNewer)
	}
}

// meta puts a value into the meta bucket, or removes it.
func meta(key, value []byte) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		if value == nil {
			return tx.Bucket(metaBucket).Delete(key)
		}
		return tx.Bucket(metaBucket).Put(key, value)
	}
}

// patchIdentity changes the identity's bytes.
func patchIdentity(patch func([]byte) []byte) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		v := bytes.Clone(tx.Bucket(metaBucket).Get(identityKey))
		return tx.Bucket(metaBucket).Put(identityKey, patch(v))
	}
}

func TestDamagedValues(t *testing.T) {
	zero := func(from, to int) func(*bolt.Tx) error {
		return patchIdentity(func(v []byte) []byte { clear(v[from:to]); return v })
	}
	for name, damage := range map[string]func(*bolt.Tx) error{
		"no schema":         meta(schemaKey, nil),
		"short schema":      meta(schemaKey, []byte{0, 0, 1}),
		"long schema":       meta(schemaKey, []byte{0, 0, 0, 1, 0}),
		"schema 0":          meta(schemaKey, make([]byte, 4)),
		"no identity":       meta(identityKey, nil),
		"empty identity":    meta(identityKey, []byte{}),
		"short identity":    patchIdentity(func(v []byte) []byte { return v[:len(v)-1] }),
		"long identity":     patchIdentity(func(v []byte) []byte { return append(v, 0) }),
		"zero key":          zero(0, 32),
		"zero salt secret":  zero(32, 64),
		"zero invention":    zero(64, 96),
		"zero passes":       zero(96, 100),
		"zero memory":       zero(100, 104),
		"zero lanes":        zero(104, 105),
		"no meta bucket":    func(tx *bolt.Tx) error { return tx.DeleteBucket(metaBucket) },
		"no account bucket": func(tx *bolt.Tx) error { return tx.DeleteBucket(accountsBucket) },
		"another bucket":    func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("users")); return err },
		"identity a bucket": func(tx *bolt.Tx) error {
			b := tx.Bucket(metaBucket)
			if err := b.Delete(identityKey); err != nil {
				return err
			}
			_, err := b.CreateBucket(identityKey)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			mustOpen(t, path).Close()
			edit(t, path, damage)
			wantRefused(t, path, ErrDamaged)
			// It was found by looking, and not by bbolt's panic.
			if _, err := Open(path, testOptions); strings.Contains(err.Error(), "pages") {
				t.Errorf("not what is wrong: %v", err)
			} else if name == "no account bucket" && !strings.Contains(err.Error(), "the accounts are missing") {
				t.Errorf("not what is wrong: %v", err)
			}
		})
	}
}

func TestDamagedAccounts(t *testing.T) {
	put := func(value []byte) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error { return tx.Bucket(accountsBucket).Put([]byte("alice"), value) }
	}
	for name, damage := range map[string]func(*bolt.Tx) error{
		"empty": put(nil),
		"short": put(make([]byte, accountSize-1)),
		"long":  put(make([]byte, accountSize+1)),
		"a bucket": func(tx *bolt.Tx) error {
			_, err := tx.Bucket(accountsBucket).CreateBucket([]byte("alice"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			s := mustOpen(t, path)
			if err := s.Add("bob", account("bob"), testActor); err != nil {
				t.Fatal(err)
			}
			s.Close()
			edit(t, path, damage)

			s = mustOpen(t, path)
			_, ok, err := saved(s, "alice")
			wantError(t, err, ErrDamaged, path)
			if ok {
				t.Error("there is an account beside the error")
			}
			_, err = allNames(s)
			wantError(t, err, ErrDamaged, path)
			wantError(t, s.Add("alice", account("alice"), testActor), ErrDamaged, path)
			var v [256]byte
			wantError(t, setVerifier(s, "alice", &v, monday), ErrDamaged, path)
			// Others are not concerned.
			if a, ok, err := saved(s, "bob"); err != nil || !ok || a != account("bob") {
				t.Errorf("bob: %v, %v, %v", a, ok, err)
			}
		})
	}
	t.Run("a name too long", func(t *testing.T) {
		path := newPath(t)
		mustOpen(t, path).Close()
		edit(t, path, func(tx *bolt.Tx) error {
			return tx.Bucket(accountsBucket).Put(bytes.Repeat([]byte("x"), 33), make([]byte, accountSize))
		})
		_, err := allNames(mustOpen(t, path))
		wantError(t, err, ErrDamaged, path)
	})
}

// filled makes a database of several pages and returns its bytes.
func filled(t *testing.T, path string) []byte {
	t.Helper()
	mustOpen(t, path).Close()
	edit(t, path, func(tx *bolt.Tx) error {
		for i := range 200 {
			name := fmt.Sprintf("user%04d", i)
			a := account(name)
			a.Generation = 1
			if err := tx.Bucket(accountsBucket).Put([]byte(name), encodeAccount(&a)); err != nil {
				return err
			}
		}
		return nil
	})
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// A copy that was cut short: never a crash, never taken for new.
func TestCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sim.db")
	content := filled(t, path)
	page := os.Getpagesize()
	for _, size := range []int{20, 100, page - 1, page, page + 1, 2 * page, 3 * page, 4 * page, 5*page + 7} {
		if err := os.WriteFile(path, content[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, path, ErrDamaged)
	}
}

// The file loses its end while it is open: reading that is a fault.
func TestCutShortWhileOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file can't be cut")
	}
	path := filepath.Join(t.TempDir(), "sim.db")
	filled(t, path)
	s := mustOpen(t, path)
	if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	_, _, err := saved(s, "user0100")
	wantError(t, err, ErrDamaged, path)
	_, err = allNames(s)
	wantError(t, err, ErrDamaged, path)
	wantError(t, s.Add("alice", account("alice"), testActor), ErrDamaged, path)
	// bbolt may hold its lock now; nothing may wait for it.
	wantError(t, s.Add("bob", account("bob"), testActor), ErrDamaged, path)
	_, _, err = saved(s, "user0100")
	wantError(t, err, ErrDamaged, path)
	s.Close()
	wantRefused(t, path, ErrDamaged) // and not ErrHeld
}

// Every page in turn is overwritten: each call must come back, and an account
// is right or not there.
func TestOverwrittenPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sim.db")
	content := filled(t, path)
	page := os.Getpagesize()
	refused := 0
	for _, fill := range []byte{0x00, 0xff, 0x01} {
		for at := 0; at+page <= len(content); at += page {
			spoilt := bytes.Clone(content)
			for i := range page {
				spoilt[at+i] = fill
			}
			if err := os.WriteFile(path, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, testOptions)
			if err != nil {
				if !errors.Is(err, ErrDamaged) {
					t.Fatalf("page %d: %v", at/page, err)
				}
				refused++
				continue
			}
			allNames(s)
			for _, name := range []string{"user0000", "user0100", "user0199"} {
				if a, ok, err := saved(s, name); err == nil && ok && a.Created == monday && a != account(name) {
					t.Errorf("page %d: another account for %s", at/page, name)
				}
			}
			s.Add("alice", account("alice"), testActor)
			s.Add("zoe", account("zoe"), testActor)
			s.Close()
		}
	}
	if refused == 0 {
		t.Error("no page was missed")
	}
}

// addHelper adds accounts for ever and prints a name when its account is saved.
func addHelper(path string) {
	s, err := Open(path, testOptions)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	names, err := allNames(s)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := len(names); ; i++ {
		name := fmt.Sprintf("user%06d", i)
		if err := s.Add(name, account(name), testActor); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Stdout.WriteString(name + "\n")
	}
}

// TestKilled kills a process in the middle of what it writes, again and again on
// the same file. Whatever it had acknowledged is there.
func TestKilled(t *testing.T) {
	path := newPath(t)
	acknowledged := 0
	var id Identity
	for round := range 12 {
		cmd := helper(t, "add", path)
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			// The first rounds may meet it while it makes the database.
			time.Sleep(time.Duration(round*8+rand.IntN(20)) * time.Millisecond)
			cmd.Process.Kill()
		}()
		var names []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if !strings.HasPrefix(lines.Text(), "user") {
				t.Fatal(lines.Text())
			}
			names = append(names, lines.Text())
		}
		cmd.Wait()

		s := mustOpen(t, path)
		if id == (Identity{}) {
			id = s.Identity()
		} else if s.Identity() != id {
			t.Fatal("the identity changed")
		}
		for _, name := range names {
			if a, ok, err := saved(s, name); err != nil || !ok || a != account(name) {
				t.Fatalf("%s was acknowledged: %v, %v", name, ok, err)
			}
		}
		acknowledged += len(names)
		if all, err := allNames(s); err != nil || len(all) < acknowledged {
			t.Fatalf("%d of %d accounts are there, %v", len(all), acknowledged, err)
		}
		s.Close()
		checkFile(t, path)
	}
	if acknowledged == 0 {
		t.Error("nothing was ever acknowledged")
	}
}

// TestKilledInCreation: afterwards there is an identity, whole, or a new one can
// be made.
func TestKilledInCreation(t *testing.T) {
	for range 10 {
		path := newPath(t)
		cmd := helper(t, "hold", path)
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// As soon as there is a file, it is being made.
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			if _, err := os.Stat(path); err == nil {
				break
			}
		}
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Microsecond)
		cmd.Process.Kill()
		cmd.Wait()
		mustOpen(t, path).Close()
	}
}
