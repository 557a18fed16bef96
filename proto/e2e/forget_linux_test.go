package e2e

import (
	"crypto/rand"
	"runtime"
	"testing"

	"sim/internal/memwalk"
)

// What only the standard library still has of them when they are dropped, until that memory is used again: the scalars in an
// ecdh.PrivateKey, the seed in ML-KEM's key, and what HKDF has taken or made.
// docs/SECURITY.md names them. What is not among them must be gone at once.
var library = []string{"e_A's scalar", "e_B's scalar", "a share's scalar", "ML-KEM's seed", "a message key",
	"K", "a chain key", "a root", "the continuity secret", "the continuity secret of before"}

// After Clear no memory of the process has a key of the conversation, nor of its opening.
func TestForgetting(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		n := memwalk.New(t)
		var ca, cb *Conversation
		memwalk.Apart(func() {
			o := play(t, atAccept)
			ca, cb = notedOpening(t, n, o), o.cb
			for range 3 {
				notedTurn(t, n, ca, cb)
				notedTurn(t, n, cb, ca)
			}
			noteConversation(n, ca)
			noteConversation(n, cb)
			if ca.version != plain {
				n.Note("the continuity secret", ca.cs[:])
			}
			ca.Clear()
			cb.Clear()
		})
		n.Forgotten(t, library...)
		runtime.KeepAlive(ca)
		runtime.KeepAlive(cb)
	})
}

// A chain's keys are gone when it has stepped on, its private keys when they were answered, while the conversation goes on.
func TestForgettingWhileTalking(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		n := memwalk.New(t)
		var ca, cb *Conversation
		memwalk.Apart(func() {
			o := play(t, atAccept)
			ca, cb = notedOpening(t, n, o), o.cb
			notedTurn(t, n, ca, cb)
			say(t, cb, ca, "hello alice") // every chain has gone on, and in version 2 both have turned
			say(t, ca, cb, "hello again")
			say(t, cb, ca, "hello again")
		})
		n.Forgotten(t, library...)
		converseBothWays(t, ca, cb)
	})
}

// An opening that is given up leaves nothing either.
func TestForgettingAnOpening(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		n := memwalk.New(t)
		var o *opening
		memwalk.Apart(func() {
			cs := new([32]byte)
			rand.Read(cs[:])
			o = playOn(t, atAccept, spoken, spoken, cs, cs)
			n.Note("the continuity secret of before", cs[:])
			clear(cs[:])
			noteOpening(n, o)
			o.a.Clear()
			o.b.Clear()
		})
		n.Forgotten(t, library...)
		runtime.KeepAlive(o)
	})
}

// While a conversation lives its keys are there: the walk would find them.
func TestKeysOfALivingConversationAreFound(t *testing.T) {
	n := memwalk.New(t)
	var ca, cb *Conversation
	memwalk.Apart(func() {
		ca, cb = ratchets(t)
		say(t, cb, ca, "hello")
		ca.Prepare()
		n.Note("alice's next key", ca.opening.next[:])
		n.Note("alice's opening chain", ca.opening.key[:])
		n.Note("alice's root", ca.ratchet.root[:])
		n.Note("alice's continuity secret", ca.cs[:])
		n.Note("bob's scalar", cb.ratchet.own[:])
	})
	n.Alive(t)
	runtime.KeepAlive(ca)
	runtime.KeepAlive(cb)
}

// notedOpening notes an opening's secrets and goes on to its end.
func notedOpening(t *testing.T, n *memwalk.Notes, o *opening) (ca *Conversation) {
	noteOpening(n, o)
	var err error
	if o.confirm, o.ca, err = o.a.Accept(o.accept); err != nil {
		t.Fatal(err)
	}
	if o.cb, err = o.b.Confirm(o.confirm); err != nil {
		t.Fatal(err)
	}
	return o.ca
}

func noteOpening(n *memwalk.Notes, o *opening) {
	n.Note("K", o.a.k[:])
	n.Note("r", o.a.r[:])
	n.Note("e_A's scalar", o.a.x[:])
	n.Note("e_B's scalar", o.b.y[:])
	seed := o.b.q.Bytes()
	n.Note("ML-KEM's seed", seed)
	clear(seed)
}

// notedTurn says something, and notes the keys before and those that it brought.
func notedTurn(t *testing.T, n *memwalk.Notes, from, to *Conversation) {
	noteConversation(n, from)
	noteConversation(n, to)
	say(t, from, to, "hello")
	from.Prepare()
	to.Prepare()
	for _, c := range []*Conversation{from, to} {
		for _, chain := range []*chain{&c.sending, &c.opening} {
			if chain.ahead {
				n.Note("a message key", chain.next[:])
			}
		}
	}
}

func noteConversation(n *memwalk.Notes, c *Conversation) {
	for _, chain := range []*chain{&c.sending, &c.opening} {
		if chain.begun {
			n.Note("a chain key", chain.key[:])
			key := nextKey(*chain)
			n.Note("a message key", key[:])
			clear(key[:])
		}
	}
	if c.version == plain {
		return
	}
	n.Note("a root", c.ratchet.root[:])
	if c.ratchet.next == theirs {
		n.Note("a share's scalar", c.ratchet.own[:])
	}
}
