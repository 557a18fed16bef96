package e2e

import (
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"slices"

	"sim/proto/box"
	"sim/proto/ticket"
)

// A step is what a machine waits for.
type step byte

const (
	over step = iota // nothing more: it has ended, well or not
	awaitNonce
	awaitTicket
	awaitOffer
	awaitAccept
	awaitConfirm
)

// An Initiator is A's end of an opening. It belongs to one goroutine, and the zero value is over.
type Initiator struct {
	fresh    *fresh
	run      ticket.Run
	versions []byte

	step    step
	version byte                   // from Nonce on
	h       [hashSize]byte         // h0, from Nonce on h2, from Ticket on h5
	n1      [ticket.NonceSize]byte // from Nonce on
	n2      [nonceSize]byte        // from Ticket on, and so the rest
	k       [box.KeySize]byte
	r       [randomSize]byte
	x       scalar

	past past // until Accept
}

// Start begins an opening from self to peer and returns the Want. The versions are 1 to 8, non-zero and strictly
// ascending. It returns ErrSelf, and ErrNoVersion for versions that make no list or are not all among Versions.
func Start(self, peer ticket.Name, versions []byte) (*Initiator, []byte, error) {
	return start(self, peer, versions, system)
}

func start(self, peer ticket.Name, versions []byte, f *fresh) (*Initiator, []byte, error) {
	if self == peer {
		return nil, nil, ErrSelf
	}
	if !speaks(versions) {
		return nil, nil, ErrNoVersion
	}
	i := &Initiator{fresh: f, versions: slices.Clone(versions), step: awaitNonce}
	i.run = ticket.Run{Initiator: self, Responder: peer}
	rand.Read(i.run.CID[:])
	i.h = i.run.Transcript(i.versions)
	return i, appendWant(&i.run.CID, i.versions), nil
}

// CID returns the number that the conversation has, or is to have.
func (i *Initiator) CID() ticket.CID { return i.run.CID }

// Continue says what Continuity returned in the last conversation with this peer, so that this one can follow it; nil is for
// none. It takes a copy, and is to be called before Ticket: later it has no effect.
func (i *Initiator) Continue(cs *[32]byte) {
	if i.step == awaitNonce || i.step == awaitTicket {
		i.past.hold(cs)
	}
}

// Nonce takes B's Nonce and returns what to ask the server. It returns ErrTurn, ErrMalformed, ErrOther, and ErrNoVersion for
// a version that was not offered. It can't tell a forged nonce box; the server does.
func (i *Initiator) Nonce(msg []byte) (*ticket.Intro, error) {
	if i.step != awaitNonce {
		return nil, ErrTurn
	}
	if err := due(TypeNonce, i.run.CID, msg); err != nil {
		return nil, err
	}
	nonce, err := ticket.ParseNonce(msg)
	if err != nil {
		return nil, ErrMalformed
	}
	if !slices.Contains(i.versions, nonce.Version) {
		return nil, ErrNoVersion
	}

	i.step, i.version = awaitTicket, nonce.Version
	i.h = box.MixHash(&i.h, msg)
	rand.Read(i.n1[:])
	return &ticket.Intro{
		CID:       i.run.CID,
		N1:        i.n1,
		Responder: i.run.Responder,
		Versions:  slices.Clone(i.versions),
		Version:   i.version,
		NonceBox:  nonce.Box,
	}, nil
}

// Ticket takes the server's intro box, 352 bytes, and returns the Offer. It returns ErrTurn and ErrOpen, and ErrViolation
// when the box opens and is not of this run: then N_1 is used up and the opening is over.
func (i *Initiator) Ticket(sealed []byte, introKey *[32]byte) (offer []byte, err error) {
	if i.step != awaitTicket {
		return nil, ErrTurn
	}
	k, t, err := i.run.OpenIntro(introKey, &i.h, &i.n1, sealed)
	switch {
	case errors.Is(err, box.ErrOpen):
		return nil, ErrOpen
	case err != nil:
		i.Clear()
		return nil, ErrViolation
	}

	i.step = awaitAccept
	i.k = k
	clear(k[:])
	i.x = newScalar()
	rand.Read(i.n2[:])
	rand.Read(i.r[:])
	commitment := commit(&i.run, i.r[:], i.x.share())
	var mark []byte
	if i.version != plain {
		mark = i.past.mark(&i.run.CID)
	}
	plaintext := join(i.n2[:], commitment[:], mark)
	defer clear(plaintext)
	ht := box.MixHash(&i.h, t[:])
	offer = header(TypeOffer, &i.run.CID, in(i.version, offerSize, markSize))
	offer = append(offer, t[:]...)
	offer = append(offer, box.Seal(&i.k, labelOffer, box.FromInitiator, &ht, plaintext)...)
	i.h = box.MixHash(&ht, offer)
	return offer, nil
}

// Accept takes B's Accept and returns the Confirm, which ends with the conversation's first message, and the conversation.
// That B has it too is known when a message of B's opens. It returns ErrTurn, ErrMalformed, ErrOther, ErrOpen, and
// ErrViolation for another N_2, an e_B with an all-zero result, an ek_B that is no key (FIPS 203, section 7.2), and the claim
// that the conversation continues one of which this end holds nothing.
func (i *Initiator) Accept(msg []byte) (confirm []byte, c *Conversation, err error) {
	if i.step != awaitAccept {
		return nil, nil, ErrTurn
	}
	if err := due(TypeAccept, i.run.CID, msg); err != nil {
		return nil, nil, err
	}
	if len(msg) != in(i.version, acceptSize, continuedSize) {
		return nil, nil, ErrMalformed
	}
	plaintext, err := box.Open(&i.k, labelAccept, box.FromResponder, &i.h, msg[headerSize:])
	if err != nil {
		return nil, nil, ErrOpen
	}
	defer clear(plaintext)
	rest := plaintext
	n2, n3, eB, ekB := cut(&rest, nonceSize), cut(&rest, nonceSize), cut(&rest, shareSize), cut(&rest, mlkem.EncapsulationKeySize768)
	if !equal(n2, i.n2[:]) {
		return nil, nil, ErrViolation
	}
	continued := i.version != plain && rest[0] != 0
	if continued && (rest[0] != 1 || !i.past.held) {
		return nil, nil, ErrViolation
	}
	x := i.x.key()
	dh, err := agree(x, eB)
	if err != nil {
		return nil, nil, err
	}
	defer clear(dh)
	ek, err := mlkem.NewEncapsulationKey768(ekB)
	if err != nil {
		return nil, nil, ErrViolation
	}
	kem, ct := i.fresh.encapsulate(ek)
	defer clear(kem)

	eA := x.PublicKey().Bytes()
	h6 := box.MixHash(&i.h, msg)
	last := join(n3, eA, i.r[:], ct)
	defer clear(last)
	confirm = header(TypeConfirm, &i.run.CID, confirmSize)
	confirm = append(confirm, box.Seal(&i.k, labelConfirm, box.FromInitiator, &h6, last)...)
	h7 := box.MixHash(&h6, confirm)

	kab := conversationKey(&i.k, &h7, dh, kem, i.past.secret(continued))
	defer clear(kab[:])
	c = converse(&i.run, box.FromInitiator, i.version, &kab, &h7, &i.x, eA)
	c.continued = continued
	c.digits = digits(&i.run, eA, eB, ekB)
	confirm = append(confirm, c.seal(KindOpen, nil)...)
	i.Clear()
	return confirm, c, nil
}

// Clear ends the opening and forgets its secrets. A conversation that came of it goes on.
func (i *Initiator) Clear() {
	i.step = over
	clear(i.n1[:])
	clear(i.n2[:])
	clear(i.k[:])
	clear(i.r[:])
	clear(i.x[:])
	i.past.clear()
}

// commit is the commitment to e_A.
func commit(run *ticket.Run, r, eA []byte) [hashSize]byte {
	return run.Hash("sim/1 commitment", r, eA)
}
