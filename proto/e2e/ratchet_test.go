package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"sim/proto/box"
)

// ratchets is an open conversation of version 2.
func ratchets(t testing.TB) (ca, cb *Conversation) {
	t.Helper()
	o := playVersions(t, atEnd, Versions, Versions)
	return o.ca, o.cb
}

// shareOf is the share that a message carries.
func shareOf(msg []byte) [shareSize]byte { return [shareSize]byte(msg[headerSize+8 : clearSize]) }

// hear opens a text.
func hear(t testing.TB, c *Conversation, msg []byte, text string) {
	t.Helper()
	if r, err := c.Open(msg); err != nil || string(r.Text) != text {
		t.Fatalf("heard %+v, %v, want %q", r, err, text)
	}
}

// Who turns when, told once by hand.
func TestTurns(t *testing.T) {
	o := playVersions(t, atEnd, Versions, Versions)
	ca, cb := o.ca, o.cb
	if ca.ratchet.next != theirs || cb.ratchet.next != ours || !bytes.Equal(ca.ratchet.own.share(), cb.ratchet.share[:]) {
		t.Error("the first turn is not bob's, to e_A")
	}

	one, two := seal(t, ca, "one"), seal(t, ca, "two")
	if shareOf(o.confirm[confirmHead:]) != [32]byte{} || shareOf(one) != [32]byte{} || shareOf(two) != [32]byte{} {
		t.Error("alice's first chain has a share")
	}
	b1, b2 := seal(t, cb, "b1"), seal(t, cb, "b2") // bob turns with his first message, whatever he has heard
	if shareOf(b1) == [32]byte{} || shareOf(b1) != shareOf(b2) {
		t.Error("bob's first turn")
	}
	hear(t, cb, one, "one")
	b3 := seal(t, cb, "b3")
	hear(t, cb, two, "two")
	if shareOf(b3) != shareOf(b1) {
		t.Error("bob turns, and alice has not answered")
	}
	hear(t, ca, b1, "b1")
	_, a1, err := ca.Seal(KindAck, nil) // an acknowledgement turns too
	if err != nil {
		t.Fatal(err)
	}
	a2 := seal(t, ca, "a2")
	hear(t, ca, b2, "b2")
	hear(t, ca, b3, "b3")
	a3 := seal(t, ca, "a3")
	if shareOf(a1) == [32]byte{} || shareOf(a1) != shareOf(a2) || shareOf(a1) != shareOf(a3) {
		t.Error("alice's turn")
	}
	hear(t, cb, a1, "")
	b4 := seal(t, cb, "b4")
	hear(t, cb, a2, "a2")
	hear(t, cb, a3, "a3")
	if b5 := seal(t, cb, "b5"); shareOf(b4) == shareOf(b3) || shareOf(b4) != shareOf(b5) {
		t.Error("bob's second turn")
	}
}

// Version 1 has no turns, and no secret of the ratchet's.
func TestVersionOneNeverTurns(t *testing.T) {
	ca, cb := talk(t)
	for range 5 {
		for _, msg := range [][]byte{seal(t, ca, "hello"), seal(t, cb, "hello")} {
			if shareOf(msg) != [32]byte{} {
				t.Error("a share")
			}
		}
	}
	if ca.ratchet != (ratchet{}) || cb.ratchet != (ratchet{}) || ca.cs != [32]byte{} || ca.Continuity() != nil || ca.Continued() {
		t.Error("a ratchet")
	}
}

// The ratchet of version 1 is made of zeros, which anybody knows: a turn to it must not be taken.
func TestTurnInVersionOne(t *testing.T) {
	ca, cb := talk(t)
	zeros := ratchet{share: [shareSize]byte((&scalar{}).share())}
	own := newScalar()
	_, turn := zeros.turn(&own)
	unopened(t, "a turn to zeros", ca, forgedIn(cb, turn, "forged"), ErrViolation)
	unopened(t, "a turn to zeros", cb, forgedIn(ca, turn, "forged"), ErrViolation)
	converseBothWays(t, ca, cb)
}

// A long conversation: both talk at random, their messages cross, and all arrive in order.
func TestLongConversation(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		for seed := range uint64(5) {
			draw := rand.New(rand.NewPCG(seed, 0))
			ca, cb := talk(t)
			ends := [2]*Conversation{ca, cb}
			type sent struct {
				msg  []byte
				text string
			}
			var way [2][]sent // by sender
			shares := map[[shareSize]byte]bool{}
			for i := range 1000 {
				who := draw.IntN(2)
				if draw.IntN(5) < 2 {
					text := fmt.Sprint("text ", i)
					if draw.IntN(3) == 0 {
						text = ""
					}
					var msg []byte
					if text == "" {
						_, msg, _ = ends[who].Seal(KindAck, nil)
					} else {
						msg = seal(t, ends[who], text)
					}
					shares[shareOf(msg)] = true
					way[who] = append(way[who], sent{msg, text})
				} else if len(way[1-who]) > 0 {
					next := way[1-who][0]
					way[1-who] = way[1-who][1:]
					hear(t, ends[who], next.msg, next.text)
				}
			}
			if ca.version == ratcheted && len(shares) < 50 || ca.version == plain && len(shares) != 1 {
				t.Errorf("seed %d: %d shares", seed, len(shares))
			}
			if ca.sealed < 150 || cb.sealed < 150 {
				t.Errorf("seed %d: %d and %d messages", seed, ca.sealed, cb.sealed)
			}
		}
	})
}

// turned are conversations of version 2 in each state that a receiver can be in, with the next message from its peer:
// of the chain that it knows, or of a turn.
func turned(t *testing.T) map[string]struct {
	c    *Conversation
	next []byte
	turn bool // next is a turn
} {
	type state = struct {
		c    *Conversation
		next []byte
		turn bool
	}
	states := make(map[string]state)
	ca, cb := ratchets(t)
	states["bob, at the beginning"] = state{cb, seal(t, ca, "next"), false}
	states["alice, before bob's first"] = state{ca, seal(t, cb, "next"), true}
	ca, cb = ratchets(t)
	say(t, cb, ca, "hello")
	states["alice, her turn"] = state{ca, seal(t, cb, "next"), false}
	states["bob, before alice's turn"] = state{cb, seal(t, ca, "next"), true}
	ca, cb = ratchets(t)
	say(t, cb, ca, "hello")
	say(t, ca, cb, "hello")
	states["bob, his turn"] = state{cb, seal(t, ca, "next"), false}
	states["alice, before bob's turn"] = state{ca, seal(t, cb, "next"), true}
	for what, s := range maps.Clone(states) {
		c := *s.c
		c.Prepare()
		states[what+", prepared"] = state{&c, s.next, s.turn}
	}
	return states
}

// Shares in place of others: nothing opens, nothing changes, and then the honest message opens.
func TestSharesInPlaceOfOthers(t *testing.T) {
	other := newScalar()
	for what, s := range turned(t) {
		put := func(share []byte) []byte {
			msg := bytes.Clone(s.next)
			copy(msg[headerSize+8:], share)
			return msg
		}
		// A new share is taken up while the turn is theirs, and then the message does not open under it.
		newShare := ErrViolation
		if s.c.ratchet.next == theirs {
			newShare = ErrOpen
		}
		unopened(t, what+": another share", s.c, put(other.share()), newShare)
		unopened(t, what+": a bent share", s.c, flip(s.next, headerSize+8), newShare)
		if s.turn { // the highest bit does not matter to X25519, but to the associated data
			bent := shareOf(s.next)
			bent[31] ^= 0x80
			unopened(t, what+": a share's highest bit", s.c, put(bent[:]), ErrOpen)
		}
		for _, point := range lowOrder(t) {
			if s.c.opening.carries((*[shareSize]byte)(point)) {
				continue // zeros, in the initiator's first chain
			}
			unopened(t, what+": a share of small order", s.c, put(point), ErrViolation)
			point[31] |= 0x80
			unopened(t, what+": a share of small order", s.c, put(point), ErrViolation)
		}
		if s.c.opening.begun && s.turn {
			unopened(t, what+": the last share", s.c, put(s.c.opening.share[:]), ErrOpen)
		}
		if s.c.sending.share != [shareSize]byte{} {
			unopened(t, what+": its own share", s.c, put(s.c.sending.share[:]), newShare)
		}
		hear(t, s.c, s.next, "next")
	}
}

// forgedIn is the next message of a dishonest peer, sealed as it should be, but in another chain.
func forgedIn(c *Conversation, with chain, text string) []byte {
	number, key := c.sealed+1, nextKey(with)
	msg := binary.BigEndian.AppendUint64(header(TypeMessage, &c.run.CID, 0), number)
	msg = append(msg, with.share[:]...)
	body := said(0, KindText, []byte{0, byte(len(text))}, []byte(text), make([]byte, 256-len(text)))
	return box.NewAEAD(key[:]).Seal(msg, nonce[:], body, c.data(c.role, number, &with.share))
}

func TestTurnOutOfTurn(t *testing.T) {
	// Bob turns twice: the second turn does not wait for alice's.
	ca, cb := ratchets(t)
	eA := cb.ratchet.share // which he has answered already
	say(t, cb, ca, "hello")
	greedy := *cb
	greedy.ratchet.share = eA
	own := newScalar()
	_, second := greedy.ratchet.turn(&own)
	unopened(t, "bob's second turn", ca, forgedIn(cb, second, "again"), ErrViolation)
	say(t, cb, ca, "and on")

	// Alice turns before bob has begun.
	ca, cb = ratchets(t)
	greedy = *ca
	greedy.ratchet.share = [32]byte(newShare())
	_, early := greedy.ratchet.turn(&own)
	unopened(t, "alice's turn at the beginning", cb, forgedIn(ca, early, "early"), ErrViolation)
	say(t, ca, cb, "and on")

	// Bob goes on in a chain of the beginning as in version 1, or in one of zeros: he has none.
	ca, cb = ratchets(t)
	unopened(t, "bob without a share, zeros as the key", ca, forgedIn(cb, chain{}, "zeros"), ErrViolation)
	unopened(t, "bob without a share, in alice's chain", ca, forgedIn(cb, ca.sending, "hers"), ErrViolation)
	say(t, cb, ca, "and on")

	// Alice begins a turn, and falls back.
	ca, cb = ratchets(t)
	before := ca.sending
	say(t, cb, ca, "hello")
	say(t, ca, cb, "a turn")
	unopened(t, "alice's first chain again", cb, forgedIn(ca, before, "back"), ErrViolation)
	say(t, cb, ca, "a turn")
	unopened(t, "alice's first chain, with bob's turn over", cb, forgedIn(ca, before, "back"), ErrViolation)
	say(t, ca, cb, "and on")
}

func newShare() []byte {
	s := newScalar()
	return s.share()
}

// A message that opens under a new share and breaks the protocol takes no turn either.
func TestDishonestPeerTakesNoTurn(t *testing.T) {
	ca, cb := ratchets(t)
	for what, plaintext := range map[string][]byte{
		"acknowledged, but not sent": said(9, KindAck),
		"open":                       said(0, KindOpen),
		"kind 4":                     said(0, 4),
	} {
		unopened(t, what, ca, forged(cb, nil, plaintext), ErrViolation)
	}
	say(t, cb, ca, "an honest turn")
	unopened(t, "in alice's turn", cb, forged(ca, nil, said(9, KindAck)), ErrViolation)
	say(t, ca, cb, "an honest turn")
}

// Both turns of one conversation, and the same turns of another: shares are bound to their messages and conversations.
func TestSharesOfAnotherConversation(t *testing.T) {
	ca, cb := ratchets(t)
	_, other := ratchets(t)
	b1, b2, o1 := seal(t, cb, "b1"), seal(t, cb, "b2"), seal(t, other, "b1")
	swap := func(msg, from []byte) []byte {
		msg = bytes.Clone(msg)
		copy(msg[headerSize+8:clearSize], from[headerSize+8:clearSize])
		return msg
	}
	unopened(t, "another conversation's share", ca, swap(b1, o1), ErrOpen)
	unopened(t, "another conversation's message", ca, withCID(o1, ca.CID()), ErrOpen)
	hear(t, ca, b1, "b1")
	unopened(t, "another conversation's share, out of turn", ca, swap(b2, o1), ErrViolation)
	unopened(t, "no share", ca, swap(b2, make([]byte, clearSize)), ErrViolation)
	hear(t, ca, b2, "b2")
}

// Private keys, chains and roots go when they have been used.
func TestRatchetForgets(t *testing.T) {
	d := bytes.Repeat([]byte{1}, 32)
	new(ratchet).after(d, newShare())
	if !zero(d) {
		t.Error("what X25519 gave is left")
	}
	ca, cb := ratchets(t)
	var none scalar
	for i := range 10 {
		from, to := cb, ca
		if i%2 == 1 {
			from, to = ca, cb
		}
		root, own, chainOf := from.ratchet.root, to.ratchet.own, to.opening
		if from.ratchet.next != ours || from.ratchet.own != none || own == none || to.ratchet.share != [32]byte{} {
			t.Fatalf("turn %d: a private key is left, or none", i)
		}
		first, second := seal(t, from, "first"), seal(t, from, "second")
		if from.ratchet.next != theirs || from.ratchet.own == none || from.ratchet.share != [32]byte{} || from.ratchet.root == root {
			t.Errorf("turn %d: the sender has not turned", i)
		}
		if !bytes.Equal(from.ratchet.own.share(), from.sending.share[:]) || from.sending.share != shareOf(first) {
			t.Errorf("turn %d: another share", i)
		}
		kept := from.ratchet
		hear(t, to, first, "first")
		if to.ratchet.own != none || to.ratchet.next != ours || to.ratchet.root != kept.root || to.opening.key == chainOf.key {
			t.Errorf("turn %d: the receiver has not turned", i)
		}
		hear(t, to, second, "second")
		if to.opening != from.sending || from.ratchet != kept {
			t.Errorf("turn %d: the chains differ", i)
		}
	}
}
