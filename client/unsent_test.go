package client

import (
	"fmt"
	"math/rand/v2"
	"sim/internal/chaos"
	"sim/password"
	"sim/proto"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What was typed while the connection was lost has not left: where the session is over by then, nobody has to wonder who has it.
func TestTypedWhileCutOffAndNeverSent(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice, bob := s.pipes("alice"), s.comes("bob")
		alice.types("send bob one")
		alice.prints("= bob: delivered")
		bob.prints("< alice: one")
		bob.out.sticks()
		alice.types("send bob two", "send bob three")
		wan.goesAway(errAway)
		synctest.Wait()
		alice.types("send bob four", "send bob five")
		s.loses("alice")
		wan.goesAway(nil)
		alice.exits(ExitLost)
		left, stayed := "= bob: unknown: connection lost", "= bob: failed: connection lost before it was sent"
		alice.prints("* reconnecting …", left, left, stayed, stayed)
		alice.complains("connection lost: the server does not have this session any more")
		bob.out.works()
		time.Sleep(maxRetry)
		synctest.Wait()
		if got := bob.out.fresh(); !strings.HasPrefix(got, "< alice: two\n< alice: three\n") || strings.Count(got, "<") != 2 {
			t.Errorf("%q", got)
		}
	})
}

func TestObjectsSayWhatWasNeverSent(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice, bob := s.starts(func(c *Config) { c.User, c.PasswordFile, c.JSON = "alice", passwordFile(t, "alice", 0o600), true }), s.comes("bob")
		alice.types(`{"cmd":"send","to":"bob","text":"one"}`)
		bob.prints("< alice: one")
		wan.goesAway(errAway)
		synctest.Wait()
		alice.types(`{"cmd":"send","to":"bob","text":"two"}`)
		alice.out.fresh()
		s.loses("alice")
		wan.goesAway(nil)
		time.Sleep(maxRetry)
		if told := alice.out.fresh(); !strings.Contains(told, `"outcome":"failed","reason":"connection lost before it was sent"`) {
			t.Error(told)
		}
	})
}

// A connection is lost while texts are on their way, some of them with the writer and some behind it, and others are typed meanwhile. What is told to
// have failed, and to have been delivered, is true.
func TestNeverSentIsTrue(t *testing.T) {
	const texts = 60
	var failed, unknown int
	for seed := range uint64(100) {
		story(t, func(t *testing.T, s *fakeServer) {
			random, lagging := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2)) // the second is used with the network's lock
			wan := s.through(nil)
			alice, bob := s.pipes("alice"), s.comes("bob")
			wan.fates = func(int) fateOfLink { return fateOfLink{lag: time.Duration(lagging.IntN(40)) * time.Millisecond} }
			wan.each((*link).cut) // the next ones are slow
			time.Sleep(maxRetry)
			lossAt := 3 + random.IntN(texts-6)
			for i := range texts {
				switch i {
				case lossAt:
					wan.goesAway(errAway)
				case lossAt + 3:
					s.loses("alice")
				}
				alice.keyboard.adds(fmt.Sprintf("send bob %d %s\n", i, strings.Repeat("x", random.IntN(600))))
				time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
			}
			wan.goesAway(nil)
			alice.exits(ExitLost)
			time.Sleep(maxRetry)
			synctest.Wait()
			var toAlice, toBob chaos.Witness
			hears(t, &toAlice, alice)
			for _, line := range bob.out.lines() {
				if line == "* alice lost the connection" {
					continue
				}
				if err := toBob.Hear(line); err != nil {
					t.Error(err)
				}
			}
			if v := toAlice.Judge(len(toAlice.Outcomes), &toBob); v != (chaos.Verdict{}) {
				t.Errorf("%d: %+v: alice: %v, bob: %v", seed, v, &toAlice, &toBob)
			}
			for _, is := range toAlice.Outcomes {
				switch is {
				case "failed":
					failed++
				case "unknown":
					unknown++
				}
			}
			bob.cancel()
			wan.goesAway(errAway)
			time.Sleep(time.Second) // of what is still on its way
		})
	}
	t.Logf("%d failed, %d unknown", failed, unknown)
	if failed < 100 || unknown < 100 {
		t.Error("too few to mean anything")
	}
}

// What a connection's writer has not taken when it is cut is known, and nothing else is taken for it.
func TestWhatAWriterHasNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _, _ := connected(t)
		frames := relays(4, 10)
		c.send(frames[:1])
		synctest.Wait() // the writer is at it, and nobody reads
		c.send([][]byte{frames[1], proto.AppendPing(nil, [8]byte{}), frames[2], frames[3]})
		var j journal
		j.keep(frames)
		j.given()
		left := c.cut()
		if j.cut(left); j.taken != 1 {
			t.Errorf("%d frames were taken", j.taken)
		}
		if again := c.cut(); again != nil {
			t.Error("and once more")
		}
		j.cut(slices.Clone(frames)) // the next connection took nothing
		if j.taken != 1 {
			t.Errorf("%d frames were taken then", j.taken)
		}
	})
}

// A new password that never left is not set.
func TestNewPasswordThatWasNeverSent(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice := s.starts(func(c *Config) {
			c.User, c.PasswordFile, c.Reconnect = "alice", passwordFile(t, "alice", 0o600), time.Minute
			c.Deriver = slowly(func(pw []byte, salt *[32]byte, p password.Params) (*[32]byte, error) {
				if s.derived.Load() > 0 { // it is no log-in's any more
					wan.goesAway(errAway)
					time.Sleep(time.Second)
				}
				return s.Derive(pw, salt, p)
			})
		})
		alice.types("passwd", passwordOf("alice"), "velvet otter 31 barometer")
		time.Sleep(time.Minute)
		alice.prints("= logged in as alice", "* reconnecting …", "= passwd: failed: the session ended before")
	})
}

// slowly derives with a func.
type slowly func([]byte, *[32]byte, password.Params) (*[32]byte, error)

func (f slowly) Derive(pw []byte, salt *[32]byte, p password.Params) (*[32]byte, error) {
	return f(pw, salt, p)
}
