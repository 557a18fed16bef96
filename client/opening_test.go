package client

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"sim/proto"
	"sim/proto/e2e"
	"sim/proto/ticket"
)

func TestFirstTextOpensAConversation(t *testing.T) {
	b, alice, bob := two(t)
	bob.slow = true
	id := alice.sends(bob, "hello")
	b.delivers()
	b.agree(alice, bob)
	if !alice.open(bob) || len(bob.arrived) != 1 {
		t.Fatalf("open: %v, arrived: %d", alice.open(bob), len(bob.arrived))
	}
	b.passes(29 * time.Second)
	alice.waitsFor(id) // it was not shown yet

	bob.reads()
	b.delivers()
	bob.sees("alice: hello")
	alice.hears(id, delivered)
}

func TestVerifyOpensAndAgrees(t *testing.T) {
	b, alice, bob := two(t)
	id := alice.verifies(bob)
	b.delivers()
	again := bob.verifies(alice)
	b.delivers()
	if d := alice.digits[id].digits; len(d) != len("123 456 789 012") || d != bob.digits[again].digits {
		t.Fatalf("alice: %+v, bob: %+v", alice.digits[id], bob.digits[again])
	}
}

func TestVerifyFails(t *testing.T) {
	b, alice, bob := two(t)
	bob.goes(proto.GoneLogout)
	id := alice.verifies(bob)
	b.delivers()
	if v := alice.digits[id]; v.digits != "" || v.why != "offline" {
		t.Fatalf("%+v", v)
	}
}

func TestOffline(t *testing.T) {
	b, alice, bob := two(t)
	bob.goes(proto.GoneLogout)
	first, second := alice.sends(bob, "one"), alice.sends(bob, "two")
	b.delivers()
	alice.hears(first, failed, "offline")
	alice.hears(second, failed, "offline")
	if len(alice.peers) > 1 || alice.open(bob) {
		t.Fatal("something is left of the attempt")
	}
}

// Whoever sends first, whatever is delivered first, and whichever of the two has the smaller name: there is one conversation in the end, and
// no text is lost or shown twice.
func TestBothOpenAtOnce(t *testing.T) {
	for order := range 1 << 8 {
		b, alice, bob := two(t)
		all := map[*user]uint64{alice: alice.sends(bob, "from alice"), bob: bob.sends(alice, "from bob")}
		for i := range 8 { // each bit moves one frame of one of the two
			u := []*user{alice, bob}[order>>i&1]
			if !u.receives() {
				b.serves(u)
			}
		}
		b.delivers()
		b.passes(stepWait)
		b.agree(alice, bob)
		if !alice.open(bob) {
			t.Fatalf("order %b: no conversation", order)
		}
		alice.hears(all[alice], delivered)
		bob.hears(all[bob], delivered)
		alice.sees("bob: from bob")
		bob.sees("alice: from alice")
	}
}

// The larger name drops its own attempt and answers; if that comes to nothing it tries its own again after 15 s.
func TestSuppressedWantIsRetried(t *testing.T) {
	b, alice, bob := two(t)
	lost := alice.sends(bob, "from alice")
	id := bob.sends(alice, "from bob")
	b.serves(alice)
	b.serves(bob)
	bob.receives() // the Want of the smaller name: bob answers it
	alice.receives()
	alice.parts(bob) // and alice has changed her mind
	b.delivers()
	alice.hears(lost, failed, "disconnected")
	bob.waitsFor(id)
	b.passes(stepWait - time.Second)
	bob.waitsFor(id)
	b.passes(2 * time.Second)
	bob.hears(id, delivered)
	alice.sees("bob: from bob")
}

func TestWantBesideAnOpenConversation(t *testing.T) {
	b, alice, bob := talking(t)
	cid, _ := bob.talking(alice.self)
	unread := bob.sends(alice, "never seen")
	bob.up = nil // what bob says now is lost with alice's old session
	b.now = b.now.Add(wantEvery)

	alice.end(b.now, "crash", math.MaxUint64) // alice's client has lost its memory and not its session
	alice.session = newSession(alice.self, &alice.line.keys)
	id := alice.sends(bob, "again")
	b.relays = func(from *subscriber, r proto.Relay) fate {
		if r.Message[0] == e2e.TypeConfirm {
			if now, _ := bob.talking(alice.self); now != cid {
				t.Error("the open conversation was replaced before its Confirm")
			}
		}
		return relayed
	}
	b.delivers()
	b.agree(alice, bob)
	alice.hears(id, delivered)
	bob.hears(unread, unknown, "a new conversation took its place")
	bob.sees("alice: again")
	if now, _ := bob.talking(alice.self); now == cid {
		t.Error("the old conversation stayed")
	}
}

func TestBadConfirmReplacesNothing(t *testing.T) {
	b, alice, bob := talking(t)
	cid, _ := bob.talking(alice.self)
	b.now = b.now.Add(wantEvery)
	mallory := *alice // has alice's session and no part in the conversation
	mallory.session = newSession(alice.self, &alice.line.keys)
	mallory.tells, mallory.down = make(map[uint64][]outcome), nil
	mallory.line.send = func(frame []byte) { mallory.down = append(mallory.down, frame) }
	b.users = []*user{&mallory, bob}
	b.bent = func(_ *user, r *proto.Relay) {
		if r.Message[0] == e2e.TypeConfirm {
			r.Message = slices.Clone(r.Message)
			r.Message[100] ^= 1
		}
	}
	mallory.sends(bob, "let me in")
	b.delivers()
	b.passes(2 * stepWait)
	if now, ok := bob.talking(alice.self); !ok || now != cid {
		t.Fatal("a bad Confirm ended the open conversation")
	}
	bob.sees()
}

// Wants within 2 s of the one that was answered: the newest waits, the others are forgotten.
func TestWantsAreHeld(t *testing.T) {
	b, alice, bob := two(t)
	var nonces []ticket.CID
	b.relays = func(from *subscriber, r proto.Relay) fate {
		if r.Message[0] == e2e.TypeNonce {
			_, cid, _ := e2e.Header(r.Message)
			nonces = append(nonces, cid)
		}
		return relayed
	}
	var cids []ticket.CID
	want := func() {
		m, msg, err := e2e.Start(alice.self, bob.self, []byte{1})
		if err != nil {
			t.Fatal(err)
		}
		cids = append(cids, m.CID())
		b.relay(alice.line, proto.Relay{To: bob.self, Message: msg})
		b.delivers()
	}
	want()
	for range 3 {
		b.passes(100 * time.Millisecond)
		want()
	}
	if !slices.Equal(nonces, cids[:1]) {
		t.Fatalf("%d Wants were answered at once", len(nonces))
	}
	b.passes(1600 * time.Millisecond)
	if len(nonces) != 1 {
		t.Fatal("answered too early")
	}
	b.passes(100 * time.Millisecond)
	if !slices.Equal(nonces, []ticket.CID{cids[0], cids[3]}) {
		t.Fatalf("%d were answered, or not the newest", len(nonces))
	}
	b.passes(time.Minute)
	if len(nonces) != 2 {
		t.Fatal("an older one was kept")
	}
}

func TestDeclined(t *testing.T) {
	for reason, why := range map[e2e.DeclineReason]string{
		e2e.DeclineVersion: "no common version", e2e.DeclineUnknown: "declined", e2e.DeclineBusy: "declined",
	} {
		b, alice, bob := two(t)
		id := alice.sends(bob, "hello")
		cid := alice.peers[bob.self].opening.machine.CID()
		b.at("Want", 1, swallowed)
		b.delivers()
		b.relay(bob.line, proto.Relay{To: alice.self, Tag: alice.line.tag, Message: e2e.Decline(cid, reason)})
		b.delivers()
		alice.hears(id, failed, why)
	}
}

func TestOtherVersionIsDeclined(t *testing.T) {
	b, alice, bob := two(t)
	want := append(append([]byte{e2e.TypeWant}, make([]byte, ticket.CIDSize)...), 1, 7)
	var said []byte
	b.relays = func(from *subscriber, r proto.Relay) fate {
		if from == bob.line {
			said = slices.Clone(r.Message)
		}
		return relayed
	}
	b.relay(alice.line, proto.Relay{To: bob.self, Message: want})
	b.delivers()
	if _, reason, err := e2e.ParseDecline(said); err != nil || reason != e2e.DeclineVersion {
		t.Fatalf("%x", said)
	}
}

func TestTicketIsRefused(t *testing.T) {
	b, alice, bob := two(t)
	b.introduces = func(*subscriber, *ticket.Intro) byte { return proto.TicketRefused }
	first, second := alice.sends(bob, "hello"), alice.sends(bob, "hello again")
	b.delivers()
	alice.hears(first, failed, "offline")
	alice.hears(second, failed, "offline")
	b.introduces = nil
	third := alice.sends(bob, "and now")
	b.passes(wantEvery)
	alice.hears(third, delivered)
	bob.sees("alice: and now")
}

// Whichever step gets no answer, the attempt ends within the time of its steps, twice, and both sides are as before.
func TestEveryStepMayStall(t *testing.T) {
	for _, step := range []string{"Want", "Nonce", "Offer", "Accept"} {
		for _, names := range [][2]string{{"alice", "bob"}, {"zoe", "bob"}} {
			b := newBoard(t)
			all := b.logsIn(names[0], names[1])
			a, bob := all[0], all[1]
			b.at(step, -1, swallowed)
			began := b.now
			id := a.sends(bob, "hello")
			b.passes(stepWait - time.Second)
			a.waitsFor(id)
			for len(a.tells[id]) == 0 && b.now.Sub(began) < time.Hour {
				b.passes(time.Second)
			}
			a.hears(id, failed, "no answer")
			if took := b.now.Sub(began); took > maxOpenings*3*stepWait {
				t.Errorf("%s: it took %v", step, took)
			}
			b.relays = nil
			b.passes(time.Minute)
			if len(a.peers) != 0 || len(bob.peers) != 0 {
				t.Errorf("%s: something is left: %d, %d", step, len(a.peers), len(bob.peers))
			}
			id = a.sends(bob, "once more")
			b.delivers()
			a.hears(id, delivered)
		}
	}
}

func TestStalledTicketAndConfirm(t *testing.T) {
	b, alice, bob := two(t)
	b.introduces = func(*subscriber, *ticket.Intro) byte { alice.down = alice.down[:0]; return 200 }
	id := alice.sends(bob, "hello")
	for b.serves(alice) || bob.receives() || b.serves(bob) || len(alice.down) > 0 && frameOf(alice.down[0]).Type != proto.TypeTicket && alice.receives() {
	}
	alice.down = nil // the Ticket is lost
	b.introduces = nil
	b.passes(stepWait - time.Second)
	alice.waitsFor(id)
	b.passes(time.Minute)
	alice.hears(id, delivered) // by the second attempt

	b, alice, bob = two(t)
	b.at("Confirm", 1, swallowed)
	id = alice.sends(bob, "hello")
	b.passes(time.Minute)
	alice.hears(id, unknown)
	bob.sees()
}

// What comes back because a queue is full goes out again, with doubling waits; nothing is lost, doubled or out of order.
func TestFullAtEveryStep(t *testing.T) {
	for _, step := range []string{"Want", "Nonce", "Offer", "Accept", "Confirm", "Message"} {
		for times := 1; times <= 7; times++ {
			b, alice, bob := two(t)
			if step == "Message" { // an acknowledgement in between would begin the waits anew
				b, alice, bob = talking(t)
			}
			var at []time.Duration
			var first []byte
			began, n := b.now, 0
			b.relays = func(_ *subscriber, r proto.Relay) fate {
				if stepNames[r.Message[0]] != step {
					return relayed
				}
				if first == nil {
					first = slices.Clone(r.Message)
				}
				if !slices.Equal(first, r.Message) {
					return relayed
				}
				at = append(at, b.now.Sub(began))
				if n++; n <= times {
					return returnedFull
				}
				return relayed
			}
			var ids []uint64
			var want []string
			for i := range 5 {
				ids = append(ids, alice.sends(bob, fmt.Sprint(i)))
				want = append(want, fmt.Sprintf("alice: %d", i))
			}
			b.passes(10 * time.Second)
			for _, id := range ids {
				alice.hears(id, delivered)
			}
			bob.sees(want...)
			if len(at) != times+1 {
				t.Fatalf("%s: sent %d times, want %d", step, len(at), times+1)
			}
			wait := firstBackoff
			for i := 1; i < len(at); i++ {
				if got := at[i] - at[i-1]; got != wait {
					t.Fatalf("%s: wait %d was %v, want %v", step, i, got, wait)
				}
				wait = min(2*wait, maxBackoff)
			}
		}
	}
}

// A Want from somebody who is a stranger to us when we have no room for more.
func TestTooManyPeers(t *testing.T) {
	b, alice, bob := two(t)
	for i := range maxPeers {
		name, _ := proto.ParseName(fmt.Sprintf("peer%d", i))
		if p := alice.peer(name); p == nil {
			t.Fatal("no room")
		} else {
			p.held = []byte{1}
			p.answered = b.now.Add(time.Hour)
		}
	}
	id := bob.sends(alice, "hello")
	b.delivers()
	bob.hears(id, failed, "declined")
	if alice.send(b.now, 1000, bob.self, "hello") || alice.verify(b.now, 1001, bob.self) {
		t.Error("a peer too many")
	}
	if len(alice.peers) != maxPeers {
		t.Errorf("%d peers", len(alice.peers))
	}
	for _, p := range alice.peers {
		p.held = nil
	}
	if !alice.send(b.now, 1000, bob.self, "hello") {
		t.Error("idle peers keep others out")
	}
}

func TestTooManyWaiting(t *testing.T) {
	b, alice, bob := two(t)
	for range maxWaiting {
		alice.sends(bob, "hello")
	}
	if alice.send(b.now, 1000, bob.self, "one more") {
		t.Error("a text too many")
	}
	for i := range maxWaiting {
		if !alice.verify(b.now, uint64(2000+i), bob.self) {
			t.Fatal("no room for a verify")
		}
	}
	if alice.verify(b.now, 1000, bob.self) {
		t.Error("a verify too many")
	}
}

// From Nonce on both sides know each other's session; what another session of the same name sends is not theirs.
func TestOpeningWithAnotherSession(t *testing.T) {
	for _, step := range []string{"Offer", "Accept", "Confirm"} {
		b, alice, bob := two(t)
		stranger := proto.Tag{9}
		refused := false
		id := alice.sends(bob, "hello")
		for !refused {
			moved := b.serves(alice) || b.serves(bob)
			for _, u := range []*user{alice, bob} {
				if len(u.down) == 0 {
					continue
				}
				if r, ok := proto.ParseRelayed(frameOf(u.down[0]).Body); frameOf(u.down[0]).Type == proto.TypeRelayed && ok && stepNames[r.Message[0]] == step {
					refused = true
					was := r.Tag
					r.Tag = stranger
					u.handle(b.now, frameOf(proto.AppendRelayed(nil, r)))
					u.works()
					if len(u.up) > 0 || u.open(map[*user]*user{alice: bob, bob: alice}[u]) {
						t.Fatalf("%s of another session was taken", step)
					}
					r.Tag = was
				}
				moved = u.receives() || moved
			}
			if !moved {
				t.Fatalf("no %s came", step)
			}
		}
		b.delivers()
		alice.hears(id, delivered)
	}
}

// A Want under a cid that is in use is refused: of an attempt of one's own, of theirs, of the open conversation.
func TestWantUnderACIDInUse(t *testing.T) {
	b := newBoard(t)
	all := b.logsIn("zoe", "bob")
	zoe, bob := all[0], all[1]
	b.delivers()
	b.at("Want", 1, swallowed)
	zoe.sends(bob, "hello")
	want := slices.Clone(zoe.peers[bob.self].opening.msg)
	b.delivers()
	says := func(when string) {
		t.Helper()
		b.now = b.now.Add(wantEvery)
		zoe.handle(b.now, frameOf(proto.AppendRelayed(nil, proto.Relayed{From: bob.self, Tag: bob.line.tag, Message: want})))
		zoe.works()
		if len(zoe.up) > 0 {
			t.Errorf("answered: %s", when)
		}
		zoe.up = nil
	}
	says("an attempt of zoe's")
	b.passes(stepWait)
	cid := zoe.cid(bob)
	copy(want[1:], cid[:])
	says("the open conversation")
	zoe.parts(bob)
	b.passes(wantEvery)

	_, want, _ = e2e.Start(bob.self, zoe.self, []byte{1})
	zoe.handle(b.now, frameOf(proto.AppendRelayed(nil, proto.Relayed{From: bob.self, Tag: bob.line.tag, Message: want})))
	zoe.works()
	if len(zoe.up) != 1 {
		t.Error("a fresh one is not answered")
	}
	zoe.up = nil
	says("an attempt of bob's")
}
