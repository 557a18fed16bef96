package client

import (
	"testing"
	"time"

	"sim/proto"
	"sim/proto/e2e"
)

var goneWords = map[proto.Reason]parting{
	proto.GoneLogout: "logged out", proto.GoneReplaced: "logged in again elsewhere", proto.GoneLost: "lost the connection",
}

// Of what was under way when the peer's session ended, the server returns what it did not relay: that has failed. The rest is unknown, and is
// told when a Pong shows that nothing more comes back.
func TestGoneTellsTheTruth(t *testing.T) {
	for reason, how := range goneWords {
		b, alice, bob := talking(t)
		bob.slow = true
		shown := alice.sends(bob, "shown, and never acknowledged")
		b.delivers()
		inFlight := alice.sends(bob, "relayed, and never read")
		b.serves(alice)
		late := alice.sends(bob, "too late")
		bob.goes(reason)
		bob.sees("alice: shown, and never acknowledged")
		for alice.receives() { // Gone
		}
		alice.waitsFor(shown, inFlight, late)
		alice.notices(lostTouch(bob, how))
		if alice.open(bob) {
			t.Fatal("alice keeps the keys")
		}
		b.serves(alice) // "too late" comes back
		for alice.receives() {
		}
		alice.hears(late, failed, "logged out")
		alice.waitsFor(shown, inFlight)
		b.delivers() // the Ping, and its Pong
		alice.hears(shown, unknown)
		alice.hears(inFlight, unknown)
	}
}

func TestGoneWhileOpening(t *testing.T) {
	for reason := range goneWords {
		for steps := range 14 {
			b, alice, bob := two(t)
			bob.slow = true
			id := alice.sends(bob, "hello")
			for i := range steps {
				[]func() bool{func() bool { return b.serves(alice) }, bob.receives, func() bool { return b.serves(bob) }, alice.receives}[i%4]()
			}
			bob.goes(reason)
			var again *user
			if reason == proto.GoneReplaced {
				again = b.logsIn("bob")[0]
			}
			b.passes(maxOpenings * 3 * stepWait)
			if len(alice.tells[id]) != 1 {
				t.Fatalf("%s after %d steps: %+v", goneWords[reason], steps, alice.tells[id])
			}
			seen := len(bob.shown) > 0 || again != nil && len(again.shown) > 0
			switch end := alice.tells[id][0].end; {
			case end == failed && seen:
				t.Fatalf("%s after %d steps: failed, and shown", goneWords[reason], steps)
			case end == delivered && !seen:
				t.Fatalf("%s after %d steps: delivered, and not shown", goneWords[reason], steps)
			case end == failed && again != nil && alice.tells[id][0].why != "logged out": // sealed for the old session, and returned
				t.Fatalf("%s after %d steps: the new session was not asked: %+v", goneWords[reason], steps, alice.tells[id])
			}
		}
	}
}

// A Gone of another session than the conversation's says nothing about it.
func TestGoneOfAnotherSession(t *testing.T) {
	b, alice, bob := talking(t)
	alice.handle(b.now, frameOf(proto.AppendGone(nil, proto.Gone{Name: bob.self, Tag: proto.Tag{9}, Reason: proto.GoneLogout})))
	alice.handle(b.now, frameOf(proto.AppendGone(nil, proto.Gone{Name: mustName("carol"), Tag: proto.Tag{9}, Reason: proto.GoneLogout})))
	id := alice.sends(bob, "still there")
	b.delivers()
	alice.hears(id, delivered)
	alice.notices()
}

// The other end: what wanted an answer of a session that is gone is forgotten.
func TestGoneWhileAnswering(t *testing.T) {
	for steps := range 14 {
		b, alice, bob := two(t)
		alice.sends(bob, "hello")
		for range steps {
			b.serves(alice)
			bob.receives()
			b.serves(bob)
			alice.receives()
		}
		alice.goes(proto.GoneLost)
		b.delivers()
		if p := bob.peers[alice.self]; p != nil && (p.answering != nil || p.held != nil || p.talk != nil) {
			t.Fatalf("after %d steps: %+v", steps, p)
		}
	}
}

func TestReturnedAsGone(t *testing.T) {
	b, alice, bob := talking(t)
	acked := alice.sends(bob, "before")
	b.serves(alice)
	b.at("Message", -1, returnedGone)
	first, second := alice.sends(bob, "one"), alice.sends(bob, "two")
	for b.serves(alice) {
	}
	b.relays = nil
	for alice.receives() {
	}
	alice.hears(first, failed, "logged out")
	alice.hears(second, failed, "logged out")
	alice.waitsFor(acked) // it was relayed; a Pong tells
	b.delivers()
	alice.hears(acked, unknown)
	alice.notices(lostTouch(bob, "logged out"))
}

// A server that tells Gone and never answers a Ping can't keep an outcome back.
func TestLimboEnds(t *testing.T) {
	b, alice, bob := talking(t)
	b.at("Message", 1, swallowed)
	id := alice.sends(bob, "hello")
	b.serves(alice)
	b.leaves(bob.line, proto.GoneLost)
	for alice.receives() {
	}
	alice.up = nil // no Pong
	alice.waitsFor(id)
	b.passes(ackWait)
	alice.hears(id, unknown, "connection lost")
	b.passes(time.Minute)
	if len(alice.peers) != 0 {
		t.Error("the peer is never forgotten")
	}
}

// A peer that begins anew all the time, and never ends, can't keep an outcome back.
func TestEndlessWants(t *testing.T) {
	b := newBoard(t)
	all := b.logsIn("zoe", "bob")
	zoe, bob := all[0], all[1]
	b.delivers()
	id, digits := zoe.sends(bob, "hello"), zoe.verifies(bob)
	zoe.up = nil
	for range 60 {
		_, want, _ := e2e.Start(bob.self, zoe.self, []byte{1})
		b.relay(bob.line, proto.Relay{To: zoe.self, Message: want})
		for zoe.receives() {
		}
		zoe.up = nil
		b.passes(5 * time.Second)
	}
	zoe.hears(id, failed, "no answer")
	if zoe.digits[digits].why != "no answer" {
		t.Errorf("%+v", zoe.digits)
	}
}

func TestEndTellsEverythingOnce(t *testing.T) {
	b, alice, bob := talking(t)
	all := b.logsIn("carol", "dora")
	b.delivers()
	limbo := alice.sends(all[0], "to carol")
	b.delivers()
	alice.hears(limbo, delivered)
	b.at("Message", 1, swallowed)
	limbo = alice.sends(all[0], "lost with carol")
	b.serves(alice)
	all[0].goes(proto.GoneLost)
	for alice.receives() {
	}
	bob.slow = true
	unacked := alice.sends(bob, "unacknowledged")
	b.serves(alice)
	b.serves(alice)
	b.at("Message", 1, returnedFull)
	returned := alice.sends(bob, "returned")
	b.serves(alice)
	alice.down = lastOf(alice.down)
	for alice.receives() {
	}
	opening, digits := alice.sends(all[1], "to dora"), alice.verifies(all[1])
	keys := alice.keys
	conv := alice.peers[bob.self].talk.conv
	alice.ends("connection lost")
	alice.hears(limbo, unknown, "connection lost")
	alice.hears(unacked, unknown, "connection lost")
	alice.hears(returned, failed, "connection lost")
	alice.hears(opening, failed, "connection lost before it was sent")
	if v := alice.digits[digits]; v.why != "connection lost" {
		t.Errorf("%+v", v)
	}
	if keys.Nonce != [32]byte{} || keys.Intro != [32]byte{} || keys.Ticket != [32]byte{} {
		t.Error("a key of the session is still there")
	}
	if _, _, err := conv.Seal(e2e.KindAck, nil); err != e2e.ErrClosed {
		t.Error("a key of a conversation is still there")
	}
	alice.end(b.now, "again", alice.left)
	if _, events := alice.take(); len(events) > 0 {
		t.Errorf("told twice: %+v", events)
	}
}

// lastOf drops everything but the last frame.
func lastOf(frames [][]byte) [][]byte { return frames[max(0, len(frames)-1):] }

// A name that changes hands all the time is asked twice, and no more often for the same texts.
func TestReplacedAgainAndAgain(t *testing.T) {
	b, alice, bob := two(t)
	wants := 0
	b.relays = func(_ *subscriber, r proto.Relay) fate {
		if r.Message[0] == e2e.TypeWant {
			wants++
		}
		return relayed
	}
	id := alice.sends(bob, "hello")
	for range 5 {
		for b.serves(alice) {
		}
		bob.goes(proto.GoneReplaced)
		bob = b.logsIn("bob")[0]
		for alice.receives() {
		}
	}
	alice.hears(id, failed, "no answer")
	if wants != maxOpenings {
		t.Errorf("%d Wants", wants)
	}
}
