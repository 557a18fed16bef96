package client

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// The two scripts by which the whole is judged.
func TestTwoPipedClients(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		bob.types("recv 1 20s")
		alice := s.starts(func(c *Config) { c.User, c.PasswordFile = "alice", passwordFile(t, "alice", 0o600) })
		alice.types("list", "send bob hello bob", "disconnect alice bob", "logout alice")
		alice.leaves()
		alice.exits(ExitOK)
		alice.prints("= logged in as alice", "= online (2): alice bob", "= bob: delivered", "= disconnected from bob", "= logged out alice")
		bob.leaves()
		bob.exits(ExitOK)
		bob.prints("< alice: hello bob", "= received 1", "* alice disconnected", "= logged out bob")
		alice.complains()
		bob.complains()
	})
}

func TestEndOfInputDrains(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		alice := s.comes("alice")
		bob.out.sticks() // what is shown later is acknowledged later
		alice.types("send bob one", "send bob two")
		alice.leaves()
		alice.runs()
		bob.out.works()
		alice.exits(ExitOK)
		alice.prints("= bob: delivered", "= bob: delivered", "= logged out alice")
		bob.prints("< alice: one", "< alice: two", "* alice logged out")
	})
}

func TestLogoutTellsThePeer(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.comes("bob")
		alice.types("send bob hello")
		bob.types("verify alice", "verify ALICE")
		alice.types("verify bob")
		digits := strings.TrimPrefix(alice.out.lines()[1], "= verify bob: ")
		if len(digits) != len("123 456 789 012 (not confirmed)") {
			t.Errorf("%q", digits)
		}
		bob.prints("< alice: hello", "= verify alice: "+digits, "= verify alice: "+digits)
		alice.types("logout")
		alice.prints("= logged out alice")
		bob.prints("* alice logged out")
		bob.types("send alice hello")
		bob.prints("= alice: failed: offline")
		bob.leaves()
		bob.exits(ExitFailed)
	})
}

// The next user logs in on the same client; piped, the password is the line after login.
func TestNextUser(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		carol := s.comes("carol")
		p := s.comes("alice")
		p.types("logout alice", "send carol nobody sends", "login bob", passwordOf("bob"), "list", "send carol it is me")
		p.prints("= logged out alice", "= logged in as bob", "= online (2): bob carol", "= carol: delivered")
		p.complains("line 2: log in first")
		carol.prints("< bob: it is me")
		p.types("login alice", "list", "logout carol", "logout") // "list" is a password, and no command
		p.prints("= logged out bob")
		p.complains("line 7: you are logged in as bob: log out first", "line 9: you are logged in as bob, and can log out nobody else")
		p.types("login carol", "not carol's password", "list")
		p.exits(ExitRefused)
		p.complains("the user name or the password is wrong")
	})
}

// A login that can't be takes its password line with it: whatever that is, it is no command.
func TestLoginWhileLoggedIn(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.comes("alice")
		p.types("login bob", "quit", "login bob", "send carol "+strings.Repeat("x", 2*maxLine), "login bob", "", "list")
		p.prints("= online (1): alice")
		p.complains("line 1: you are logged in as alice: log out first", "line 3: you are logged in as alice", "line 5: you are logged in as alice")
		p.types("login bob")
		p.leaves() // in place of the password
		p.exits(ExitFailed)
		p.complains("line 8: you are logged in as alice")
		p.prints("= logged out alice")
	})
	story(t, func(t *testing.T, s *fakeServer) { // where passwords are asked for elsewhere, the next line is a command
		p := s.starts(func(c *Config) {
			c.User, c.AskPassword = "alice", func(string) ([]byte, error) { return []byte(passwordOf("alice")), nil }
		})
		p.types("login bob", "list")
		p.prints("= logged in as alice", "= online (1): alice")
		p.complains("log out first")
		at := s.sits(nil)
		at.meetsAt("bob")
		at.presses("login carol"+enter, "list"+enter)
		at.shows("log out first", "= online (2): alice bob")
	})
}

// Errors that are about what was typed never hold any of it.
func TestCommandsThatFail(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.comes("alice")
		secret := "s3cret"
		for _, line := range []string{
			secret, "send " + secret + "!", "send bob", "send " + secret, "send alice " + secret, "verify alice", "disconnect alice", "disconnect bob alice",
			"recv " + secret, "list ?" + secret, "talk " + secret + " x", " send bob " + secret, "send bob " + secret + "\xff", "logout bob",
			"send bob " + strings.Repeat(secret, 2000), "quit " + secret,
		} {
			p.types(line)
		}
		synctest.Wait()
		if got := p.err.lines(); len(got) != 16 {
			t.Errorf("%d errors: %s", len(got), strings.Join(got, "\n"))
		} else {
			for i, l := range got {
				if strings.Contains(l, secret) {
					t.Errorf("an error echoes the line: %s", l)
				}
				if !strings.HasPrefix(l, fmt.Sprintf("line %d: ", i+1)) {
					t.Errorf("error %d is of another line: %s", i, l)
				}
			}
		}
		p.types("list", "", "help")
		got := p.out.lines()
		if len(got) != 1+strings.Count(helpText, "\n") || got[0] != "= online (1): alice" {
			t.Errorf("%q", got)
		}
		p.leaves()
		p.exits(ExitFailed)
	})
}

// Results print in the order of the commands; sends to one receiver are pipelined, any other command waits.
func TestOrder(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob, carol := s.comes("alice"), s.comes("bob"), s.comes("carol")
		bob.out.sticks()
		for i := range 5 {
			alice.types(fmt.Sprintf("send bob %d", i))
		}
		alice.types("send carol hello", "list", "send dave hello", "nonsense", "send bob last", "disconnect bob")
		alice.prints() // everything waits for bob
		carol.prints()
		taken := alice.keyboard.lines()
		bob.out.works()
		bob.prints("< alice: 0", "< alice: 1", "< alice: 2", "< alice: 3", "< alice: 4", "< alice: last", "* alice disconnected")
		alice.prints("= bob: delivered", "= bob: delivered", "= bob: delivered", "= bob: delivered", "= bob: delivered",
			"= carol: delivered", "= online (3): alice bob carol", "= dave: failed: offline", "= bob: delivered", "= disconnected from bob")
		alice.complains("line 9: unknown command")
		if taken != 6 {
			t.Errorf("%d lines were read ahead", taken)
		}
		alice.leaves()
		alice.exits(ExitFailed)
	})
}

// A line that is no command has its turn, too.
func TestErrorsHaveTheirTurn(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.comes("bob")
		bob.out.sticks()
		alice.types("send bob hello", "nonsense", "list")
		alice.complains()
		bob.out.works()
		alice.prints("= bob: delivered", "= online (2): alice bob")
		alice.complains("line 2: unknown command")
	})
}

// The window bounds what is read ahead, too.
func TestPipelineIsBounded(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.comes("bob")
		bob.out.sticks()
		for i := range 100 {
			alice.keyboard.adds(fmt.Sprintf("send bob %d\n", i))
		}
		synctest.Wait()
		if n := alice.keyboard.lines(); n != windowTexts+1 {
			t.Errorf("%d lines were read", n)
		}
		bob.out.works()
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprintf("< alice: %d", i))
		}
		bob.prints(want...)
		alice.leaves()
		alice.exits(ExitOK)
	})
}

func TestRecv(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.comes("bob")
		alice.types("send bob 1", "send bob 2", "send bob 3")
		bob.prints("< alice: 1", "< alice: 2", "< alice: 3")
		bob.types("recv", "recv 1 5s") // two that came before
		bob.prints("= received 1", "= received 1")
		bob.types("recv 2 10s")
		time.Sleep(9 * time.Second)
		bob.prints() // one of two is there
		time.Sleep(2 * time.Second)
		bob.prints("= received 1: timeout")
		bob.types("recv 1 1s")
		time.Sleep(2 * time.Second)
		bob.prints("= received 0: timeout")
		bob.types("recv 2")
		alice.types("send bob 4")
		time.Sleep(time.Hour)
		bob.prints("< alice: 4")
		alice.types("send bob 5")
		bob.prints("< alice: 5", "= received 2")
		bob.leaves()
		bob.exits(ExitFailed)
	})
}

// What one user did not count is not the next one's.
func TestRecvBeginsAnew(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, p := s.comes("alice"), s.comes("bob")
		alice.types("send bob hello")
		p.types("logout", "login carol", passwordOf("carol"), "recv 1 1s")
		time.Sleep(2 * time.Second)
		p.prints("< alice: hello", "= logged out bob", "= logged in as carol", "= received 0: timeout")
	})
}

func TestLoginAgainReplaces(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		carol := s.comes("carol")
		first := s.comes("alice")
		first.types("send carol hello", "recv 1")
		second := s.comes("alice")
		first.exits(ExitReplaced)
		first.prints("= carol: delivered", "* replaced by a newer login", "= received 0: replaced by a newer login")
		carol.prints("< alice: hello", "* alice logged in again elsewhere")
		second.types("list")
		second.prints("= online (2): alice carol")
	})
}

func TestServerStops(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		for _, told := range []bool{true, false} {
			p := s.pipes("alice")
			g := s.guest("alice")
			if told {
				g.send(proto.AppendNotice(nil, proto.NoticeStopping))
				p.prints("* server is stopping")
				g.closes(proto.CloseStopping)
				p.exits(ExitLost)
				p.prints()
			} else {
				g.closes(proto.CloseStopping)
				p.exits(ExitLost)
				p.prints("* server is stopping")
			}
			p.complains()
		}
	})
}

func TestCloseReasons(t *testing.T) {
	for reason, why := range map[proto.Reason]string{
		proto.CloseDone: "ended the session", proto.CloseIdle: "heard nothing", proto.CloseProtocol: "breach of the protocol",
		proto.CloseStalled: "took nothing for too long", proto.CloseRemoved: "account was removed", 99: "broke the protocol",
	} {
		story(t, func(t *testing.T, s *fakeServer) {
			p := s.comes("alice")
			p.types("recv 3")
			s.guest("alice").closes(reason)
			p.exits(ExitLost)
			p.complains(why)
			p.prints("= received 0: connection lost")
		})
	}
}

// The code is the first of 6, 4, 7, 1 that applied.
func TestExitCodePrecedence(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.comes("bob")
		bob.out.sticks()
		bob.types("nonsense")
		alice.types("send bob hello")
		time.Sleep(ackWait)
		alice.prints("= bob: unknown: no acknowledgement in 30 s")
		alice.types("nonsense")
		alice.leaves()
		alice.exits(ExitUnknown) // before 1
		bob.out.works()

		alice = s.pipes("alice")
		bob.out.sticks()
		alice.types("send bob hello")
		time.Sleep(time.Second)
		s.loses("alice")
		alice.exits(ExitLost) // before 7
		alice.prints("* reconnecting …", "= bob: unknown: connection lost")
		alice.complains("connection lost: the server does not have this session any more")
		bob.out.works()

		alice = s.comes("alice")
		bob.out.sticks()
		time.Sleep(wantEvery)
		alice.types("send bob hello")
		s.guest("alice").closes(proto.CloseReplaced)
		alice.exits(ExitReplaced) // before 7
		alice.prints("* replaced by a newer login", "= bob: unknown: replaced by a newer login")
		bob.out.works()
	})
}
