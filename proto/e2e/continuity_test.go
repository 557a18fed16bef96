package e2e

import (
	"bytes"
	"reflect"
	"testing"

	"sim/proto/box"
	"sim/proto/ticket"
)

// follow is an opening in version 2 by two with these continuity secrets.
func follow(t testing.TB, stage int, heldByA, heldByB *[32]byte) *opening {
	t.Helper()
	return playOn(t, stage, Versions, Versions, heldByA, heldByB)
}

func TestContinued(t *testing.T) {
	o := follow(t, atEnd, nil, nil)
	if o.ca.Continued() || o.cb.Continued() {
		t.Error("the first conversation continues another")
	}
	seen := make(map[[32]byte]bool)
	for range 4 {
		ofA, ofB := o.ca.Continuity(), o.cb.Continuity()
		if *ofA != *ofB || seen[*ofA] || *ofA == [32]byte{} {
			t.Fatal("the secrets differ, or one comes twice")
		}
		seen[*ofA] = true
		converseBothWays(t, o.ca, o.cb)
		if *o.ca.Continuity() != *ofA {
			t.Error("the secret is not that of the conversation, but of the moment")
		}
		o.ca.Clear()
		if o.ca.Continuity() != nil {
			t.Error("a cleared conversation has a secret")
		}
		if *o.cb.Continuity() != *ofB {
			t.Error("alice's copy is bob's")
		}
		o = follow(t, atEnd, ofB, ofA) // it has no sides: whoever opens, it is the same
		if !o.ca.Continued() || !o.cb.Continued() {
			t.Fatal("not continued")
		}
		if o.a.past != (past{}) || o.b.past != (past{}) {
			t.Error("the machines remember the secret")
		}
		converseBothWays(t, o.ca, o.cb)
	}
}

func TestNotContinued(t *testing.T) {
	cs, other := &[32]byte{1}, &[32]byte{2}
	for what, held := range map[string][2]*[32]byte{
		"neither holds one": {nil, nil}, "alice has lost it": {nil, cs}, "bob has lost it": {cs, nil}, "they hold different ones": {cs, other},
		"alice holds zeros": {new([32]byte), nil}, "bob holds zeros": {nil, new([32]byte)},
	} {
		o := follow(t, atEnd, held[0], held[1])
		if o.ca.Continued() || o.cb.Continued() {
			t.Errorf("%s: continued", what)
		}
		converseBothWays(t, o.ca, o.cb)
	}
}

// With a peer that speaks version 1 only, a secret changes nothing.
func TestContinuityEndsInVersionOne(t *testing.T) {
	cs := &[32]byte{1}
	for _, versions := range [][2][]byte{{Versions, {1}}, {{1}, Versions}, {{1}, {1}}} {
		o := playOn(t, atEnd, versions[0], versions[1], cs, cs)
		if len(o.offer) != 289 || len(o.accept) != 1313 || o.ca.Continued() || o.cb.Continued() || o.ca.Continuity() != nil || o.cb.Continuity() != nil {
			t.Error("continuity in version 1")
		}
		converseBothWays(t, o.ca, o.cb)
	}
}

// The machines take copies, only while there is use for them, and the last one given; nil takes it back.
func TestContinueTakesACopy(t *testing.T) {
	one, two := [32]byte{1}, [32]byte{2}
	o := follow(t, atTicket, &two, &two)
	o.a.Continue(&one)
	o.b.Continue(&one)
	clear(one[:])
	o.finish(t)
	if !o.ca.Continued() || !o.cb.Continued() {
		t.Error("not continued")
	}
	o = follow(t, atOffer, nil, nil)
	o.a.Continue(&two)
	if o.a.past != (past{}) {
		t.Error("alice takes a secret after Ticket")
	}
	o = follow(t, atAccept, nil, nil)
	o.b.Continue(&two)
	if o.b.past != (past{}) {
		t.Error("bob takes a secret after Offer")
	}
	o.finish(t)
	o = follow(t, atTicket, &two, &two)
	o.b.Continue(nil)
	o.finish(t)
	if o.ca.Continued() || o.cb.Continued() {
		t.Error("continued what bob took back")
	}
	new(Initiator).Continue(&two)
	new(Responder).Continue(&two)
}

// mark opens an Offer that alice has sent.
func mark(t *testing.T, o *opening) [markSize]byte {
	t.Helper()
	return [markSize]byte(opened(t, o.k(), labelOffer, box.FromInitiator, o.ht(), o.offer[headerSize+ticket.Size:])[nonceSize+hashSize:])
}

// A mark tells nobody whether two conversations are of the same two, nor whether there was one before.
func TestMarks(t *testing.T) {
	seen := make(map[[markSize]byte]bool)
	for _, cs := range []*[32]byte{nil, {}, {1}} {
		for range 20 {
			o := follow(t, atAccept, cs, cs)
			m := mark(t, o)
			if seen[m] || m == [markSize]byte{} {
				t.Errorf("a mark comes twice, or is zeros")
			}
			seen[m] = true
			cid := o.a.CID()
			if cs != nil && !bytes.Equal(m[:], mac(cs[:], []byte("sim/1 continuity mark"), cid[:], []byte{1})[:16]) {
				t.Error("not the mark of the page")
			}
		}
	}
}

// accepts makes bob's Accept with another last byte.
func accepts(t *testing.T, o *opening, continued ...byte) []byte {
	t.Helper()
	plaintext := opened(t, o.k(), labelAccept, box.FromResponder, o.h5(), o.accept[headerSize:])
	plaintext = append(plaintext[:len(plaintext)-1], continued...)
	return forge(TypeAccept, o.a.CID(), nil, o.k(), labelAccept, box.FromResponder, o.h5(), plaintext)
}

func TestLiarSaysContinued(t *testing.T) {
	cs := &[32]byte{1}
	// To an alice who holds nothing.
	o := follow(t, atAccept, nil, cs)
	was := *o.a
	for _, said := range []byte{1, 2, 255} {
		_, _, err := o.a.Accept(accepts(t, o, said))
		refused(t, "continued to one that holds nothing", err, ErrViolation)
	}
	_, _, err := o.a.Accept(accepts(t, o))
	refused(t, "an Accept of version 1's length", err, ErrMalformed)
	_, _, err = o.a.Accept(accepts(t, o, 0, 0))
	refused(t, "an Accept that is longer", err, ErrMalformed)
	if !reflect.DeepEqual(*o.a, was) {
		t.Error("a lie changed alice")
	}
	o.finish(t)

	// To an alice who holds one: 2 is none, and 1 from a liar without the secret leaves him with nothing.
	o = follow(t, atAccept, cs, nil)
	for _, said := range []byte{2, 255} {
		_, _, err := o.a.Accept(accepts(t, o, said))
		refused(t, "continued is 2", err, ErrViolation)
	}
	o.accept = accepts(t, o, 1)
	o.b.h = o.h6() // the liar knows what he has sent
	confirm, ca, err := o.a.Accept(o.accept)
	if err != nil || !ca.Continued() {
		t.Fatal(err)
	}
	liar := *o.b
	_, err = liar.Confirm(confirm)
	refused(t, "a liar's keys", err, ErrOpen)
	liar = *o.b
	liar.continued = true // with zeros for the secret
	_, err = liar.Confirm(confirm)
	refused(t, "a liar's keys", err, ErrOpen)
	liar = *o.b
	liar.past, liar.continued = past{true, *cs}, true
	if _, err := liar.Confirm(confirm); err != nil {
		t.Errorf("with the secret: %v", err)
	}
}

// An Offer of the other version's length is none; the box inside it would open.
func TestOfferOfAnotherLength(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atOffer)
		for _, size := range []int{nonceSize + hashSize, nonceSize + hashSize + markSize} {
			if size == len(blankOffer()) {
				continue
			}
			before := o.offer[headerSize : headerSize+ticket.Size]
			msg := forge(TypeOffer, o.a.CID(), before, o.k(), labelOffer, box.FromInitiator, o.ht(), make([]byte, size))
			was := *o.b
			_, err := o.b.Offer(msg, alice, &bobKeys.Ticket)
			refused(t, "another version's Offer", err, ErrMalformed)
			if *o.b != was {
				t.Error("it changed bob")
			}
		}
		o.finish(t)
	})
}

// K_AB is of CS too: the same run with another, or none, has other keys, and the mark is no part of them.
func TestKeyIsOfContinuity(t *testing.T) {
	k, h7, dh, kem := [32]byte{1}, [32]byte{2}, make([]byte, 32), make([]byte, 32)
	seen := make(map[[32]byte]bool)
	for _, p := range []past{{}, {true, [32]byte{}}, {true, [32]byte{1}}, {true, [32]byte{31: 1}}} {
		for _, continued := range []bool{false, true} {
			kab := conversationKey(&k, &h7, dh, kem, p.secret(continued && p.held))
			want := mac(mac(k[:], dh, kem), []byte("sim/1 conversation"), h7[:], []byte{1})
			if continued && p.held {
				want = mac(mac(k[:], dh, kem, p.cs[:]), []byte("sim/1 conversation"), h7[:], []byte{1})
				if seen[kab] {
					t.Error("a key comes twice")
				}
			}
			if !bytes.Equal(kab[:], want) {
				t.Error("not the key of the page")
			}
			seen[kab] = true
		}
	}
}

// After a first conversation that was honest, the server lies in the second: it plays both ends, with K and every key that
// it has, and passes on the marks, the cid being the same. It has no CS.
func TestLyingServerInTheSecondConversation(t *testing.T) {
	first := follow(t, atEnd, nil, nil)
	cs := first.ca.Continuity()

	// Towards alice it is bob. It says 0, and she begins anew, so that a confirmation is gone; or it says 1, and has no keys.
	for _, said := range []byte{0, 1} {
		o := follow(t, atAccept, cs, nil)
		server := o.b
		o.accept = accepts(t, o, said)
		server.h, server.continued = o.h6(), said == 1
		confirm, ofAlice, err := o.a.Accept(o.accept)
		if err != nil {
			t.Fatal(err)
		}
		got, err := server.Confirm(confirm)
		if said == 0 {
			if err != nil || ofAlice.Continued() {
				t.Errorf("the server says 0: %v, continued %t", err, ofAlice.Continued())
			}
			continue
		}
		refused(t, "the server says 1, and reads", err, ErrOpen)
		if got != nil {
			t.Error("the server has a conversation that is continued")
		}
	}

	// Towards bob it is alice, with the mark that she has made for this cid, or without.
	ofAlice := follow(t, atAccept, cs, nil)
	for _, passed := range []bool{false, true} {
		server := &Initiator{fresh: system, versions: Versions, step: awaitNonce, run: ofAlice.a.run}
		server.h = server.run.Transcript(Versions)
		b, nonce, err := Answer(bob, alice, ofAlice.want, Versions, &bobKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		b.Continue(cs)
		intro, err := server.Nonce(nonce)
		if err != nil {
			t.Fatal(err)
		}
		o := &opening{a: server, b: b, nonce: nonce}
		if o.offer, err = server.Ticket(issue(t, intro), &aliceKeys.Intro); err != nil {
			t.Fatal(err)
		}
		if passed {
			plaintext := opened(t, o.k(), labelOffer, box.FromInitiator, o.ht(), o.offer[headerSize+ticket.Size:])
			m := mark(t, ofAlice)
			o.offer = forge(TypeOffer, server.CID(), o.offer[headerSize:headerSize+ticket.Size], o.k(), labelOffer, box.FromInitiator, o.ht(),
				plaintext[:nonceSize+hashSize], m[:])
			server.h = o.h5()
			server.past.held = true // so that it takes bob's 1, with zeros for the secret
		}
		if o.accept, err = b.Offer(o.offer, alice, &bobKeys.Ticket); err != nil {
			t.Fatal(err)
		}
		if o.confirm, _, err = server.Accept(o.accept); err != nil {
			t.Fatal(err)
		}
		ofBob, err := b.Confirm(o.confirm)
		if passed {
			refused(t, "alice's mark, and no secret", err, ErrOpen)
			if ofBob != nil {
				t.Error("the server has a conversation that is continued")
			}
		} else if err != nil || ofBob.Continued() {
			t.Errorf("another mark: %v", err)
		}
	}

	// A mark of another cid is none.
	o := follow(t, atOffer, cs, cs)
	m := mark(t, ofAlice)
	plaintext := opened(t, o.k(), labelOffer, box.FromInitiator, o.ht(), o.offer[headerSize+ticket.Size:])
	o.offer = forge(TypeOffer, o.a.CID(), o.offer[headerSize:headerSize+ticket.Size], o.k(), labelOffer, box.FromInitiator, o.ht(), plaintext[:nonceSize+hashSize], m[:])
	if _, err := o.b.Offer(o.offer, alice, &bobKeys.Ticket); err != nil || o.b.continued {
		t.Errorf("alice's mark of another conversation: %v", err)
	}
}
