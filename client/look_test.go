package client

import (
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDress(t *testing.T) {
	from := func(who, text string, confirmed bool) said {
		return saidMessage{From: who, Text: text, Confirmed: confirmed}
	}
	at := time.Date(2026, 11, 23, 14, 3, 59, 0, time.Local)
	for _, tt := range []struct {
		what           said
		plain, colored string
	}{
		{from("bob", "hello", false), "14:03 < bob: hello", "\x1b[2m14:03\x1b[m \x1b[38;5;30m< bob:\x1b[m hello"},
		{from("bob", "a: b: \x1b[31m", true), `14:03 < bob ✓: a: b: \u{1b}[31m`, "\x1b[2m14:03\x1b[m \x1b[38;5;30m< bob ✓:\x1b[m a: b: " + `\u{1b}[31m`},
		{sayReplaced, "14:03 * replaced by a newer login", "\x1b[2m14:03\x1b[m \x1b[38;5;136m* replaced by a newer login\x1b[m"},
		{saidHint{"try this"}, "* try this", "\x1b[2m* try this\x1b[m"},
		{saidError{Code: faultLogin, Text: "no"}, "no", "\x1b[38;5;160mno\x1b[m"},
		{saidError{Code: faultPasswordFile, Text: "mind"}, "mind", "\x1b[38;5;136mmind\x1b[m"},
		{saidSend{To: "bob", Outcome: "delivered"}, "= bob: delivered", "\x1b[2m= bob: delivered\x1b[m"},
		{saidSend{To: "bob", Outcome: "failed", Reason: "offline"}, "= bob: failed: offline", "\x1b[38;5;160m= bob: failed: offline\x1b[m"},
		{saidSend{To: "bob", Outcome: "unknown", Reason: "lost"}, "= bob: unknown: lost", "\x1b[38;5;136m= bob: unknown: lost\x1b[m"},
		{saidLogin{userField{"bob"}}, "= logged in as bob", "\x1b[38;5;28m= logged in as bob\x1b[m"},
	} {
		if got := (&look{}).dress(tt.what, at); got != tt.plain {
			t.Errorf("%q, want %q", got, tt.plain)
		}
		if got := (&look{colors: true}).dress(tt.what, at); got != tt.colored {
			t.Errorf("%q, want %q", got, tt.colored)
		}
	}
}

// A new day is told once, before what came in it.
func TestDays(t *testing.T) {
	l := &look{}
	at := time.Date(2026, 11, 23, 23, 59, 0, 0, time.Local)
	var got []string
	for range 3 {
		got = append(got, l.dress(sayStopping, at))
		at = at.Add(40 * time.Second)
	}
	want := "23:59 * server is stopping|23:59 * server is stopping|-- Tuesday, 24 November 2026 --\n00:00 * server is stopping"
	if strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
}

// Every colour can be read on black and on white: a contrast of 3 (WCAG 2.2, 1.4.11) to both.
func TestColorsCanBeRead(t *testing.T) {
	luminance := func(index int) float64 {
		channel := func(step int) float64 { // of xterm's cube of colours
			v := []float64{0, 95, 135, 175, 215, 255}[step] / 255
			return math.Pow((v+0.055)/1.055, 2.4)
		}
		i := index - 16
		return 0.2126*channel(i/36) + 0.7152*channel(i/6%6) + 0.0722*channel(i%6)
	}
	for _, c := range append([]int{colorResult, colorEvent, colorFailure}, colorsOfPeople[:]...) {
		onBlack, onWhite := (luminance(c)+0.05)/0.05, 1.05/(luminance(c)+0.05)
		if onBlack < 3 || onWhite < 3 {
			t.Errorf("%d has a contrast of %.1f on black and %.1f on white", c, onBlack, onWhite)
		}
	}
}

// A name has its colour for ever, and names use all of them.
func TestColorsOfPeople(t *testing.T) {
	if colorOf("alice") != 97 || colorOf("bob") != 30 {
		t.Errorf("alice has %d, bob %d", colorOf("alice"), colorOf("bob"))
	}
	used := map[int]bool{}
	for _, name := range names(100) {
		used[colorOf(name.String())] = true
	}
	if len(used) != len(colorsOfPeople) {
		t.Errorf("a hundred people have %d colours", len(used))
	}
}

func TestPrompts(t *testing.T) {
	for _, tt := range []struct {
		prompt      prompt
		utf8, ascii string
	}{
		{prompt{}, "sim> ", "sim> "},
		{prompt{question: "user name: "}, "user name: ", "user name: "},
		{prompt{user: "alice"}, "alice> ", "alice> "},
		{prompt{user: "alice", target: "bob"}, "alice → bob> ", "alice -> bob> "},
		{prompt{user: "alice", target: "bob", confirmed: true}, "alice → bob ✓> ", "alice -> bob (confirmed)> "},
	} {
		if got := tt.prompt.text(true); got != tt.utf8 {
			t.Errorf("%q, want %q", got, tt.utf8)
		}
		if got := tt.prompt.text(false); got != tt.ascii {
			t.Errorf("%q, want %q", got, tt.ascii)
		}
	}
}

// The prompt says whom one talks to, and when they are confirmed, and when they are no more.
func TestPromptOfATarget(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("talk bob"+enter, "hello"+enter)
		p.shows("alice → bob> hello", "= bob: delivered", "alice → bob> ")
		p.presses("/verify"+enter, "/verify bob yes"+enter)
		p.shows("(confirmed)", "alice → bob ✓> ")
		p.presses("half a li")
		p.screen()
		s.loses("bob")
		bob := s.comes("bob")
		bob.types("send alice me again") // in a conversation that does not continue the old one
		p.shows("* bob is no longer confirmed", "alice → bob> half a li")
		s.loses("alice")
		p.shows("connection lost", "password for alice: ")
		p.presses(enter)
		p.shows("sim> ")
		p.presses(up)
		if got := p.screen(); got != "\a" {
			t.Errorf("history of a session that is over: %q", got)
		}
	})
}

// What a log-in works on is told on one line, which is gone at its end.
func TestProgress(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.presses("alice"+enter, passwordOf("alice")+enter)
		p.shows("reaching the server…", "working on the server's puzzle…", "password…", "\r\x1b[J= logged in as alice\r\nalice> ")
	})
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.comes("alice") // piped: not a word of it
		p.complains()
		synctest.Wait()
	})
}

// A terminal that understands no escape sequences gets none.
func TestDumbTerminal(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		passwords := make(chan string, 1)
		p := s.sits(nil, func(c *Config) {
			c.Terminal.Dumb, c.NoColor = true, false
			c.AskPassword = func(string) ([]byte, error) { return []byte(<-passwords), nil }
		})
		p.presses("alice\n")
		passwords <- passwordOf("alice")
		p.presses("talk bob\n", "hello\n")
		bob.prints("< alice: hello")
		p.presses("/list\n")
		bob.types("send alice hello\x1b[2J")
		p.presses("/logout\n")
		got := p.screen()
		want := []string{
			"user name: reaching the server…", "= logged in as alice", "alice> = talking to bob", "00:00 * bob is online", "= bob: delivered",
			"= online (2): alice bob", "00:00 < bob: hello\\u{1b}[2J\a", "* this terminal can't be cleared: what was shown stays on it", "= logged out alice", "sim> ",
		}
		if strings.ContainsRune(got, '\x1b') || strings.Contains(got, passwordOf("alice")) {
			t.Errorf("%q", got)
		}
		lines := strings.Split(strings.ReplaceAll(got, "alice → bob> ", ""), "\n") // the prompts stand where the output had come to
		if lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" }); !slices.Equal(lines, want) {
			t.Errorf("%q, want %q", lines, want)
		}
		p.leaves()
	})
}
