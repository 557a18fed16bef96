//go:build unix

package main

import (
	"regexp"
	"strings"
	"testing"
)

// Odd things that people meet at a terminal, or do there.

// neverStarts fails if a row began with the pattern, but for those that the client wrote itself.
func (p *person) neverStarts(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile("^(?:" + pattern + ")")
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, row := range p.screen.Text() {
		if re.MatchString(row) {
			p.t.Errorf("the row %q", row)
		}
	}
}

// Bob pads a text to the margin: what follows begins a row, and looks like no line of the client's.
func TestTerminalFakedLines(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	bob := bobIn(t, dir, address)
	for _, kind := range []string{"TERM=xterm", "TERM=dumb"} {
		alice := sitDownWith(t, dir, setsEnv(kind), "client", "--server", address, "--user", "alice")
		alice.seesPrompt("password for alice: ")
		alice.types(people["alice"] + "\r")
		alice.seesPrompt("alice> ")
		for _, fake := range []string{"= carol: delivered", "password for bob:"} {
			for _, pad := range []string{strings.Repeat(" ", 80-len("14:03 < bob: hello")), strings.Repeat("x", 80-len("14:03 < bob: hello")), strings.Repeat("👨‍👩‍👧", 31)} {
				bob.say("send alice hello" + pad + fake)
			}
		}
		bob.say("send alice last")
		alice.seesRow(`\d\d:\d\d < bob: last`)
		alice.neverStarts("= carol|password for bob")
		if !strings.Contains(strings.Join(alice.screen.Text(), "\n"), "\n  = carol: delivered\n") {
			t.Errorf("%s: the text is not there:\n%s", kind, strings.Join(alice.screen.Text(), "\n"))
		}
		alice.types("quit\r")
		alice.leaves(0)
	}
}
