package e2e

import (
	"crypto/ecdh"
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
	x       *ecdh.PrivateKey
}

// Start begins an opening from self to peer and returns the Want. The versions are 1 to 8, non-zero and strictly
// ascending. It returns ErrSelf, and ErrNoVersion for versions that make no list.
func Start(self, peer ticket.Name, versions []byte) (*Initiator, []byte, error) {
	return start(self, peer, versions, system)
}

func start(self, peer ticket.Name, versions []byte, f *fresh) (*Initiator, []byte, error) {
	if self == peer {
		return nil, nil, ErrSelf
	}
	if !ticket.ValidVersions(versions) {
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
	i.x = i.fresh.x25519()
	rand.Read(i.n2[:])
	rand.Read(i.r[:])
	commitment := commit(&i.run, i.r[:], i.x.PublicKey().Bytes())
	plaintext := join(i.n2[:], commitment[:])
	defer clear(plaintext)
	ht := box.MixHash(&i.h, t[:])
	offer = header(TypeOffer, &i.run.CID, offerSize)
	offer = append(offer, t[:]...)
	offer = append(offer, box.Seal(&i.k, labelOffer, box.FromInitiator, &ht, plaintext)...)
	i.h = box.MixHash(&ht, offer)
	return offer, nil
}

// Accept takes B's Accept and returns the Confirm, which ends with the conversation's first message, and the conversation.
// That B has it too is known when a message of B's opens. It returns ErrTurn, ErrMalformed, ErrOther, ErrOpen, and
// ErrViolation for another N_2, an e_B with an all-zero result and an ek_B that is no key (FIPS 203, section 7.2).
func (i *Initiator) Accept(msg []byte) (confirm []byte, c *Conversation, err error) {
	if i.step != awaitAccept {
		return nil, nil, ErrTurn
	}
	if err := due(TypeAccept, i.run.CID, msg); err != nil {
		return nil, nil, err
	}
	plaintext, err := box.Open(&i.k, labelAccept, box.FromResponder, &i.h, msg[headerSize:])
	if err != nil {
		return nil, nil, ErrOpen
	}
	defer clear(plaintext)
	rest := plaintext
	n2, n3, eB, ekB := cut(&rest, nonceSize), cut(&rest, nonceSize), cut(&rest, shareSize), rest
	if !equal(n2, i.n2[:]) {
		return nil, nil, ErrViolation
	}
	dh, err := agree(i.x, eB)
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

	eA := i.x.PublicKey().Bytes()
	h6 := box.MixHash(&i.h, msg)
	last := join(n3, eA, i.r[:], ct)
	defer clear(last)
	confirm = header(TypeConfirm, &i.run.CID, confirmSize)
	confirm = append(confirm, box.Seal(&i.k, labelConfirm, box.FromInitiator, &h6, last)...)
	h7 := box.MixHash(&h6, confirm)

	c = converse(&i.run, box.FromInitiator, i.version, &i.k, dh, kem, &h7)
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
	i.x = nil
}

// commit is the commitment to e_A.
func commit(run *ticket.Run, r, eA []byte) [hashSize]byte {
	return run.Hash("sim/1 commitment", r, eA)
}

// agree is X25519. It returns ErrViolation when the result would be all zeros (RFC 7748, section 6.1).
func agree(own *ecdh.PrivateKey, share []byte) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(share)
	if err != nil {
		return nil, ErrViolation
	}
	secret, err := own.ECDH(public)
	if err != nil {
		return nil, ErrViolation
	}
	return secret, nil
}
