package server

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sim/proto"
	"sim/proto/puzzle"
	"sim/proto/srp"
	"sim/store"
)

// TestMain fails when a goroutine of ours outlives the tests: each server has ended by then. And it fails when any of them has logged
// somebody's name, an address, a password or a text.
func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(5 * time.Second); code == 0; time.Sleep(time.Millisecond) {
		left := ourGoroutines()
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			fmt.Printf("FAIL: %d goroutines are left\n%s\n", len(left), strings.Join(left, "\n\n"))
			code = 1
		}
	}
	if found := identities.FindString(ordinary.String()); found != "" && code == 0 {
		fmt.Printf("FAIL: the log has %q\n", found)
		code = 1
	}
	os.Exit(code)
}

// ourGoroutines returns the stacks that this package is on, but for the caller's.
func ourGoroutines() []string {
	buffer := make([]byte, 1<<20)
	stacks := strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\n\n")
	return slices.DeleteFunc(stacks, func(stack string) bool {
		return !strings.Contains(stack, "sim/server.") || strings.Contains(stack, "sim/server.TestMain")
	})
}

// fakeArgon2 stands in for Argon2id.
func fakeArgon2(password string, salt [32]byte) *[32]byte {
	t := sha256.Sum256(append([]byte(password), salt[:]...))
	return &t
}

func passwordOf(name string) string { return name + "'s password" }

func nameOf(t testing.TB, s string) proto.Name {
	t.Helper()
	n, err := proto.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// newStore makes a database with accounts.
func newStore(t testing.TB, names ...string) *store.Store {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "sim.db"), store.Options{ArgonTime: 2, ArgonMemory: 19456, ArgonThreads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	addAccounts(t, st, names...)
	return st
}

func addAccounts(t testing.TB, st *store.Store, names ...string) {
	t.Helper()
	for _, name := range names {
		v := verifierOf(t, st, name, passwordOf(name))
		if err := st.Add(name, store.Account{Verifier: *v, Created: time.Now()}, store.OnFile()); err != nil {
			t.Fatal(err)
		}
	}
}

// verifierOf is the verifier of a password, or of a code.
func verifierOf(t testing.TB, st *store.Store, name, password string) *[256]byte {
	t.Helper()
	salt := NewDirectory(st).Salt(nameOf(t, name))
	return srp.Verifier(name, &salt, fakeArgon2(password, salt))
}

// A world is a server that serves, and how to reach it.
type world struct {
	t      testing.TB
	server *Server
	store  *store.Store
	dial   func() net.Conn
	stop   func() // ends Serve and waits for it; harmless a second time
}

// testConfig is a config of easy puzzles.
func testConfig(st *store.Store) Config {
	return Config{Store: st, Listen: "127.0.0.1:0", PuzzleBits: 8, Log: ordinary.logger()}
}

// newWorld serves on TCP. The settings change the server before it serves.
func newWorld(t testing.TB, names []string, settings ...func(*Server)) *world {
	t.Helper()
	st := newStore(t, names...)
	s, err := New(testConfig(st))
	if err != nil {
		t.Fatal(err)
	}
	w := serve(t, st, s, settings)
	w.dial = func() net.Conn {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	return w
}

// newPipeWorld serves on pipes: for tests in a bubble, where time passes only when everybody waits.
func newPipeWorld(t testing.TB, names []string, settings ...func(*Server)) *world {
	t.Helper()
	st := newStore(t, names...)
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s, err := newServer(testConfig(st), listener)
	if err != nil {
		t.Fatal(err)
	}
	w := serve(t, st, s, settings)
	w.dial = func() net.Conn {
		near, far := net.Pipe()
		listener.conns <- far
		t.Cleanup(func() { near.Close() })
		return near
	}
	return w
}

func serve(t testing.TB, st *store.Store, s *Server, settings []func(*Server)) *world {
	for _, set := range settings {
		set(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := s.pool.held.Load(); n != 0 {
			t.Errorf("after the end %d bytes are held by outboxes", n)
		}
		if n := s.detached.Load(); n != 0 {
			t.Errorf("after the end %d sessions are detached", n)
		}
		checkNothingCounted(t, s)
		g := &s.registry
		if n := len(g.sessions) + len(g.byID) + len(g.choosing) + len(g.sorted) + len(g.watchers) + len(g.untold) + len(g.pending); n != 0 {
			t.Errorf("after the end the registry holds %d sessions, %d names, %d watched, %d untold, %d pending", len(g.sessions), len(g.sorted), len(g.watchers), len(g.untold), len(g.pending))
		}
	})
	t.Cleanup(stop)
	return &world{t: t, server: s, store: st, stop: stop}
}

// checkNothingCounted checks what is left of connections when all have ended.
func checkNothingCounted(t testing.TB, s *Server) {
	t.Helper()
	n := len(s.admission.all)
	for i := range s.admission.pools {
		n += s.admission.pools[i].size + len(s.admission.pools[i].groups) + len(s.admission.pools[i].bySize)
	}
	if n != 0 {
		t.Errorf("after the end %d connections are counted", n)
	}
	counters := s.Counters()
	if in, out := counters.Accepted.Load(), ended(counters); in != out {
		t.Errorf("%d connections were let in, and the ends of %d logins are told", in, out)
	}
	n = s.budget.running + s.budget.proofs.order.Len() + len(s.budget.changes)
	for i := range s.budget.logins {
		n += s.budget.logins[i].order.Len() + s.budget.logins[i].crowd.size
	}
	if n != 0 {
		t.Errorf("after the end %d steps run or wait", n)
	}
	n = len(s.guessing.lines)
	for _, c := range s.guessing.cells {
		if c.evaluating || c.inFlight != 0 {
			n++
		}
	}
	if n != 0 {
		t.Errorf("after the end %d names have a line or a handshake", n)
	}
}

// ended is how many logins have ended, in one way or another.
func ended(n *Counters) (sum uint64) {
	for _, way := range []*atomic.Uint64{
		&n.Unfinished, &n.BadHellos, &n.OtherVersions, &n.WrongSolutions, &n.BadLogins, &n.BadProofs, &n.BusyLogins, &n.BusyProofs, &n.Refused, &n.Succeeded, &n.Resumed, &n.NotResumed,
	} {
		sum += way.Load()
	}
	return sum
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// A newcomer is a client on its way in: each step writes a message or reads one.
type newcomer struct {
	t        testing.TB
	conn     net.Conn
	login    *proto.LoginClient
	password string
	task     *proto.Task
	session  *proto.Session
}

func (w *world) newcomer(name, password string) *newcomer {
	w.t.Helper()
	c, err := proto.NewLoginClient(w.server.key, nameOf(w.t, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return &newcomer{t: w.t, conn: w.dial(), login: c, password: password}
}

func readBody(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(r, body)
	return body, err
}

func (n *newcomer) solve() *[puzzle.SolutionSize]byte {
	s, ok := n.task.Puzzle.Solve(&n.task.Binding, nil)
	if !ok {
		n.t.Error("the puzzle was not solved")
		return new([puzzle.SolutionSize]byte)
	}
	return s
}

// The messages of the client.
func (n *newcomer) hello() ([]byte, error)      { return n.login.Hello(time.Now()) }
func (n *newcomer) loginBytes() ([]byte, error) { return n.login.Login(time.Now(), n.solve()) }
func (n *newcomer) proof() ([]byte, error) {
	return n.login.Proof(time.Now(), n.solve(), fakeArgon2(n.password, n.task.Salt))
}
func (n *newcomer) ping() ([]byte, error) {
	return n.session.Send.Seal(nil, proto.AppendPing(nil, [8]byte{'h', 'e', 'l', 'l', 'o'}), time.Now()), nil
}

// The messages of the server.
func (n *newcomer) challenge(body []byte) (err error) {
	n.task, err = n.login.Challenge(body)
	return err
}
func (n *newcomer) salt(body []byte) (err error) { n.task, err = n.login.Salt(body); return err }
func (n *newcomer) welcome(body []byte) (err error) {
	n.session, err = n.login.Welcome(time.Now(), body)
	return err
}

// steps are the login's steps in order.
var steps = []struct {
	name  string
	write func(*newcomer) ([]byte, error)
	read  func(*newcomer, []byte) error
	limit time.Duration // how long the server waits for what is written here
}{
	{"Hello", (*newcomer).hello, (*newcomer).challenge, proto.HelloDeadline},
	{"Login", (*newcomer).loginBytes, (*newcomer).salt, proto.LoginDeadline},
	{"Proof", (*newcomer).proof, (*newcomer).welcome, proto.ProofDeadline},
	{"Ping", (*newcomer).ping, nil, proto.PingDeadline},
}

// advance takes steps from one to before another.
func (n *newcomer) advance(from, to int) error {
	for i := from; i < to; i++ {
		b, err := steps[i].write(n)
		if err != nil {
			return err
		}
		if _, err := n.conn.Write(b); err != nil {
			return fmt.Errorf("write %s: %w", steps[i].name, err)
		}
		if steps[i].read == nil {
			continue
		}
		body, err := readBody(n.conn)
		if err != nil {
			return fmt.Errorf("read the answer to %s: %w", steps[i].name, err)
		}
		if err := steps[i].read(n, body); err != nil {
			return err
		}
	}
	return nil
}

// A client is somebody who is logged in.
type client struct {
	t       testing.TB
	name    proto.Name
	conn    net.Conn
	session *proto.Session
	frames  proto.Frames
	counts  *counts // of one who can come back
}

// enter logs somebody in with the right password.
func (w *world) enter(name string) *client {
	w.t.Helper()
	c, err := w.try(name, passwordOf(name))
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	return c
}

// try logs somebody in.
func (w *world) try(name, password string) (*client, error) {
	n := w.newcomer(name, password)
	if err := n.advance(0, len(steps)); err != nil {
		return nil, err
	}
	return n.client()
}

// client waits for the Pong, with which one is logged in.
func (n *newcomer) client() (*client, error) {
	c := &client{t: n.t, name: n.session.Name, conn: n.conn, session: n.session}
	f, err := c.read()
	if err != nil {
		return nil, err
	}
	if f.Type != proto.TypePong || string(f.Body) != "hello\x00\x00\x00" {
		return nil, fmt.Errorf("%v in the place of Pong", f.Type)
	}
	return c, nil
}

// send sends frames in one record.
func (c *client) send(frames []byte) {
	c.t.Helper()
	if err := c.trySend(frames); err != nil {
		c.t.Fatalf("%s: %v", c.name, err)
	}
}

func (c *client) trySend(frames []byte) error {
	if c.counts != nil {
		frames = c.counts.say(frames)
	}
	_, err := c.conn.Write(c.session.Send.Seal(nil, frames, time.Now()))
	return err
}

// read returns the next frame.
func (c *client) read() (proto.Frame, error) {
	for {
		if f, ok := c.frames.Next(); ok {
			if c.counts != nil && c.counts.took(c.t, f) {
				continue
			}
			return f, nil
		}
		body, err := readBody(c.conn)
		if err != nil {
			return proto.Frame{}, err
		}
		if c.frames, err = c.session.Receive.Open(body); err != nil {
			return proto.Frame{}, err
		}
	}
}

// expect reads the next frame, which must be of a type.
func (c *client) expect(typ proto.Type) []byte {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatalf("%s waits for %v: %v", c.name, typ, err)
	}
	if f.Type != typ {
		c.t.Fatalf("%s waits for %v and gets %v %x", c.name, typ, f.Type, f.Body[:min(len(f.Body), 64)])
	}
	return f.Body
}

// ping shows that a session lives, and that all that came before was handled.
func (c *client) ping() {
	c.t.Helper()
	c.send(proto.AppendPing(nil, [8]byte{1, 2, 3}))
	if string(c.expect(proto.TypePong)) != "\x01\x02\x03\x00\x00\x00\x00\x00" {
		c.t.Errorf("%s got another Pong", c.name)
	}
}

// expectClose reads a Close, and then the end.
func (c *client) expectClose(reason proto.Reason) {
	c.t.Helper()
	if got := proto.Reason(c.expect(proto.TypeClose)[0]); got != reason {
		c.t.Errorf("%s: Close(%d), not Close(%d)", c.name, got, reason)
	}
	c.expectEnd()
}

func (c *client) expectEnd() {
	c.t.Helper()
	if f, err := c.read(); !errors.Is(err, io.EOF) {
		c.t.Errorf("%s waits for the end and gets %v, %v", c.name, f.Type, err)
	}
}

func (c *client) relay(ref uint32, to string, tag proto.Tag, message string) {
	c.t.Helper()
	c.send(relayFrame(c.t, ref, to, tag, message))
}

func relayFrame(t testing.TB, ref uint32, to string, tag proto.Tag, message string) []byte {
	return proto.AppendRelay(nil, proto.Relay{Ref: ref, To: nameOf(t, to), Tag: tag, Message: []byte(message)})
}

// expectRelayed reads a Relayed and returns its sender's tag.
func (c *client) expectRelayed(from, message string) proto.Tag {
	c.t.Helper()
	r, ok := proto.ParseRelayed(c.expect(proto.TypeRelayed))
	if !ok || r.From.String() != from || string(r.Message) != message {
		c.t.Fatalf("%s got %d bytes from %s, %v", c.name, len(r.Message), r.From, ok)
	}
	return r.Tag
}

func (c *client) expectUndeliverable(ref uint32, reason proto.Reason) {
	c.t.Helper()
	gotRef, got, ok := proto.ParseUndeliverable(c.expect(proto.TypeUndeliverable))
	if !ok || gotRef != ref || got != reason {
		c.t.Fatalf("%s: Undeliverable(%d, %d), not (%d, %d)", c.name, gotRef, got, ref, reason)
	}
}

func (c *client) expectGone(name string, tag proto.Tag, reason proto.Reason) {
	c.t.Helper()
	g, ok := proto.ParseGone(c.expect(proto.TypeGone))
	if !ok || g.Name.String() != name || g.Tag != tag || g.Reason != reason {
		c.t.Fatalf("%s: Gone(%s, %x, %d), not (%s, %x, %d)", c.name, g.Name, g.Tag, g.Reason, name, tag, reason)
	}
}

// logout logs out and reads to the end.
func (c *client) logout() {
	c.t.Helper()
	c.send(proto.AppendLogout(nil))
	c.expect(proto.TypeLoggedOut)
	c.expectClose(proto.CloseDone)
	c.conn.Close()
}

func hmacSHA256(key, message []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	return mac.Sum(nil)
}

func sha256Of(parts ...[]byte) (sum [32]byte) {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// A memoryLogin logs in without a connection.
type memoryLogin struct{ server *Server }

func newMemoryLogin(t testing.TB) *memoryLogin {
	st := newStore(t, "alice")
	s, err := newServer(testConfig(st), &pipeListener{})
	if err != nil {
		t.Fatal(err)
	}
	return &memoryLogin{s}
}

func (m *memoryLogin) login(t testing.TB, name string) (server, client *proto.Session) {
	t.Helper()
	c, err := proto.NewLoginClient(m.server.key, nameOf(t, name))
	if err != nil {
		t.Fatal(err)
	}
	n := &newcomer{t: t, login: c, password: passwordOf(name)}
	l := proto.NewLoginServer(m.server.login, time.Now())
	for _, step := range steps[:3] {
		wire, err := step.write(n)
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		for r := bytes.NewReader(wire); r.Len() > 0; {
			body, err := readBody(r)
			if err != nil {
				t.Fatal(err)
			}
			if out, server, err = l.Handle(time.Now(), body); err != nil {
				t.Fatal(err)
			}
		}
		if err := step.read(n, out[2:]); err != nil {
			t.Fatal(err)
		}
	}
	return server, n.session
}
