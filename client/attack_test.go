package client

import (
	"testing"
	"time"

	"sim/proto"
	"sim/proto/e2e"
)

// Attacks on what a client keeps of its openings. Those on the messages themselves are package e2e's.

// counted counts the peer messages of one kind that a user says, and keeps the last.
func counted(b *board, of *user, typ byte) (n *int, last *[]byte) {
	n, last = new(int), new([]byte)
	b.relays = func(from *subscriber, r proto.Relay) fate {
		if from == of.line && r.Message[0] == typ {
			*n++
			*last = append([]byte(nil), r.Message...)
		}
		return relayed
	}
	return n, last
}

// again gives bob a Want of alice's once more, at a time when he may answer.
func (b *board) again(want []byte, alice, bob *user) {
	b.now = b.now.Add(wantEvery + time.Second)
	b.relay(alice.line, proto.Relay{To: bob.self, Message: want})
	b.delivers()
	b.passes(wantEvery)
}

// Mallory plays alice's Want again, whose conversation is open: bob has its cid open, and answers nothing.
func TestReplayedWantOfAnOpenConversation(t *testing.T) {
	b, alice, bob := two(t)
	_, want := counted(b, alice, e2e.TypeWant)
	alice.sends(bob, "hello")
	b.delivers()
	bob.sees("alice: hello")
	cid := bob.cid(alice)

	answers, _ := counted(b, bob, e2e.TypeNonce)
	b.again(*want, alice, bob)
	if *answers != 0 || bob.peers[alice.self].answering != nil {
		t.Errorf("bob answers an old Want %d times", *answers)
	}
	b.passes(2 * stepWait)
	if bob.cid(alice) != cid {
		t.Error("the conversation is another")
	}
	id := alice.sends(bob, "still here")
	b.delivers()
	alice.hears(id, delivered)
}

// The same while bob waits for the Offer: he does not draw another nonce, with which alice's ticket would be refused.
func TestReplayedWantOfAPendingOpening(t *testing.T) {
	b, alice, bob := two(t)
	answers, _ := counted(b, bob, e2e.TypeNonce)
	var want, offer []byte
	count := b.relays
	b.relays = func(from *subscriber, r proto.Relay) fate {
		switch r.Message[0] {
		case e2e.TypeWant:
			want = append([]byte(nil), r.Message...)
		case e2e.TypeOffer:
			if offer == nil {
				offer = append([]byte(nil), r.Message...)
				return swallowed
			}
		}
		return count(from, r)
	}
	id := alice.sends(bob, "hello")
	b.delivers()
	if *answers != 1 || offer == nil {
		t.Fatalf("%d answers, offer %x", *answers, offer)
	}
	b.again(want, alice, bob)
	if *answers != 1 {
		t.Errorf("bob answers a pending Want %d times", *answers)
	}
	b.relay(alice.line, proto.Relay{To: bob.self, Tag: bob.line.tag, Message: offer}) // late, not lost
	b.delivers()
	alice.hears(id, delivered)
	bob.sees("alice: hello")
}

// Mallory turns zoe's own Want back to her, as if it came from bob. Zoe's name is the larger, so that an honest Want of bob's would make
// her drop her own.
func TestReflectedWant(t *testing.T) {
	b := newBoard(t)
	all := b.logsIn("bob", "zoe")
	bob, zoe := all[0], all[1]
	b.delivers()
	answers, _ := counted(b, zoe, e2e.TypeNonce)
	var want []byte
	count := b.relays
	b.relays = func(from *subscriber, r proto.Relay) fate {
		if from == zoe.line && r.Message[0] == e2e.TypeWant {
			want = append([]byte(nil), r.Message...)
			return swallowed
		}
		return count(from, r)
	}
	id := zoe.sends(bob, "hello")
	b.delivers()
	b.relay(bob.line, proto.Relay{To: zoe.self, Tag: proto.Tag{}, Message: want})
	b.delivers()
	if p := zoe.peers[bob.self]; *answers != 0 || p.opening == nil {
		t.Errorf("zoe answers herself %d times; her own attempt goes on: %v", *answers, p.opening != nil)
	}
	b.relays = nil
	b.relay(zoe.line, proto.Relay{To: bob.self, Tag: proto.Tag{}, Message: want}) // late, not lost
	b.delivers()
	zoe.hears(id, delivered)
	bob.sees("zoe: hello")
}
