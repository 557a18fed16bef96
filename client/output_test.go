package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// What the output did not take was not handed out, and the peer hears nothing else.
func TestBrokenOutput(t *testing.T) {
	for name, command := range map[string]string{"idle": "", "waiting": "recv 5"} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				alice, bob := s.comes("alice"), s.comes("bob")
				bob.types(command)
				bob.out.breaks()
				alice.types("send bob hello", "send bob again")
				bob.exits(ExitFailed)
				time.Sleep(ackWait)
				got := alice.out.lines()
				for _, l := range got {
					if strings.HasPrefix(l, "= bob: delivered") {
						t.Errorf("%q", got)
					}
				}
				if len(got) != 3 { // two outcomes, and that bob logged out
					t.Errorf("%q", got)
				}
			})
		})
	}
}

// A reader that has gone away ends the client even if no command is being read.
func TestBrokenOutputOfAResult(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice := s.comes("alice")
		alice.out.breaks()
		alice.types("list", "list", "recv 1")
		alice.exits(ExitFailed)
	})
}

// While the output takes nothing, what waits for it stays bounded: nothing more is read from the server, which pushes back.
func TestStuckOutput(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		bob.out.sticks()
		g := s.guest("bob")
		const many = 20 * maxQueuedLines
		for range many {
			g.send(proto.AppendGone(nil, proto.Gone{Name: mustName("nobody"), Tag: proto.Tag{1}, Reason: 1}))
			g.send(proto.AppendNotice(nil, proto.NoticeStopping))
		}
		synctest.Wait()
		g.mu.Lock()
		left := len(g.queue)
		g.mu.Unlock()
		if read := 2*many - left; read > many || left == 0 {
			t.Errorf("%d of %d frames were read", read, 2*many)
		}
		bob.keyboard.adds("help\n")
		bob.keyboard.adds("help\n")
		bob.keyboard.adds("help\n")
		synctest.Wait()
		if n := bob.keyboard.lines(); n > 1 {
			t.Errorf("%d commands were read", n)
		}
		bob.out.works()
		synctest.Wait()
		if got := strings.Count(bob.out.fresh(), "* server is stopping\n"); got != many {
			t.Errorf("%d lines of %d", got, many)
		}
	})
}

// A stuck output for longer than the server keeps silent clients: the session lives on.
func TestStuckOutputKeepsTheSession(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		bob.out.sticks()
		pings := 0
		s.meddles(func(_ *guest, f proto.Frame) bool {
			if f.Type == proto.TypePing {
				pings++
			}
			return false
		})
		g := s.guest("bob")
		for range 2 * 10 * maxQueuedLines {
			g.send(proto.AppendNotice(nil, proto.NoticeStopping))
		}
		time.Sleep(10 * time.Minute)
		bob.runs()     // and everything has settled
		if pings < 8 { // the server ends a session that is silent for 75 s
			t.Errorf("%d pings in ten minutes", pings)
		}
	})
}

func TestInterrupted(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.comes("bob")
		alice.types("send bob hello", "recv 1")
		alice.interrupts(0)
		alice.prints("= bob: delivered", "= received 0: interrupted")
		bob.prints("< alice: hello", "* alice logged out")

		bob.out.sticks() // and even if nobody reads
		bob.types("list")
		bob.interrupts(2 * time.Second)

		carol := s.comes("carol")
		carol.err.sticks()
		carol.types("nonsense", "list")
		carol.interrupts(2 * time.Second)
	})
}

// Interrupted while the server takes nothing.
func TestInterruptedBesideAStuckServer(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice := s.comes("alice")
		stop := make(chan struct{})
		defer close(stop)
		s.meddles(func(*guest, proto.Frame) bool { <-stop; return true })
		alice.types("list", "list")
		alice.interrupts(2 * time.Second)
	})
}

// After 30 s without a record comes a Ping; after 50 s the connection is lost.
func TestPingAndSilence(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice := s.comes("alice")
		alice.types("recv 1")
		pings := make(chan time.Time, 100)
		s.meddles(func(_ *guest, f proto.Frame) bool {
			if f.Type == proto.TypePing {
				pings <- time.Now()
			}
			return len(pings) > 3
		})
		began := time.Now()
		time.Sleep(4*pingAfter + time.Second)
		for i := range 4 {
			if at := (<-pings).Sub(began); at != time.Duration(i+1)*pingAfter {
				t.Errorf("ping %d after %v", i, at)
			}
		}
		alice.prints()
		time.Sleep(pongWait - 2*time.Second) // the fourth was not answered
		alice.prints()
		s.meddles(nil)
		time.Sleep(time.Second)
		alice.prints("* reconnecting …", "* connected again")
	})
}

// A server that answers neither Logout nor anything else.
func TestLogoutOfASilentServer(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice := s.comes("alice")
		s.meddles(func(*guest, proto.Frame) bool { return true })
		began := time.Now()
		alice.leaves()
		alice.exits(ExitOK)
		alice.prints("= logged out alice")
		if took := time.Since(began); took != logoutWait {
			t.Errorf("it took %v", took)
		}
	})
}

func TestServerBreaksOff(t *testing.T) {
	for name, does := range map[string]func(g *guest){
		"the protocol": func(g *guest) { g.send(proto.AppendPong(nil, make([]byte, 8))) },
		"a record":     func(g *guest) { g.conn.Write(body(make([]byte, 528)...)) },
		"a length":     func(g *guest) { g.conn.Write([]byte{0xff, 0xff}) },
		"a Notice":     func(g *guest) { g.send(proto.AppendNotice(nil, 99)) },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				alice := s.comes("alice")
				g := s.guest("alice")
				does(g)
				alice.exits(ExitLost)
				alice.complains("connection lost: the server broke the protocol")
				g.heard(t, proto.CloseProtocol)
			})
		})
	}
	story(t, func(t *testing.T, s *fakeServer) { // and what the server does not have any more can't be resumed
		alice := s.pipes("alice")
		s.loses("alice")
		alice.exits(ExitLost)
		alice.complains("connection lost: the server does not have this session any more: it was started again, or you logged in elsewhere, or you were away for more than 2 minutes; what follows in the input is not run")
		alice.prints("* reconnecting …")
	})
}

// heard checks the Close that the client sent.
func (g *guest) heard(t *testing.T, reason proto.Reason) {
	t.Helper()
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Equal(g.closed, []proto.Reason{reason}) {
		t.Errorf("the client closes with %v, want %v", g.closed, reason)
	}
}

// Silence is no breach.
func TestCloseOfASilentServer(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice := s.pipes("alice")
		s.meddles(func(*guest, proto.Frame) bool { return true })
		began := time.Now()
		alice.exits(ExitLost)
		if took := time.Since(began); took > silenceWait+MaxReconnect+pongWait {
			t.Errorf("it took %v", took)
		}
		alice.prints("* reconnecting …")
		alice.complains("connection lost: the server was not reached for 2 minutes")
	})
}

// Many people at one switchboard, all writing to each other at once.
func TestEverybodyTalks(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		names := []string{"alice", "bob", "carol"}
		var all []*person
		for _, name := range names {
			all = append(all, s.comes(name))
		}
		for i := range 10 {
			for _, p := range all {
				for _, to := range names {
					p.keyboard.adds(fmt.Sprintf("send %s %d\n", to, i)) // to oneself, too
				}
			}
		}
		time.Sleep(time.Minute)
		for i, p := range all {
			counts := make(map[string]int)
			for _, l := range p.out.lines() {
				counts[strings.Fields(l)[0]]++
				if strings.HasPrefix(l, "= ") && !strings.HasSuffix(l, ": delivered") {
					t.Errorf("%s: %s", names[i], l)
				}
			}
			if counts["="] != 20 || counts["<"] != 20 || len(p.err.lines()) != 10 {
				t.Errorf("%s: %v", names[i], counts)
			}
			p.leaves()
			p.exits(ExitFailed)
		}
	})
}
