package client

import (
	"fmt"
	"testing"
	"time"

	"sim/proto"
)

func nameOf(i int) proto.Name { return mustName(fmt.Sprintf("user%d", i)) }

// A blocked person's texts come to nothing, however often they try; and after unblock they come.
func TestBlock(t *testing.T) {
	b, alice, bob := talking(t)
	alice.block(b.now, bob.self)
	alice.works()
	b.delivers()
	bob.notices(lostTouch(alice, partedDisconnect))
	for range 3 {
		text := bob.sends(alice, "please")
		b.passes(openingWait)
		bob.hears(text, failed, "no answer")
	}
	alice.sees()
	alice.notices()
	if p := alice.peers[bob.self]; p != nil {
		t.Errorf("there is a slot for a blocked stranger: %+v", p)
	}

	alice.unblock(bob.self)
	text := bob.sends(alice, "thank you")
	b.passes(time.Second)
	bob.hears(text, delivered)
	alice.sees("bob: thank you")
}

// A block in the middle of an opening ends it, whoever began.
func TestBlockDuringAnOpening(t *testing.T) {
	for _, step := range []string{"Want", "Nonce", "Offer", "Accept", "Confirm"} {
		t.Run(step, func(t *testing.T) {
			b, alice, bob := two(t)
			text := bob.sends(alice, "hello")
			blocked := false
			b.bent = func(from *user, r *proto.Relay) {
				if stepNames[r.Message[0]] == step && !blocked {
					blocked = true
					alice.block(b.now, bob.self)
				}
			}
			b.delivers()
			b.passes(openingWait)
			alice.sees()
			if alice.open(bob) || !blocked {
				t.Error("there is a conversation")
			}
			if got := bob.tells[text]; len(got) != 1 || got[0].end == delivered {
				t.Errorf("bob's text: %+v", got)
			}
		})
	}
}

func TestBlockedAreBounded(t *testing.T) {
	b, alice, bob := two(t)
	for i := range maxBlocked {
		if !alice.block(b.now, nameOf(i)) {
			t.Fatalf("the %dth was refused", i)
		}
	}
	if alice.block(b.now, bob.self) || !alice.block(b.now, nameOf(1)) {
		t.Error("the bound is not kept")
	}
	if n := len(alice.blockedNames()); n != maxBlocked {
		t.Errorf("%d are listed", n)
	}
}

// The server takes 30 Intros a minute: a conversation that it takes none for is put off until it does.
func TestCrowdedServer(t *testing.T) {
	b, alice, bob := two(t)
	free := b.now.Add(50 * time.Second)
	b.introduces = crowdedUntil(b, free)
	text := alice.sends(bob, "hello")
	b.passes(45 * time.Second)
	alice.notices(crowded{bob.self})
	alice.waitsFor(text)
	b.passes(15 * time.Second)
	alice.hears(text, delivered)
	bob.sees("alice: hello")
	alice.notices()
}

// It is not put off for ever.
func TestServerThatStaysCrowded(t *testing.T) {
	b, alice, bob := two(t)
	b.introduces = crowdedUntil(b, b.now.Add(time.Hour))
	text := alice.sends(bob, "hello")
	b.passes(crowdedWait + stepWait)
	alice.hears(text, failed, "too many conversations")
	b.introduces = nil
	text = alice.sends(bob, "hello")
	b.passes(wantEvery)
	alice.hears(text, delivered)
}
