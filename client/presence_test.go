package client

import (
	"testing"
	"time"

	"sim/proto"
)

func isOnline(u *user) event  { return presence{u.self, true} }
func isOffline(u *user) event { return presence{u.self, false} }

// watchesSent counts the Watch frames that are on their way to the server, and delivers.
func (u *user) watchesSent() (n int) {
	u.tick(u.b.now)
	u.works()
	for _, f := range u.up {
		if frameOf(f).Type == proto.TypeWatch {
			n++
		}
	}
	u.b.delivers()
	return n
}

func TestWatchSomebody(t *testing.T) {
	b, alice, bob := two(t)
	alice.watch(bob.self)
	b.passes(time.Second)
	alice.notices(isOnline(bob))
	bob.goes(proto.GoneLogout)
	b.passes(time.Second)
	alice.notices(isOffline(bob))
	bob = b.logsIn("bob")[0]
	b.passes(time.Second)
	alice.notices(isOnline(bob))

	alice.watch(bob.self) // it is known, and told at once
	alice.works()
	alice.notices(isOnline(bob))

	alice.unwatch(bob.self)
	b.passes(time.Second)
	bob.goes(proto.GoneLogout)
	b.passes(time.Second)
	alice.notices()
}

// Whoever doesn't follow (a script) asks for nobody, and a conversation adds no noise.
func TestScriptsFollowNobody(t *testing.T) {
	b, alice, bob := talking(t)
	alice.talkTo(bob.self)
	if n := alice.watchesSent(); n != 0 {
		t.Errorf("%d Watches", n)
	}
	bob.goes(proto.GoneLost)
	b.passes(time.Minute)
	alice.notices(lostTouch(bob, partedLost))
}

// Who follows hears of those in conversations what their end does not tell.
func TestFollowThoseWhoAreTalkedTo(t *testing.T) {
	b, alice, bob := two(t)
	alice.watching.follows = true
	alice.sends(bob, "hello")
	b.passes(time.Second)
	bob.sends(alice, "hello yourself")
	b.passes(time.Second)
	alice.notices() // that bob is there is no news
	bob.goes(proto.GoneLost)
	b.passes(time.Second)
	alice.notices(lostTouch(bob, partedLost)) // and not that he is offline, besides
	b.passes(time.Minute)
	bob = b.logsIn("bob")[0]
	b.passes(time.Second)
	alice.notices(isOnline(bob)) // whom alice talked to

	again := bob.sends(alice, "here I am")
	b.passes(time.Second)
	bob.hears(again, delivered)
	alice.notices()
	alice.parts(bob) // and wants no more of him
	b.passes(time.Second)
	bob.goes(proto.GoneLogout)
	b.passes(time.Second)
	alice.notices()
}

// The target of typed lines is watched, though no conversation is open.
func TestTargetIsWatched(t *testing.T) {
	b, alice, bob := two(t)
	alice.watching.follows = true
	alice.talkTo(bob.self)
	b.passes(time.Second)
	alice.notices(isOnline(bob))
	carol := mustName("carol")
	alice.talkTo(carol)
	b.passes(time.Second)
	alice.notices(presence{carol, false})
	alice.talkTo(proto.Name{})
	b.passes(time.Second)
	b.logsIn("carol")
	bob.goes(proto.GoneLogout)
	b.passes(time.Second)
	alice.notices()
}

// However fast the user changes their mind, one Watch a second leaves, with what holds then.
func TestWatchesAreGathered(t *testing.T) {
	b, alice, bob := two(t)
	names := b.logsIn("carol", "dave", "erin")
	b.delivers()
	alice.watch(bob.self)
	if n := alice.watchesSent(); n != 1 {
		t.Fatalf("%d Watches at once", n)
	}
	for range 10 {
		for _, u := range names {
			alice.watch(u.self)
			if n := alice.watchesSent(); n != 0 {
				t.Fatal("a Watch within the second")
			}
			alice.unwatch(u.self)
		}
	}
	alice.watch(names[0].self)
	b.now = b.now.Add(watchEvery)
	if n := alice.watchesSent(); n != 1 || len(alice.watching.known) != 2 {
		t.Fatalf("%d Watches, of %d in all", n, len(alice.watching.known))
	}
	b.now = b.now.Add(watchEvery)
	alice.rewatch()
	if n := alice.watchesSent(); n != 0 {
		t.Error("the same Watch once more")
	}
}

func TestWatchIsBounded(t *testing.T) {
	b, alice, bob := two(t)
	alice.watching.follows = true
	for i := range maxWatched {
		if !alice.watch(nameOf(i)) {
			t.Fatalf("the %dth was refused", i)
		}
	}
	if alice.watch(bob.self) {
		t.Error("there is no end of it")
	}
	alice.talkTo(bob.self)
	if n := len(alice.toWatch()); n != proto.MaxWatched {
		t.Errorf("%d names in a Watch", n)
	}
	b.passes(time.Second)
}

// What the server says of those whom nobody watches is not told, and what it says in a bad form ends the connection.
func TestPresenceOfStrangers(t *testing.T) {
	b, alice, bob := two(t)
	if !alice.handle(b.now, frameOf(proto.AppendPresence(nil, []proto.Presence{{Name: bob.self, Online: true}}))) {
		t.Error("it was taken for a breach")
	}
	alice.works()
	alice.notices()
	bad := proto.AppendPresence(nil, []proto.Presence{{Name: bob.self, Online: true}})
	bad[len(bad)-1] = 2
	if alice.handle(b.now, frameOf(bad)) {
		t.Error("neither online nor offline was taken")
	}
}
