package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"sim/proto/box"
	"sim/proto/ticket"
)

// The cast: alice opens to bob; eve is a user like them; mallory sits in the network between all and the server; and now
// and then it is the server that lies. Everybody has keys with the server.
var (
	alice, bob, eve = name("alice"), name("bob"), name("eve")

	aliceKeys = &ticket.Keys{Nonce: [32]byte{1}, Intro: [32]byte{2}, Ticket: [32]byte{3}}
	bobKeys   = &ticket.Keys{Nonce: [32]byte{4}, Intro: [32]byte{5}, Ticket: [32]byte{6}}
	eveKeys   = &ticket.Keys{Nonce: [32]byte{7}, Intro: [32]byte{8}, Ticket: [32]byte{9}}
)

func name(s string) (n ticket.Name) {
	copy(n[:], s)
	return n
}

// An opening is both ends, and what was said between them.
type opening struct {
	a *Initiator
	b *Responder

	want, nonce, introBox, offer, accept, confirm []byte

	intro  *ticket.Intro
	ca, cb *Conversation
}

// spoken are the versions that alice and bob speak; eachVersion tells a story once for each that they can agree on.
var spoken = []byte{plain}

func eachVersion(t *testing.T, story func(t *testing.T)) {
	defer func() { spoken = []byte{plain} }()
	for i, version := range Versions {
		spoken = Versions[:i+1]
		t.Run(fmt.Sprintf("version %d", version), story)
	}
}

// The stages of an opening are named for the message that comes next.
const (
	atWant = iota
	atNonce
	atTicket
	atOffer
	atAccept
	atConfirm
	atEnd
)

// play is an honest opening from alice to bob up to a stage.
func play(t testing.TB, stage int) *opening {
	t.Helper()
	return playVersions(t, stage, spoken, spoken)
}

func playVersions(t testing.TB, stage int, spokenByA, spokenByB []byte) *opening {
	t.Helper()
	return playOn(t, stage, spokenByA, spokenByB, nil, nil)
}

// playOn is an opening by two who hold, or do not hold, the continuity secret of an earlier conversation.
func playOn(t testing.TB, stage int, spokenByA, spokenByB []byte, heldByA, heldByB *[32]byte) *opening {
	t.Helper()
	o := new(opening)
	var err error
	steps := []func(){
		func() {
			o.b, o.nonce, err = Answer(bob, alice, o.want, spokenByB, &bobKeys.Nonce)
			o.a.Continue(heldByA)
			o.b.Continue(heldByB)
		},
		func() { o.intro, err = o.a.Nonce(o.nonce); o.introBox = issue(t, o.intro) },
		func() { o.offer, err = o.a.Ticket(o.introBox, &aliceKeys.Intro) },
		func() { o.accept, err = o.b.Offer(o.offer, alice, &bobKeys.Ticket) },
		func() { o.confirm, o.ca, err = o.a.Accept(o.accept) },
		func() { o.cb, err = o.b.Confirm(o.confirm) },
	}
	o.a, o.want, err = Start(alice, bob, spokenByA)
	for i, step := range steps[:stage] {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		step()
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// issue is the server's part.
func issue(t testing.TB, in *ticket.Intro) []byte {
	t.Helper()
	sealed, err := ticket.Issue(alice, in, &aliceKeys.Intro, bobKeys)
	if err != nil {
		t.Fatal(err)
	}
	return sealed[:]
}

// finish goes on from where the honest messages have got to, and fails the test unless the conversation opens.
func (o *opening) finish(t *testing.T) {
	t.Helper()
	var err error
	check := func(what string) {
		t.Helper()
		if err != nil {
			t.Fatalf("then the honest %s: %v", what, err)
		}
	}
	if o.a.step == awaitNonce {
		o.intro, err = o.a.Nonce(o.nonce)
		check("Nonce")
		o.introBox = issue(t, o.intro)
	}
	if o.a.step == awaitTicket {
		o.offer, err = o.a.Ticket(o.introBox, &aliceKeys.Intro)
		check("Ticket")
	}
	if o.b.step == awaitOffer {
		o.accept, err = o.b.Offer(o.offer, alice, &bobKeys.Ticket)
		check("Offer")
	}
	if o.a.step == awaitAccept {
		o.confirm, o.ca, err = o.a.Accept(o.accept)
		check("Accept")
	}
	o.cb, err = o.b.Confirm(o.confirm)
	check("Confirm")
	converseBothWays(t, o.ca, o.cb)
}

// converseBothWays fails the test unless both ends agree.
func converseBothWays(t *testing.T, ca, cb *Conversation) {
	t.Helper()
	if ca.Digits() != cb.Digits() || ca.CID() != cb.CID() || ca.Version() != cb.Version() {
		t.Errorf("the ends differ: %q and %q", ca.Digits(), cb.Digits())
	}
	say(t, ca, cb, "hello bob")
	say(t, cb, ca, "hello alice")
}

// say sends a text that arrives.
func say(t testing.TB, from, to *Conversation, text string) Received {
	t.Helper()
	number, msg, err := from.Seal(KindText, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := to.Open(msg)
	if err != nil || string(r.Text) != text || r.Number != number || r.Kind != KindText {
		t.Fatalf("said %q (%d), heard %+v, %v", text, number, r, err)
	}
	return r
}

// refused fails the test unless err is want.
func refused(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// flip returns msg with a byte changed.
func flip(msg []byte, i int) []byte {
	flipped := bytes.Clone(msg)
	flipped[i] ^= 0x40
	return flipped
}

// withCID returns msg with another conversation's cid.
func withCID(msg []byte, cid ticket.CID) []byte {
	moved := bytes.Clone(msg)
	copy(moved[1:], cid[:])
	return moved
}

// The keys and hashes that a dishonest peer, or a server that kept K, has too.

func (o *opening) k() *[32]byte { return &o.a.k } // from stage atOffer to atConfirm

func (o *opening) ht() [32]byte {
	h0 := o.a.run.Transcript(o.a.versions)
	h2 := box.MixHash(&h0, o.nonce)
	return box.MixHash(&h2, o.offer[headerSize:headerSize+ticket.Size])
}

func (o *opening) h5() [32]byte {
	ht := o.ht()
	return box.MixHash(&ht, o.offer)
}

func (o *opening) h6() [32]byte {
	h5 := o.h5()
	return box.MixHash(&h5, o.accept)
}

// asAlice is the conversation that begins with these secrets.
func (o *opening) asAlice(k *[32]byte, dh, kem []byte, h7 *[32]byte) *Conversation {
	kab := conversationKey(k, h7, dh, kem)
	return converse(&o.a.run, box.FromInitiator, o.a.version, &kab, h7, &scalar{1}, nil)
}

// blankOffer is the plaintext of an Offer's box without content.
func blankOffer() []byte {
	return make([]byte, in(spoken[len(spoken)-1], nonceSize+hashSize, markSize))
}

// opened returns what a box under K holds.
func opened(t testing.TB, key *[32]byte, label string, direction box.Direction, context [32]byte, sealed []byte) []byte {
	t.Helper()
	plaintext, err := box.Open(key, label, direction, &context, sealed)
	if err != nil {
		t.Fatal(err)
	}
	return plaintext
}

// forge is a message whose box holds what the forger likes.
func forge(typ byte, cid ticket.CID, before []byte, key *[32]byte, label string, direction box.Direction, context [32]byte, parts ...[]byte) []byte {
	msg := append(header(typ, &cid, 0), before...)
	return append(msg, box.Seal(key, label, direction, &context, join(parts...))...)
}
