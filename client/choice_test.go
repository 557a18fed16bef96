package client

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sim/password"
	"sim/proto"
)

const (
	newPassword  = "lantern quarry 98 turnip"
	weakPassword = "password1234"
)

// invites gives somebody a one-time code in place of a password.
func (s *fakeServer) invites(name string) (code string) {
	code = password.NewCode()
	s.account(name, code)
	s.codes[mustName(name)] = true
	return code
}

func (s *fakeServer) dave() *person { return s.starts(func(c *Config) { c.User = "dave" }) }

// Piped, the two lines after passwd are the old and the new password, and then the new one counts.
func TestPasswd(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.comes("alice")
		p.types("passwd", passwordOf("alice"), newPassword, "list")
		p.prints("= password changed", "= online (1): alice")
		p.leaves()
		p.exits(ExitOK)
		p.complains()
		p.prints("= logged out alice")

		p = s.starts(func(c *Config) { c.User = "alice" })
		p.types(passwordOf("alice"))
		p.exits(ExitRefused)
		p = s.starts(func(c *Config) { c.User = "alice" })
		p.types(newPassword)
		p.prints("= logged in as alice")
	})
}

// Whatever is wrong, the two lines are no commands, nothing of them is said again, and the commands go on.
func TestPasswdThatFails(t *testing.T) {
	for name, tt := range map[string]struct{ old, fresh, why string }{
		"a wrong old one":         {"not the password", newPassword, "the old one is wrong"},
		"an old one that is none": {"quit", newPassword, "the old one is wrong"},
		"an empty old one":        {"", newPassword, "the old one is wrong"},
		"an old one too long":     {strings.Repeat("x", 2*maxLine), newPassword, "the old one is wrong"},
		"a weak new one":          {passwordOf("alice"), weakPassword, "too easy to guess"},
		"a new one that is short": {passwordOf("alice"), "quit", "too short"},
		"a new one too long":      {passwordOf("alice"), strings.Repeat("x", 2*maxLine), "too long"},
		"the same":                {passwordOf("alice"), passwordOf("alice"), "choose another"},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				p := s.comes("alice")
				p.types("passwd", tt.old, tt.fresh, "list")
				p.complains("line 1: the password was not changed: ")
				p.prints("= online (1): alice")
				p.leaves()
				p.exits(ExitFailed)
				s.comes("alice") // with the password that was
			})
			story(t, func(t *testing.T, s *fakeServer) {
				p := s.comes("alice")
				p.types("passwd", tt.old, tt.fresh)
				synctest.Wait()
				said := p.err.fresh()
				if !strings.Contains(said, tt.why) {
					t.Errorf("%q, want %q", said, tt.why)
				}
				if len(tt.old) > 4 && strings.Contains(said, tt.old) || len(tt.fresh) > 4 && strings.Contains(said, tt.fresh) {
					t.Errorf("a password is said again: %q", said)
				}
			})
		})
	}
}

// Nobody is logged in: the passwords are thrown away all the same.
func TestPasswdOfNobody(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.comes("alice")
		p.types("logout", "passwd", "login bob", "login carol", "login bob", passwordOf("bob"))
		p.prints("= logged out alice", "= logged in as bob")
		p.complains("line 2: log in first")
	})
}

// A line that is no right passwd or login has passwords behind it all the same: they are no texts for whom alice talks to.
func TestPasswordsBehindAFault(t *testing.T) {
	for line, passwords := range map[string]int{"/passwd alice": 2, "/login": 1, "/login carol x": 1, "/LOGIN carol": 1, "//passwd": 0, "passwd now": 0, "/list al ice": 0} {
		story(t, func(t *testing.T, s *fakeServer) {
			bob, alice := s.comes("bob"), s.comes("alice")
			alice.types("talk bob", line)
			for range passwords {
				alice.types("my password")
			}
			alice.types("hello")
			synctest.Wait()
			got := strings.Join(bob.out.lines(), "\n")
			if strings.Contains(got, "my password") || !strings.HasSuffix(got, "< alice: hello") {
				t.Errorf("%s: bob got %q", line, got)
			}
		})
	}
}

// The session ends before the lines of passwd come: who comes back by itself does not take them for texts.
func TestComebackInPasswd(t *testing.T) {
	for _, before := range []int{0, 1} {
		for name, ends := range map[string]func(g *guest){
			"forgotten": func(g *guest) { g.server.loses("alice") },
			"stopping":  func(g *guest) { g.closes(proto.CloseStopping) },
		} {
			t.Run(name, func(t *testing.T) {
				story(t, func(t *testing.T, s *fakeServer) {
					s.through(nil)
					bob, alice := s.comes("bob"), s.comes("alice")
					lines := []string{passwordOf("alice"), newPassword}
					alice.types("talk bob", "/passwd")
					alice.types(lines[:before]...)
					synctest.Wait()
					ends(s.guest("alice"))
					time.Sleep(maxComeback)
					alice.types(lines[before:]...)
					alice.types("hello")
					bob.prints("< alice: hello")
				})
			})
		}
	}
}

func TestInputEndsInPasswd(t *testing.T) {
	for _, lines := range [][]string{{"passwd"}, {"passwd", passwordOf("alice")}} {
		story(t, func(t *testing.T, s *fakeServer) {
			p := s.comes("alice")
			p.types(lines...)
			p.leaves()
			p.exits(ExitFailed)
			p.complains("the input ended before the passwords")
			p.prints("= logged out alice")
		})
	}
}

func TestServerThatCannotSave(t *testing.T) {
	for _, at := range []proto.Type{proto.TypePasswordBegin, proto.TypePasswordSet} {
		story(t, func(t *testing.T, s *fakeServer) {
			s.meddles(func(g *guest, f proto.Frame) bool {
				if f.Type == at {
					g.send(proto.AppendDone(nil, proto.DoneNotSaved, nil))
				}
				return f.Type == at
			})
			p := s.comes("alice")
			p.types("passwd", passwordOf("alice"), newPassword, "list")
			p.complains("line 1: the password was not changed: the server could not save it")
			p.prints("= online (1): alice")
			p.leaves()
			p.exits(ExitFailed)
		})
	}
}

// A server that says that it has changed the password, and can't prove that it knows the old one, is none.
func TestDoneWithoutProof(t *testing.T) {
	for name, done := range map[string][]byte{
		"no proof":    proto.AppendDone(nil, proto.DoneChanged, nil),
		"wrong proof": proto.AppendDone(nil, proto.DoneChanged, &[32]byte{1}),
		"malformed":   proto.AppendDone(nil, 7, nil),
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				s.meddles(func(g *guest, f proto.Frame) bool {
					if f.Type == proto.TypePasswordSet {
						g.send(done)
					}
					return f.Type == proto.TypePasswordSet
				})
				p := s.comes("alice")
				p.types("passwd", passwordOf("alice"), newPassword)
				p.exits(ExitLost)
				p.complains("the server broke the protocol")
				p.prints("= passwd: unknown: log in with the new password, and where that is refused, with the old one")
			})
		})
	}
}

// Frames of a change that nobody asked for end the connection.
func TestPasswordFramesOutOfTurn(t *testing.T) {
	salt := append([]byte{byte(proto.TypePasswordSalt), 1, 41}, make([]byte, 297)...)
	for name, frame := range map[string][]byte{"PasswordSalt": salt, "Done": proto.AppendDone(nil, proto.DoneRefused, nil)} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				p := s.comes("alice")
				s.guest("alice").send(frame)
				p.exits(ExitLost)
				p.complains("the server broke the protocol")
			})
			story(t, func(t *testing.T, s *fakeServer) { // and in the middle of one
				s.meddles(func(g *guest, f proto.Frame) bool {
					if f.Type == proto.TypePasswordBegin && name == "Done" {
						g.send(frame)
					}
					if f.Type == proto.TypePasswordBegin && name == "PasswordSalt" {
						g.password(f) // and once more
					}
					return false
				})
				p := s.comes("alice")
				p.types("passwd", passwordOf("alice"), newPassword)
				p.exits(ExitLost)
				p.complains("the server broke the protocol")
			})
		})
	}
}

// The parameters of a lying server, that would make the password cheap to guess, are refused before anything is derived.
func TestPasswdWithRefusedParameters(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.starts(func(c *Config) {
			c.User, c.PasswordFile = "alice", passwordFile(t, "alice", 0o600)
			c.Deriver = strict{s}
		})
		p.prints("= logged in as alice")
		s.with(func(*switchboard) { s.config.Directory.Argon2.Memory = 8 })
		p.types("passwd", passwordOf("alice"), newPassword)
		p.exits(ExitLost)
		p.complains("the server broke the protocol")
		p.prints("= passwd: failed: the session ended before")
	})
}

// strict looks at the parameters as Argon2id does.
type strict struct{ s *fakeServer }

func (d strict) Derive(pw []byte, salt *[32]byte, params password.Params) (*[32]byte, error) {
	if err := params.Check(); err != nil {
		return nil, err
	}
	return d.s.Derive(pw, salt, params)
}

// A server that does not answer is given up after half a minute, and what became of the password is told.
func TestPasswdWithoutAnswer(t *testing.T) {
	for silent, said := range map[proto.Type]string{
		proto.TypePasswordBegin: "= passwd: failed: the session ended before",
		proto.TypePasswordSet:   "= passwd: unknown: log in with the new password, and where that is refused, with the old one",
	} {
		story(t, func(t *testing.T, s *fakeServer) {
			s.meddles(func(_ *guest, f proto.Frame) bool { return f.Type == silent })
			p := s.comes("alice")
			p.types("passwd", passwordOf("alice"), newPassword)
			time.Sleep(passwordSaltWait - time.Second)
			p.runs()
			time.Sleep(2 * time.Second)
			p.exits(ExitLost)
			p.prints(said)
			p.complains("the server did not answer a change of password")
		})
	}
}

func TestThreeWrongOldPasswords(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.comes("alice")
		for range maxWrongOld {
			p.types("passwd", "not the password", newPassword)
			p.complains("the old one is wrong")
		}
		s.guest("alice").closes(proto.CloseProtocol)
		p.exits(ExitLost)
		p.complains("the server takes no more wrong old passwords")
	})
}

// At a terminal the passwords are asked for, the new one twice, and none is shown.
func TestPasswdAtATerminal(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		at := s.sits(nil)
		at.meetsAt("alice")
		at.presses("passwd" + enter)
		at.shows("old password: ")
		at.presses(passwordOf("alice") + enter)
		at.shows("new password: ")
		at.presses(weakPassword + enter)
		at.shows("too easy to guess", "new password: ")
		at.presses(newPassword + enter)
		at.shows("the same again: ")
		at.presses("something else" + enter)
		at.shows("the two are not the same", "new password: ")
		at.presses(newPassword+enter, newPassword+enter)
		at.shows("= password changed")
		at.presses("passwd"+enter, enter)
		at.shows("the password was not changed: cancelled")
		at.presses("passwd"+enter, "not the password"+enter)
		at.shows("new password: ")
		at.presses(enter, "list"+enter)
		at.shows("cancelled", "= online (1): alice")
		at.presses("passwd"+enter, "quit"+enter) // which nobody's password can be
		at.shows("the old one is wrong")
		at.runs()
	})
}

// A session that is lost while a password is being typed takes it along: it is no command.
func TestSessionEndsInPasswd(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		at := s.sits(nil)
		at.meetsAt("alice")
		at.presses("passwd" + enter)
		at.shows("old password: ")
		s.loses("alice")
		at.shows("connection lost", "the password was not changed: the session has ended")
		at.presses("quit" + enter)
		at.shows("password for alice: ")
		at.presses(enter, "help"+enter)
		at.shows("log out and end")
		at.runs()
	})
}

// A one-time code logs in once: the new password is the next line, and the client logs in with it by itself.
func TestCode(t *testing.T) {
	for name, how := range map[string]func(string) string{
		"as it is written": func(code string) string { return code },
		"as it was typed":  func(code string) string { return strings.ToUpper(strings.ReplaceAll(code, "-", "")) + " " },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				code := s.invites("dave")
				p := s.dave()
				p.types(how(code), newPassword, "list")
				p.prints("* the one-time code is right: choose a password, which uses it up", "= logged in as dave", "= online (1): dave")
				p.leaves()
				p.exits(ExitOK)
				p.complains()

				p = s.dave()
				p.types(how(code))
				p.exits(ExitRefused)
				p.complains("a one-time code serves once")
				p = s.dave()
				p.types(how(code)[1:])
				p.exits(ExitRefused)
				p.complains("there is a typing error in it")
				p = s.dave()
				p.types(newPassword)
				p.prints("= logged in as dave")
			})
		})
	}
}

// Who puts a code into the password file of a script has written commands behind it: none of them becomes a password.
func TestCodeInAPasswordFile(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		code := s.invites("dave")
		file := filepath.Join(t.TempDir(), "dave.pw")
		if err := os.WriteFile(file, []byte(code+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p := s.starts(func(c *Config) { c.User, c.PasswordFile = "dave", file })
		p.types("send alice meet me at the gym tomorrow", "list")
		p.exits(ExitRefused)
		p.prints()
		p.complains("the password file holds a one-time code")

		p = s.dave() // it is as good as before
		p.types(code, newPassword)
		p.prints("* the one-time code is right: choose a password, which uses it up", "= logged in as dave")
	})
}

// The password is set, and the server goes away before the log-in with it: dave learns both.
func TestCodeAndALostLogIn(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		code := s.invites("dave")
		s.meets = func(net.Conn) bool { return s.dials.Load() > 1 } // closed at once from the second on
		p := s.dave()
		p.types(code, newPassword, "list")
		p.exits(ExitNoProof)
		p.complains("the new password is set, but the log-in with it failed: ")
	})
}

// A password that can't be is no use of the code.
func TestCodeAndAWrongPassword(t *testing.T) {
	for fresh, why := range map[string]string{
		weakPassword: "too easy to guess", "short": "too short", "the code": "choose another", strings.Repeat("x", 2*maxLine): "too long",
	} {
		story(t, func(t *testing.T, s *fakeServer) {
			code := s.invites("dave")
			p := s.dave()
			if fresh == "the code" {
				fresh = code
			}
			p.types(code, fresh, "list")
			p.exits(ExitRefused)
			p.complains("no password was chosen: ")
			p = s.dave()
			p.types(code, fresh)
			synctest.Wait()
			if said := p.err.fresh(); !strings.Contains(said, why) || !strings.Contains(said, "log in with the code again") {
				t.Errorf("%q, want %q", said, why)
			}
			p = s.dave()
			p.types(code, newPassword)
			synctest.Wait()
			if said := p.out.fresh(); !strings.HasSuffix(said, "= logged in as dave\n") {
				t.Errorf("%q", said)
			}
		})
	}
}

func TestInputEndsAfterACode(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		code := s.invites("dave")
		p := s.dave()
		p.types(code)
		p.leaves()
		p.exits(ExitUsage)
		p.complains("the input ended before a new password")
		p = s.dave()
		p.types(code)
		p.cancel()
		p.exits(ExitInterrupted)
		p = s.dave()
		p.types(code, newPassword)
		p.leaves()
		p.exits(ExitOK)
	})
}

// Choosing takes a person minutes: the session is kept, and what the server does meanwhile is told.
func TestCodeAtATerminal(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		code := s.invites("dave")
		at := s.sits(nil, func(c *Config) { c.User = "dave" })
		at.presses(code + enter)
		at.shows("choose a password", "new password: ")
		time.Sleep(9 * time.Minute)
		at.presses(weakPassword + enter)
		at.shows("too easy to guess", "new password: ")
		at.presses(newPassword+enter, newPassword+enter)
		at.shows("= logged in as dave")
		at.presses("list" + enter)
		at.shows("= online (1): dave")
	})
	story(t, func(t *testing.T, s *fakeServer) {
		code := s.invites("dave")
		at := s.sits(nil, func(c *Config) { c.User = "dave" })
		at.presses(code + enter)
		for range maxChoices {
			at.presses(weakPassword + enter)
		}
		at.exits(ExitRefused)
		at.shows("no password was chosen", "log in with the code again")
	})
}

// What ends a session in which a password is to be chosen.
func TestCodeAndTheEndOfTheSession(t *testing.T) {
	for reason, why := range map[proto.Reason]string{
		proto.CloseIdle: "before a password was chosen", proto.CloseRemoved: "ask the server's admin", proto.CloseProtocol: "before a password was chosen",
	} {
		story(t, func(t *testing.T, s *fakeServer) {
			code := s.invites("dave")
			var dave *guest
			s.meddles(func(g *guest, _ proto.Frame) bool { dave = g; return false })
			p := s.dave()
			p.types(code)
			synctest.Wait()
			dave.closes(reason)
			p.exits(ExitLost)
			p.complains(why)
		})
	}
	for done, code := range map[byte]int{proto.DoneRefused: ExitRefused, proto.DoneNotSaved: ExitRefused} {
		story(t, func(t *testing.T, s *fakeServer) {
			written := s.invites("dave")
			s.meddles(func(g *guest, f proto.Frame) bool {
				if f.Type == proto.TypePasswordSet {
					g.send(proto.AppendDone(nil, done, nil))
				}
				return f.Type == proto.TypePasswordSet
			})
			p := s.dave()
			p.types(written, newPassword)
			p.exits(code)
		})
	}
}

// Only whoever gave a code is asked for a new password: a server can't talk anybody else out of theirs.
func TestNoticeWithoutACode(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		s.codes[mustName("alice")] = true // though her password is none
		p := s.starts(func(c *Config) { c.User = "alice" })
		p.types(passwordOf("alice"), newPassword)
		p.exits(ExitLost)
		p.complains("the server broke the protocol")
	})
	story(t, func(t *testing.T, s *fakeServer) { // nor anybody in the middle of a session
		code := s.invites("dave")
		delete(s.codes, mustName("dave")) // a password like any other
		p := s.dave()
		p.types(code)
		p.prints("= logged in as dave")
		s.guest("dave").send(proto.AppendNotice(nil, proto.NoticePassword))
		p.exits(ExitLost)
		p.complains("the server broke the protocol")
	})
}
