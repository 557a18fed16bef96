package proto

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"sim/proto/puzzle"
	"sim/proto/record"
	"sim/proto/srp"
)

// world is a server that knows alice and bob, and what the tests need to talk to it.
type world struct {
	config *LoginConfig
	now    time.Time
	public [PublicKeySize]byte
	epoch  *Epoch

	verifiers  map[Name][srp.Size]byte
	lookups    []Name // what was asked of the store
	codes      map[Name]bool
	generation uint64
}

const testBits = 8

// derive stands in for Argon2id.
func derive(password string, salt [32]byte) *[32]byte {
	t := salt
	for i := range password {
		t[i%32] ^= password[i]
	}
	return &t
}

func passwordOf(name string) string { return name + "'s password" }

func newWorld(t testing.TB) *world {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{now: time.Unix(1_800_000_000, 0), verifiers: map[Name][srp.Size]byte{}}
	if w.epoch, err = NewEpoch(); err != nil {
		t.Fatal(err)
	}
	d := &Directory{Argon2: Argon2{3, 65536, 4}}
	rand.Read(d.SaltSecret[:])
	rand.Read(d.InventSecret[:])
	d.Lookup = func(n Name) (Account, error) {
		w.lookups = append(w.lookups, n)
		return w.account(n), nil
	}
	w.config = &LoginConfig{Key: key, Directory: d, PuzzleBits: testBits, Epoch: func() *Epoch { return w.epoch }}
	copy(w.public[:], key.PublicKey().Bytes())
	w.register("alice", passwordOf("alice"))
	w.register("bob", passwordOf("bob"))
	return w
}

// account is what a server's Lookup says of a name.
func (w *world) account(n Name) Account {
	v, ok := w.verifiers[n]
	return Account{Verifier: v, Exists: ok, Enrol: w.codes[n], Generation: w.generation}
}

// register stores the verifier of a password.
func (w *world) register(name, password string) {
	n, err := ParseName(name)
	if err != nil {
		panic(err)
	}
	salt := w.config.Directory.Salt(n)
	w.verifiers[n] = *srp.Verifier(name, &salt, derive(password, salt))
}

func mustName(t testing.TB, s string) Name {
	t.Helper()
	n, err := ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *world) client(t testing.TB, name string) *LoginClient {
	t.Helper()
	c, err := NewLoginClient(w.public, mustName(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bodies splits what goes over the wire into bodies.
func bodies(t testing.TB, wire []byte) (out [][]byte) {
	t.Helper()
	for len(wire) > 0 {
		if len(wire) < 2 || len(wire) < 2+int(binary.BigEndian.Uint16(wire)) {
			t.Fatalf("a body is cut off: %d bytes", len(wire))
		}
		n := 2 + int(binary.BigEndian.Uint16(wire))
		out = append(out, bytes.Clone(wire[2:n]))
		wire = wire[n:]
	}
	return out
}

// body is what goes over the wire as one body.
func body(t testing.TB, wire []byte) []byte {
	t.Helper()
	all := bodies(t, wire)
	if len(all) != 1 {
		t.Fatalf("%d bodies", len(all))
	}
	return all[0]
}

func solve(t testing.TB, task *Task) *[puzzle.SolutionSize]byte {
	t.Helper()
	s, ok := task.Puzzle.Solve(&task.Binding, nil)
	if !ok {
		t.Fatal("the puzzle was not solved")
	}
	return s
}

// The bodies of a login, in their order.
const (
	atHello = iota
	atChallenge
	atSolution
	atLogin
	atSalt
	atProof
	atWelcome
	loginBodies
)

var bodyNames = [...]string{"Hello", "Challenge", "Solution", "Login", "Salt", "Proof", "Welcome"}

// outcome is how a login ended at its two ends.
type outcome struct {
	client, server       *Session
	clientErr, serverErr error
	sent                 [loginBodies][]byte // what each end said
}

// meddler is somebody in the middle: it gets each body and gives what arrives.
type meddler func(at int, body []byte) []byte

// handshake runs a login through mallory, who may be nil, until an end gives up. What an end gets is in a buffer that is used again.
func (w *world) handshake(t testing.TB, c *LoginClient, s *LoginServer, password string, mallory meddler) (o outcome) {
	t.Helper()
	var buffers [][]byte
	pass := func(at int, b []byte) []byte {
		o.sent[at] = b
		if b = bytes.Clone(b); mallory != nil {
			b = bytes.Clone(mallory(at, b))
		}
		buffers = append(buffers, b)
		return b
	}
	reuse := func() {
		for _, b := range buffers {
			clear(b)
		}
	}
	handle := func(at int, b []byte) (out []byte, ok bool) {
		out, session, err := s.Handle(w.now, pass(at, b))
		reuse()
		if o.server = session; err != nil {
			o.serverErr = err
		}
		return out, len(out) > 0
	}
	wire, err := c.Hello(w.now)
	if err != nil {
		t.Fatal(err)
	}
	out, ok := handle(atHello, body(t, wire))
	if !ok {
		return o
	}
	task, err := c.Challenge(pass(atChallenge, body(t, out)))
	reuse()
	if err != nil {
		o.clientErr = err
		return o
	}
	if wire, err = c.Login(w.now, solve(t, task)); err != nil {
		t.Fatal(err)
	}
	third := bodies(t, wire)
	if handle(atSolution, third[0]); o.serverErr != nil {
		return o
	}
	if out, ok = handle(atLogin, third[1]); !ok {
		return o
	}
	task, err = c.Salt(pass(atSalt, body(t, out)))
	if reuse(); err != nil {
		o.clientErr = err
		return o
	}
	if wire, err = c.Proof(w.now, solve(t, task), derive(password, task.Salt)); err != nil {
		o.clientErr = err
		return o
	}
	if out, ok = handle(atProof, body(t, wire)); !ok {
		return o
	}
	o.client, o.clientErr = c.Welcome(w.now, pass(atWelcome, body(t, out)))
	return o
}

// login runs a whole login with nobody in the middle.
func (w *world) login(t testing.TB, name, password string) outcome {
	t.Helper()
	return w.handshake(t, w.client(t, name), NewLoginServer(w.config, w.now), password, nil)
}

// sessions logs somebody in who has the right to.
func (w *world) sessions(t testing.TB, name string) (client, server *Session) {
	t.Helper()
	o := w.login(t, name, passwordOf(name))
	if o.clientErr != nil || o.serverErr != nil {
		t.Fatal(o.clientErr, o.serverErr)
	}
	return o.client, o.server
}

// bothIn says whether both ends hold a session: then it must be one and the same.
func (o *outcome) bothIn(t testing.TB) bool {
	t.Helper()
	if o.client == nil || o.server == nil {
		return false
	}
	sameSession(t, o.client, o.server)
	return true
}

func sameSession(t testing.TB, c, s *Session) {
	t.Helper()
	if c.Name != s.Name || c.ID != s.ID || c.Tickets != s.Tickets || c.Resumption != s.Resumption || c.Transcript != s.Transcript {
		t.Fatal("the two ends do not hold the same session")
	}
}

// before is a login up to the moment when one body is about to arrive: the two ends as they are then, and the body. Its ends can be
// cloned, so that many things can be tried in their place.
type before struct {
	client *LoginClient
	server *LoginServer
	body   []byte
}

// stages runs alice's login and returns every stage of it.
func (w *world) stages(t testing.TB, config *LoginConfig) (at [loginBodies]before, done before) {
	t.Helper()
	c, s := w.client(t, "alice"), NewLoginServer(config, w.now)
	note := func(i int, b []byte) []byte {
		at[i] = before{cloneClient(c), cloneServer(s), bytes.Clone(b)}
		return b
	}
	o := w.handshake(t, c, s, passwordOf("alice"), note)
	if !o.bothIn(t) {
		t.Fatal(o.clientErr, o.serverErr)
	}
	return at, before{c, s, nil}
}

// stage runs alice's login until a body is about to arrive, and no further: SRP's steps after it are not yet used up.
func (w *world) stage(t testing.TB, config *LoginConfig, until int) (b before) {
	t.Helper()
	c, s := w.client(t, "alice"), NewLoginServer(config, w.now)
	w.handshake(t, c, s, passwordOf("alice"), func(at int, body []byte) []byte {
		if at == until {
			b = before{cloneClient(c), cloneServer(s), body}
			c.srp, s.srp = nil, nil // theirs now: an end that gives up clears it
			return nil
		}
		return body
	})
	return b
}

// cloneClient copies a client as far as a step up to its failure touches it. The copies share the one use of SRP's a.
func cloneClient(c *LoginClient) *LoginClient {
	d := *c
	if c.sym != nil {
		sym := *c.sym
		d.sym = &sym
	}
	if c.s != nil {
		s := *c.s
		d.s = &s
	}
	return &d
}

// cloneServer copies a server likewise.
func cloneServer(s *LoginServer) *LoginServer {
	d := *s
	if s.sym != nil {
		sym := *s.sym
		d.sym = &sym
	}
	return &d
}

// isPeer says whether an error is what the other end did wrong.
func isPeer(err error) bool {
	_, ok := errors.AsType[*PeerError](err)
	return ok
}

// open is what a receiver gets from a record with its length field.
func open(r *Receiver, sealed []byte) (Frames, error) {
	return r.Open(bytes.Clone(sealed[record.HeaderSize:]))
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s does not panic", what)
		}
	}()
	f()
}
