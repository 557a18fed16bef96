package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sim/client/editor"
	"sim/proto"
)

// ends a line as terminals in raw mode do
const enter = "\r"

// sits starts a client at a terminal without a user.
func (s *fakeServer) sits(resize <-chan [2]int, configure ...func(*Config)) *person {
	p := s.starts(func(c *Config) {
		k, w := c.In.(*keyboard), c.Out.(*paper)
		c.Terminal = &Terminal{ReadWriter: struct {
			io.Reader
			io.Writer
		}{k, w}, Width: 80, Height: 24, Resize: resize, UTF8: true}
		c.NoColor = true
		c.In = errReader{}
		for _, f := range configure {
			f(c)
		}
	})
	synctest.Wait()
	return p
}

// errReader is what nobody should read.
type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("read beside the terminal") }

// presses gives the terminal keys, in one read.
func (p *person) presses(keys ...string) {
	for _, k := range keys {
		p.keyboard.adds(k)
		synctest.Wait()
	}
}

// screen returns what was written since the last time.
func (p *person) screen() string {
	synctest.Wait()
	return p.out.fresh()
}

// shows checks that what was written since the last time has these parts, in this order.
func (p *person) shows(parts ...string) {
	p.t.Helper()
	all := p.screen()
	rest := all
	for _, part := range parts {
		i := strings.Index(rest, part)
		if i < 0 {
			p.t.Fatalf("no %q in %q", part, all)
		}
		rest = rest[i+len(part):]
	}
}

// meetsAt logs a user in at a terminal.
func (p *person) meetsAt(name string) {
	p.t.Helper()
	p.presses(name+enter, passwordOf(name)+enter)
	p.shows("= logged in as "+name+"\r\n", name+"> ")
}

func TestTerminalLogin(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.shows("\x1b[?2004h", "user name: ")
		p.presses("alice" + enter)
		p.shows("alice\r\n", "password for alice: ")
		p.presses("alice's passwort", "\x7f", "d")
		if got := p.screen(); got != "" {
			t.Errorf("a password is echoed: %q", got)
		}
		p.presses(enter)
		p.shows("= logged in as alice\r\n", "alice> ")
		p.presses("list" + enter)
		p.shows("list\r\n", "= online (1): alice\r\n", "alice> ")
		p.presses("quit" + enter)
		p.exits(ExitOK)
		p.shows("= logged out alice", "\x1b[?2004l")
	})
}

func TestTerminalRefusals(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.presses("not a name!" + enter)
		p.shows("a user name is", "user name: ")
		p.presses("alice"+enter, "wrong password"+enter)
		p.shows("password for alice: ", "login refused", "password for alice: ")
		p.presses("short" + enter)
		p.shows("password for alice: ")
		p.presses("wrong password" + enter)
		p.exits(ExitRefused)
		p.shows("that was the third try: ending\r\n", "\x1b[?2004l")
	})
}

// A name that was mistyped is taken back with an empty line, which is no try.
func TestTakeBackTheName(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		for range maxRefusals {
			p.presses("alcie"+enter, enter)
			p.shows("password for alcie: ", "user name: ")
		}
		p.meetsAt("alice")
		p.presses("logout"+enter, "login bbo"+enter, enter)
		p.shows("password for bbo: ", "sim> ")
		p.presses("login bob"+enter, passwordOf("bob")+enter)
		p.shows("= logged in as bob")
	})
}

// Ctrl-Z, and a signal, give the terminal back for as long as the program is stopped, also while a log-in is under way.
func TestSuspend(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		stop, continued := make(chan struct{}), make(chan struct{})
		var p *person
		atStop := make(chan string, 1)
		p = s.sits(nil, func(c *Config) {
			c.Terminal.Stop, c.Terminal.Continued = stop, continued
			out := c.Out.(*paper)
			c.Terminal.Suspend = func() {
				atStop <- out.fresh()
				out.Write([]byte("$ fg\r\n"))
			}
		})
		p.meetsAt("alice")
		p.presses("half a li\x1b[D")
		p.screen()
		for _, suspend := range []func(){func() { p.presses("\x1a") }, func() { stop <- struct{}{} }} {
			suspend()
			synctest.Wait()
			if got, want := <-atStop, "\x1b[C\r\n"+pasteOff; got != want {
				t.Errorf("at the stop %q, want %q", got, want)
			}
			if got, want := p.screen(), "$ fg\r\n\r\x1b[Jalice> half a li\b"+pasteOn; got != want {
				t.Errorf("behind it %q, want %q", got, want)
			}
		}
		continued <- struct{}{}
		p.shows("\r\x1b[Jalice> half a li\b" + pasteOn)
		p.presses("\x05\x15list" + enter)
		p.shows("= online (1): alice")
	})
}

// Where the password is a file's, nobody is asked for another.
func TestTerminalWithAWrongPasswordFile(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil, func(c *Config) { c.User, c.PasswordFile = "alice", passwordFile(t, "bob", 0o600) })
		p.exits(ExitRefused)
		p.shows("login refused")
	})
}

// Digits come with a sentence that says what they mean, until they are confirmed.
func TestWhatDigitsMean(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("verify bob" + enter)
		p.shows("(not confirmed)", "* compare the digits with bob by voice or face to face", "not even the server", "verify bob yes")
		p.presses("verify bob yes" + enter)
		if got := p.screen(); !strings.Contains(got, "(confirmed)") || strings.Contains(got, "compare") {
			t.Errorf("%q", got)
		}
	})
}

// What others send appears above the line that is being typed, and the line comes back.
func TestIncomingAboveTheLine(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("send bob half a li")
		p.screen()
		bob.types("send alice hello\x1b[2J\x1b]0;title\x07 \xc2\x9b2J\u202e")
		got := p.screen()
		if want := `00:00 < bob: hello\u{1b}[2J\u{1b}]0;title\u{7} \u{9b}2J\u{202e}` + "\a\r\n" + "alice> send bob half a li"; !strings.HasSuffix(got, want) {
			t.Errorf("%q", got)
		}
		if before, _, _ := strings.Cut(got, "00:00"); before != "\r\x1b[J" {
			t.Errorf("the line is not cleared: %q", before)
		}
		p.presses("ne" + enter)
		p.shows("ne\r\n", "= bob: delivered")
		bob.prints("= alice: delivered", "< alice: half a line")
	})
}

// Names are known from lists and messages; those of one user are not offered to the next.
func TestTabKnowsNames(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice") // the client lists by itself
		p.presses("se\tb\thello" + enter)
		p.shows("= bob: delivered")
		s.loses("bob")
		synctest.Wait()
		p.presses("logout"+enter, "login carol"+enter, passwordOf("carol")+enter, "send b\t")
		p.shows("= logged out alice", "carol> \asend b")
		p.presses("x hi" + enter)
		p.shows("= bx: failed: offline")
	})
}

func TestCtrlC(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("send bob a secret", "\x02\x02", "\x03") // with the cursor inside
		p.shows("* press Ctrl-C again to quit")
		p.presses("list" + enter)
		p.shows("= online (1): alice")
		time.Sleep(time.Minute)
		p.presses("\x03")
		time.Sleep(ctrlCWait)
		p.presses("\x03") // too late for the second
		p.runs()
		time.Sleep(ctrlCWait - time.Millisecond)
		p.presses("\x03")
		p.exits(ExitInterrupted)
		p.shows("\x1b[?2004l")
	})
}

// Twice is at once: nothing that is under way is waited for, whether or not a line is asked for.
func TestCtrlCTwiceWaitsForNothing(t *testing.T) {
	for name, before := range map[string]string{
		"a line is asked for": "recv 3" + enter, "quit waits": "quit" + enter, "logout waits": "logout" + enter, "the input has ended": "\x04", "typed ahead": "quit" + enter + "list" + enter + "x",
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				bob := s.comes("bob")
				p := s.sits(nil)
				p.meetsAt("alice")
				bob.out.sticks()
				p.presses("send bob hello"+enter, before)
				p.runs()
				began := time.Now()
				p.presses("\x03", "\x03")
				p.exits(ExitInterrupted)
				if took := time.Since(began); took > interruptWait {
					t.Errorf("it took %v", took)
				}
				p.shows("= bob: unknown: interrupted", "\x1b[?2004l")
				bob.out.works()
				bob.prints("< alice: hello", "* alice logged out")
			})
		})
	}
}

// And while a log-in is under way, whose server says nothing.
func TestCtrlCWhileLoggingIn(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		s.meets = func(c net.Conn) bool { io.Copy(io.Discard, c); return true }
		p := s.sits(nil)
		p.presses("alice"+enter, passwordOf("alice")+enter)
		p.presses("\x03")
		p.shows("* press Ctrl-C again to quit")
		p.presses("\x03")
		p.exits(ExitInterrupted)
	})
}

// A person who would talk with more people than a session can hears what to do.
func TestOnePersonTooMany(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		s.meddles(func(_ *guest, f proto.Frame) bool { return f.Type == proto.TypeRelay }) // nobody answers
		for i := range maxPeers {
			p.presses(fmt.Sprintf("send peer%d hello", i) + enter)
		}
		p.screen()
		why := []string{"a session has conversations with 256 people at the most: wait until some of them", "have logged out, or log out and in again"}
		p.presses("send bob hello" + enter)
		p.shows(why...)
		p.presses("verify bob" + enter)
		p.shows(why...)
		for range maxWaiting {
			p.presses("verify peer0" + enter)
		}
		p.screen()
		p.presses("verify peer0" + enter)
		p.shows("digits are asked for too often: wait for the results")
	})
}

func TestCtrlD(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("recv 3" + enter)
		p.presses("x\x04") // not at the start of the line
		p.runs()
		p.presses("\x7f\x04")
		p.exits(ExitOK)
		p.shows("= received 0: logged out", "= logged out alice")
		bob := s.comes("bob")
		p = s.sits(nil)
		p.meetsAt("alice")
		bob.out.sticks()
		p.presses("send bob hello"+enter, "\x04")
		p.runs() // what is under way is waited for
		bob.out.works()
		p.exits(ExitOK)
		p.shows("= bob: delivered", "= logged out alice")
		for _, at := range []string{"", "alice" + enter} {
			p = s.sits(nil)
			p.presses(at + "\x04")
			p.exits(ExitOK)
		}
	})
}

const (
	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// What is pasted is never a command: a line waits for Enter, and several are one message, if the user says so.
func TestPaste(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses(pasteStart + "send bob one\r" + pasteEnd)
		bob.prints()
		p.presses(enter)
		p.shows("= bob: delivered")
		bob.prints("< alice: one")

		for _, begun := range []string{"", "list", "send", "send bob", "send nob!dy ", "sendbob "} {
			p.presses(begun + pasteStart + "send bob two\rquit\r" + pasteEnd)
			p.shows("* several lines were pasted, and are no commands")
			p.presses("\x15")
		}
		p.presses("send bob begun: ", pasteStart+"two\rquit\r\n"+pasteEnd)
		p.shows("paste of 2 lines, 8 characters, as one message to bob? [y/N] ")
		p.presses("n")
		p.shows("alice> send bob begun: ", "* nothing of the paste was sent")
		bob.prints()
		p.presses(pasteStart+"two\tthree\rquit ü"+pasteEnd, "y")
		p.shows("[y/N] ", "alice> send bob begun: two three↵quit ü", "\r\n", "= bob: delivered")
		bob.prints("< alice: begun: two three↵quit ü")

		p.presses("send bob " + pasteStart + strings.Repeat("x\r", maxText/2+10) + pasteEnd)
		p.shows("* the paste is too long")
		p.presses("\x15send bob four" + enter)
		p.shows("= bob: delivered")
		bob.prints("< alice: four")
	})
}

// A paste whose end never comes is ended by Ctrl-C. One that has a Ctrl-C in it is not: what follows in it is nobody's keys.
func TestPasteWithoutItsEnd(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses(pasteStart+"lost\r", "more", "\x03")
		p.shows("* the paste was dropped", "alice> ")
		time.Sleep(cutWait)
		p.presses("list" + enter)
		p.shows("= online (2): alice bob")
		p.presses(pasteStart+"one\x03send bob evil\r", "send bob evil\r", "send bob evil\r"+pasteEnd)
		time.Sleep(cutWait)
		p.presses("send bob good" + enter)
		p.shows("= bob: delivered")
		bob.prints("< alice: good")
	})
}

// While somebody is talked to, several lines go to them.
func TestPasteToATarget(t *testing.T) {
	for _, tt := range []struct{ before, target, to string }{
		{"", "", ""}, {"send bob ", "", "bob"}, {"/send bob ", "", "bob"}, {"send BOB x", "", "bob"}, {"send bob", "", ""}, {"list ", "", ""},
		{"", "bob", "bob"}, {"hello ", "bob", "bob"}, {"send carol ", "bob", "bob"}, {"//x", "bob", "bob"}, {"/send carol ", "bob", "carol"}, {"/list ", "bob", ""}, {"/", "bob", ""},
	} {
		if got := recipient(tt.before, tt.target); got != tt.to {
			t.Errorf("%q while talking to %q: %q, want %q", tt.before, tt.target, got, tt.to)
		}
	}
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("talk bob" + enter)
		p.shows("alice → bob> ")
		p.presses(pasteStart+"/quit\r/list"+pasteEnd, "y")
		p.shows("paste of 2 lines, 11 characters, as one message to bob? [y/N] ", "= bob: delivered")
		bob.prints("< alice: /quit↵/list")
	})
}

func TestPastedPassword(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.presses(pasteStart+"alice\r"+pasteEnd, enter, pasteStart+passwordOf("alice")+"\r"+pasteEnd)
		p.shows("= logged in as alice", "alice> ")
		p.presses("list" + enter)
		p.shows("= online (1): alice")
	})
}

const (
	up           = "\x1b[A"
	wipeSequence = "\x1b[H\x1b[2J\x1b[3J"
)

// What one user typed is not the next one's: not with the arrow keys, not by scrolling back.
func TestHistory(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("list al"+enter, "list b"+enter)
		p.screen()
		p.presses(up + up)
		p.shows("list al")
		p.presses(enter, "logout"+enter)
		p.shows("= online (1): alice", wipeSequence, "= logged out alice\r\n", "sim> ")
		p.presses(up + up + up)
		if got := p.screen(); got != "\a\a\a" {
			t.Errorf("history: %q", got)
		}
		p.presses("login carol"+enter, passwordOf("carol")+enter)
		p.screen()
		p.presses(up + up + up + up)
		if got := p.screen(); strings.Contains(got, "list") || strings.Contains(got, "password") {
			t.Errorf("history: %q", got)
		}
	})
}

// A session that was lost leaves the screen to its user, and not to the next one.
func TestScreenOfALostSession(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		s.loses("alice")
		p.shows("* reconnecting …", "connection lost: the server does not have this session any more", "password for alice: ")
		p.presses(passwordOf("alice") + enter)
		if got := p.screen(); strings.Contains(got, wipeSequence) || !strings.Contains(got, "alice> ") {
			t.Errorf("the same user: %q", got)
		}
		s.guest("alice").closes(proto.CloseReplaced)
		p.shows("* replaced by a newer login")
		p.presses("login carol"+enter, passwordOf("carol")+enter)
		p.shows(wipeSequence, "= logged in as carol", "carol> ")
		p.presses("quit" + enter)
		p.exits(ExitReplaced)
	})
}

func TestFullLine(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		text := strings.Repeat("x", maxText)
		p.presses("send bob " + text)
		if got := p.screen(); strings.Contains(got, "the line is full") {
			t.Error("told too early")
		}
		p.presses(enter)
		p.shows("= bob: delivered")
		bob.prints("< alice: " + text)
		p.presses(strings.Repeat("x", maxLine+1))
		p.shows("* the line is full")
	})
}

func TestResize(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		sizes := make(chan [2]int)
		p := s.sits(sizes)
		p.meetsAt("alice")
		sizes <- [2]int{10, 5}
		sizes <- [2]int{0, 0} // of a terminal that does not know
		p.screen()
		p.presses("send bob")
		if got := p.screen(); !strings.Contains(got, "\r\n") {
			t.Errorf("the line is not broken at ten columns: %q", got)
		}
		close(sizes)
	})
}

// A key without an end is one that is not known, until something ends it.
func TestEndlessKey(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("\x1b["+strings.Repeat("1", 200), strings.Repeat("1", 200), enter, "list"+enter)
		p.shows("= online (1): alice")
	})
}

// A terminal that takes nothing (Ctrl-S) holds up nothing but itself.
func TestStuckTerminal(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("send nobody hello")
		p.out.sticks()
		s.guest("alice").closes(proto.CloseReplaced)
		time.Sleep(time.Second)
		p.interrupts(3 * time.Second)
	})
}

// At a terminal a command does not wait for those before it.
func TestTerminalIsOutOfOrder(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		bob.out.sticks()
		p.presses("send bob hello"+enter, "recv 9"+enter, "list"+enter, "logout"+enter)
		p.shows("= online (2): alice bob")
		p.runs() // the end of a session waits
		bob.out.works()
		p.shows("= bob: delivered", "= logged out alice")
	})
}

// Piped commands, and a terminal for the password.
func TestAskPassword(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		var asked []string
		p := s.starts(func(c *Config) {
			c.User = "alice"
			c.AskPassword = func(prompt string) ([]byte, error) {
				asked = append(asked, prompt)
				return []byte(passwordOf("alice")), nil
			}
		})
		p.types("list")
		p.prints("= logged in as alice", "= online (1): alice")
		if len(asked) != 1 || asked[0] != "password for alice: " {
			t.Errorf("%q", asked)
		}
		p.leaves()
		p.exits(ExitOK)
		p = s.starts(func(c *Config) {
			c.User = "alice"
			c.AskPassword = func(string) ([]byte, error) { return nil, os.ErrPermission }
		})
		p.exits(ExitUsage)
	})
}

func TestKnownNamesAreBounded(t *testing.T) {
	s := &editScreen{names: make(map[string]bool)}
	s.know(names(maxKnown + 500))
	if len(s.names) != maxKnown {
		t.Errorf("%d names", len(s.names))
	}
}

// What is typed ahead is bounded, and not lost: the terminal is not read while there is too much of it.
func TestTypedAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeys()
		k.add([]editor.Key{{Code: editor.Paste, Paste: make([]byte, 16*maxAhead)}, {Code: editor.Char, Rune: 'x'}}, nil)
		added := false
		go func() {
			k.add([]editor.Key{{Code: editor.Enter}}, nil)
			added = true
		}()
		synctest.Wait()
		if added {
			t.Error("no bound")
		}
		for _, want := range []editor.Code{editor.Paste, editor.Char, editor.Enter} {
			if key, _, err := k.take(); key.Code != want || err != nil {
				t.Errorf("%v, %v; want %v", key.Code, err, want)
			}
		}
		k.add(nil, io.EOF)
		if _, _, err := k.take(); err != io.EOF {
			t.Error(err)
		}
	})
}

// What nobody took is cleared at the end: it may be a password.
func TestTypedAheadIsForgotten(t *testing.T) {
	k, paste := newKeys(), []byte("secret")
	k.add([]editor.Key{{Code: editor.Paste, Paste: paste}, {Code: editor.Char, Rune: 's'}}, nil)
	waiting := k.waiting
	k.forget()
	if string(paste) == "secret" || waiting[1].Rune != 0 || len(k.waiting) != 0 {
		t.Errorf("%q, %v", paste, waiting)
	}
}

// What is left out of a paste is told: a text in another encoding, or a password that would be another one.
func TestPasteThatIsNoText(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.presses("alice"+enter, "\x1b[200~alice's \xfcpassword\x1b[201~")
		p.shows("* not all of the paste was text (UTF-8): the rest of it was left out")
		p.presses(enter)
		p.shows("= logged in as alice")
		p.presses("\x1b[200~send bob gr\xfc\xdfe\x1b[201~")
		p.shows("* not all of the paste was text (UTF-8)", "alice> send bob gre")
		p.presses("\x1b[200~ grüße\t\x1b[201~")
		if got := p.screen(); strings.Contains(got, "left out") {
			t.Errorf("%q", got)
		}
	})
}
