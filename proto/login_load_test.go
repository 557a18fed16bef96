package proto

import (
	"bytes"
	"testing"

	"sim/proto/puzzle"
)

// A server under load asks for more: each login has puzzles of its own, and the account's follows the name that Login has told.
func TestPuzzlesOfOneLogin(t *testing.T) {
	for _, name := range []string{"alice", "nobody"} {
		w := newWorld(t)
		s := NewLoginServer(w.config, w.now)
		asked := 0
		s.SetPuzzles(func() uint8 {
			if !s.Greeted() {
				t.Error("a puzzle was asked for before a right mac1")
			}
			asked++
			return 7
		}, func(n Name) uint8 {
			if n.String() != name {
				t.Errorf("the name is %s", n)
			}
			asked++
			return 9
		})
		c := w.client(t, name)
		turns := []Turn{TurnHello, TurnSolution, TurnLogin, TurnProof}
		wire, _ := c.Hello(w.now)
		for _, bits := range []uint8{7, 9} {
			var out []byte
			for _, b := range bodies(t, wire) {
				if s.Turn() != turns[0] {
					t.Errorf("turn %d in the place of %d", s.Turn(), turns[0])
				}
				turns = turns[1:]
				var err error
				if out, _, err = s.Handle(w.now, b); err != nil {
					t.Fatal(err)
				}
			}
			var task *Task
			var err error
			if bits == 7 {
				task, err = c.Challenge(body(t, out))
			} else {
				task, err = c.Salt(body(t, out))
			}
			if err != nil || task.Puzzle.Bits != bits {
				t.Fatalf("%s: a puzzle of %d bits, not %d: %v", name, task.Puzzle.Bits, bits, err)
			}
			if bits == 7 {
				if wire, err = c.Login(w.now, solve(t, task)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if asked != 2 || s.Turn() != TurnProof {
			t.Errorf("%s: asked %d times, turn %d", name, asked, s.Turn())
		}
	}
}

// What CheckProof lets pass is all but the test of the password: a wrong M1 passes, and nothing else that is wrong does. It changes nothing.
func TestCheckProof(t *testing.T) {
	w := newWorld(t)
	w.config.AccountPuzzleBits = 8
	c, s := w.client(t, "alice"), NewLoginServer(w.config, w.now)
	if err := s.CheckProof(make([]byte, proofLen)); err != ErrSilence || s.Turn() != TurnOver {
		t.Errorf("before Hello: %v, turn %d", err, s.Turn())
	}
	s = NewLoginServer(w.config, w.now)
	var proof []byte
	o := w.handshake(t, c, s, "a wrong password", func(at int, b []byte) []byte {
		if at != atProof {
			return b
		}
		proof = bytes.Clone(b)
		before := cloneServer(s)
		for range 2 {
			if err := s.CheckProof(b); err != nil {
				t.Errorf("a Proof of a wrong password: %v", err)
			}
		}
		if *s.sym != *before.sym || s.Turn() != TurnProof {
			t.Error("CheckProof changed the login")
		}
		return b
	})
	if o.serverErr != ErrRefused {
		t.Fatal(o.serverErr)
	}

	at, _ := w.stages(t, w.config)
	unsolved := make([]byte, puzzle.SolutionSize+32)
	for name, bent := range map[string][]byte{
		"a bent byte":           append(bytes.Clone(at[atProof].body[:proofLen-1]), at[atProof].body[proofLen-1]^1),
		"another type":          append([]byte{msgLogin}, at[atProof].body[1:]...),
		"a byte less":           at[atProof].body[:proofLen-1],
		"a Proof of before":     proof,
		"no account solution":   sealProof(at[atProof].server, unsolved),
		"nothing":               nil,
		"a byte of another one": {msgProof},
	} {
		s := cloneServer(at[atProof].server)
		s.srp = nil
		if err := s.CheckProof(bent); !isPeer(err) || s.Turn() != TurnOver {
			t.Errorf("%s: %v, turn %d", name, err, s.Turn())
		}
	}
}

func TestAppendBusy(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, "alice")
	c.Hello(w.now)
	_, err := c.Challenge(body(t, AppendBusy(nil, 258)))
	if busy, ok := err.(*BusyError); !ok || busy.Seconds != 258 {
		t.Errorf("%v", err)
	}
}
