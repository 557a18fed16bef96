package e2e

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"sim/proto/box"
	"sim/proto/ticket"
)

// Attacks by name. Those on a message's bytes are in opening_test.go, those on the server's step in package ticket.
// Not here: what a client does about pending cids, rates and time, which is the client's.

// Denning and Sacco (1981): mallory has an old run's K and all its messages, and replays it to bob.
func TestDenningSacco(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		old := play(t, atAccept)
		k := *old.k()

		// Bob takes the old Want, which has the old cid, and draws a new N_B.
		b, nonce, err := Answer(bob, alice, old.want, spoken, &bobKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Offer(old.offer, alice, &bobKeys.Ticket)
		refused(t, "old Offer", err, ErrOpen)

		// With K she seals a new box beside the old ticket.
		oldTicket := old.offer[headerSize : headerSize+ticket.Size]
		h0 := old.a.run.Transcript(spoken)
		h2 := box.MixHash(&h0, nonce)
		ht := box.MixHash(&h2, oldTicket)
		fresh := forge(TypeOffer, old.a.CID(), oldTicket, &k, labelOffer, box.FromInitiator, ht, blankOffer())
		_, err = b.Offer(fresh, alice, &bobKeys.Ticket)
		refused(t, "old ticket, new box", err, ErrOpen)

		// To alice, she replays an old intro box.
		a := play(t, atTicket).a
		_, err = a.Ticket(old.introBox, &aliceKeys.Intro)
		refused(t, "old intro box", err, ErrOpen)
	})
}

// A server that lies, or fails, seals an old N_B into a ticket that is right in all else.
func TestTicketWithAnotherNonceUsesUpNB(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atOffer)
		h0 := o.a.run.Transcript(spoken)
		h2 := box.MixHash(&h0, o.nonce)
		k, cid := [32]byte{1}, o.a.CID()
		sealed := box.Seal(&bobKeys.Ticket, "sim/1 box ticket", box.FromResponder, &h2, join(cid[:], k[:], alice[:], bob[:], make([]byte, ticket.NonceSize)))
		msg := forge(TypeOffer, cid, sealed, &k, labelOffer, box.FromInitiator, box.MixHash(&h2, sealed), blankOffer())
		_, err := o.b.Offer(msg, alice, &bobKeys.Ticket)
		refused(t, "ticket of another N_B", err, ErrViolation)
		_, err = o.b.Offer(o.offer, alice, &bobKeys.Ticket)
		refused(t, "the honest Offer then", err, ErrTurn)
	})
}

// The same towards alice: N_1 is used up by the first intro box that opens.
func TestIntroBoxOfAnotherRunUsesUpN1(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atTicket)
		h0 := o.a.run.Transcript(spoken)
		h2 := box.MixHash(&h0, o.nonce)
		context := box.MixHash(&h2, o.intro.N1[:])
		cid := o.a.CID()
		sealed := box.Seal(&aliceKeys.Intro, "sim/1 box intro", box.FromResponder, &context,
			join(o.intro.N1[:], alice[:], eve[:], cid[:], make([]byte, box.KeySize+ticket.Size)))
		_, err := o.a.Ticket(sealed, &aliceKeys.Intro)
		refused(t, "intro box for eve", err, ErrViolation)
		_, err = o.a.Ticket(o.introBox, &aliceKeys.Intro)
		refused(t, "the honest one then", err, ErrTurn)
	})
}

// Two runs between the same two: no message of one fits into the other, with its own cid or with the other's.
func TestSplicingTwoRuns(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		other := play(t, atEnd)
		_, otherText, _ := other.ca.Seal(KindText, []byte("hello"))

		o := play(t, atNonce)
		_, err := o.a.Nonce(other.nonce)
		refused(t, "Nonce", err, ErrOther)
		a := *o.a
		intro, err := a.Nonce(withCID(other.nonce, o.a.CID()))
		if err != nil {
			t.Fatal(err) // alice can't tell
		}
		if _, err := ticket.Issue(alice, intro, &aliceKeys.Intro, bobKeys); !errors.Is(err, ticket.ErrRefused) {
			t.Errorf("Nonce with the cid: the server issues: %v", err)
		}
		o.finish(t)

		o = play(t, atTicket)
		_, err = o.a.Ticket(other.introBox, &aliceKeys.Intro)
		refused(t, "intro box", err, ErrOpen)
		o.finish(t)

		o = play(t, atOffer)
		_, err = o.b.Offer(other.offer, alice, &bobKeys.Ticket)
		refused(t, "Offer", err, ErrOther)
		_, err = o.b.Offer(withCID(other.offer, o.a.CID()), alice, &bobKeys.Ticket)
		refused(t, "Offer with the cid", err, ErrOpen)
		o.finish(t)

		o = play(t, atAccept)
		_, _, err = o.a.Accept(other.accept)
		refused(t, "Accept", err, ErrOther)
		_, _, err = o.a.Accept(withCID(other.accept, o.a.CID()))
		refused(t, "Accept with the cid", err, ErrOpen)
		o.finish(t)

		o = play(t, atConfirm)
		_, err = o.b.Confirm(other.confirm)
		refused(t, "Confirm", err, ErrOther)
		_, err = o.b.Confirm(withCID(other.confirm, o.a.CID()))
		refused(t, "Confirm with the cid", err, ErrOpen)
		first := append(bytes.Clone(o.confirm[:confirmHead]), withCID(other.confirm[confirmHead:], o.a.CID())...)
		_, err = o.b.Confirm(first)
		refused(t, "another run's first message", err, ErrOpen)
		o.finish(t)

		o = play(t, atEnd)
		_, err = o.cb.Open(otherText)
		refused(t, "Message", err, ErrOther)
		_, err = o.cb.Open(withCID(otherText, o.a.CID()))
		refused(t, "Message with the cid", err, ErrOpen)
		converseBothWays(t, o.ca, o.cb)
	})
}

// The first message has a cid of its own, inside Confirm.
func TestFirstMessageOfAnotherCID(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atConfirm)
		moved := append(bytes.Clone(o.confirm[:confirmHead]), withCID(o.confirm[confirmHead:], ticket.CID{1})...)
		_, err := o.b.Confirm(moved)
		refused(t, "first message", err, ErrOther)
		o.finish(t)
	})
}

// Mallory turns alice's own messages back to her.
func TestReflection(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		// Alice's Want comes back as if from bob. She answers, as responder; the Nonce goes to her as initiator.
		o := play(t, atNonce)
		_, nonce, err := Answer(alice, bob, o.want, spoken, &aliceKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		a := *o.a
		intro, err := a.Nonce(nonce)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ticket.Issue(alice, intro, &aliceKeys.Intro, bobKeys); !errors.Is(err, ticket.ErrRefused) {
			t.Errorf("the server takes alice's nonce box for bob's: %v", err)
		}

		// Her Offer comes back to that responder, and as bob's Accept.
		o = play(t, atOffer)
		b, _, err := Answer(alice, bob, o.want, spoken, &aliceKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Offer(o.offer, bob, &aliceKeys.Ticket)
		refused(t, "her Offer", err, ErrOpen)
		_, _, err = o.a.Accept(o.offer)
		refused(t, "her Offer as Accept", err, ErrMalformed)

		// What bob's K seals is not bob's when it is sealed in alice's direction: see TestBoxesInAnotherPlace.

		// And a text of hers, with the number that she waits for.
		o = play(t, atEnd)
		say(t, o.cb, o.ca, "one")
		_, msg, _ := o.ca.Seal(KindText, []byte("two"))
		_, err = o.ca.Open(msg)
		refused(t, "her text", err, ErrOpen)
		if _, err := o.cb.Open(msg); err != nil {
			t.Error(err)
		}
	})
}

// The three boxes under K, each with another key, label, direction and context: only its own place opens it.
func TestBoxesInAnotherPlace(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		type place struct {
			key       *[32]byte
			label     string
			direction box.Direction
			context   [32]byte
		}
		labels := []string{labelOffer, labelAccept, labelConfirm, "sim/1 box ticket", "sim/1 box intro", "sim/1 box nonce", ""}
		h := func(o *opening) [][32]byte {
			contexts := [][32]byte{o.ht(), o.h5(), {}}
			if o.accept != nil {
				contexts = append(contexts, o.h6())
			}
			return contexts
		}
		otherK := [32]byte{0xee}
		for _, c := range []struct {
			what  string
			stage int
			typ   byte
			right func(o *opening) place
			given func(o *opening, p place, plaintext []byte) error
		}{
			{
				"Offer", atOffer, TypeOffer,
				func(o *opening) place { return place{o.k(), labelOffer, box.FromInitiator, o.ht()} },
				func(o *opening, p place, plaintext []byte) error {
					b := *o.b
					before := o.offer[headerSize : headerSize+ticket.Size]
					_, err := b.Offer(forge(TypeOffer, o.a.CID(), before, p.key, p.label, p.direction, p.context, plaintext), alice, &bobKeys.Ticket)
					return err
				},
			}, {
				"Accept", atAccept, TypeAccept,
				func(o *opening) place { return place{o.k(), labelAccept, box.FromResponder, o.h5()} },
				func(o *opening, p place, plaintext []byte) error {
					a := *o.a
					_, _, err := a.Accept(forge(TypeAccept, o.a.CID(), nil, p.key, p.label, p.direction, p.context, plaintext))
					return err
				},
			}, {
				"Confirm", atConfirm, TypeConfirm,
				func(o *opening) place { return place{&o.b.k, labelConfirm, box.FromInitiator, o.h6()} },
				func(o *opening, p place, plaintext []byte) error {
					b := *o.b
					msg := forge(TypeConfirm, o.a.CID(), nil, p.key, p.label, p.direction, p.context, plaintext)
					_, err := b.Confirm(append(msg, o.confirm[confirmHead:]...))
					return err
				},
			},
		} {
			o := play(t, c.stage)
			right := c.right(o)
			sealed := map[byte][]byte{TypeAccept: o.accept, TypeConfirm: o.confirm}[c.typ]
			switch c.typ {
			case TypeOffer:
				sealed = o.offer[headerSize+ticket.Size:]
			case TypeAccept:
				sealed = o.accept[headerSize:]
			case TypeConfirm:
				sealed = o.confirm[headerSize:confirmHead]
			}
			plaintext := opened(t, right.key, right.label, right.direction, right.context, sealed)

			// In its place it opens. (Confirm's first message is under another h7 then, so it is still refused.)
			if err := c.given(o, right, plaintext); err != nil && c.typ != TypeConfirm {
				t.Errorf("%s in its place: %v", c.what, err)
			}
			for _, label := range labels {
				for direction := range box.Direction(2) {
					for _, context := range h(o) {
						for _, key := range []*[32]byte{right.key, &otherK} {
							if p := (place{key, label, direction, context}); p != right {
								refused(t, c.what+" as "+label, c.given(o, p, plaintext), ErrOpen)
							}
						}
					}
				}
			}
			o.finish(t)
		}
	})
}

// Eve gets an Offer that alice made for her, and passes it on to bob as alice's: the server lies about the sender, or has
// been led to believe that bob answered alice's Want.
func TestTicketMeantForAnotherResponder(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		a, want, err := Start(alice, eve, spoken)
		if err != nil {
			t.Fatal(err)
		}
		_, nonce, err := Answer(eve, alice, want, spoken, &eveKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		intro, err := a.Nonce(nonce)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := ticket.Issue(alice, intro, &aliceKeys.Intro, eveKeys)
		if err != nil {
			t.Fatal(err)
		}
		offer, err := a.Ticket(sealed[:], &aliceKeys.Intro)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := Answer(bob, alice, want, spoken, &bobKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Offer(offer, alice, &bobKeys.Ticket)
		refused(t, "eve's ticket", err, ErrOpen)

		// Bob's Nonce for eve, in place of eve's own, gets no ticket either.
		if a, _, err = Start(alice, eve, spoken); err != nil {
			t.Fatal(err)
		}
		_, nonce, err = Answer(bob, alice, appendWant(&a.run.CID, spoken), spoken, &bobKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		if intro, err := a.Nonce(nonce); err != nil {
			t.Error(err)
		} else if _, err := ticket.Issue(alice, intro, &aliceKeys.Intro, eveKeys); !errors.Is(err, ticket.ErrRefused) {
			t.Errorf("the server issues: %v", err)
		}
	})
}

// Eve passes alice's Offer on under her own name; the server writes who sends.
func TestTicketWhoseInitiatorIsNotTheSender(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atOffer)
		_, err := o.b.Offer(o.offer, eve, &bobKeys.Ticket)
		refused(t, "alice's Offer from eve", err, ErrOther)
		o.finish(t)

		// Eve has opened with alice's cid, and sends alice's ticket.
		o = play(t, atOffer)
		b, _, err := Answer(bob, eve, o.want, spoken, &bobKeys.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Offer(o.offer, eve, &bobKeys.Ticket)
		refused(t, "alice's ticket in eve's run", err, ErrOpen)
	})
}

func TestReplays(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atEnd)
		_, err := o.a.Nonce(o.nonce)
		refused(t, "Nonce", err, ErrTurn)
		_, err = o.a.Ticket(o.introBox, &aliceKeys.Intro)
		refused(t, "intro box", err, ErrTurn)
		_, err = o.b.Offer(o.offer, alice, &bobKeys.Ticket)
		refused(t, "Offer", err, ErrTurn)
		_, _, err = o.a.Accept(o.accept)
		refused(t, "Accept", err, ErrTurn)
		_, err = o.b.Confirm(o.confirm)
		refused(t, "Confirm", err, ErrTurn)
		_, err = o.cb.Open(o.confirm[confirmHead:])
		refused(t, "first message", err, ErrEarlier)
		converseBothWays(t, o.ca, o.cb)

		o = play(t, atAccept)
		_, err = o.b.Offer(o.offer, alice, &bobKeys.Ticket)
		refused(t, "a ticket twice", err, ErrTurn)
		o.finish(t)
	})
}

// Mallory takes the higher version from Want, or from Nonce.
func TestVersionDowngrade(t *testing.T) {
	both := []byte{1, 2}
	o := playVersions(t, atWant, both, both)
	cid := o.a.CID()
	_, nonce, err := Answer(bob, alice, appendWant(&cid, []byte{1}), both, &bobKeys.Nonce)
	if err != nil {
		t.Fatal(err)
	}
	intro, err := o.a.Nonce(nonce)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ticket.Issue(alice, intro, &aliceKeys.Intro, bobKeys); !errors.Is(err, ticket.ErrRefused) {
		t.Errorf("Want without 2: the server issues: %v", err)
	}

	o = playVersions(t, atNonce, both, both)
	lowered := bytes.Clone(o.nonce)
	lowered[headerSize] = 1
	if intro, err = o.a.Nonce(lowered); err != nil {
		t.Fatal(err)
	}
	offer, err := o.a.Ticket(issue(t, intro), &aliceKeys.Intro)
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.b.Offer(offer, alice, &bobKeys.Ticket)
	refused(t, "Nonce with 1", err, ErrMalformed)
	_, err = o.b.Offer(append(offer, make([]byte, markSize)...), alice, &bobKeys.Ticket)
	refused(t, "Nonce with 1, an Offer of 2's length", err, ErrOpen)
}

func TestNonceWithAVersionThatWasNotOffered(t *testing.T) {
	o := play(t, atNonce)
	for _, version := range []byte{0, 2, 255} {
		msg := bytes.Clone(o.nonce)
		msg[headerSize] = version
		_, err := o.a.Nonce(msg)
		refused(t, "not offered", err, ErrNoVersion)
	}
	o.finish(t)
}

// Whoever knows K still has to answer what was sealed under it.
func TestAnotherN2(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atAccept)
		plaintext := opened(t, o.k(), labelAccept, box.FromResponder, o.h5(), o.accept[headerSize:])
		msg := forge(TypeAccept, o.a.CID(), nil, o.k(), labelAccept, box.FromResponder, o.h5(), flip(plaintext, 0))
		_, _, err := o.a.Accept(msg)
		refused(t, "another N_2", err, ErrViolation)
		o.finish(t)
	})
}

func TestAnotherN3OrCommitment(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		for what, at := range map[string]int{"N_3": 0, "e_A": nonceSize, "r": nonceSize + shareSize} {
			o := play(t, atConfirm)
			plaintext := opened(t, &o.b.k, labelConfirm, box.FromInitiator, o.h6(), o.confirm[headerSize:confirmHead])
			msg := forge(TypeConfirm, o.a.CID(), nil, &o.b.k, labelConfirm, box.FromInitiator, o.h6(), flip(plaintext, at))
			_, err := o.b.Confirm(append(msg, o.confirm[confirmHead:]...))
			refused(t, "another "+what, err, ErrViolation)
			o.finish(t)
		}
	})
}

// A dishonest alice commits to one e_A and runs everything else with another, so that only the commitment is wrong.
func TestCommitmentToAnotherShare(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		for what, change := range map[string]func(a *Initiator){
			"e_A": func(a *Initiator) { a.x = newScalar() },
			"r":   func(a *Initiator) { a.r[0] ^= 1 },
		} {
			o := play(t, atAccept)
			change(o.a)
			confirm, _, err := o.a.Accept(o.accept)
			if err != nil {
				t.Fatal(err)
			}
			_, err = o.b.Confirm(confirm)
			refused(t, "another "+what, err, ErrViolation)
		}
	})
}

// lowOrder are the points of small order, which make X25519 all zeros whatever the other key is
// (D. J. Bernstein, "Curve25519: new Diffie-Hellman speed records", section 3).
func lowOrder(t *testing.T) [][]byte {
	var points [][]byte
	for _, s := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		p, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, p)
	}
	return points
}

func TestAllZeroResultAtAlice(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atAccept)
		plaintext := opened(t, o.k(), labelAccept, box.FromResponder, o.h5(), o.accept[headerSize:])
		for _, point := range lowOrder(t) {
			p := bytes.Clone(plaintext)
			copy(p[2*nonceSize:], point)
			msg := forge(TypeAccept, o.a.CID(), nil, o.k(), labelAccept, box.FromResponder, o.h5(), p)
			_, _, err := o.a.Accept(msg)
			refused(t, "e_B of small order", err, ErrViolation)
		}
		o.finish(t)
	})
}

func TestAllZeroResultAtBob(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		for _, point := range lowOrder(t) {
			// Alice is dishonest, and commits to it.
			o := play(t, atOffer)
			r := make([]byte, randomSize)
			commitment := commit(&o.a.run, r, point)
			before := o.offer[headerSize : headerSize+ticket.Size]
			o.offer = forge(TypeOffer, o.a.CID(), before, o.k(), labelOffer, box.FromInitiator, o.ht(), make([]byte, nonceSize), commitment[:], make([]byte, in(o.a.version, 0, markSize)))
			accept, err := o.b.Offer(o.offer, alice, &bobKeys.Ticket)
			if err != nil {
				t.Fatal(err)
			}
			o.accept = accept
			plaintext := opened(t, o.k(), labelAccept, box.FromResponder, o.h5(), o.accept[headerSize:])
			n3 := plaintext[nonceSize : 2*nonceSize]
			kem, ct := o.b.q.EncapsulationKey().Encapsulate()
			confirm := forge(TypeConfirm, o.a.CID(), nil, o.k(), labelConfirm, box.FromInitiator, o.h6(), n3, point, r, ct)
			h6 := o.h6()
			h7 := box.MixHash(&h6, confirm)
			c := o.asAlice(o.k(), make([]byte, 32), kem, &h7)
			_, err = o.b.Confirm(append(confirm, c.seal(KindOpen, nil)...))
			refused(t, "e_A of small order", err, ErrViolation)
		}
	})
}

func TestMalformedEncapsulationKey(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atAccept)
		plaintext := opened(t, o.k(), labelAccept, box.FromResponder, o.h5(), o.accept[headerSize:])
		for i := 0; i < 3*384; i += 3 { // three bytes hold two coefficients; these are 4095, above q
			p := bytes.Clone(plaintext)
			copy(p[2*nonceSize+shareSize+i:], []byte{0xff, 0xff, 0xff})
			msg := forge(TypeAccept, o.a.CID(), nil, o.k(), labelAccept, box.FromResponder, o.h5(), p)
			_, _, err := o.a.Accept(msg)
			refused(t, "ek_B", err, ErrViolation)
		}
		o.finish(t)
	})
}

// confess makes a Confirm that is honest in all but what change does to its parts and to its first message.
func (o *opening) confess(t *testing.T, change func(ct []byte), first func(c *Conversation) []byte) []byte {
	t.Helper()
	plaintext := opened(t, o.k(), labelAccept, box.FromResponder, o.h5(), o.accept[headerSize:])
	n3, eB := plaintext[nonceSize:2*nonceSize], plaintext[2*nonceSize:2*nonceSize+shareSize]
	dh, err := o.a.x.agree(eB)
	if err != nil {
		t.Fatal(err)
	}
	kem, ct := o.b.q.EncapsulationKey().Encapsulate()
	change(ct)
	confirm := forge(TypeConfirm, o.a.CID(), nil, o.k(), labelConfirm, box.FromInitiator, o.h6(), n3, o.a.x.share(), o.a.r[:], ct)
	h6 := o.h6()
	h7 := box.MixHash(&h6, confirm)
	return append(confirm, first(o.asAlice(o.k(), dh, kem, &h7))...)
}

func TestMalformedCiphertext(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atAccept)
		first := func(c *Conversation) []byte { return c.seal(KindOpen, nil) }
		for _, i := range []int{0, 500, 959, 960, 1087} {
			_, err := o.b.Confirm(o.confess(t, func(ct []byte) { ct[i] ^= 1 }, first))
			refused(t, "ct", err, ErrOpen)
		}
		o.finish(t)
	})
}

// Only number 1 of kind open, acknowledging nothing, opens a conversation at bob.
func TestFirstMessageIsOpen(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		honest := func([]byte) {}
		for what, test := range map[string]struct {
			first func(c *Conversation) []byte
			want  error
		}{
			"an acknowledgement": {func(c *Conversation) []byte { return c.seal(KindAck, nil) }, ErrViolation},
			"a bye":              {func(c *Conversation) []byte { return c.seal(KindBye, nil) }, ErrViolation},
			"number 2":           {func(c *Conversation) []byte { c.seal(KindOpen, nil); return c.seal(KindOpen, nil) }, ErrLater},
			"acknowledging":      {func(c *Conversation) []byte { c.handed = 1; return c.seal(KindOpen, nil) }, ErrViolation},
			"bob's direction":    {func(c *Conversation) []byte { c.role = box.FromResponder; return c.seal(KindOpen, nil) }, ErrOpen},
			"bob's chain":        {func(c *Conversation) []byte { c.sending = c.opening; return c.seal(KindOpen, nil) }, ErrOpen},
		} {
			o := play(t, atAccept)
			if c, err := o.b.Confirm(o.confess(t, honest, test.first)); c != nil {
				t.Errorf("%s: opens", what)
			} else {
				refused(t, what, err, test.want)
			}
			o.finish(t)
		}
		o := play(t, atAccept)
		if _, err := o.b.Confirm(o.confess(t, honest, func(c *Conversation) []byte { return c.seal(KindOpen, nil) })); err != nil {
			t.Errorf("honest: %v", err)
		}
	})
}
