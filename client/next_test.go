package client

import (
	"strings"
	"testing"
	"time"

	"sim/proto"
)

// What one user typed or saw at a terminal is not there for the next.

// lineOf waits, clears the screen, and returns the line as it is drawn anew.
func (p *person) lineOf() string {
	p.screen()
	p.presses("\x0c") // Ctrl-L
	_, line, _ := strings.Cut(p.screen(), "\x1b[H\x1b[2J")
	return line
}

func TestHistoryBeginsEmpty(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("logout"+enter, "a plan, typed at nobody's prompt"+enter, "send bob a plan"+enter)
		p.shows("= logged out alice", "unknown command", "log in first")
		p.presses("login carol"+enter, passwordOf("carol")+enter)
		p.shows(wipeSequence, "= logged in as carol", "carol> ")
		p.presses(up)
		if got := p.screen(); got != "\a" {
			t.Errorf("history: %q", got)
		}
	})
}

// The terminal of whoever logs in shows nobody else's name, and nothing that was typed before by somebody else; her own stays.
func TestWipeBeforeTheLogin(t *testing.T) {
	for _, tt := range []struct {
		name  string
		keys  []string
		wiped bool
	}{
		{"at once", []string{"alice" + enter}, false},
		{"a wrong password", []string{"alice" + enter, "wrong password" + enter}, false},
		{"no name", []string{"my password is this!" + enter, "alice" + enter}, true},
		{"another name", []string{"carol" + enter, enter, "alice" + enter}, true},
		{"another name and a wrong password", []string{"carol" + enter, "wrong password" + enter, enter, "alice" + enter}, true},
		{"herself again", []string{"alice" + enter, passwordOf("alice") + enter, "logout" + enter, "help" + enter, "login alice" + enter}, false},
		{"after carol", []string{"carol" + enter, passwordOf("carol") + enter, "logout" + enter, "login alice" + enter}, true},
		{"a line at nobody's prompt", []string{"alice" + enter, passwordOf("alice") + enter, "logout" + enter, "hello" + enter, "login alice" + enter}, true},
		{"a command at nobody's prompt", []string{"alice" + enter, passwordOf("alice") + enter, "logout" + enter, "send bob hello" + enter, "login alice" + enter}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				p := s.sits(nil)
				p.presses(tt.keys...)
				p.shows("password for alice: ")
				p.screen()
				p.presses(passwordOf("alice") + enter)
				got := p.screen()
				if !strings.Contains(got, "= logged in as alice") || strings.Contains(got, wipeSequence) != tt.wiped {
					t.Errorf("%q", got)
				}
			})
		})
	}
}

// A line that is half typed when the session ends is no command at the next prompt. It comes back to its user, with the one it is for, and to nobody else.
func TestDraft(t *testing.T) {
	for name, back := range map[string]string{"alice": "alice → bob> quit", "carol": "carol> "} {
		story(t, func(t *testing.T, s *fakeServer) {
			s.comes("bob")
			p := s.sits(nil)
			p.meetsAt("alice")
			p.presses("/bob"+enter, "quit")
			p.shows("alice → bob> quit")
			s.guest("alice").closes(proto.CloseReplaced)
			p.shows("* replaced by a newer login", "* the line that you were typing comes back when alice logs in again", "sim> ")
			p.presses(enter)
			p.runs()
			p.presses("login "+name+enter, passwordOf(name)+enter)
			p.shows("= logged in as "+name, back)
			if got := p.lineOf(); got != back {
				t.Errorf("the line is %q, want %q", got, back)
			}
		})
	}
}

// And so it is with several lines that are to be sent, if the user says so.
func TestPasteWhenTheSessionEnds(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("send bob x" + pasteStart + "one\rtwo" + pasteEnd)
		p.shows("[y/N] ")
		s.loses("alice")
		p.shows("connection lost", "* nothing of the paste was sent: the session has ended", "password for alice: ")
		if got := p.lineOf(); got != "password for alice: " {
			t.Errorf("the line is %q", got)
		}
		p.presses("y" + enter)
		p.shows("too short")
	})
}

// Where the line is the system's, it is thrown away when it comes.
func TestLineOfASessionThatIsOver(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil, func(c *Config) { c.Terminal.Dumb = true })
		p.presses("alice\n", passwordOf("alice")+"\n")
		p.shows("= logged in as alice")
		p.presses("qu")
		s.loses("alice")
		p.shows("connection lost")
		p.presses("it\n")
		p.runs()
		p.shows("* the session had ended: your last line was not run", "password for alice: ")
		p.presses("\n", "quit\n")
		p.exits(ExitLost)
	})
}

// The wipe takes no outcome away that nobody had the time to read; and no message stays.
func TestOutcomesOutliveTheWipe(t *testing.T) {
	for _, tt := range []struct {
		name string
		wait time.Duration
		stay bool
	}{{"just told", 0, true}, {"read", readWait + time.Millisecond, false}} {
		for _, leave := range []string{"quit" + enter, "logout" + enter, "\x04"} {
			t.Run(tt.name, func(t *testing.T) {
				story(t, func(t *testing.T, s *fakeServer) {
					bob := s.comes("bob")
					p := s.sits(nil)
					p.meetsAt("alice")
					bob.types("send alice a secret")
					p.presses("send nobody hello"+enter, "passwd"+enter, "wrong password"+enter, "kettle anvil 62 violet"+enter, "kettle anvil 62 violet"+enter)
					p.shows("a secret", "= nobody: failed: offline", "the password was not changed: the old one is wrong")
					time.Sleep(tt.wait)
					p.presses(leave)
					_, after, wiped := strings.Cut(p.screen(), wipeSequence)
					if !wiped || strings.Contains(after, "secret") || strings.Contains(after, "hello") || !strings.Contains(after, "= logged out alice") {
						t.Errorf("%q", after)
					}
					if strings.Contains(after, "nobody") {
						t.Errorf("the next user sees to whom alice wrote: %q", after)
					}
					for _, line := range []string{"* of your last messages: 1 failed\r\n", "the password was not changed: the old one is wrong\r\n"} {
						if strings.Contains(after, line) != tt.stay {
							t.Errorf("after the wipe: %q", after)
						}
					}
				})
			})
		}
	}
}

// Who leaves while something is under way is told what is waited for, and what became of it.
func TestLeavingWaits(t *testing.T) {
	for _, leave := range []string{"quit" + enter, "logout" + enter, "\x04"} {
		story(t, func(t *testing.T, s *fakeServer) {
			bob := s.comes("bob")
			p := s.sits(nil)
			p.meetsAt("alice")
			bob.out.sticks()
			p.presses("send bob hello"+enter, leave)
			if got := p.screen(); strings.Contains(got, "waiting") {
				t.Errorf("%q", got)
			}
			time.Sleep(farewellWait)
			p.shows("* waiting for bob's acknowledgement; Ctrl-C twice ends at once")
			time.Sleep(ackWait)
			p.shows("= bob: unknown", wipeSequence, "* of your last messages: 1 unknown", "= logged out alice")
			bob.out.works()
		})
	}
}

// To log out somebody else is refused, and nothing ends with it; Ctrl-C ends what waits for messages.
func TestEndsOfRecv(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("recv 3"+enter, "logout bob"+enter)
		if got := p.screen(); strings.Contains(got, "received") || !strings.Contains(got, "you are logged in as alice, and can log out nobody else") {
			t.Errorf("%q", got)
		}
		p.presses("\x03")
		p.shows("= received 0: interrupted")
		p.runs()
		p.presses("logout Alice" + enter)
		p.shows("= logged out alice")
	})
}
