package client

import (
	"strings"
	"testing"
	"time"
)

// A password that is typed at a wrong moment goes to nobody, and does not come back with Up.

const noPassword = "no password is asked for: send this to bob as a message? [y/N]"

// talksThrough is a network, and one at a terminal who talks to somebody through it.
func (s *fakeServer) talksThrough(who, with string) (wan *network, other, p *person) {
	wan = s.through(nil)
	other, p = s.comes(with), s.sits(nil)
	p.meetsAt(who)
	p.presses("/" + with + enter)
	p.screen()
	return wan, other, p
}

// Who reads that the connection is lost may think that the password is asked for.
func TestPasswordWhileReconnecting(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan, bob, p := s.talksThrough("alice", "bob")
		for _, typed := range []string{passwordOf("alice"), "turnip-lantern-98-quarry", "//turnip-lantern"} {
			wan.goesAway(errAway)
			p.shows("* reconnecting …")
			p.presses(typed + enter)
			p.shows(noPassword)
			p.presses("n")
			if line := p.lineOf(); !strings.Contains(line, typed) { // it may have been a message all the same
				t.Errorf("the line is gone: %q", line)
			}
			p.presses("\x15") // Ctrl-U
			wan.goesAway(nil)
			time.Sleep(maxRetry)
			p.shows("* connected again")
		}
		for _, line := range bob.out.lines() {
			if strings.HasPrefix(line, "<") {
				t.Errorf("bob has %q", line)
			}
		}
	})
}

// One question is enough: whoever says something knows where they are. Short lines and commands, and what is begun when all is well, need none.
func TestTalkingOnWhileReconnecting(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan, _, p := s.talksThrough("alice", "bob")
		wan.goesAway(errAway)
		p.shows("* reconnecting …")
		p.presses("still there?"+enter, "y", "one more, and no question"+enter)
		if got := p.screen(); strings.Count(got, "[y/N]") != 1 {
			t.Errorf("%q", got)
		}
		wan.goesAway(nil)
		time.Sleep(maxRetry)
		p.shows("= bob: delivered", "= bob: delivered")
		wan.goesAway(errAway)
		p.shows("* reconnecting …")
		p.presses("/watch carol"+enter, "hello"+enter, "and so on and on"+enter)
		wan.goesAway(nil)
		time.Sleep(maxRetry)
		p.presses("what is begun now is asked for nothing" + enter)
		if got := p.screen(); strings.Contains(got, "[y/N]") {
			t.Errorf("%q", got)
		}
		wan.each((*link).cut)
		time.Sleep(maxRetry)
		p.presses("nor what is begun when it is over" + enter)
		if got := p.screen(); strings.Contains(got, "[y/N]") {
			t.Errorf("%q", got)
		}
	})
}

// What was begun while the connection was lost is asked about when it is over, too, and when it has come back with its user.
func TestPasswordBegunWhileReconnecting(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan, _, p := s.talksThrough("alice", "bob")
		wan.goesAway(errAway)
		p.shows("* reconnecting …")
		p.presses("turnip-lantern")
		wan.goesAway(nil)
		time.Sleep(maxRetry)
		p.shows("* connected again")
		p.presses("-98-quarry" + enter)
		p.shows(noPassword)
		p.presses("n")
		wan.goesAway(errAway)
		s.loses("alice")
		wan.goesAway(nil)
		time.Sleep(maxRetry)
		p.presses(passwordOf("alice") + enter)
		p.shows("alice → bob> turnip-lantern-98-quarry")
		p.presses(enter)
		p.shows(noPassword)
	})
}

func TestPasswordAtADumbTerminalWhileReconnecting(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		wan := s.through(nil)
		bob := s.comes("bob")
		p := s.sits(nil, func(c *Config) { c.Terminal.Dumb = true })
		p.presses("alice\n", passwordOf("alice")+"\n", "/bob\n")
		wan.goesAway(errAway)
		p.shows("* reconnecting …")
		p.presses(passwordOf("alice") + "\n")
		p.shows(noPassword)
		p.presses("\n", passwordOf("alice")+"\n")
		p.shows(noPassword)
		p.presses("\n")
		wan.goesAway(nil)
		time.Sleep(maxRetry)
		p.shows("* connected again")
		bob.prints("* reconnecting …", "* connected again")
	})
}

// A line that is no command, and could be a password, is not recalled; a command with a typing error is.
func TestNoPasswordIsRecalled(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.sits(nil)
		p.meetsAt("alice")
		p.presses("sned bob a long text"+enter, "turnip-lantern-98-quarry"+enter, up)
		p.shows("unknown command", "unknown command", "alice> sned bob a long text")
		p.presses("\x15passwd"+enter, "turnip-lantern-98-quarry"+enter)
		p.presses(enter, up)
		p.shows("cancelled", "alice> passwd") // whose lines are none of the history's
		p.presses("\x15logout"+enter, "my password is this!"+enter)
		p.shows("sim> ", "unknown command")
		p.presses(up)
		if got := p.lineOf(); strings.Contains(got, "password") {
			t.Errorf("recalled: %q", got)
		}
	})
}
