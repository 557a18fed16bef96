package client

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
	"sim/proto/ticket"
)

// While somebody is talked to, whole lines go to them, and a slash makes a command; piped and typed alike.
func TestTalk(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob, carol := s.comes("alice"), s.comes("bob"), s.comes("carol")
		alice.types("talk Bob", "hello bob", "quit", "  - list ", "//etc", "", "/send carol hello carol", "/list", "/verify yes", "/carol", "list", "/", "list")
		bob.prints("< alice: hello bob", "< alice: quit", "< alice:   - list ", "< alice: /etc")
		carol.prints("< alice: hello carol", "< alice: list")
		alice.prints("= talking to bob", "= bob: delivered", "= bob: delivered", "= bob: delivered", "= bob: delivered", "= carol: delivered",
			"= online (3): alice bob carol", "= talking to carol", "= carol: delivered", "= talking to nobody",
			"= online (3): alice bob carol")
		alice.types("talk alice", "talk bob", "/logout", "hello", "talk bob")
		alice.prints("= talking to bob", "= logged out alice")
		alice.complains("line 9: the digits of this conversation were not shown yet", "line 14: that is you", "line 17: unknown command", "line 18: log in first")
		alice.types("login alice", passwordOf("alice"), "list") // and nobody is talked to
		alice.prints("= logged in as alice", "= online (3): alice bob carol")
	})
}

// A target may be offline, and come back: each line has its own outcome.
func TestTalkToSomebodyOffline(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice := s.comes("alice")
		alice.types("/bob", "hello")
		alice.prints("= talking to bob", "= bob: failed: offline")
		bob := s.comes("bob")
		alice.types("hello again")
		alice.prints("= bob: delivered")
		bob.prints("< alice: hello again")
		alice.leaves()
		alice.exits(ExitFailed)
	})
}

func TestBlockAndUnblock(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.comes("bob")
		bob.types("send alice hello")
		alice.types("talk bob", "/block bob", "block", "send bob hello", "verify bob", "talk bob", "block carol", "block", "block alice")
		alice.prints("< bob: hello", "= talking to bob", "= talking to nobody", "= blocked bob", "= blocked (1): bob", "= blocked carol", "= blocked (2): bob carol")
		alice.complains("line 4: you have blocked them: unblock <user> first", "line 5: you have blocked", "line 6: you have blocked", "line 9: that is you")
		bob.types("send alice please")
		time.Sleep(openingWait)
		bob.prints("= alice: delivered", "* alice disconnected", "= alice: failed: no answer")
		alice.types("unblock bob", "unblock bob", "block")
		bob.types("send alice thank you")
		alice.prints("= unblocked bob", "= unblocked bob", "= blocked (1): carol", "< bob: thank you")
		bob.prints("= alice: delivered")
		alice.types("logout", "login alice", passwordOf("alice"), "block") // it lasts for the log-in
		alice.prints("= logged out alice", "= logged in as alice", "= blocked (0):")
	})
}

// In a pipe nothing is told of who comes and goes, but what was asked for.
func TestWatch(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.pipes("bob")
		alice.types("send bob hello", "talk bob", "/watch carol")
		alice.prints("= bob: delivered", "= talking to bob", "= watching carol", "* carol is offline")
		alice.types("/watch")
		alice.prints("= watched (1): carol")
		s.loses("bob")
		alice.prints("* bob lost the connection")
		bob.exits(ExitLost)
		carol := s.comes("carol")
		alice.prints("* carol is online")
		carol.leaves()
		carol.exits(ExitOK)
		alice.prints("* carol is offline")
		alice.types("/unwatch carol")
		alice.types("/watch")
		alice.prints("= watching carol no more", "= watched (0):")
		s.comes("carol")
		s.comes("bob")
		time.Sleep(time.Minute)
		alice.prints()
		alice.complains()
	})
}

// At a terminal those who are talked to are watched without being asked for, and the prompt says who it is.
func TestPresenceAtATerminal(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		at := s.sits(nil)
		at.meetsAt("alice")
		at.presses("/bob" + enter)
		at.shows("= talking to bob", "* bob is offline")
		bob := s.comes("bob")
		time.Sleep(watchEvery)
		at.shows("* bob is online")
		at.presses("hello" + enter)
		at.shows("= bob: delivered")
		bob.leaves()
		bob.exits(ExitOK)
		time.Sleep(watchEvery)
		at.shows("* bob logged out")
		at.presses("/talk nobody"+enter, "/admin"+enter) // who can't be there, and the word for the end of it
		at.shows("nobody can have that name: talk <user>, or talk alone to end it", "nobody can have that name", "alice → bob> ")
		at.presses("/" + enter)
		at.shows("= talking to nobody")
		at.presses("/quit" + enter)
		at.exits(ExitFailed) // of those two
	})
}

// A script that sends to more people than the server opens conversations for in a minute waits, and succeeds.
func TestScriptThatSendsToMany(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob, carol := s.comes("alice"), s.comes("bob"), s.comes("carol")
		free := time.Now().Add(55 * time.Second)
		s.with(func(b *switchboard) { b.introduces = until(free) })
		alice.types("send bob hello", "send carol hello")
		alice.leaves()
		alice.exits(ExitOK)
		alice.prints("= bob: delivered", "= carol: delivered", "= logged out alice")
		alice.complains()
		bob.prints("< alice: hello", "* alice logged out")
		carol.prints("< alice: hello", "* alice logged out")
	})
	story(t, func(t *testing.T, s *fakeServer) {
		at := s.sits(nil)
		at.meetsAt("alice")
		s.comes("bob")
		free := time.Now().Add(55 * time.Second)
		s.with(func(b *switchboard) { b.introduces = until(free) })
		at.presses("send bob hello" + enter)
		at.shows("* the server opens no more conversations of yours in this minute: the one with", "bob waits")
		time.Sleep(time.Minute)
		at.shows("= bob: delivered")
	})
}

// What an interrupted recv counts was acknowledged: the other side knows it as delivered.
func TestInterruptedRecv(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.comes("bob")
		bob.types("recv 5")
		alice.types("send bob one", "send bob two")
		bob.prints("< alice: one", "< alice: two")
		bob.out.sticks()
		alice.keyboard.adds("send bob three\n")
		synctest.Wait()
		bob.cancel()
		synctest.Wait()
		bob.out.works()
		bob.exits(ExitInterrupted)
		bob.prints("< alice: three", "= received 2: interrupted")
		time.Sleep(ackWait)
		alice.prints("= bob: delivered", "= bob: delivered", "* bob logged out", "= bob: unknown: connection lost")
	})
}

// Even if the interruption comes between the showing of a text and its acknowledgement.
func TestInterruptedBeforeTheAcknowledgement(t *testing.T) {
	b, alice, bob := talking(t)
	bob.slow = true
	alice.sends(bob, "one")
	b.delivers()
	bob.handedOut(b.now, bob.arrived[0])
	r := runs(bob)
	r.interrupted()
	var sent []proto.Type
	for _, f := range r.conn.queue {
		sent = append(sent, frameOf(f).Type)
	}
	if want := []proto.Type{proto.TypeRelay, proto.TypeLogout}; !slices.Equal(sent, want) {
		t.Errorf("%v, want %v: an acknowledgement and the log-out", sent, want)
	}
}

// runs returns a runner of a user's session. Nobody is asked anything, and nobody takes what it sends.
func runs(u *user) *runner {
	r := newRunner(Config{timeOfDay: time.Now}, newUI(io.Discard, io.Discard, nil, false), nil)
	r.session, r.keys, r.secret, r.asked = u.session, new(proto.Session), new(proto.Resumption), true
	r.conn = &connection{unheard: make(chan struct{}), wake: make(chan struct{}, 1)}
	return r
}

// until is a server that takes no Intro before a time.
func until(free time.Time) func(*subscriber, *ticket.Intro) byte {
	return func(*subscriber, *ticket.Intro) byte {
		if time.Now().Before(free) {
			return proto.TicketBusy
		}
		return proto.TicketIssued
	}
}
