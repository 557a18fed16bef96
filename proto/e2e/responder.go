package e2e

import (
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"slices"

	"sim/proto/box"
	"sim/proto/ticket"
)

// A Responder is B's end of an opening. It belongs to one goroutine, and the zero value is over.
type Responder struct {
	fresh   *fresh
	run     ticket.Run
	version byte

	step       step
	h          [hashSize]byte         // h2, from Offer on h6
	nb         [ticket.NonceSize]byte // until Offer
	k          [box.KeySize]byte      // from Offer on, and so the rest
	n3         [nonceSize]byte
	commitment [hashSize]byte
	y          scalar
	q          *mlkem.DecapsulationKey768

	past      past // until Confirm
	continued bool // from Offer on
}

// Answer takes a Want that the server brought from a user, and returns the Nonce, with the highest version that both speak.
// It returns ErrMalformed, ErrSelf and ErrNoVersion; for the last the caller declines. The versions are as in Start. That the cid is not pending or open
// already is for the caller to see to.
func Answer(self, from ticket.Name, want []byte, versions []byte, nonceKey *[32]byte) (*Responder, []byte, error) {
	return answer(self, from, want, versions, nonceKey, system)
}

func answer(self, from ticket.Name, want []byte, versions []byte, nonceKey *[32]byte, f *fresh) (*Responder, []byte, error) {
	cid, offered, err := parseWant(want)
	if err != nil {
		return nil, nil, err
	}
	if self == from {
		return nil, nil, ErrSelf
	}
	version, ok := highest(offered, versions)
	if !ok || !speaks(versions) {
		return nil, nil, ErrNoVersion
	}

	r := &Responder{fresh: f, version: version, step: awaitOffer}
	r.run = ticket.Run{Initiator: from, Responder: self, CID: cid}
	rand.Read(r.nb[:])
	h0 := r.run.Transcript(offered)
	nonce := ticket.Nonce{CID: cid, Version: version, Box: r.run.SealNonce(nonceKey, &h0, &r.nb)}
	msg := nonce.Append(nil)
	r.h = box.MixHash(&h0, msg)
	return r, msg, nil
}

// highest returns the highest version that is in both lists.
func highest(offered, spoken []byte) (version byte, ok bool) {
	for _, v := range slices.Backward(offered) {
		if slices.Contains(spoken, v) {
			return v, true
		}
	}
	return 0, false
}

// CID returns the number that the conversation has, or is to have.
func (r *Responder) CID() ticket.CID { return r.run.CID }

// Continue says what Continuity returned in the last conversation with this peer, so that this one can follow it; nil is for
// none. It takes a copy, and is to be called before Offer: later it has no effect.
func (r *Responder) Continue(cs *[32]byte) {
	if r.step == awaitOffer {
		r.past.hold(cs)
	}
}

// Offer takes A's Offer, which the server brought from a user, and returns the Accept. It returns ErrTurn, ErrMalformed,
// ErrOther, and ErrOpen when the ticket does not open. When the ticket opens, N_B is used up: if it is not of this run
// (ErrViolation), or the box beside it does not open (ErrOpen), the opening is over.
func (r *Responder) Offer(msg []byte, from ticket.Name, ticketKey *[32]byte) (accept []byte, err error) {
	if r.step != awaitOffer {
		return nil, ErrTurn
	}
	if err := due(TypeOffer, r.run.CID, msg); err != nil {
		return nil, err
	}
	if from != r.run.Initiator {
		return nil, ErrOther
	}
	if len(msg) != in(r.version, offerSize, markSize) {
		return nil, ErrMalformed
	}
	rest := msg[headerSize:]
	t := (*[ticket.Size]byte)(cut(&rest, ticket.Size))
	k, err := r.run.OpenTicket(ticketKey, &r.h, &r.nb, t)
	defer clear(k[:])
	switch {
	case errors.Is(err, box.ErrOpen):
		return nil, ErrOpen
	case err != nil:
		r.Clear()
		return nil, ErrViolation
	}
	clear(r.nb[:])
	ht := box.MixHash(&r.h, t[:])
	plaintext, err := box.Open(&k, labelOffer, box.FromInitiator, &ht, rest)
	if err != nil {
		r.Clear()
		return nil, ErrOpen
	}
	defer clear(plaintext)
	rest = plaintext
	n2, commitment, mark := cut(&rest, nonceSize), cut(&rest, hashSize), rest

	r.step = awaitConfirm
	r.k = k
	copy(r.commitment[:], commitment)
	r.y, r.q = newScalar(), r.fresh.kem()
	rand.Read(r.n3[:])
	var continued []byte
	if r.version != plain {
		continued = []byte{0}
		if r.continued = r.past.made(mark, &r.run.CID); r.continued {
			continued[0] = 1
		}
	}
	answer := join(n2, r.n3[:], r.y.share(), r.q.EncapsulationKey().Bytes(), continued)
	defer clear(answer)
	h5 := box.MixHash(&ht, msg)
	accept = header(TypeAccept, &r.run.CID, in(r.version, acceptSize, continuedSize))
	accept = append(accept, box.Seal(&r.k, labelAccept, box.FromResponder, &h5, answer)...)
	r.h = box.MixHash(&h5, accept)
	return accept, nil
}

// Confirm takes A's Confirm, opens its first message too, and returns the conversation, in which that message is already
// accepted and is to be acknowledged at once. It returns ErrTurn, ErrMalformed, ErrOther, ErrOpen, and ErrViolation for
// another N_3, a commitment that is not to this e_A, and an e_A with an all-zero result.
func (r *Responder) Confirm(msg []byte) (*Conversation, error) {
	if r.step != awaitConfirm {
		return nil, ErrTurn
	}
	if err := due(TypeConfirm, r.run.CID, msg); err != nil {
		return nil, err
	}
	head, first := msg[:confirmHead], msg[confirmHead:]
	plaintext, err := box.Open(&r.k, labelConfirm, box.FromInitiator, &r.h, head[headerSize:])
	if err != nil {
		return nil, ErrOpen
	}
	defer clear(plaintext)
	rest := plaintext
	n3, eA, random, ct := cut(&rest, nonceSize), cut(&rest, shareSize), cut(&rest, randomSize), rest
	commitment := commit(&r.run, random, eA)
	if !equal(n3, r.n3[:]) || !equal(commitment[:], r.commitment[:]) {
		return nil, ErrViolation
	}
	y := r.y.key()
	dh, err := agree(y, eA)
	if err != nil {
		return nil, err
	}
	defer clear(dh)
	kem, err := r.q.Decapsulate(ct)
	if err != nil {
		return nil, ErrViolation
	}
	defer clear(kem)

	h7 := box.MixHash(&r.h, head)
	kab := conversationKey(&r.k, &h7, dh, kem, r.past.secret(r.continued))
	defer clear(kab[:])
	c := converse(&r.run, box.FromResponder, r.version, &kab, &h7, nil, eA)
	c.continued = r.continued
	if _, err := c.Open(first); err != nil {
		c.Clear()
		return nil, err
	}
	c.digits = digits(&r.run, eA, y.PublicKey().Bytes(), r.q.EncapsulationKey().Bytes())
	r.Clear()
	return c, nil
}

// Clear ends the opening and forgets its secrets. A conversation that came of it goes on.
func (r *Responder) Clear() {
	r.step = over
	clear(r.nb[:])
	clear(r.k[:])
	clear(r.n3[:])
	clear(r.y[:])
	r.q = nil
	r.past.clear()
}
