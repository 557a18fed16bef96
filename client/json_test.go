package client

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// A program is somebody who writes and reads objects. Whatever it reads is held against the schema.
type program struct{ *person }

func (s *fakeServer) runsFor(name string) program {
	s.t.Helper()
	p := program{s.starts(func(c *Config) {
		c.JSON, c.AskPassword = true, func(string) ([]byte, error) { panic("a program has no terminal") }
	})}
	p.writes(`{"cmd":"login","id":"` + name + `","user":"` + name + `","password":"` + passwordOf(name) + `"}`)
	p.reads(`{"type":"login","id":"` + name + `","user":"` + name + `"}`)
	return p
}

// writes gives the client objects that the schema has.
func (p program) writes(lines ...string) {
	p.t.Helper()
	for _, l := range lines {
		if err := fits("input", l); err != nil {
			p.t.Fatalf("%s: %v", l, err)
		}
	}
	p.types(lines...)
}

// reads checks the objects that came since the last time, but for version and time. Of the text of an error a part is enough.
func (p program) reads(want ...string) {
	p.t.Helper()
	synctest.Wait()
	got := p.out.lines()
	ok := len(got) == len(want)
	for i, l := range got {
		if err := fits("output", l); err != nil {
			p.t.Fatalf("%s: %v", l, err)
		}
		if strings.Trim(l, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\v\f\r\x0e\x0f\x1b\x7f") != l || strings.IndexFunc(l, func(r rune) bool { return r >= 0x7f }) >= 0 {
			p.t.Fatalf("%q is not ASCII", l)
		}
		ok = ok && sameObject(p.t, l, want[i])
	}
	if !ok {
		p.t.Fatalf("reads\n\t%s\nwant\n\t%s\nerr: %q", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"), p.err.lines())
	}
}

func sameObject(t testing.TB, line, want string) bool {
	g, w := make(map[string]any), make(map[string]any)
	if err := errors.Join(json.Unmarshal([]byte(line), &g), json.Unmarshal([]byte(want), &w)); err != nil {
		t.Fatalf("%s, %s: %v", line, want, err)
	}
	got, is := g["text"].(string)
	if part, ok := w["text"].(string); ok && is && g["type"] == "error" && strings.Contains(got, part) {
		g["text"] = part
	}
	delete(g, "v")
	delete(g, "time")
	return maps.EqualFunc(g, w, func(a, b any) bool {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		return string(x) == string(y)
	})
}

func TestTwoPrograms(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.runsFor("alice"), s.runsFor("bob")
		alice.writes(`{"cmd":"list","id":-3}`, `{"cmd":"list","prefix":"B"}`)
		alice.reads(`{"type":"list","id":-3,"online":["alice","bob"]}`, `{"type":"list","online":["bob"]}`)
		alice.writes(`{"cmd":"list","prefix":"zoe","id":""}`)
		alice.reads(`{"type":"list","id":"","online":[]}`)

		// The text is the very text.
		text := `"grün \u001b[31m\u0000\u202e\n\t\r\n\\ \" </ ✓ \ud83d\ude00\ufffd\u007f"`
		alice.writes(`{"cmd":"send","id":1,"to":"bob","text":` + text + `}`)
		bob.reads(`{"type":"message","from":"alice","text":` + text + `,"confirmed":false}`)
		alice.reads(`{"type":"send","id":1,"to":"bob","outcome":"delivered"}`)
		bob.writes(`{"cmd":"recv","id":"r"}`, `{"cmd":"recv","timeout":"1s"}`)
		time.Sleep(time.Second)
		bob.reads(`{"type":"recv","id":"r","count":1}`, `{"type":"recv","count":0,"reason":"timeout"}`)

		alice.writes(`{"cmd":"verify","with":"bob"}`)
		var shown struct{ Digits string }
		line := alice.out.lines()[0]
		if err := errors.Join(fits("output", line), json.Unmarshal([]byte(line), &shown)); err != nil {
			t.Fatal(err)
		}
		alice.writes(`{"cmd":"verify","with":"bob","yes":true,"id":"v"}`)
		alice.reads(`{"type":"verify","id":"v","with":"bob","digits":"` + shown.Digits + `","confirmed":true}`)
		bob.writes(`{"cmd":"send","to":"alice","text":"hello"}`)
		alice.reads(`{"type":"message","from":"bob","text":"hello","confirmed":true}`)
		bob.writes(`{"cmd":"disconnect","with":"alice","id":7}`)
		bob.reads(`{"type":"send","to":"alice","outcome":"delivered"}`, `{"type":"disconnect","id":7,"with":"alice"}`)
		alice.reads(`{"type":"event","event":"disconnected","who":"bob"}`, `{"type":"event","event":"unconfirmed","who":"bob"}`)

		bob.writes(`{"cmd":"quit","id":"q"}`)
		bob.reads(`{"type":"logout","id":"q","user":"bob"}`)
		bob.exits(ExitFailed) // a recv was late
		alice.writes(`{"cmd":"verify","with":"bob","id":1}`, `{"cmd":"send","to":"bob","text":"x"}`)
		alice.reads(`{"type":"verify","id":1,"with":"bob","confirmed":false,"reason":"offline"}`, `{"type":"send","to":"bob","outcome":"failed","reason":"offline"}`)
		alice.leaves()
		alice.exits(ExitFailed)
		alice.reads(`{"type":"logout","user":"alice"}`)
		alice.complains()
		bob.complains()
	})
}

// Somebody who was confirmed comes back as whoever may be somebody else.
func TestProgramHearsOfDoubt(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.runsFor("alice"), s.comes("bob")
		alice.writes(`{"cmd":"verify","with":"bob"}`, `{"cmd":"verify","with":"bob","yes":true}`)
		bob.types("send alice hello")
		if said := alice.out.fresh(); strings.Count(said, `"confirmed":true`) != 2 {
			t.Fatal(said)
		}
		bob.leaves()
		alice.reads(`{"type":"event","event":"logged_out","who":"bob"}`)
		s.comes("bob").types("send alice hello")
		alice.reads(`{"type":"event","event":"presence","who":"bob","online":true}`, `{"type":"event","event":"unconfirmed","who":"bob"}`,
			`{"type":"message","from":"bob","text":"hello","confirmed":false}`)
	})
}

func TestProgramBlocksAndWatches(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.runsFor("alice"), s.comes("bob")
		alice.writes(`{"cmd":"block","user":"bob","id":1}`, `{"cmd":"block","id":2}`, `{"cmd":"send","to":"bob","text":"x","id":3}`, `{"cmd":"unblock","user":"bob","id":4}`, `{"cmd":"block"}`)
		alice.reads(`{"type":"block","id":1,"user":"bob"}`, `{"type":"block","id":2,"blocked":["bob"]}`, `{"type":"error","id":3,"code":"blocked","text":"blocked","line":4}`,
			`{"type":"unblock","id":4,"user":"bob"}`, `{"type":"block","blocked":[]}`)
		alice.writes(`{"cmd":"watch","user":"carol"}`)
		time.Sleep(time.Second)
		alice.reads(`{"type":"watch","user":"carol"}`, `{"type":"event","event":"presence","who":"carol","online":false}`)
		alice.writes(`{"cmd":"watch"}`)
		alice.reads(`{"type":"watch","watched":["carol"]}`)
		s.comes("carol")
		time.Sleep(time.Second)
		alice.reads(`{"type":"event","event":"presence","who":"carol","online":true}`)
		alice.writes(`{"cmd":"unwatch","user":"carol"}`)
		alice.reads(`{"type":"unwatch","user":"carol"}`)
		bob.leaves()
	})
}

// The next user logs in on the same client; passwords are in the objects of their commands.
func TestProgramChangesUserAndPassword(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.runsFor("alice")
		p.writes(`{"cmd":"passwd","id":1,"old":"not it, not it","new":"`+newPassword+`"}`, `{"cmd":"passwd","id":2,"old":"`+passwordOf("alice")+`","new":"`+newPassword+`"}`)
		p.reads(`{"type":"error","id":1,"code":"password","text":"the old one is wrong","line":2}`, `{"type":"passwd","id":2,"user":"alice"}`)
		p.writes(`{"cmd":"login","id":3,"user":"bob","password":"`+passwordOf("bob")+`"}`, `{"cmd":"logout","id":4,"user":"bob"}`, `{"cmd":"logout","id":5}`, `{"cmd":"list","id":6}`)
		p.reads(`{"type":"error","id":3,"code":"login","text":"log out first","line":4}`, `{"type":"error","id":4,"code":"name","text":"can log out nobody else","line":5}`,
			`{"type":"logout","id":5,"user":"alice"}`, `{"type":"error","id":6,"code":"login","text":"log in first","line":7}`)
		p.writes(`{"cmd":"login","id":7,"user":"alice","password":"` + newPassword + `"}`)
		p.reads(`{"type":"login","id":7,"user":"alice"}`)
		p.writes(`{"cmd":"logout"}`, `{"cmd":"login","id":8,"user":"bob","password":"not it, not it"}`)
		p.reads(`{"type":"logout","user":"alice"}`, `{"type":"error","id":8,"code":"refused","text":"login refused"}`)
		p.exits(ExitRefused)
	})
}

// A one-time code in place of the password: the next object has the one that is chosen.
func TestProgramEnrols(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := program{s.starts(func(c *Config) { c.JSON = true })}
		p.writes(`{"cmd":"login","id":1,"user":"dave","password":"` + s.invites("dave") + `"}`)
		p.reads(`{"type":"event","event":"choose"}`)
		p.writes(`{"password":"` + newPassword + `"}`)
		p.reads(`{"type":"login","id":1,"user":"dave"}`)
	})
}

// What is wrong has its turn, its id where that can be read, and the number of its line; and what follows goes on.
func TestProgramThatErrs(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.runsFor("alice")
		p.types(`{"cmd":"send","to":"bob","txt":"s3cret","id":5}`, `list`, ``, `{"cmd":"verify","with":"bob","yes":true,"id":6}`, `{"cmd":"send","to":"alice","text":"x"}`,
			`{"cmd":"help","id":7}`, `{"cmd":"list","id":"`+strings.Repeat("x", maxObject)+`"}`, `{"password":"s3cret"}`, `{"cmd":"list","id":8}`)
		p.reads(`{"type":"error","id":5,"code":"line","text":"send: \"text\" is missing","line":2}`, `{"type":"error","code":"line","text":"not one JSON object","line":3}`,
			`{"type":"error","id":6,"code":"verify","text":"there is no conversation","line":5}`, `{"type":"error","code":"name","text":"that is you","line":6}`,
			`{"type":"error","id":7,"code":"line","text":"unknown \"cmd\"","line":7}`, `{"type":"error","code":"line","text":"too long","line":8}`,
			`{"type":"error","code":"line","text":"has no \"cmd\"","line":9}`, `{"type":"list","id":8,"online":["alice"]}`)
		p.keyboard.ends(errors.New("device gone"))
		p.exits(ExitFailed)
		p.reads(`{"type":"error","code":"input","text":"the input broke off: device gone","line":10}`, `{"type":"logout","user":"alice"}`)
		p.complains()
	})
}

func TestProgramIsLost(t *testing.T) {
	for name, tt := range map[string]struct {
		ends func(g *guest)
		code int
		says []string
	}{
		"cut off": {func(g *guest) { g.server.loses(g.session.Name.String()) }, ExitLost, []string{`{"type":"event","event":"reconnecting"}`,
			`{"type":"error","code":"lost","text":"connection lost: the server does not have this session any more"}`,
			`{"type":"send","to":"bob","id":1,"outcome":"unknown","reason":"connection lost"}`}},
		"replaced": {func(g *guest) { g.closes(proto.CloseReplaced) }, ExitReplaced, []string{`{"type":"event","event":"replaced"}`,
			`{"type":"send","to":"bob","id":1,"outcome":"unknown","reason":"replaced by a newer login"}`}},
		"stopping": {func(g *guest) { g.closes(proto.CloseStopping) }, ExitLost, []string{`{"type":"event","event":"stopping"}`,
			`{"type":"send","to":"bob","id":1,"outcome":"unknown","reason":"the server stopped"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				bob, alice := s.comes("bob"), s.runsFor("alice")
				bob.out.sticks() // so that nothing is acknowledged
				alice.writes(`{"cmd":"send","to":"bob","text":"x","id":1}`)
				tt.ends(s.guest("alice"))
				alice.exits(tt.code)
				alice.reads(tt.says...)
			})
		})
	}
	story(t, func(t *testing.T, s *fakeServer) { // and what has no outcome is undone
		alice := s.runsFor("alice")
		s.meddles(func(_ *guest, f proto.Frame) bool { return f.Type == proto.TypeList })
		alice.writes(`{"cmd":"list","id":1}`)
		s.loses("alice")
		alice.exits(ExitLost)
		alice.reads(`{"type":"event","event":"reconnecting"}`, `{"type":"error","code":"lost","text":"connection lost: the server does not have this session any more"}`, `{"type":"error","id":1,"code":"undone","text":"list: failed: connection lost"}`)
	})
}

// Before there is a session.
func TestProgramThatDoesNotGetIn(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		for _, tt := range []struct {
			user  string
			input []string
			code  int
			says  []string
		}{
			{"", nil, ExitUsage, []string{`{"type":"error","code":"usage","text":"the input ended before a login"}`}},
			{"", []string{`{"cmd":"list","id":1}`}, ExitFailed, []string{`{"type":"error","id":1,"code":"login","text":"log in first","line":1}`}},
			{"alice", nil, ExitUsage, []string{`{"type":"error","code":"usage","text":"the input ended before the password"}`}},
			{"alice", []string{`{"cmd":"list"}`}, ExitUsage, []string{`{"type":"error","code":"usage","text":"the first object has the password"}`}},
			{"alice", []string{"alice's password"}, ExitUsage, []string{`{"type":"error","code":"usage","text":"not one JSON object"}`}},
			{"alice", []string{`{"password":"not it, not it"}`}, ExitRefused, []string{`{"type":"error","code":"refused","text":"login refused"}`}},
			{"alice", []string{`{"password":"alice's password"}`}, ExitOK, []string{`{"type":"login","user":"alice"}`, `{"type":"logout","user":"alice"}`}},
		} {
			p := program{s.starts(func(c *Config) { c.JSON, c.User = true, tt.user })}
			p.types(tt.input...)
			p.leaves()
			p.exits(tt.code)
			p.reads(tt.says...)
			p.complains()
		}
		p := program{s.starts(func(c *Config) { c.JSON, c.User, c.PasswordFile = true, "alice", passwordFile(t, "alice", 0o644) })}
		p.reads(`{"type":"warning","code":"password_file","text":"warning: the password file can be read by other users of this machine: chmod 600 it"}`, `{"type":"login","user":"alice"}`)
	})
}

// A reader that goes away needs no words; an output that can't be written is told, once, where it can be.
func TestOutputThatIsTold(t *testing.T) {
	for list, objects := range map[string]bool{"list": false, `{"cmd":"list"}`: true} {
		for why, words := range map[error][]string{syscall.EPIPE: nil, syscall.ENOSPC: {"the output can't be written (no space left on device): what follows in the input is not run"}} {
			story(t, func(t *testing.T, s *fakeServer) {
				p := s.starts(func(c *Config) {
					c.User, c.PasswordFile, c.JSON, c.Out = "alice", passwordFile(t, "alice", 0o600), objects, failing{why}
				})
				p.types(list, list)
				p.exits(ExitFailed)
				p.complains(words...)
			})
		}
	}
	story(t, func(t *testing.T, s *fakeServer) { // and where errors can't be told, the rest goes on
		p := s.starts(func(c *Config) {
			c.User, c.PasswordFile, c.Err = "alice", passwordFile(t, "alice", 0o600), failing{syscall.EBADF}
		})
		p.types("nonsense", "list")
		p.leaves()
		p.exits(ExitFailed)
		p.prints("= logged in as alice", "= online (1): alice", "= logged out alice")
	})
}

// failing is an output that takes nothing.
type failing struct{ why error }

func (f failing) Write([]byte) (int, error) { return 0, f.why }
