package proto

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"sim/proto/box"
)

// Mallory flips each byte of each body in transit, at the very end that gets it. Where the server is asked for Login she even does the
// puzzle's work again for what she sends. Nobody ends with a session.
func TestMalloryFlipsEveryByte(t *testing.T) {
	w := newWorld(t)
	w.config.PuzzleBits = 5 // half of all answers are right
	at, _ := w.stages(t, w.config)
	for i, b := range at {
		for pos := range b.body {
			bent := bytes.Clone(b.body)
			bent[pos] ^= 1 << (pos % 8)
			what := fmt.Sprintf("%s, byte %d", bodyNames[i], pos)
			switch i {
			case atChallenge:
				// The client may go on: it can't see that e_S or ek is another. The server then can't open its Login.
				c := cloneClient(b.client)
				task, err := c.Challenge(bent)
				if err != nil {
					continue
				}
				if task.Puzzle.Bits > 9 {
					continue // work for nothing: the flip is in the puzzle
				}
				wire, err := c.Login(w.now, solve(t, task))
				if err != nil {
					t.Fatal(err)
				}
				login := bodies(t, wire)[1]
				out, session, err := w.resolved(at[atSolution].server, login)
				endsUnsaid(t, what, out, session, err)
			case atSolution:
				s := cloneServer(b.server)
				if _, _, err := s.Handle(w.now, bent); err != nil {
					continue
				}
				// Another answer that happens to be right too.
				out, _, err := s.Handle(w.now, at[atLogin].body)
				if pos < 33 || err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if _, err := cloneClient(at[atSalt].client).Salt(body(t, out)); err != ErrNoProof {
					t.Fatalf("%s: the two ends saw two Solutions: %v", what, err)
				}
			case atLogin:
				out, session, err := cloneServer(b.server).Handle(w.now, bent)
				endsUnsaid(t, what, out, session, err)
				if bent[0] == msgLogin {
					out, session, err = w.resolved(at[atSolution].server, bent)
					endsUnsaid(t, what+", work done again", out, session, err)
				}
			case atHello:
				if out, session, err := cloneServer(b.server).Handle(w.now, bent); err != ErrSilence || out != nil || session != nil {
					t.Fatalf("%s: %v", what, err)
				}
			case atProof:
				out, session, err := cloneServer(b.server).Handle(w.now, bent)
				endsUnsaid(t, what, out, session, err)
			case atSalt, atWelcome:
				err := give(cloneClient(b.client), i, w.now, bent)
				if pos == 0 && !isPeer(err) || pos > 0 && err != ErrNoProof {
					t.Fatalf("%s: %v", what, err)
				}
			}
		}
	}
}

// The same over whole handshakes, at random: at most one end has a session, and it stays alone.
func TestMalloryMeddlesWithWholeLogins(t *testing.T) {
	w := newWorld(t)
	rng := rand.New(rand.NewPCG(1, 1))
	lengths := []int{51, 1252, 161, 1457, 380, 209, 98}
	for i := range 60 {
		target := i % loginBodies
		pos, flip := rng.IntN(lengths[target]), byte(1+rng.IntN(255))
		if target == atChallenge && pos >= 2 && pos < 36 {
			pos = 36 // not the puzzle, which could become 2^26 hashes of work
		}
		o := w.handshake(t, w.client(t, "alice"), NewLoginServer(w.config, w.now), passwordOf("alice"), func(at int, b []byte) []byte {
			if at == target {
				b[pos] ^= flip
			}
			return b
		})
		if o.bothIn(t) || o.client != nil {
			t.Fatalf("%s, byte %d ^ %#x: a session", bodyNames[target], pos, flip)
		}
		if o.server != nil && target != atWelcome {
			t.Fatalf("%s, byte %d ^ %#x: the server has a session", bodyNames[target], pos, flip)
		}
	}
}

// Mallory gives one handshake the bodies of another: alice's and bob's, or two of alice's own.
func TestMallorySplicesTwoLogins(t *testing.T) {
	for _, other := range []string{"alice", "bob"} {
		w := newWorld(t)
		theirs := w.login(t, other, passwordOf(other))
		for target := range loginBodies {
			o := w.handshake(t, w.client(t, "alice"), NewLoginServer(w.config, w.now), passwordOf("alice"), func(at int, b []byte) []byte {
				if at == target {
					return theirs.sent[at]
				}
				return b
			})
			if o.client != nil || o.server != nil && target != atWelcome {
				t.Errorf("%s of %s's login is taken in alice's", bodyNames[target], other)
			}
		}
		// Everything from one body on.
		for target := range loginBodies {
			o := w.handshake(t, w.client(t, "alice"), NewLoginServer(w.config, w.now), passwordOf("alice"), func(at int, b []byte) []byte {
				if at >= target {
					return theirs.sent[at]
				}
				return b
			})
			if o.client != nil || o.server != nil && target != atWelcome {
				t.Errorf("from %s on, %s's login is taken in alice's", bodyNames[target], other)
			}
		}
	}
}

// A whole recorded login, played again to the server, ends at the puzzle or at the box of Login.
func TestMalloryReplaysALogin(t *testing.T) {
	for _, bits := range []uint8{0, testBits} {
		w := newWorld(t)
		w.config.PuzzleBits = bits
		o := w.login(t, "alice", passwordOf("alice"))
		s := NewLoginServer(w.config, w.now)
		if _, _, err := s.Handle(w.now, o.sent[atHello]); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Handle(w.now, o.sent[atSolution])
		if bits == 0 {
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = s.Handle(w.now, o.sent[atLogin])
		}
		endsUnsaid(t, fmt.Sprint(bits, " bits"), nil, nil, err)
	}
}

// A box is for one direction and one place: nothing that an end said comes back as another's word.
func TestMalloryReflects(t *testing.T) {
	w := newWorld(t)
	o := w.login(t, "alice", passwordOf("alice"))
	retyped := func(typ byte, body []byte, n int) []byte {
		b := append([]byte{typ}, body[1:]...)
		return append(b, make([]byte, n)...)[:n]
	}
	at, _ := w.stages(t, w.config)
	if _, err := at[atWelcome].client.Welcome(w.now, retyped(msgWelcome, at[atProof].body, welcomeLen)); err != ErrNoProof {
		t.Error("Proof as Welcome:", err)
	}
	if _, err := at[atSalt].client.Salt(retyped(msgSalt, at[atLogin].body[loginHead-1:], saltLen)); err != ErrNoProof {
		t.Error("Login's box as Salt:", err)
	}
	if _, _, err := at[atProof].server.Handle(w.now, retyped(msgProof, o.sent[atSalt], proofLen)); !isPeer(err) {
		t.Error("Salt as Proof:", err)
	}
	// The same plaintext in the same place, sealed for the other direction or under the other label.
	at, _ = w.stages(t, w.config)
	s := at[atProof].server
	h4 := s.sym.Hash()
	for _, seal := range []struct {
		label     string
		direction box.Direction
	}{{"sim/1 box proof", box.FromServer}, {"sim/1 box salt", box.FromClient}, {"sim/1 box login", box.FromClient}, {"sim/1 box welcome", box.FromClient}} {
		sealed := box.Seal(&s.key, seal.label, seal.direction, &h4, make([]byte, 160))
		out, session, err := cloneServer(s).Handle(w.now, append([]byte{msgProof}, sealed...))
		endsUnsaid(t, seal.label, out, session, err)
		if err.Error() != "peer: Proof's box does not open" {
			t.Error(err)
		}
	}
}

// A holder of the private key gets M1 out of Proof and sends it back as M2.
func TestMalloryReflectsM1AsM2(t *testing.T) {
	w := newWorld(t)
	s := w.refServer()
	s.bendAnswer = func(plain []byte) { copy(plain[1:33], s.m1) }
	if session, _, err := w.meet(t, s, passwordOf("alice")); err != ErrNoProof || session != nil {
		t.Fatal(err)
	}
}

// The M1 of one login proves nothing in another, not even for somebody who can open and seal its boxes.
func TestM1OfAnotherLogin(t *testing.T) {
	w := newWorld(t)
	var m1 []byte
	c := w.refClient("alice", passwordOf("alice"))
	c.bendProof = func(plain []byte) { m1 = bytes.Clone(plain[128:]) }
	if _, session, err := w.hostile(t, c, w.config); session == nil {
		t.Fatal(err)
	}
	for range 3 {
		c := w.refClient("alice", "unknown to mallory")
		c.bendProof = func(plain []byte) { copy(plain[128:], m1) }
		if _, session, err := w.hostile(t, c, w.config); err != ErrRefused || session != nil {
			t.Fatal(err)
		}
	}
}

// Every bit of M1 counts.
func TestBentM1IsRefused(t *testing.T) {
	w := newWorld(t)
	for i := range 32 {
		c := w.refClient("alice", passwordOf("alice"))
		c.bendProof = func(plain []byte) { plain[128+i] ^= 1 << (i % 8) }
		if out, session, err := w.hostile(t, c, w.config); err != ErrRefused || session != nil || len(out) != 2+welcomeLen {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

// Mallory bends what the client signs into the transcript: her own e_C or ciphertext in the clear, the boxes made for another.
func TestMalloryPutsHerShareInAlicesLogin(t *testing.T) {
	w := newWorld(t)
	at, _ := w.stages(t, w.config)
	hers := w.refClient("alice", "")
	hers.hello = at[atHello].body
	_, login := hers.Login(at[atChallenge].body)
	for _, cut := range [][2]int{{1, 33}, {33, loginHead}, {loginHead, loginLen}, {1, loginHead}} {
		bent := bytes.Clone(at[atLogin].body)
		copy(bent[cut[0]:cut[1]], login[cut[0]:cut[1]])
		out, session, err := w.resolved(at[atSolution].server, bent)
		endsUnsaid(t, fmt.Sprint(cut), out, session, err)
		if err == nil || err.Error() != "peer: Login's box does not open" {
			t.Errorf("%v: %v", cut, err)
		}
	}
}
