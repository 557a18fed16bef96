package e2e

import (
	"bytes"
	"crypto/mlkem"
	"crypto/subtle"

	"sim/proto/box"
	"sim/proto/ticket"
)

// Types of peer messages: the first byte, before the cid.
const (
	TypeWant    = 1 // A→B  version list (1 + count)                                           18 + count
	TypeNonce   = 2 // B→A  version (1) ‖ nonce box (144)                                      162
	TypeDecline = 3 // both reason (1)                                                         18
	TypeOffer   = 4 // A→B  ticket (176) ‖ box{ N_2 (16) ‖ commitment (32) } (96)              289; in version 2
	//                              ticket (176) ‖ box{ N_2 ‖ commitment ‖ mark (16) } (112)           305
	TypeAccept = 5 // B→A   box{ N_2 (16) ‖ N_3 (16) ‖ e_B (32) ‖ ek_B (1184) } (1296)         1313; in version 2
	//                              box{ N_2 ‖ N_3 ‖ e_B ‖ ek_B ‖ continued (1) } (1297)               1314
	TypeConfirm = 6 // A→B  box{ N_3 (16) ‖ e_A (32) ‖ r (32) ‖ ct (1088) } (1216) ‖ Message   1233 + 82
	TypeMessage = 7 // both number (8) ‖ share (32) ‖ ciphertext                               82, or 84 + 256·2^n
)

// Sizes in bytes.
const (
	headerSize  = 1 + ticket.CIDSize
	nonceSize   = 16 // N_2 and N_3
	shareSize   = 32 // an X25519 share
	randomSize  = 32 // r, which blinds the commitment
	hashSize    = 32
	declineSize = headerSize + 1

	markSize      = 16 // in version 2
	continuedSize = 1  // in version 2

	offerBoxSize   = nonceSize + hashSize + box.Overhead
	acceptBoxSize  = 2*nonceSize + shareSize + mlkem.EncapsulationKeySize768 + box.Overhead
	confirmBoxSize = nonceSize + shareSize + randomSize + mlkem.CiphertextSize768 + box.Overhead

	offerSize   = headerSize + ticket.Size + offerBoxSize // in version 1
	acceptSize  = headerSize + acceptBoxSize              // in version 1
	confirmHead = headerSize + confirmBoxSize             // what of Confirm enters the transcript
	confirmSize = confirmHead + emptySize
)

// Labels of boxes.
const (
	labelOffer   = "sim/1 box offer"
	labelAccept  = "sim/1 box accept"
	labelConfirm = "sim/1 box confirm"
)

// Versions of conversations.
const (
	plain     = 1
	ratcheted = 2 // with the ratchet and with continuity
)

// Versions is the list of all that this package speaks, and a client offers.
var Versions = []byte{plain, ratcheted}

// speaks reports whether versions is a version list, of versions that this package speaks.
func speaks(versions []byte) bool {
	return ticket.ValidVersions(versions) && versions[len(versions)-1] <= ratcheted
}

// in returns a length, which has more bytes from version 2 on.
func in(version byte, size, more int) int {
	if version == plain {
		return size
	}
	return size + more
}

// Header returns the type and the cid of a peer message. It returns ErrMalformed for an unknown type and for a length that
// the type does not have in any version; the lengths of Want and Message follow from their fields.
func Header(msg []byte) (typ byte, cid ticket.CID, err error) {
	if len(msg) <= headerSize { // no message is so short
		return 0, cid, ErrMalformed
	}
	ok := false
	switch n := len(msg); msg[0] {
	case TypeWant:
		ok = n == headerSize+1+int(msg[headerSize])
	case TypeNonce:
		ok = n == ticket.NonceMsgSize
	case TypeDecline:
		ok = n == declineSize
	case TypeOffer:
		ok = n == offerSize || n == offerSize+markSize
	case TypeAccept:
		ok = n == acceptSize || n == acceptSize+continuedSize
	case TypeConfirm:
		ok = n == confirmSize
	case TypeMessage:
		ok = messageSize(n)
	}
	if !ok {
		return 0, cid, ErrMalformed
	}
	return msg[0], ticket.CID(msg[1:headerSize]), nil
}

// due checks that msg is of the type that is due and belongs to cid.
func due(typ byte, cid ticket.CID, msg []byte) error {
	got, of, err := Header(msg)
	if err != nil {
		return err
	}
	if got != typ {
		return ErrMalformed
	}
	if of != cid {
		return ErrOther
	}
	return nil
}

// header begins a message, with room for size bytes.
func header(typ byte, cid *ticket.CID, size int) []byte {
	return append(append(make([]byte, 0, size), typ), cid[:]...)
}

// A DeclineReason says why a conversation is not to be.
type DeclineReason byte

// Reasons to decline.
const (
	DeclineVersion DeclineReason = 1 // no common version
	DeclineUnknown DeclineReason = 2 // no such conversation
	DeclineBusy    DeclineReason = 3 // not now
)

// Decline returns a Decline. A Decline is never answered, and has no more power than the server has: it is not sealed.
func Decline(cid ticket.CID, reason DeclineReason) []byte {
	return append(header(TypeDecline, &cid, declineSize), byte(reason))
}

// ParseDecline decodes a Decline with one of the three reasons. The error is ErrMalformed.
func ParseDecline(msg []byte) (cid ticket.CID, reason DeclineReason, err error) {
	typ, cid, err := Header(msg)
	if err != nil || typ != TypeDecline {
		return ticket.CID{}, 0, ErrMalformed
	}
	reason = DeclineReason(msg[headerSize])
	if reason < DeclineVersion || reason > DeclineBusy {
		return ticket.CID{}, 0, ErrMalformed
	}
	return cid, reason, nil
}

// appendWant encodes a Want, 18 + count bytes.
func appendWant(cid *ticket.CID, versions []byte) []byte {
	return ticket.AppendVersions(header(TypeWant, cid, headerSize+1+len(versions)), versions)
}

// parseWant decodes a Want. The error is ErrMalformed.
func parseWant(msg []byte) (cid ticket.CID, versions []byte, err error) {
	typ, cid, err := Header(msg)
	if err != nil || typ != TypeWant {
		return cid, nil, ErrMalformed
	}
	versions, _, err = ticket.ParseVersions(msg[headerSize:]) // Header left no bytes after the list
	if err != nil {
		return cid, nil, ErrMalformed
	}
	return cid, versions, nil
}

// cut takes the next n bytes of b.
func cut(b *[]byte, n int) []byte {
	head := (*b)[:n:n]
	*b = (*b)[n:]
	return head
}

// join returns the parts in one slice that is never moved, so that clearing it clears all.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// equal compares in constant time.
func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
