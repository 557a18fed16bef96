package client

import "testing"

func TestDoubt(t *testing.T) {
	known := func(name string) bool { return name == "carol" }
	for line, want := range map[string]string{
		"help":               `send "help" to bob as a message? [y/N]  (/help is the command)`,
		"quit ":              `send "quit" to bob as a message? [y/N]  (/quit is the command)`,
		"send":               `send "send" to bob as a message? [y/N]  (/send is the command)`,
		"verify dave yes":    `send "verify …" to bob as a message? [y/N]  (/verify is the command)`,
		"verify yes":         `send "verify …" to bob as a message? [y/N]  (/verify is the command)`,
		"verify bob":         `send "verify …" to bob as a message? [y/N]  (/verify is the command)`,
		"disconnect dave":    `send "disconnect …" to bob as a message? [y/N]  (/disconnect is the command)`,
		"send carol a plan":  `send "send …" to bob as a message? [y/N]  (/send is the command)`,
		"block Carol":        `send "block …" to bob as a message? [y/N]  (/block is the command)`,
		"send a card":        "",
		"block party":        "",
		"list of things":     "",
		"help me":            "",
		"recv 5":             "",
		"/quit":              "",
		"//quit":             "",
		"quit, please":       "",
		"Help":               "",
		"":                   "",
		" ":                  "",
		"verify it, say yes": "",
	} {
		if got := doubt(line, prompt{target: "bob"}, known, true); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
		if got := doubt(line, prompt{}, known, true); got != "" {
			t.Errorf("%q to nobody: %q", line, got)
		}
	}
}

// A command whose slash was forgotten is sent only after a question, at a terminal.
func TestForgottenSlash(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("/bob"+enter, "quit"+enter)
		p.shows("alice → bob> ", `send "quit" to bob as a message? [y/N]  (/quit is the command) `)
		for _, no := range []string{enter, "n", "\x03"} {
			p.presses(no)
			p.shows("alice → bob> quit")
			p.presses(enter)
			p.shows("[y/N]")
		}
		bob.prints()
		p.presses("y")
		p.shows("alice → bob> quit", "= bob: delivered")
		bob.prints("< alice: quit")
		p.presses(up)
		p.shows("quit")
		p.presses("\x01/" + enter)
		p.exits(ExitOK)
	})
	story(t, func(t *testing.T, s *fakeServer) {
		bob := s.comes("bob")
		p := s.sits(nil, func(c *Config) { c.Terminal.Dumb = true })
		p.presses("alice\n", passwordOf("alice")+"\n", "/bob\n", "quit\n")
		p.shows(`send "quit" to bob as a message? [y/N]  (/quit is the command) `)
		p.presses("\n", "quit\n", "yes\n")
		p.shows("alice → bob> ", "= bob: delivered")
		bob.prints("< alice: quit")
	})
}

func TestVerifyYesIsAboutTheTarget(t *testing.T) {
	for _, tt := range []struct{ line, target, name, name2 string }{
		{"/verify yes", "bob", "bob", "yes"}, {"/verify yes ", "bob", "bob", "yes"}, {"/verify", "bob", "bob", ""}, {"/verify carol yes", "bob", "carol", "yes"}, {"/verify carol", "bob", "carol", ""},
	} {
		c, err := parseLine([]byte(tt.line), tt.target)
		if err != nil || c.verb != verbVerify || c.name != tt.name || c.name2 != tt.name2 {
			t.Errorf("%q while talking to %q: %+v, %v", tt.line, tt.target, c, err)
		}
	}
}
