package client

import (
	"fmt"
	"io"
	"net"
	"sim/proto"
	"sim/proto/ticket"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A connection that is lost is two lines, and nothing else: what was typed meanwhile comes about, what others sent comes, a confirmation holds.
func TestALostConnectionIsNotALostSession(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice, bob := s.comes("alice"), s.comes("bob")
		alice.types("send bob one", "verify bob", "verify bob yes")
		bob.types("verify alice", "verify alice yes", "send alice two")
		alice.out.fresh()
		bob.out.fresh()
		wan.goesAway(errAway)
		alice.prints("* reconnecting …")
		bob.prints("* reconnecting …")
		alice.types("send bob three")
		bob.types("send alice four")
		time.Sleep(20 * time.Second)
		alice.prints()
		bob.prints()
		wan.goesAway(nil)
		time.Sleep(maxRetry)
		synctest.Wait()
		for who, got := range map[string][]string{"bob": alice.out.lines(), "alice": bob.out.lines()} {
			slices.Sort(got)
			if want := []string{"* connected again", "< " + who + " ✓: " + map[string]string{"bob": "four", "alice": "three"}[who], "= " + who + ": delivered"}; !slices.Equal(got, want) {
				t.Errorf("with %s: %q", who, got)
			}
		}
		alice.types("list")
		alice.prints("= online (2): alice bob")
		for _, p := range []*person{alice, bob} {
			p.complains()
			p.leaves()
			p.exits(ExitOK)
		}
		if s.derived.Load() != 2 {
			t.Errorf("%d passwords were derived", s.derived.Load())
		}
	})
}

// exchange is a conversation with everything in it; what each prints is the same whatever becomes of the connections.
func exchange(t *testing.T, s *fakeServer) (cut int) {
	t.Helper()
	alice, bob := s.comes("alice"), s.comes("bob")
	var got [2][]string
	settle := func() {
		synctest.Wait()
		time.Sleep(5 * time.Second) // of an attempt or two
		synctest.Wait()
		for i, p := range []*person{alice, bob} {
			for _, line := range p.out.lines() {
				switch line {
				case "* reconnecting …":
					cut++
				case "* connected again":
				default:
					got[i] = append(got[i], line)
				}
			}
		}
	}
	alice.types("list", "send bob one", "send bob two "+strings.Repeat("x", 5000))
	settle()
	bob.types("send alice three", "send alice four", "verify alice")
	settle()
	alice.types("send bob five", "disconnect bob")
	settle()
	bob.types("send alice six", "watch carol")
	settle()
	alice.leaves()
	settle()
	alice.exits(ExitOK)
	bob.leaves()
	settle()
	bob.exits(ExitOK)
	for i := range got[1] {
		if strings.HasPrefix(got[1][i], "= verify alice: ") {
			got[1][i] = "= verify alice: …"
		}
	}
	want := [2][]string{
		{"= online (2): alice bob", "= bob: delivered", "= bob: delivered", "< bob: three", "< bob: four", "= bob: delivered", "= disconnected from bob", "< bob: six", "= logged out alice"},
		{"< alice: one", "< alice: two " + strings.Repeat("x", 5000), "= alice: delivered", "= alice: delivered", "= verify alice: …", "< alice: five", "* alice disconnected",
			"= alice: delivered", "= watching carol", "* carol is offline", "* alice logged out", "= logged out bob"},
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Fatalf("%s printed\n\t%s\nwant\n\t%s", []string{"alice", "bob"}[i], strings.Join(got[i], "\n\t"), strings.Join(want[i], "\n\t"))
		}
	}
	alice.complains()
	bob.complains()
	return cut
}

// Cut wherever it may be once the user is logged in, in the middle of records, too: alice's first connection, and then bob's.
func TestCutAnywhere(t *testing.T) {
	s := 0
	for who := range 2 {
		for at := 2500; at < 24_000; at += 401 {
			for _, up := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					server := newFakeServer(t)
					server.through(func(n int) (f fateOfLink) {
						switch {
						case n != who:
						case up:
							f.cutUp = at
						default:
							f.cutDown = at
						}
						return f
					})
					s += exchange(t, server)
				})
			}
		}
	}
	if s < 100 {
		t.Errorf("%d cuts", s)
	}
	t.Logf("%d cuts", s)
}

// A connection from which nothing comes, and that nothing ends, is found out before an outcome is told: what was sent over it is sent again.
func TestHalfDead(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		bob, alice := s.comes("bob"), s.comes("alice")
		for range 3 {
			time.Sleep(25 * time.Second)
			wan.links[len(wan.links)-1].stall()
			alice.types("send bob hello")
			time.Sleep(pongWait - time.Second)
			alice.prints()
			bob.prints()
			time.Sleep(2 * time.Second)
			alice.prints("* reconnecting …", "* connected again", "= bob: delivered")
			bob.prints("< alice: hello")
		}
	})
}

// Whose output is stuck takes nothing from the server, and the answer to a Ping waits behind the rest: that is no lost connection.
func TestStuckOutputIsNoDeadConnection(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice := s.comes("alice")
		g := s.guest("alice")
		notice := proto.AppendNotice(nil, proto.NoticeStopping)
		alice.out.sticks()
		g.sends(slices.Repeat([][]byte{notice}, maxQueuedLines+10)...)
		for range 100 { // each fills a record, and says nothing
			g.send(proto.AppendRelayed(nil, proto.Relayed{From: mustName("bob"), Tag: proto.Tag{1}, Message: make([]byte, proto.MaxPeerMessage)}))
		}
		time.Sleep(silenceWait)
		alice.out.works()
		synctest.Wait()
		if text := alice.out.fresh(); strings.Count(text, "\n") != maxQueuedLines+10 || strings.Contains(text, "* reconnecting") {
			t.Error(text)
		}
		alice.complains()
	})
}

// What comes in the very moment in which a connection is looked at makes it no dead one.
func TestArrivalBesideAProbe(t *testing.T) {
	now, in := time.Now(), make(chan arrival, 1)
	r := &runner{
		cfg: Config{timeOfDay: time.Now}, ui: &ui{}, up: true, session: newSession(mustName("alice"), &ticket.Keys{}),
		conn: &connection{in: in, closing: true}, heard: now, quiet: now, pinged: now,
	}
	var over atomic.Bool
	defer over.Store(true)
	go func() {
		for !over.Load() {
			in <- arrival{}
			<-in
		}
	}()
	for range 2_000_000 {
		if r.probe(now); r.outage != nil {
			t.Fatal("taken for dead")
		}
	}
}

// Connections that last for some kilobytes each carry a conversation forward all the same.
func TestShortLivedConnections(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice, bob := s.comes("alice"), s.comes("bob")
		alice.types("send bob hello")
		bob.prints("< alice: hello")
		wan.fates = func(int) fateOfLink { return fateOfLink{cutUp: 8000, cutDown: 8000} }
		wan.each((*link).cut)
		for range 30 {
			alice.keyboard.adds("send bob " + strings.Repeat("x", 1500) + "\n")
			bob.keyboard.adds("send alice " + strings.Repeat("y", 1500) + "\n")
		}
		time.Sleep(MaxReconnect)
		for _, p := range []*person{alice, bob} {
			synctest.Wait()
			text := p.out.fresh()
			if shown, sent := strings.Count(text, "\n< "), strings.Count(text, ": delivered\n"); shown != 30 || sent < 30 {
				t.Errorf("%d texts were shown, %d delivered", shown, sent)
			}
			p.complains()
		}
	})
}

// The clocks of conversations stand still: a text that left before a long outage has its outcome after it, and so has one that waited.
func TestClocksStandStill(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice, bob := s.comes("alice"), s.comes("bob")
		alice.types("send bob one")
		alice.prints("= bob: delivered")
		bob.prints("< alice: one")
		bob.out.sticks()
		alice.types("send bob two")
		time.Sleep(10 * time.Second)
		wan.goesAway(errAway)
		alice.prints("* reconnecting …")
		time.Sleep(100 * time.Second)
		wan.goesAway(nil)
		time.Sleep(maxRetry)
		alice.prints("* connected again")
		alice.types("recv 1 30s") // which counts real time
		bob.out.works()
		alice.prints("= bob: delivered")
		wan.goesAway(errAway)
		time.Sleep(31 * time.Second)
		alice.prints("* reconnecting …", "= received 0: timeout")
	})
}

// Attempts begin at once, come at growing intervals, and end when the server has given the session up; then what was under way is unknown.
func TestServerStaysAway(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice, bob := s.pipes("alice"), s.comes("bob")
		bob.out.sticks()
		alice.types("send bob one")
		wan.tried()
		began := time.Now()
		wan.goesAway(errAway)
		bob.cancel()
		alice.types("recv 1", "list")
		alice.exits(ExitLost)
		if took := time.Since(began); took < MaxReconnect || took > MaxReconnect+time.Second {
			t.Errorf("it took %v", took)
		}
		alice.prints("* reconnecting …", "= bob: unknown: connection lost")
		alice.complains("connection lost: the server was not reached for 2 minutes; it keeps a session no longer; what follows in the input is not run")
	})
}

// Who wants it tries for a shorter time.
func TestReconnectFor(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice := s.starts(func(c *Config) { c.User, c.Reconnect = "alice", 7*time.Second })
		alice.types(passwordOf("alice"))
		wan.goesAway(errAway)
		time.Sleep(3 * time.Second)
		wan.goesAway(nil)
		time.Sleep(4 * time.Second)
		alice.prints("= logged in as alice", "* reconnecting …", "* connected again")
		began := time.Now()
		wan.goesAway(errAway)
		alice.exits(ExitLost)
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("it took %v", took)
		}
		alice.complains("connection lost: the server was not reached for 7s, as long as --reconnect says")
	})
}

// Or not at all: then the session ends with its connection at the server, too, nothing is kept for another, and nobody logs in unasked.
func TestNoReconnect(t *testing.T) {
	for name, ends := range map[string]func(s *fakeServer){
		"cut":      func(s *fakeServer) { s.guest("alice").cuts() },
		"stopping": func(s *fakeServer) { s.guest("alice").closes(proto.CloseStopping) },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				bob := s.comes("bob")
				alice := s.starts(func(c *Config) {
					c.User, c.PasswordFile, c.Reconnect = "alice", passwordFile(t, "alice", 0o600), 0
				})
				synctest.Wait()
				for range 200 {
					alice.keyboard.adds("send bob " + strings.Repeat("x", 4000) + "\n")
					bob.keyboard.adds("send alice " + strings.Repeat("y", 4000) + "\n")
				}
				time.Sleep(time.Minute)
				if n := strings.Count(alice.out.fresh(), ": delivered\n"); n != 200 {
					t.Errorf("%d texts were delivered", n)
				}
				bob.out.fresh()
				alice.types("recv 1000")
				dials := s.dials.Load()
				ends(s)
				alice.exits(ExitLost)
				bob.prints("* alice lost the connection")
				if text := alice.out.fresh(); s.dials.Load() != dials || strings.Contains(text, "* reconnecting") {
					t.Errorf("%d dials, %q", s.dials.Load()-dials, text)
				}
			})
		})
	}
}

func TestIntervalsOfAttempts(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice := s.pipes("alice")
		wan.tried()
		began := time.Now()
		wan.goesAway(errAway)
		alice.exits(ExitLost)
		at, all := began, wan.tried()
		for i, wait := range []time.Duration{0, firstRetry, 2 * firstRetry, 4 * firstRetry, 8 * firstRetry, 16 * firstRetry, maxRetry, maxRetry, maxRetry} {
			if took := all[i].Sub(at); took > wait || took < wait/2 {
				t.Errorf("attempt %d came after %v", i, took)
			}
			at = all[i]
		}
		if n := len(all); n < 12 || n > 22 {
			t.Errorf("%d attempts", n)
		}
	})
}

// A busy server says when, and that is followed.
func TestBusyWhileReconnecting(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		p := s.sits(nil)
		p.meetsAt("alice")
		wan.tried()
		s.isMet(busyFor(20))
		wan.each((*link).cut)
		p.shows("* reconnecting …", "* the server is busy: trying again in 20 s")
		s.isMet(busyFor(65_535))
		time.Sleep(21 * time.Second)
		s.isMet(nil)
		time.Sleep(maxBusy)
		p.shows("* connected again")
		if all := wan.tried(); len(all) != 3 || all[1].Sub(all[0]) != 20*time.Second || all[2].Sub(all[1]) != maxBusy {
			t.Errorf("%v", all)
		}
	})
}

// What an attempt that proves nothing comes to is no reason to give up: it may be anybody's word.
func TestAttemptsThatProveNothing(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice := s.comes("alice")
		told := 0
		s.isMet(func(c net.Conn) bool {
			answer := [][]byte{nil, {0, 0}, body(9), body(8, 1, 9), body(8, 2, 8, 7), body(7), body(9, 0, 0), make([]byte, 2000)}
			if told == len(answer) {
				return false
			}
			told++
			readBody(c, 100)
			c.Write(answer[told-1])
			return true
		})
		wan.each((*link).cut)
		time.Sleep(MaxReconnect - 10*time.Second)
		alice.prints("* reconnecting …", "* connected again")
		if told != 8 {
			t.Errorf("%d attempts were answered", told)
		}
	})
}

// unproved is a server with another key: it is silent for five seconds, and closes.
func unproved(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(proto.HelloDeadline))
	io.Copy(io.Discard, c)
	return true
}

// A server that does not prove its key to the end is told as that, and not as one that was not reached. What the last attempt met counts.
func TestServerWithAnotherKey(t *testing.T) {
	for name, tt := range map[string]struct {
		away     bool // at the end
		code     int
		complain string
	}{
		"to the end":          {false, ExitNoProof, "connection lost: the session was not resumed in 2 minutes, and the last time "},
		"not reached at last": {true, ExitLost, "connection lost: the server was not reached for 2 minutes"},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				wan := s.through(nil)
				alice := s.pipes("alice")
				s.isMet(unproved)
				began := time.Now()
				wan.each((*link).cut)
				time.Sleep(time.Minute)
				if tt.away {
					wan.goesAway(errAway)
				}
				alice.exits(tt.code)
				if took := time.Since(began); took != MaxReconnect {
					t.Errorf("it took %v", took)
				}
				alice.complains(tt.complain)
			})
		})
	}
}

// Who sits at a terminal hears of it soon, and once; and it is no power over the session: the server that proves its key has it.
func TestServerWithAnotherKeyAtATerminal(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		p := s.sits(nil)
		p.meetsAt("alice")
		s.isMet(unproved)
		wan.each((*link).cut)
		time.Sleep(30 * time.Second)
		p.shows("* reconnecting …", "closed the connection without a proof of the key in the", "; trying on")
		time.Sleep(time.Minute)
		if again := p.screen(); strings.Contains(again, "proof") {
			t.Errorf("told twice: %q", again)
		}
		s.isMet(nil)
		time.Sleep(25 * time.Second)
		p.shows("* connected again")
	})
}

// isMet has f take connections in place of the login.
func (s *fakeServer) isMet(f func(net.Conn) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meets = f
}

func busyFor(seconds uint16) func(net.Conn) bool {
	return func(c net.Conn) bool {
		readBody(c, 100)
		c.Write(body(9, byte(seconds>>8), byte(seconds)))
		return true
	}
}

// At a terminal the password of the same user is asked for again. Whom they talked to, and what they had begun to type, is there again then.
func TestTheServerForgotAtATerminal(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("talk bob"+enter, "hello"+enter)
		p.screen()
		s.loses("alice")
		p.shows("* reconnecting …", "connection lost: the server does not have this session any more", "to log in again, type the password of alice", "password for alice: ")
		p.presses(passwordOf("alice") + enter)
		p.shows("= logged in as alice", "= talking to bob", "alice → bob> ")
		p.presses("half a li")
		s.loses("alice")
		p.shows("connection lost", "the line that you were typing comes back when alice logs in again", "password for alice: ")
		p.presses(passwordOf("alice") + enter)
		p.shows("= logged in as alice", "alice → bob> half a li")
		p.presses("ne" + enter)
		time.Sleep(wantEvery)
		p.shows("= bob: delivered")
		p.presses("/block carol"+enter, "/watch carol"+enter)
		s.loses("alice")
		p.shows("password for alice: ")
		p.presses(passwordOf("alice")+enter, "/block"+enter, "/watch"+enter)
		p.shows("= blocked (1): carol", "= watched (1): carol")
		s.loses("alice")
		p.shows("password for alice: ")
		p.presses("not alice's password" + enter)
		p.shows("login refused", "password for alice: ")
		p.presses(enter) // somebody else, or nobody
		p.shows("sim> ")
		p.presses("help" + enter)
		p.shows("sim> ")
		p.presses("login bob"+enter, passwordOf("bob")+enter)
		p.shows("= logged in as bob")
		s.guest("bob").closes(proto.CloseStopping)
		p.shows("* server is stopping", "password for bob: ")
		p.presses("\x04")
		p.exits(ExitLost)
	})
}

// The same on a terminal that understands no escape sequences, where the line belongs to the system until it ends.
func TestTheServerForgotAtADumbTerminal(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil, func(c *Config) { c.Terminal.Dumb = true })
		p.presses("alice\n", passwordOf("alice")+"\n")
		p.shows("= logged in as alice")
		s.loses("alice")
		p.shows("connection lost")
		p.presses("\n")
		p.shows("password for alice: ")
		p.presses(passwordOf("alice") + "\n")
		p.shows("= logged in as alice")
	})
}

// With the password in a file the client logs in by itself at a terminal, too, and the prompt is the user's again. What was begun at nobody's is a
// command, and no text for whom they talk to.
func TestComebackAtATerminal(t *testing.T) {
	for _, dumb := range []bool{false, true} {
		story(t, func(t *testing.T, s *fakeServer) {
			bob, end := s.comes("bob"), enter
			p := s.sits(nil, func(c *Config) {
				c.User, c.PasswordFile, c.Terminal.Dumb = "alice", passwordFile(t, "alice", 0o600), dumb
			})
			if dumb {
				end = "\n"
			}
			p.presses("talk bob" + end)
			p.shows("= talking to bob", "alice → bob> ")
			loses := func() {
				s.loses("alice")
				p.shows("connection lost", "logging in again")
			}
			if !dumb { // there the line is the system's until it ends
				p.presses("half a li")
				loses()
				time.Sleep(comebackSoon)
				p.shows("= logged in as alice", "= talking to bob", "alice → bob> half a li")
				p.presses("\x15")
				loses()
				p.presses("qu")
				time.Sleep(comebackSoon)
				p.shows("= logged in as alice", "sim> qu")
				p.presses("it" + end)
			} else {
				loses()
				time.Sleep(comebackSoon)
				p.presses(end, "/list"+end)
				p.shows("= logged in as alice", "alice → bob> ", "= online (2): alice bob")
				loses()
				p.presses(end, "quit"+end)
			}
			p.exits(ExitLost)
			bob.complains()
			if text := bob.out.fresh(); strings.Contains(text, "<") {
				t.Error(text)
			}
		})
	}
}

// With the password in a file the client logs in by itself and goes on with its input; the exit code tells that something was lost.
func TestComeback(t *testing.T) {
	for name, ends := range map[string]func(g *guest){
		"forgotten": func(g *guest) { g.server.loses("alice") },
		"stopping":  func(g *guest) { g.closes(proto.CloseStopping) },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				wan := s.through(nil)
				bob := s.comes("bob")
				alice := s.comes("alice")
				bob.out.sticks()
				alice.types("send bob one", "list")
				ends(s.guest("alice"))
				time.Sleep(comebackSoon)
				bob.out.works()
				synctest.Wait()
				got := alice.out.lines()
				if want := []string{"= logged in as alice", "= online (2): alice bob"}; len(got) != 4 || !strings.HasPrefix(got[1], "= bob: unknown: ") || !slices.Equal(got[2:], want) {
					t.Fatalf("%q", got)
				}
				alice.err.fresh()

				s.guest("alice").closes(proto.CloseStopping) // and is not back for a while
				synctest.Wait()
				wan.goesAway(errAway)
				time.Sleep(5 * time.Minute)
				alice.types("watch")
				alice.prints("* server is stopping")
				wan.goesAway(nil)
				time.Sleep(maxComeback)
				alice.prints("= logged in as alice", "= watched (0):")
				alice.complains()
				alice.leaves()
				alice.exits(ExitLost)
			})
		})
	}
}

// A client that logs in by itself ends when there is nothing more to do, when it is told to, when the password is refused, and after ten minutes.
func TestComebackEnds(t *testing.T) {
	lost := func(t *testing.T, s *fakeServer, lines ...string) (*person, *network) {
		wan := s.through(nil)
		alice := s.comes("alice")
		alice.types(lines...)
		s.guest("alice").closes(proto.CloseStopping)
		synctest.Wait()
		wan.goesAway(errAway)
		return alice, wan
	}
	story(t, func(t *testing.T, s *fakeServer) {
		alice, wan := lost(t, s)
		wan.tried()
		began := time.Now()
		alice.exits(ExitLost)
		if took := time.Since(began); took > comebackFor+comebackSoon || took < comebackFor-maxComeback {
			t.Errorf("it took %v", took)
		}
		if n := len(wan.tried()); n < 10 || n > 30 {
			t.Errorf("%d attempts", n)
		}
		alice.complains("was not reached (connection refused)")
	})
	story(t, func(t *testing.T, s *fakeServer) { // a command that was read is answered
		alice, wan := lost(t, s)
		alice.types("list")
		wan.tried()
		alice.exits(ExitLost)
		if said, told := alice.err.fresh(), alice.out.fresh(); !strings.Contains(said, "; what follows in the input is not run\n") || !strings.Contains(told, "= list: failed: the log-in failed\n") {
			t.Errorf("%q, %q", said, told)
		}
	})
	story(t, func(t *testing.T, s *fakeServer) {
		alice, _ := lost(t, s)
		alice.leaves()
		alice.exits(ExitLost)
		if s.dials.Load() > 3 {
			t.Errorf("%d dials for nothing", s.dials.Load())
		}
	})
	story(t, func(t *testing.T, s *fakeServer) {
		alice, _ := lost(t, s)
		alice.types("quit")
		alice.exits(ExitLost)
	})
	story(t, func(t *testing.T, s *fakeServer) {
		alice, _ := lost(t, s)
		alice.interrupts(2 * time.Second)
	})
	story(t, func(t *testing.T, s *fakeServer) {
		alice, wan := lost(t, s)
		s.account("alice", "another password")
		wan.goesAway(nil)
		alice.exits(ExitRefused)
		alice.complains("login refused")
	})
	story(t, func(t *testing.T, s *fakeServer) { // a log-in that is lost before it is one is tried again, too
		alice, wan := lost(t, s)
		wan.fates = func(n int) (f fateOfLink) {
			if n < 5 {
				f.cutDown = 1800
			}
			return f
		}
		wan.goesAway(nil)
		time.Sleep(comebackFor / 2)
		alice.prints("* server is stopping", "= logged in as alice")
		alice.complains()
	})
	story(t, func(t *testing.T, s *fakeServer) { // who logged in elsewhere is left alone
		alice := s.comes("alice")
		second := s.comes("alice")
		alice.exits(ExitReplaced)
		second.runs()
	})
}

// Who wants to go needs no connection for it.
func TestLeavingWithoutAConnection(t *testing.T) {
	for _, how := range []string{"logout", "quit"} {
		story(t, func(t *testing.T, s *fakeServer) {
			wan := s.through(nil)
			p := s.sits(nil)
			s.comes("bob")
			p.meetsAt("alice")
			p.presses("send bob one" + enter)
			p.shows("delivered")
			wan.goesAway(errAway)
			synctest.Wait()
			p.presses("send bob two"+enter, "list"+enter, how+enter)
			p.shows("* reconnecting …", "= bob: failed: logged out before it was sent", "= logged out alice")
			if how == "quit" {
				p.exits(ExitFailed)
				return
			}
			wan.goesAway(nil)
			time.Sleep(time.Minute)
			p.presses("login carol"+enter, passwordOf("carol")+enter)
			p.shows("= logged in as carol")
		})
	}
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice := s.comes("alice")
		wan.goesAway(errAway)
		alice.types("list")
		alice.interrupts(time.Second)
		alice.prints("* reconnecting …", "= list: failed: interrupted")
	})
	story(t, func(t *testing.T, s *fakeServer) { // the end of an input with nothing under way
		wan := s.through(nil)
		alice := s.comes("alice")
		wan.goesAway(errAway)
		alice.leaves()
		began := time.Now()
		alice.exits(ExitOK)
		if time.Since(began) > 0 {
			t.Errorf("it took %v", time.Since(began))
		}
	})
}

// A machine that slept finds its connection dead at once, and does not wait for the next attempt.
func TestAsleep(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		var asleep atomic.Int64
		alice := s.starts(func(c *Config) {
			c.User, c.PasswordFile = "alice", passwordFile(t, "alice", 0o600)
			c.timeOfDay = func() time.Time { return time.Now().Add(time.Duration(asleep.Load())) }
		})
		alice.prints("= logged in as alice")
		wan.each((*link).stall)
		asleep.Add(int64(time.Hour))
		time.Sleep(lookEvery)
		alice.prints("* reconnecting …", "* connected again")
		wan.goesAway(errAway)
		time.Sleep(40 * time.Second)
		wan.tried()
		asleep.Add(int64(time.Minute))
		time.Sleep(lookEvery)
		if len(wan.tried()) == 0 {
			t.Error("no attempt")
		}
		wan.goesAway(nil)
		time.Sleep(maxRetry)
		asleep.Add(-int64(time.Hour)) // somebody set the clock
		time.Sleep(time.Minute)
		asleep.Add(int64(sleptAtLeast - time.Second))
		time.Sleep(time.Minute)
		alice.prints("* reconnecting …", "* connected again")
	})
}

// What is kept is bounded: when it is full no command is taken, until the server has handled some of it.
func TestKeptIsBounded(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice := s.runsFor("alice")
		wan.goesAway(errAway)
		for i := range 2000 {
			alice.keyboard.adds(fmt.Sprintf(`{"cmd":"watch","user":"u%d"}`+"\n", i))
			alice.keyboard.adds(fmt.Sprintf(`{"cmd":"unwatch","user":"u%d"}`+"\n", i))
		}
		time.Sleep(time.Minute)
		wan.goesAway(nil)
		time.Sleep(time.Hour)
		if n := alice.keyboard.lines(); n < 4000 {
			t.Errorf("%d lines were taken", n)
		}
	})
}

// A change of password goes on over the next connection.
func TestPasswdOverTwoConnections(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		alice := s.comes("alice")
		s.meddles(func(_ *guest, f proto.Frame) bool {
			if f.Type == proto.TypePasswordBegin || f.Type == proto.TypePasswordSet {
				wan.each((*link).cut)
			}
			return false
		})
		alice.types("passwd", passwordOf("alice"), "velvet otter 31 barometer")
		time.Sleep(time.Minute)
		alice.prints("* reconnecting …", "* connected again", "* reconnecting …", "* connected again", "= password changed")
		alice.leaves()
		alice.exits(ExitOK)
	})
}

// A server that says it has more than it was sent, or less than it said before, has a bug, and is told so.
func TestServerLiesAboutSeen(t *testing.T) {
	for name, lies := range map[string]func(g *guest) uint64{
		"ahead": func(g *guest) uint64 { return g.journal.handled + 1 },
		"back":  func(g *guest) uint64 { return g.journal.handled - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				alice := s.comes("alice")
				alice.types("list", "list")
				g := s.guest("alice")
				g.send(proto.AppendSeen(nil, g.journal.handled))
				g.send(proto.AppendSeen(nil, g.journal.handled)) // twice is none
				alice.prints("= online (1): alice", "= online (1): alice")
				g.send(proto.AppendSeen(nil, lies(g)))
				alice.exits(ExitLost)
				alice.complains("the server broke the protocol")
				g.heard(t, proto.CloseProtocol)
			})
		})
		t.Run(name+" while resuming", func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				wan := s.through(nil)
				alice := s.comes("alice")
				alice.types("list", "list")
				g := s.guest("alice")
				g.send(proto.AppendSeen(nil, g.journal.handled))
				alice.prints("= online (1): alice", "= online (1): alice")
				g.mu.Lock()
				g.journal.handled = lies(g)
				g.mu.Unlock()
				wan.each((*link).cut)
				alice.exits(ExitLost)
				alice.prints("* reconnecting …")
				alice.complains("the server broke the protocol")
			})
		})
	}
}
