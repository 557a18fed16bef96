package e2e

import (
	"crypto/mlkem"
	"testing"

	"sim/proto/box"
	"sim/proto/ticket"
)

// A server that lies plays both ends: it is bob to alice and alice to bob, with every key that it has and the right cid.
// Both conversations open, and the digits tell.
func TestLyingServerPlaysBothEnds(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atWant)
		toBob := &Initiator{fresh: system, versions: spoken, step: awaitNonce, run: o.a.run}
		toBob.h = toBob.run.Transcript(spoken)

		finish := func(a *Initiator, b *Responder, nonce []byte) (ca, cb *Conversation) {
			o := &opening{a: a, b: b, nonce: nonce}
			o.finish(t)
			return o.ca, o.cb
		}
		toAlice, nonce, err := Answer(bob, alice, o.want, spoken, &bobKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		ofAlice, server1 := finish(o.a, toAlice, nonce)
		realBob, nonce, err := Answer(bob, alice, o.want, spoken, &bobKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		server2, ofBob := finish(toBob, realBob, nonce)

		if ofAlice.Digits() != server1.Digits() || ofBob.Digits() != server2.Digits() {
			t.Error("digits differ within a conversation")
		}
		if ofAlice.Digits() == ofBob.Digits() {
			t.Error("digits agree across a server that plays both ends")
		}

		// Who does not compare them is read: the server hears alice, and says to bob what it likes.
		hear(t, server1, seal(t, ofAlice, "my secret"), "my secret")
		hear(t, ofBob, seal(t, server2, "another text"), "another text")
		hear(t, server2, seal(t, ofBob, "yes"), "yes")
		hear(t, ofAlice, seal(t, server1, "no"), "no")
	})
}

// A server that lies and knows K relays the Offer, with alice's commitment, and puts its own shares into what follows.
// Towards bob it can't: it would have to open alice's commitment to its own e_A, or to know alice's private key.
func TestLyingServerSubstitutesShares(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atAccept)
		k := *o.k()
		honest := opened(t, &k, labelAccept, box.FromResponder, o.h5(), o.accept[headerSize:])
		n2, n3 := honest[:nonceSize], honest[nonceSize:2*nonceSize]
		eB, q := newScalar(), system.kem()
		bobs := o.accept
		o.accept = forge(TypeAccept, o.a.CID(), nil, &k, labelAccept, box.FromResponder, o.h5(), n2, n3, eB.share(), q.EncapsulationKey().Bytes(), honest[2*nonceSize+shareSize+mlkem.EncapsulationKeySize768:])
		x := o.a.x
		confirm, ofAlice, err := o.a.Accept(o.accept)
		if err != nil {
			t.Fatal(err) // alice can't tell, but by the digits
		}
		plaintext := opened(t, &k, labelConfirm, box.FromInitiator, o.h6(), confirm[headerSize:confirmHead])
		o.accept = bobs
		eA, r := plaintext[nonceSize:nonceSize+shareSize], plaintext[nonceSize+shareSize:][:randomSize]

		try := func(eA, dh []byte) error {
			kem, ct := o.b.q.EncapsulationKey().Encapsulate()
			msg := forge(TypeConfirm, o.a.CID(), nil, &k, labelConfirm, box.FromInitiator, o.h6(), n3, eA, r, ct)
			h6 := o.h6()
			h7 := box.MixHash(&h6, msg)
			_, err := o.b.Confirm(append(msg, o.asAlice(&k, dh, kem, &h7).seal(KindOpen, nil)...))
			return err
		}
		own := newScalar()
		dh, err := own.agree(o.b.y.share())
		if err != nil {
			t.Fatal(err)
		}
		refused(t, "the server's e_A", try(own.share(), dh), ErrViolation)
		refused(t, "alice's e_A, without its private key", try(eA, dh), ErrOpen)

		// If X25519 were broken the server would have it; then the digits tell.
		bobsDigits := digits(&o.b.run, eA, o.b.y.share(), o.b.q.EncapsulationKey().Bytes())
		if dh, err = x.agree(o.b.y.share()); err != nil {
			t.Fatal(err)
		}
		if err := try(eA, dh); err != nil {
			t.Errorf("with alice's private key: %v", err)
		}
		if ofAlice.Digits() == bobsDigits {
			t.Error("the digits agree")
		}
	})
}

func TestDigitsAreTwelve(t *testing.T) {
	small := false
	for i := range 200 {
		d := digits(&ticket.Run{CID: ticket.CID{byte(i)}}, nil, nil, nil)
		if !twelve.MatchString(d) {
			t.Errorf("got %q", d)
		}
		small = small || d[0] == '0'
	}
	if !small {
		t.Error("none begins with a zero")
	}
}

// The digits are over each of both shares, the ML-KEM key, both names and the cid.
func TestDigitsAreOverEverything(t *testing.T) {
	base := ticket.Run{Initiator: alice, Responder: bob, CID: ticket.CID{1}}
	eA, eB, ek := []byte{1, 31: 0}, []byte{2, 31: 0}, make([]byte, 1184)
	seen := map[string]bool{digits(&base, eA, eB, ek): true}
	for _, d := range []string{
		digits(&ticket.Run{Initiator: eve, Responder: bob, CID: base.CID}, eA, eB, ek),
		digits(&ticket.Run{Initiator: alice, Responder: eve, CID: base.CID}, eA, eB, ek),
		digits(&ticket.Run{Initiator: bob, Responder: alice, CID: base.CID}, eA, eB, ek),
		digits(&ticket.Run{Initiator: alice, Responder: bob}, eA, eB, ek),
		digits(&base, flip(eA, 0), eB, ek),
		digits(&base, eA, flip(eB, 0), ek),
		digits(&base, eA, eB, flip(ek, 1183)),
		digits(&base, eB, eA, ek),
	} {
		if seen[d] {
			t.Errorf("%s comes twice", d)
		}
		seen[d] = true
	}
}
