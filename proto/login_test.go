package proto

import (
	"crypto/ecdh"
	"crypto/rand"
	"testing"
	"time"

	"sim/proto/puzzle"
	"sim/proto/srp"
)

// world is a server with alice in it, and what the tests need to talk to it.
type world struct {
	config *LoginConfig
	now    time.Time
	public [PublicKeySize]byte
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

func newWorld(t testing.TB) *world {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := NewEpoch()
	if err != nil {
		t.Fatal(err)
	}
	d := &Directory{Argon2: Argon2{3, 65536, 4}}
	rand.Read(d.SaltSecret[:])
	rand.Read(d.InventSecret[:])
	alice := mustName(t, "alice")
	salt := d.Salt(alice)
	verifier := *srp.Verifier("alice", &salt, derive("alice's password", salt))
	d.Lookup = func(n Name) ([srp.Size]byte, bool, error) {
		if n == alice {
			return verifier, true, nil
		}
		return [srp.Size]byte{}, false, nil
	}
	w := &world{now: time.Unix(1_800_000_000, 0)}
	w.config = &LoginConfig{Key: key, Directory: d, PuzzleBits: testBits, Epoch: func() *Epoch { return epoch }}
	copy(w.public[:], key.PublicKey().Bytes())
	return w
}

func mustName(t testing.TB, s string) Name {
	t.Helper()
	n, err := ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// bodies splits what goes over the wire into bodies.
func bodies(t testing.TB, wire []byte) (out [][]byte) {
	t.Helper()
	for len(wire) > 0 {
		n := 2 + (int(wire[0])<<8 | int(wire[1]))
		if len(wire) < n {
			t.Fatalf("a body of %d bytes is cut off at %d", n, len(wire))
		}
		out = append(out, append([]byte(nil), wire[2:n]...))
		wire = wire[n:]
	}
	return out
}

func solve(t testing.TB, task *Task) *[puzzle.SolutionSize]byte {
	t.Helper()
	s, ok := task.Puzzle.Solve(&task.Binding, nil)
	if !ok {
		t.Fatal("the puzzle was not solved")
	}
	return s
}

// login runs a whole login and returns both ends' sessions and their errors.
func (w *world) login(t testing.TB, name, password string) (client, server *Session, clientErr, serverErr error) {
	t.Helper()
	c, err := NewLoginClient(w.public, mustName(t, name))
	if err != nil {
		t.Fatal(err)
	}
	s := NewLoginServer(w.config, w.now)
	wire, err := c.Hello(w.now)
	if err != nil {
		t.Fatal(err)
	}
	give := func(wire []byte) (out []byte) {
		for _, body := range bodies(t, wire) {
			out, server, serverErr = s.Handle(w.now, body)
		}
		return out
	}
	task, err := c.Challenge(bodies(t, give(wire))[0])
	if err != nil {
		t.Fatal(err)
	}
	wire, err = c.Login(w.now, solve(t, task))
	if err != nil {
		t.Fatal(err)
	}
	answer := give(wire)
	if serverErr != nil {
		t.Fatal(serverErr)
	}
	task, err = c.Salt(bodies(t, answer)[0])
	if err != nil {
		t.Fatal(err)
	}
	wire, err = c.Proof(w.now, solve(t, task), derive(password, task.Salt))
	if err != nil {
		t.Fatal(err)
	}
	client, clientErr = c.Welcome(w.now, bodies(t, give(wire))[0])
	return client, server, clientErr, serverErr
}

func TestAliceLogsIn(t *testing.T) {
	w := newWorld(t)
	c, s, cErr, sErr := w.login(t, "alice", "alice's password")
	if cErr != nil || sErr != nil {
		t.Fatal(cErr, sErr)
	}
	if c.ID != s.ID || c.Tickets != s.Tickets || c.Resumption != s.Resumption || c.Transcript != s.Transcript || s.Name.String() != "alice" {
		t.Fatal("the two ends do not hold the same session")
	}
	record := c.Send.Seal(nil, AppendPing(nil, [8]byte{1}), w.now)
	frames, err := s.Receive.Open(record[2:])
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := frames.Next(); !ok || f.Type != TypePing {
		t.Fatalf("got %v", f.Type)
	}
}

func TestOneReplyForEveryRefusedLogin(t *testing.T) {
	w := newWorld(t)
	for _, who := range []struct{ name, password string }{{"alice", "not alice's"}, {"nobody", "alice's password"}} {
		c, s, cErr, sErr := w.login(t, who.name, who.password)
		if cErr != ErrRefused || sErr != ErrRefused || c != nil || s != nil {
			t.Errorf("%s: %v, %v", who.name, cErr, sErr)
		}
	}
}
