package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sim/proto"
	"sim/proto/srp"
	"sim/store"
)

func verifierFor(name string, salt [32]byte) *[256]byte {
	return srp.Verifier(name, &salt, fakeArgon2(passwordOf(name), salt))
}

// newAdminWorld serves with an admin socket, whose path it returns.
func newAdminWorld(t *testing.T, names ...string) (*world, string) {
	t.Helper()
	if !adminSupported {
		t.Skip("no admin socket here")
	}
	dir, err := os.MkdirTemp("", "sim") // a test's own directory may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "admin.sock")
	w := newWorld(t, names, func(s *Server) {
		if s.admin, err = listenAdmin(path, localAccounts{store: s.store, directory: NewDirectory(s.store), server: s}, s.log); err != nil {
			t.Fatal(err)
		}
	})
	return w, path
}

func never() (*store.Store, error) { return nil, errors.New("the database itself was opened") }

func TestAddWhileTheServerRuns(t *testing.T) {
	w, path := newAdminWorld(t, "alice")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	accounts, err := OpenAccounts("unused.db", path, never)
	if err != nil {
		t.Fatal(err)
	}
	bob := nameOf(t, "bob")
	salt, params, taken, err := accounts.Salt(bob)
	d := w.server.login.Directory
	if err != nil || taken || salt != d.Salt(bob) || params != d.Argon2 {
		t.Errorf("%v, %v, %v", params, taken, err)
	}
	if err := accounts.Add(bob, Credential{Verifier: verifierFor("bob", salt)}); err != nil {
		t.Fatal(err)
	}
	w.enter("bob").logout() // at once
	if _, _, taken, err := accounts.Salt(bob); !taken || err != nil {
		t.Errorf("taken: %v, %v", taken, err)
	}
	before, _, _ := w.store.Account("bob")
	err = accounts.Add(bob, Credential{Verifier: verifierFor("eve", salt)})
	if !errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotSaved) || !strings.Contains(err.Error(), "bob") {
		t.Errorf("%v", err)
	}
	if after, _, _ := w.store.Account("bob"); after != before {
		t.Error("it was overwritten")
	}
	for name, verifier := range map[string]*[256]byte{"zero": {}, "one": {255: 1}, "large": (*[256]byte)(bytes.Repeat([]byte{255}, 256))} {
		if err := accounts.Add(nameOf(t, name), Credential{Verifier: verifier}); err == nil {
			t.Errorf("a verifier of %s is taken", name)
		}
	}
	if err := accounts.Add(nameOf(t, "root"), Credential{Verifier: verifierFor("root", salt)}); err == nil {
		t.Error("a reserved name is taken")
	}
	w.store.Close() // whatever it is that fails, it is said
	if err := accounts.Add(nameOf(t, "carol"), Credential{Verifier: verifierFor("carol", salt)}); err == nil {
		t.Error("added to a closed database")
	}
	accounts.Close()
	w.stop()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left behind")
	}
	if err := accounts.Add(bob, Credential{Verifier: verifierFor("bob", salt)}); err == nil || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("%v", err)
	}
}

// failing are accounts whose disk is full.
type failing struct{ Accounts }

func (failing) Salt(proto.Name) (s [32]byte, p proto.Argon2, taken bool, err error) {
	return s, p, false, fmt.Errorf("the file is damaged: %w", store.ErrDamaged)
}
func (failing) Add(proto.Name, Credential) error {
	return fmt.Errorf("there is no room: %w", store.ErrNotSaved)
}
func (failing) Remove(proto.Name) error { return fmt.Errorf("nobody: %w", store.ErrNoAccount) }

func TestErrorsSurviveTheSocket(t *testing.T) {
	if !adminSupported {
		t.Skip("no admin socket here")
	}
	dir, err := os.MkdirTemp("", "sim")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			request, _ := readAdmin(c, maxAdminRequest)
			writeAdmin(c, (&adminCall{accounts: failing{}}).answer(request))
			c.Close()
		}
	})
	defer wg.Wait()
	defer listener.Close()
	accounts, err := OpenAccounts("", path, never)
	if err != nil {
		t.Fatal(err)
	}
	if err := accounts.Add(nameOf(t, "bob"), Credential{Verifier: new([256]byte)}); !errors.Is(err, store.ErrNotSaved) || err.Error() != "there is no room: the change was not saved" {
		t.Errorf("%v", err)
	}
	if err := accounts.Remove(nameOf(t, "bob")); !errors.Is(err, store.ErrNoAccount) || err.Error() != "nobody: no such account" {
		t.Errorf("%v", err)
	}
	if _, _, _, err := accounts.Salt(nameOf(t, "bob")); err == nil || errors.Is(err, store.ErrNotSaved) || errors.Is(err, store.ErrExists) {
		t.Errorf("%v", err)
	}
}

func TestAddWithoutAServer(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "sim.db")
	open := func() (*store.Store, error) {
		return store.Open(db, store.Options{ArgonTime: 2, ArgonMemory: 19456, ArgonThreads: 1})
	}
	for range 2 {
		accounts, err := OpenAccounts(db, "", open)
		if err != nil {
			t.Fatal(err)
		}
		bob := nameOf(t, "bob")
		salt, _, taken, err := accounts.Salt(bob)
		if err != nil {
			t.Fatal(err)
		}
		if err := accounts.Add(bob, Credential{Verifier: verifierFor("bob", salt)}); taken != errors.Is(err, store.ErrExists) || !taken && err != nil {
			t.Errorf("taken %v, %v", taken, err)
		}
		if err := accounts.Close(); err != nil {
			t.Error(err)
		}
	}
	// Somebody else holds it: the store's own sentence.
	st, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := OpenAccounts(db, "", open); !errors.Is(err, store.ErrHeld) {
		t.Errorf("%v", err)
	}
}

// A server that was killed leaves its socket: the next one takes its place, and commands go to the database.
func TestStaleSocket(t *testing.T) {
	w, path := newAdminWorld(t)
	// A second server on the same socket is refused.
	if _, err := listenAdmin(path, localAccounts{}, nil); err == nil || !strings.Contains(err.Error(), "another server answers") {
		t.Errorf("%v", err)
	}
	w.stop()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	opened := false
	if _, err := OpenAccounts("", path, func() (*store.Store, error) { opened = true; return nil, store.ErrHeld }); !opened || !errors.Is(err, store.ErrHeld) {
		t.Errorf("opened %v, %v", opened, err)
	}
	a, err := listenAdmin(path, localAccounts{directory: NewDirectory(newStore(t))}, w.server.log)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(a.serve)
	if _, err := OpenAccounts("", path, never); err != nil {
		t.Error(err)
	}
	a.close()
	wg.Wait()
}

func TestWhoMayAdminister(t *testing.T) {
	for _, c := range []struct {
		peer, server uint32
		want         bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {0, 0, true}, {65534, 1000, false}} {
		if got := mayAdminister(c.peer, c.server); got != c.want {
			t.Errorf("user %d at the server of %d: %v", c.peer, c.server, got)
		}
	}
	for _, c := range []struct {
		peer, own, directory uint32
		want                 bool
	}{
		{1000, 1000, 0, true}, {0, 1000, 0, true}, {1001, 1000, 1001, false},
		{1000, 0, 1000, true}, {1001, 0, 1000, false}, {1001, 0, 0, false}, {0, 0, 0, true},
	} {
		if got := mayServe(c.peer, c.own, c.directory); got != c.want {
			t.Errorf("a socket of %d in the directory of %d, for %d: %v", c.peer, c.directory, c.own, got)
		}
	}
}

func TestPeerUser(t *testing.T) {
	_, path := newAdminWorld(t)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if uid, err := peerUser(c.(*net.UnixConn)); err != nil || uid != uint32(os.Getuid()) {
		t.Errorf("%d, %v", uid, err)
	}
	if got := ownerOf(filepath.Dir(path)); got != uint32(os.Getuid()) {
		t.Errorf("the directory is of %d", got)
	}
}

// Connections that say nothing, or nonsense, don't keep others out for long, and end with the server.
func TestAdminStalls(t *testing.T) {
	w, path := newAdminWorld(t)
	var idle []net.Conn
	for range maxAdmins - 1 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	if _, err := OpenAccounts("", path, never); err != nil {
		t.Error(err)
	}
	for _, nonsense := range []string{"\x00\x00", "\xff\xffmuch", "\x00\x02\x03\x00", "\x00\x01\x02", "\x00\x02\x02\x77"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(nonsense))
		c.SetReadDeadline(time.Now().Add(adminReadTime / 2))
		answer, err := io.ReadAll(c)
		if len(answer) > 2 && answer[2] != adminRefused || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: %q, %v", nonsense, answer, err)
		}
		c.Close()
	}
	start := time.Now()
	w.stop()
	if d := time.Since(start); d > adminReadTime/2 {
		t.Errorf("stopped after %v", d)
	}
	for _, c := range idle {
		if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// Who says nothing is not waited for, and there are maxAdmins at once at most.
func TestAdminLimits(t *testing.T) {
	w, path := newAdminWorld(t)
	a := w.server.admin
	a.mu.Lock() // nobody is served meanwhile
	a.readTime = 100 * time.Millisecond
	var idle []net.Conn
	for range 3 * maxAdmins {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	a.mu.Unlock()
	most := 0
	for ended := false; !ended; runtime.Gosched() {
		a.mu.Lock()
		now := len(a.conns)
		a.mu.Unlock()
		most = max(most, now)
		idle[0].SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := idle[0].Read(make([]byte, 1))
		ended = errors.Is(err, io.EOF)
	}
	if most > maxAdmins {
		t.Errorf("%d at once", most)
	}
	if _, err := OpenAccounts("", path, never); err != nil { // when its turn comes
		t.Error(err)
	}
}

// A server that starts holds the database before it has its socket.
func TestOpenAccountsOfAServerThatStarts(t *testing.T) {
	_, path := newAdminWorld(t)
	hidden := path + ".not yet"
	if err := os.Rename(path, hidden); err != nil {
		t.Fatal(err)
	}
	accounts, err := OpenAccounts("", path, func() (*store.Store, error) {
		return nil, errors.Join(os.Rename(hidden, path), store.ErrHeld)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := accounts.Salt(nameOf(t, "bob")); err != nil {
		t.Error(err)
	}
}

func TestMalformedAdminRequests(t *testing.T) {
	st := newStore(t)
	accounts := &localAccounts{store: st, directory: NewDirectory(st), by: store.OnFile()}
	bob := nameOf(t, "bob")
	good := append([]byte{adminVersion, adminAdd}, bob[:]...)
	good = appendCredential(good, Credential{Verifier: verifierFor("bob", accounts.directory.Salt(bob))})
	change := func(at int, to byte) []byte { b := bytes.Clone(good); b[at] = to; return b }
	for name, request := range map[string][]byte{
		"nothing":                   {},
		"a version":                 {adminVersion},
		"another version":           change(0, adminVersion+1),
		"another operation":         change(1, 77),
		"salt with more":            change(1, adminSalt),
		"hello with more":           change(1, adminHello),
		"an upper-case name":        change(2, 'B'),
		"a name and more":           change(2+5, 'x'),
		"neither password nor code": change(2+32+256, 2),
		"a password that expires":   change(len(good)-1, 1),
		"a byte too few":            good[:len(good)-1],
		"a byte too many":           append(bytes.Clone(good), 0),
	} {
		if answer := (&adminCall{accounts: accounts}).answer(request); answer[0] != adminRefused {
			t.Errorf("%s: %q", name, answer)
		}
	}
	if people, err := st.List("", 10); len(people) != 0 || err != nil {
		t.Errorf("%v, %v", people, err)
	}
	if answer := (&adminCall{accounts: accounts}).answer(good); answer[0] != adminDone {
		t.Errorf("%q", answer)
	}
	for _, wire := range []string{"", "\x00", "\x00\x00", "\x00\x02a", "\x04\x01" + strings.Repeat("x", 1025)} {
		if b, err := readAdmin(strings.NewReader(wire), maxAdminRequest); err == nil {
			t.Errorf("%q is read as %q", wire, b)
		}
	}
}

func TestAdminPath(t *testing.T) {
	if got := AdminPath("sim.db"); got != "sim.db.sock" {
		t.Error(got)
	}
	if got := AdminPath("/srv/sim/sim.db"); got != "/srv/sim/sim.db.sock" {
		t.Error(got)
	}
	long := "/" + strings.Repeat("long/", 40) + "sim.db"
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/7")
	one := AdminPath(long)
	if runtime.GOOS != "windows" && !strings.HasPrefix(one, "/run/user/7/sim-") {
		t.Error(one)
	}
	t.Setenv("XDG_RUNTIME_DIR", "")
	two := AdminPath(long)
	for _, path := range []string{one, two, AdminPath("/" + strings.Repeat("x", 94)), AdminPath("/" + strings.Repeat("x", 95))} {
		if len(path) > maxSocketPath {
			t.Errorf("%s has %d bytes", path, len(path))
		}
	}
	if two != AdminPath(long) || two == AdminPath(long+"2") {
		t.Error("the name does not come from the path")
	}
}

func FuzzAdmin(f *testing.F) {
	f.Add([]byte{adminVersion, adminHello})
	f.Add([]byte{adminVersion, adminLog, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(append([]byte{adminVersion, adminList}, make([]byte, 32)...))
	sizes := map[byte]int{adminHello: 0, adminSalt: 32, adminAdd: 297, adminSet: 297, adminEnable: 32, adminDisable: 32, adminRemove: 32, adminList: 32, adminLog: 8}
	for _, name := range []string{"alice", "root", "bob"} {
		n := nameOf(f, name)
		for operation, size := range sizes {
			if size >= len(n) {
				f.Add(append(append([]byte{adminVersion, operation}, n[:]...), make([]byte, size-len(n))...))
			}
		}
	}
	st := newStore(f, "alice")
	accounts := &localAccounts{store: st, directory: NewDirectory(st), by: store.OnFile()}
	for _, operation := range []byte{adminBackup, adminCheck, adminWhere} {
		f.Add([]byte{adminVersion, operation})
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		answer := (&adminCall{accounts: accounts, upkeep: accounts, stopped: func() bool { return false }}).answer(bytes.Clone(request))
		if len(answer) == 0 || len(answer) > maxAdminAnswer || int(answer[0]) > adminFailed+len(adminKinds) {
			t.Fatalf("%x", answer)
		}
		// What is answered well is understood to the last byte.
		if answer[0] == adminDone && (request[0] != adminVersion || len(request) != 2+sizes[request[1]]) {
			t.Fatalf("%x is answered %x", request, answer)
		}
		// And as a message of the wire: whole, or an error.
		wire := append(binary.BigEndian.AppendUint16(nil, uint16(len(request))), request...)
		if body, err := readAdmin(bytes.NewReader(wire), maxAdminRequest); len(request) > 0 && len(request) <= maxAdminRequest && (err != nil || !bytes.Equal(body, request)) {
			t.Fatalf("%v", err)
		}
		if body, err := readAdmin(bytes.NewReader(request), maxAdminRequest); err == nil && len(body) > maxAdminRequest {
			t.Fatalf("%d bytes", len(body))
		}
	})
}

// A server that dies in the middle of a request leaves a sentence, and what may have been done is said.
func TestNoAnswer(t *testing.T) {
	if !adminSupported {
		t.Skip("no admin socket here")
	}
	for _, request := range []bool{false, true} {
		path := fakeAdmin(t, func(c net.Conn) {
			if request {
				readAdmin(c, maxAdminRequest)
			}
		})
		err := (&socketAccounts{path}).Remove(nameOf(t, "alice"))
		if !errors.Is(err, errNoAnswer) || !strings.Contains(err.Error(), "may have been made") {
			t.Error(err)
		}
	}
	path := fakeAdmin(t, func(c net.Conn) {})
	if a, err := dialAccounts(path); a != nil || !errors.Is(err, errNoAnswer) || strings.Contains(err.Error(), "may have been") {
		t.Error(a, err)
	}
}

// One that stands still, as after a SIGSTOP, is told as that, and what there is to do.
func TestNoAnswerInTime(t *testing.T) {
	a := &socketAccounts{"sim.db.admin"}
	err := a.noAnswer(&net.OpError{Op: "read", Net: "unix", Err: os.ErrDeadlineExceeded})
	want := "the server did not answer in 15s at its admin socket sim.db.admin: the process is there, but suspended, or waits for its disk; wake it (kill -CONT) or start it again"
	if !errors.Is(err, errNoAnswer) || err.Error() != want {
		t.Error(err)
	}
}
