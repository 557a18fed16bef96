package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sim/proto"
	"sim/proto/e2e"
)

func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		size, texts int
	}{{1, windowTexts}, {1536, windowTexts}, {2048, 24}, {8192, 6}} {
		b, alice, bob := talking(t)
		bob.slow = true
		var ids []uint64
		var want []string
		body := func(i int) string { return fmt.Sprint(i, " ", strings.Repeat("x", tt.size))[:tt.size] }
		next := func() {
			i := len(ids)
			ids = append(ids, alice.sends(bob, body(i)))
			want = append(want, "alice: "+body(i))
		}
		for range maxWaiting {
			next()
		}
		most := 0
		for len(ids) < 200 || len(alice.tells) < len(ids)+1 {
			b.delivers()
			texts, bytes := alice.peers[bob.self].talk.window()
			if most = max(most, texts); texts > windowTexts || bytes > windowBytes {
				t.Fatalf("the window is %d texts, %d bytes", texts, bytes)
			}
			if len(bob.arrived) == 0 {
				t.Fatal("nothing more comes")
			}
			bob.reads()
			b.delivers()
			for len(ids) < 200 && len(alice.peers[bob.self].waiting) < maxWaiting {
				next()
			}
		}
		if most != tt.texts {
			t.Errorf("texts of %d bytes: at most %d at once, want %d", tt.size, most, tt.texts)
		}
		bob.sees(want...)
		for _, id := range ids {
			alice.hears(id, delivered)
		}
	}
}

// Numbers that don't come: the server took the text and said nothing.
func TestSwallowedTextIsUnknown(t *testing.T) {
	b, alice, bob := talking(t)
	b.at("Message", 1, swallowed)
	lost, after := alice.sends(bob, "lost"), alice.sends(bob, "after")
	b.delivers()
	b.passes(ackWait - time.Second)
	alice.waitsFor(lost, after)
	b.passes(time.Second)
	alice.hears(lost, unknown, "30 s")
	alice.hears(after, unknown, "30 s")
	bob.sees()
	b.passes(time.Hour)
}

// A text that came back when its time was over is still to be repeated: nobody can say that it will never be shown.
func TestReturnedTextTimesOut(t *testing.T) {
	b, alice, bob := talking(t)
	b.at("Message", -1, returnedFull)
	id := alice.sends(bob, "late")
	b.passes(ackWait + time.Second)
	b.relays = nil
	b.passes(time.Minute)
	if len(bob.shown) > 0 {
		alice.hears(id, unknown, "30 s")
		bob.sees("alice: late")
		return
	}
	alice.hears(id, failed)
}

// What comes after a returned text would come too soon: it waits with it.
func TestNothingOvertakesWhatWasReturned(t *testing.T) {
	b, alice, bob := talking(t)
	b.at("Message", 1, returnedFull)
	alice.sends(bob, "first")
	b.delivers()
	alice.sends(bob, "second")
	if len(alice.up) > 0 {
		t.Error("a text was sent that can't be taken")
	}
	b.passes(firstBackoff)
	bob.sees("alice: first", "alice: second")
}

// No room in the window for 30 s: what waits was never sealed.
func TestNoRoomInTheWindow(t *testing.T) {
	b, alice, bob := talking(t)
	bob.slow = true
	var ids []uint64
	for range windowTexts + 2 {
		ids = append(ids, alice.sends(bob, "hello"))
	}
	b.passes(ackWait)
	for i, id := range ids {
		if i < windowTexts {
			alice.hears(id, unknown, "30 s")
		} else {
			alice.hears(id, failed, "takes no messages")
		}
	}
	bob.reads()
	b.delivers()
	if len(bob.shown) != windowTexts {
		t.Fatalf("%d are shown", len(bob.shown))
	}
	id := alice.sends(bob, "at last")
	b.delivers()
	bob.reads()
	b.delivers()
	alice.hears(id, delivered)
}

func TestDuplicatesAreAcknowledgedUnopened(t *testing.T) {
	b, alice, bob := talking(t)
	var copies []proto.Relay
	b.relays = func(from *subscriber, r proto.Relay) fate {
		if from == alice.line {
			copies = append(copies, proto.Relay{To: r.To, Tag: r.Tag, Message: slices.Clone(r.Message)})
		}
		return relayed
	}
	id := alice.sends(bob, "once")
	b.delivers()
	alice.hears(id, delivered)
	bob.sees("alice: once")
	acks := 0
	b.relays = func(from *subscriber, r proto.Relay) fate {
		if from == bob.line {
			acks++
		}
		return relayed
	}
	for _, c := range copies {
		b.relay(alice.line, c)
		b.delivers()
	}
	bob.sees()
	if acks != len(copies) {
		t.Errorf("%d acknowledgements for %d copies", acks, len(copies))
	}
	for range 1000 { // and however often: what is kept is bounded
		b.at("Message", -1, relayed)
		bob.handle(b.now, frameOf(proto.AppendRelayed(nil, proto.Relayed{From: alice.self, Tag: alice.line.tag, Message: copies[0].Message})))
	}
	if n := len(bob.peers[alice.self].talk.unsettled); n > maxUnsettled {
		t.Errorf("%d are kept", n)
	}
	bob.works()
	id = alice.sends(bob, "twice")
	b.delivers()
	alice.hears(id, delivered)
	bob.sees("alice: twice")
}

// What was shown late belongs to a conversation that is over: it acknowledges nothing in the one after it.
func TestShownAfterTheConversation(t *testing.T) {
	b, alice, bob := talking(t)
	bob.slow = true
	var old, fresh []uint64
	for range 3 {
		old = append(old, alice.sends(bob, "old"))
	}
	b.delivers()
	alice.parts(bob)
	b.passes(wantEvery)
	for range 3 {
		fresh = append(fresh, alice.sends(bob, "fresh"))
	}
	b.delivers()
	later := bob.arrived[3:]
	bob.arrived = bob.arrived[:3]
	bob.reads()
	b.delivers()
	bob.sees("alice: old", "alice: old", "alice: old")
	alice.waitsFor(fresh...)
	bob.arrived = later
	bob.reads()
	b.delivers()
	for i := range fresh {
		alice.hears(old[i], unknown, "disconnected")
		alice.hears(fresh[i], delivered)
	}
}

// After some progress the waits begin anew.
func TestBackoffBeginsAnew(t *testing.T) {
	b, alice, bob := talking(t)
	for range 3 {
		b.at("Message", 3, returnedFull)
		id := alice.sends(bob, "hello")
		b.passes(firstBackoff + 2*firstBackoff + 4*firstBackoff - time.Millisecond)
		alice.waitsFor(id)
		b.passes(time.Millisecond)
		alice.hears(id, delivered)
	}
}

func TestSwappedMessagesAreDropped(t *testing.T) {
	b, alice, bob := talking(t)
	first, second := alice.sends(bob, "first"), alice.sends(bob, "second")
	alice.up[0], alice.up[1] = alice.up[1], alice.up[0]
	b.delivers()
	bob.sees("alice: first")
	b.passes(ackWait)
	alice.hears(first, delivered)
	alice.hears(second, unknown)
}

// Where there is nothing else to do, what the next message needs is made, in the conversation where the last one was.
func TestNextMessageIsPrepared(t *testing.T) {
	_, alice, bob := talking(t)
	for _, at := range []struct{ user, with *user }{{alice, bob}, {bob, alice}} {
		conv := at.user.peers[at.with.self].talk.conv
		if at.user.last != nil {
			t.Errorf("%s has something to prepare", at.user.name)
		}
		was := *conv
		if conv.Prepare(); *conv != was {
			t.Errorf("%s has not prepared", at.user.name)
		}
	}
	_, msg, err := alice.peers[bob.self].talk.conv.Seal(e2e.KindText, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	bob.said(bob.b.now, bob.peers[alice.self], msg)
	if bob.last == nil {
		t.Error("what was opened says nothing of the next")
	}
	// What is due is sent first.
	talk, r := alice.peers[bob.self].talk, runs(alice)
	talk.owed = true
	r.work(t.Context())
	if len(r.conn.queue) == 0 {
		t.Fatal("no acknowledgement is sent")
	}
	was := *talk.conv
	if talk.conv.Prepare(); *talk.conv != was {
		t.Error("behind what was sealed the next is not prepared")
	}

	// And what came is shown first.
	bob.last = bob.peers[alice.self].talk.conv
	r = runs(bob)
	r.ui.add(line{})
	if r.work(t.Context()); bob.last == nil {
		t.Error("the next is prepared, and a line waits to be shown")
	}
}

func TestBentMessagesAreDropped(t *testing.T) {
	b, alice, bob := talking(t)
	for bit := range 82 {
		b.bent = func(_ *user, r *proto.Relay) {
			r.Message = slices.Clone(r.Message)
			r.Message[bit] ^= 0x40
		}
		if bit == 0 {
			continue // another type: no Message at all
		}
		msg := func() []byte { // one that bob would take
			talk := alice.peers[bob.self].talk
			was := *talk.conv
			_, msg, _ := talk.conv.Seal(e2e.KindText, []byte("bent"))
			*talk.conv = was
			return msg
		}()
		msg[bit] ^= 0x40
		b.bent = nil
		b.relay(alice.line, proto.Relay{To: bob.self, Tag: bob.line.tag, Message: msg})
		for bob.receives() {
		}
		bob.up, alice.down = nil, nil
	}
	bob.sees()
	id := alice.sends(bob, "straight")
	b.delivers()
	alice.hears(id, delivered)
	bob.sees("alice: straight")
}

// A message under the right cid from another session than the conversation's is not taken.
func TestMessageFromAnotherSession(t *testing.T) {
	b, alice, bob := talking(t)
	alice.sends(bob, "hello")
	r, _ := proto.ParseRelay(frameOf(alice.up[0]).Body)
	alice.up = nil
	other := proto.Relayed{From: alice.self, Tag: proto.Tag{9}, Message: r.Message}
	bob.handle(b.now, frameOf(proto.AppendRelayed(nil, other)))
	bob.works()
	bob.sees()
	bob.handle(b.now, frameOf(proto.AppendRelayed(nil, proto.Relayed{From: alice.self, Tag: proto.Tag{9}, Message: e2e.Decline(bob.cid(alice), e2e.DeclineUnknown)})))
	if !bob.open(alice) {
		t.Error("a Decline of another session ended the conversation")
	}
}

func (u *user) cid(with *user) [16]byte {
	cid, ok := u.talking(with.self)
	if !ok {
		u.b.t.Fatalf("%s has no conversation with %s", u.name, with.name)
	}
	return cid
}

// Only "no such conversation" is about an open one.
func TestDeclineEndsTheConversation(t *testing.T) {
	b, alice, bob := talking(t)
	cid := alice.cid(bob)
	for _, reason := range []e2e.DeclineReason{e2e.DeclineVersion, e2e.DeclineBusy} {
		b.relay(bob.line, proto.Relay{To: alice.self, Tag: alice.line.tag, Message: e2e.Decline(cid, reason)})
		b.delivers()
		if !alice.open(bob) {
			t.Fatalf("reason %d ended it", reason)
		}
	}
	b.relay(bob.line, proto.Relay{To: alice.self, Tag: alice.line.tag, Message: e2e.Decline(cid, e2e.DeclineUnknown)})
	b.delivers()
	alice.notices(lostTouch(bob, "disconnected"))
	if alice.open(bob) {
		t.Fatal("the conversation went on")
	}
}

// A client that has forgotten a conversation says so, and a Decline is never answered.
func TestUnknownConversationIsDeclined(t *testing.T) {
	b, alice, bob := talking(t)
	bob.peers[alice.self].talk.conv.Clear()
	delete(bob.peers, alice.self)
	id := alice.sends(bob, "are you there")
	b.delivers()
	alice.hears(id, unknown, "disconnected")
	alice.notices(lostTouch(bob, "disconnected"))
	if alice.open(bob) {
		t.Fatal("the conversation is still open")
	}
	b.relays = func(*subscriber, proto.Relay) fate { t.Error("a Decline was answered"); return relayed }
	var cid [16]byte
	for _, reason := range []e2e.DeclineReason{1, 2, 3} {
		for _, u := range []*user{alice, bob} {
			u.handle(b.now, frameOf(proto.AppendRelayed(nil, proto.Relayed{From: mustName("carol"), Tag: proto.Tag{9}, Message: e2e.Decline(cid, reason)})))
		}
	}
	b.delivers()
}

func mustName(s string) proto.Name {
	n, err := proto.ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

func TestDisconnect(t *testing.T) {
	for _, first := range []bool{true, false} {
		b, alice, bob := talking(t)
		if !first { // the responder ends it
			alice, bob = bob, alice
		}
		mine, theirs := alice.peers[bob.self].talk.conv, bob.peers[alice.self].talk.conv
		pending := alice.sends(bob, "on its way")
		bob.slow = true
		alice.parts(bob)
		alice.hears(pending, unknown, "disconnected")
		b.delivers()
		if alice.open(bob) || bob.open(alice) {
			t.Fatal("somebody still has the conversation")
		}
		for _, c := range []*e2e.Conversation{mine, theirs} {
			if _, _, err := c.Seal(e2e.KindAck, nil); err != e2e.ErrClosed {
				t.Errorf("a key is still there: %v", err)
			}
		}
		alice.notices()
		bob.notices(lostTouch(alice, "disconnected"))
		bob.reads()
		bob.sees(alice.name + ": on its way")
		alice.parts(bob) // again: nothing
		b.delivers()
		bob.notices()
		id := bob.sends(alice, "and again")
		b.passes(wantEvery)
		bob.hears(id, delivered)
	}
}

func TestDisconnectWhileOpening(t *testing.T) {
	for steps := range 12 {
		b, alice, bob := two(t)
		id, digits := alice.sends(bob, "hello"), alice.verifies(bob)
		for range steps {
			b.serves(alice)
			bob.receives()
			b.serves(bob)
			alice.receives()
		}
		alice.parts(bob)
		b.delivers()
		b.passes(time.Minute)
		if alice.open(bob) || bob.open(alice) {
			t.Fatalf("after %d steps: somebody still has the conversation", steps)
		}
		if len(alice.tells[id]) != 1 || alice.digits[digits].id == 0 {
			t.Fatalf("after %d steps: %+v, %+v", steps, alice.tells[id], alice.digits)
		}
		if len(bob.shown) > 0 && alice.tells[id][0].end == failed {
			t.Fatalf("after %d steps: failed, and shown", steps)
		}
	}
}

// The queue of the other side is full when the conversation is ended: it learns it when there is room.
func TestDisconnectWhenFull(t *testing.T) {
	for _, pending := range []bool{false, true} {
		b, alice, bob := talking(t)
		b.relays = func(from *subscriber, _ proto.Relay) fate {
			if from == alice.line {
				return returnedFull
			}
			return relayed
		}
		if pending {
			id := alice.sends(bob, "never comes")
			b.delivers()
			alice.parts(bob)
			alice.hears(id, failed, "disconnected")
		} else {
			alice.parts(bob)
		}
		b.passes(3 * time.Second)
		if !bob.open(alice) {
			t.Fatal("how does bob know?")
		}
		b.relays = nil
		b.passes(3 * time.Second)
		bob.notices(lostTouch(alice, "disconnected"))
		if bob.open(alice) {
			t.Fatal("bob keeps the keys")
		}
		bob.sees()
		b.passes(time.Minute)
		if len(alice.peers) != 0 {
			t.Error("something is left")
		}
	}
}

// A bye would come too soon where something before it was returned: the peer learns of the end all the same.
func TestDisconnectBehindWhatWasReturned(t *testing.T) {
	b, alice, bob := talking(t)
	b.at("Message", 1, returnedFull)
	id := alice.sends(bob, "never comes")
	b.delivers()
	alice.parts(bob)
	b.delivers()
	alice.hears(id, failed, "disconnected")
	bob.notices(lostTouch(alice, "disconnected"))
	bob.sees()
	if bob.open(alice) {
		t.Fatal("bob keeps the keys")
	}
}

// Bob answers alice before she was shown his text, and then says nothing of his own any more. Whatever she writes from then on, he acknowledges.
func TestAcknowledgementBehindAText(t *testing.T) {
	b, alice, bob := talking(t)
	alice.slow = true
	his := bob.sends(alice, "are you there?")
	hers := alice.sends(bob, "bob?")
	b.delivers() // his acknowledgement comes while his text waits to be shown
	alice.hears(hers, delivered)
	bob.waitsFor(his)
	alice.slow = false
	alice.reads()
	b.delivers()
	bob.hears(his, delivered)
	for range 2 * maxUnsettled {
		id := alice.sends(bob, "go on")
		b.delivers()
		alice.hears(id, delivered)
	}
}
