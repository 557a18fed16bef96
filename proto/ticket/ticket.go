// Package ticket is the part of the key establishment between two users that the server takes part in: the nonce that the
// responder seals for the server, the Intro that the initiator sends with it, and the ticket that comes back, which only
// the responder can open. It is the expanded Needham-Schroeder protocol (R. M. Needham, M. D. Schroeder, "Authentication
// Revisited", 1987) with boxes bound to the transcript. See docs/PROTOCOL.md, section 7.
//
// A run has an initiator A and a responder B, and three boxes under keys that each of them shares with the server alone:
//
//	nonce box    B for S   cid ‖ A ‖ B ‖ N_B                      B's nonce key,  context h0
//	ticket       S for B   cid ‖ K ‖ A ‖ B ‖ N_B                  B's ticket key, context h2
//	intro box    S for A   N_1 ‖ A ‖ B ‖ cid ‖ K ‖ ticket         A's intro key,  context SHA-256(h2 ‖ N_1)
//
//	h0 = SHA-256("sim/1 peer" ‖ A ‖ B ‖ cid ‖ version list)
//	h2 = SHA-256(h0 ‖ Nonce, the whole peer message)
//	ht = SHA-256(h2 ‖ ticket)
package ticket

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"sim/proto/box"
)

// Sizes in bytes.
const (
	NameSize     = 32                                                                   // a name, padded with zeros
	CIDSize      = 16                                                                   // the number of a conversation
	NonceSize    = 16                                                                   // N_1 and N_B
	NonceBoxSize = CIDSize + 2*NameSize + NonceSize + box.Overhead                      // 144
	Size         = CIDSize + box.KeySize + 2*NameSize + NonceSize + box.Overhead        // 176, a ticket
	IntroBoxSize = NonceSize + 2*NameSize + CIDSize + box.KeySize + Size + box.Overhead // 352
	NonceMsgSize = 1 + CIDSize + 1 + NonceBoxSize                                       // 162, a Nonce
	maxVersions  = 8                                                                    // in a version list
	nonceMsgType = 2                                                                    // of the peer message Nonce
	labelNonce   = "sim/1 box nonce"
	labelTicket  = "sim/1 box ticket"
	labelIntro   = "sim/1 box intro"
)

var (
	// ErrMalformed is returned when bytes are not what they should encode: another length, type or version list.
	ErrMalformed = errors.New("malformed")

	// ErrRefused is returned when the server gives no ticket: the nonce box does not open or is about another run, or
	// initiator and responder are the same.
	ErrRefused = errors.New("ticket refused")

	// ErrMismatch is returned when an intro box or a ticket opens and says something else than this run's names, cid and
	// nonce. Only a server that lies or fails seals such a one.
	ErrMismatch = errors.New("ticket of another run")
)

// A Name is a user's name as on the wire: 32 bytes, padded with zeros. That it is a good one is checked elsewhere.
type Name = [NameSize]byte

// A CID numbers a conversation: 16 random bytes of the initiator's choice.
type CID [CIDSize]byte

// Keys are what a session shares with the server for the boxes of this package (docs/PROTOCOL.md, section 4.2).
type Keys struct {
	Nonce  [box.KeySize]byte // the user seals nonce boxes with it, as responder
	Intro  [box.KeySize]byte // the server seals intro boxes with it for the user as initiator
	Ticket [box.KeySize]byte // the server seals tickets with it for the user as responder
}

// Clear forgets the keys.
func (k *Keys) Clear() { *k = Keys{} }

// A Run is what everybody in a key establishment knows from its first message on.
type Run struct {
	Initiator, Responder Name
	CID                  CID
}

// Hash returns SHA-256(label ‖ A ‖ B ‖ cid ‖ parts[0] ‖ parts[1] …), the form of every hash over a run.
func (r *Run) Hash(label string, parts ...[]byte) (sum [32]byte) {
	d := sha256.New()
	d.Write([]byte(label))
	d.Write(r.Initiator[:])
	d.Write(r.Responder[:])
	d.Write(r.CID[:])
	for _, p := range parts {
		d.Write(p)
	}
	d.Sum(sum[:0])
	return sum
}

// Transcript returns h0 for the versions that the initiator's Want offers.
func (r *Run) Transcript(versions []byte) [32]byte {
	return r.Hash("sim/1 peer", AppendVersions(nil, versions))
}

// SealNonce returns B's nonce box.
func (r *Run) SealNonce(nonceKey, h0 *[32]byte, nb *[NonceSize]byte) (sealed [NonceBoxSize]byte) {
	plaintext := join(r.CID[:], r.Initiator[:], r.Responder[:], nb[:])
	defer clear(plaintext)
	copy(sealed[:], box.Seal(nonceKey, labelNonce, box.FromInitiator, h0, plaintext))
	return sealed
}

// OpenIntro opens the intro box as A: it returns K, which is the caller's to clear, and the ticket for B. The error is
// box.ErrOpen when the box does not open, another length included, and ErrMismatch when it opens and is not of this run
// and of this N_1. N_1 is used up unless the error is box.ErrOpen.
func (r *Run) OpenIntro(introKey, h2 *[32]byte, n1 *[NonceSize]byte, sealed []byte) (k [box.KeySize]byte, ticket [Size]byte, err error) {
	if len(sealed) != IntroBoxSize {
		return k, ticket, box.ErrOpen
	}
	context := box.MixHash(h2, n1[:])
	plaintext, err := box.Open(introKey, labelIntro, box.FromResponder, &context, sealed)
	if err != nil {
		return k, ticket, err
	}
	defer clear(plaintext)
	head := join(n1[:], r.Initiator[:], r.Responder[:], r.CID[:])
	if !equal(plaintext[:len(head)], head) {
		return k, ticket, ErrMismatch
	}
	copy(k[:], plaintext[len(head):])
	copy(ticket[:], plaintext[len(head)+box.KeySize:])
	return k, ticket, nil
}

// OpenTicket opens the ticket as B and returns K, which is the caller's to clear. The error is box.ErrOpen when the ticket
// does not open and ErrMismatch when it opens and is not of this run and of this N_B. N_B is used up unless the error is
// box.ErrOpen.
func (r *Run) OpenTicket(ticketKey, h2 *[32]byte, nb *[NonceSize]byte, ticket *[Size]byte) (k [box.KeySize]byte, err error) {
	plaintext, err := box.Open(ticketKey, labelTicket, box.FromResponder, h2, ticket[:])
	if err != nil {
		return k, err
	}
	defer clear(plaintext)
	before, after := plaintext[:CIDSize], plaintext[CIDSize+box.KeySize:]
	tail := join(r.Initiator[:], r.Responder[:], nb[:])
	defer clear(tail)
	if !equal(before, r.CID[:]) || !equal(after, tail) {
		return k, ErrMismatch
	}
	copy(k[:], plaintext[CIDSize:])
	return k, nil
}

// Issue is the server's step: it opens the nonce box, draws K, and seals it for the responder in a ticket and for the
// initiator in the intro box that it returns. The initiator is whom the session belongs to that the Intro came from, and
// introKey is that session's. K is forgotten. The only error is ErrRefused.
func Issue(initiator Name, in *Intro, introKey *[32]byte, responder *Keys) (*[IntroBoxSize]byte, error) {
	if initiator == in.Responder {
		return nil, ErrRefused
	}
	run := Run{Initiator: initiator, Responder: in.Responder, CID: in.CID}
	h0 := run.Transcript(in.Versions)
	nonce, err := box.Open(&responder.Nonce, labelNonce, box.FromInitiator, &h0, in.NonceBox[:])
	if err != nil {
		return nil, ErrRefused
	}
	defer clear(nonce)
	head := join(run.CID[:], run.Initiator[:], run.Responder[:])
	if !equal(nonce[:len(head)], head) {
		return nil, ErrRefused
	}
	h2 := box.MixHash(&h0, (&Nonce{CID: in.CID, Version: in.Version, Box: in.NonceBox}).Append(nil))

	var k [box.KeySize]byte
	rand.Read(k[:])
	defer clear(k[:])
	return run.issue(&k, &h2, &in.N1, nonce[len(head):], introKey, &responder.Ticket), nil
}

// issue seals K for both.
func (r *Run) issue(k *[box.KeySize]byte, h2 *[32]byte, n1 *[NonceSize]byte, nb []byte, introKey, ticketKey *[32]byte) *[IntroBoxSize]byte {
	forB := join(r.CID[:], k[:], r.Initiator[:], r.Responder[:], nb)
	defer clear(forB)
	ticket := box.Seal(ticketKey, labelTicket, box.FromResponder, h2, forB)

	context := box.MixHash(h2, n1[:])
	forA := join(n1[:], r.Initiator[:], r.Responder[:], r.CID[:], k[:], ticket)
	defer clear(forA)
	return (*[IntroBoxSize]byte)(box.Seal(introKey, labelIntro, box.FromResponder, &context, forA))
}

// join returns the parts in one slice that is never moved, so that clearing it clears all.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// equal compares in constant time.
func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
