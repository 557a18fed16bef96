package e2e

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"sim/proto/box"
	"sim/proto/ticket"
)

// A Kind says what a message is.
type Kind byte

// Kinds of messages.
const (
	KindAck  Kind = 0 // acknowledgement: no body
	KindOpen Kind = 1 // the initiator's first message, in Confirm: no body
	KindText Kind = 2 // length (2) ‖ text ‖ zeros
	KindBye  Kind = 3 // the sender has ended the conversation: no body
)

// Sizes in bytes.
const (
	MaxText    = 8192                                // of a text
	MaxMessage = emptySize + lengthSize + MaxText    // of a message: 8276, of the 10240 that a peer message may have
	emptySize  = clearSize + plainSize + box.TagSize // of a message without a text: 82

	clearSize  = headerSize + 8 + shareSize // what precedes the ciphertext
	plainSize  = 8 + 1                      // acknowledged, kind
	lengthSize = 2                          // of a text
	minText    = 256                        // what the shortest text is padded to
)

// A message fits in a Relay.
var _ [10240 - MaxMessage]byte

// nonce is all zeros: each message has a key of its own.
var nonce [12]byte

// A Conversation is one end of an open conversation. It belongs to one goroutine, and the zero value is closed.
type Conversation struct {
	// immutable
	run       ticket.Run
	role      box.Direction // that of what this end sends
	version   byte
	digits    string
	continued bool

	live    bool
	ratchet ratchet
	sending chain
	opening chain
	cs      [box.KeySize]byte // for the next conversation; none in version 1

	// numbers up to these have been sealed, opened, and handed out
	sealed, opened, handed uint64
	text                   uint64 // the number of the last text that was opened
}

// conversationKey is K_AB. The secrets are X25519's, ML-KEM's, and CS if the conversation continues another.
func conversationKey(k *[box.KeySize]byte, h7 *[hashSize]byte, secrets ...[]byte) [box.KeySize]byte {
	secret := join(secrets...)
	defer clear(secret)
	return box.HKDF(secret, k[:], "sim/1 conversation", h7)
}

// converse makes one end's conversation out of K_AB. The initiator gives the private key of e_A, the responder nil.
func converse(run *ticket.Run, role box.Direction, version byte, kab *[box.KeySize]byte, h7 *[hashSize]byte, x *scalar, eA []byte) *Conversation {
	c := &Conversation{run: *run, role: role, version: version, live: true}
	initiator, responder := &c.sending, &c.opening
	if role == box.FromResponder {
		initiator, responder = responder, initiator
	}
	*initiator = chain{begun: true, key: box.Expand(kab, "sim/1 chain initiator", h7[:])}
	if version == plain {
		*responder = chain{begun: true, key: box.Expand(kab, "sim/1 chain responder", h7[:])}
		return c
	}
	c.ratchet = newRatchet(kab, h7, x, eA)
	c.cs = box.Expand(kab, "sim/1 continuity", h7[:])
	return c
}

// Digits returns the twelve decimal digits, in four groups, that the two users compare: "123 456 789 012". They are the
// same at both ends unless somebody put himself between them.
func (c *Conversation) Digits() string { return c.digits }

// CID returns the conversation's number.
func (c *Conversation) CID() ticket.CID { return c.run.CID }

// Peer returns the other user's name.
func (c *Conversation) Peer() ticket.Name {
	if c.role == box.FromInitiator {
		return c.run.Responder
	}
	return c.run.Initiator
}

// Version returns the version that the responder chose.
func (c *Conversation) Version() byte { return c.version }

// Continued reports whether the continuity secret of an earlier conversation has entered this one's keys: nobody reads or
// writes here who does not hold it, and what was confirmed there holds on. Otherwise the conversation begins anew.
// At the initiator it is the responder's word until a message of the responder's opens; without the secret it is a lie that
// leaves the liar with nothing.
func (c *Conversation) Continued() bool { return c.continued }

// Continuity returns the secret with which the next conversation with this peer can follow this one: the caller gives it to
// Continue, and clears it. It is nil in version 1, and when the conversation was cleared.
func (c *Conversation) Continuity() *[32]byte {
	if !c.live || c.version == plain {
		return nil
	}
	cs := c.cs
	return &cs
}

// Seal returns the next message and its number, which is 1 for the responder's first and 2 for the initiator's, since 1
// was in Confirm. The kind is KindAck, KindText or KindBye; only a text has a text. The message acknowledges what has
// been handed out. It is never sealed again: to repeat it is to send the same bytes.
// It returns ErrClosed, ErrText, and ErrTurn for another kind.
func (c *Conversation) Seal(kind Kind, text []byte) (number uint64, msg []byte, err error) {
	if !c.live {
		return 0, nil, ErrClosed
	}
	switch kind {
	case KindText:
		if !validText(text) {
			return 0, nil, ErrText
		}
	case KindAck, KindBye:
		if len(text) != 0 {
			return 0, nil, ErrText
		}
	default:
		return 0, nil, ErrTurn
	}
	msg = c.seal(kind, text)
	return c.sealed, msg, nil
}

func (c *Conversation) seal(kind Kind, text []byte) []byte {
	size := plainSize
	if kind == KindText {
		size += lengthSize + padded(len(text))
	}
	if c.ratchet.next == ours {
		own := newScalar()
		c.ratchet, c.sending = c.ratchet.turn(&own)
		clear(own[:])
	}
	c.sealed++
	key := c.sending.step()
	defer clear(key[:])
	msg := header(TypeMessage, &c.run.CID, clearSize+size+box.TagSize)
	msg = binary.BigEndian.AppendUint64(msg, c.sealed)
	msg = append(msg, c.sending.share[:]...)

	// The plaintext stands where the ciphertext takes its place; the rest of a new slice is the zeros of the padding.
	msg = binary.BigEndian.AppendUint64(msg, c.handed)
	msg = append(msg, byte(kind))
	if kind == KindText {
		msg = binary.BigEndian.AppendUint16(msg, uint16(len(text)))
		msg = append(msg, text...)
	}
	plaintext := msg[clearSize : clearSize+size]
	aead := box.NewAEAD(key[:])
	defer box.Forget(aead)
	return aead.Seal(msg[:clearSize], nonce[:], plaintext, c.data(c.role, c.sealed, &c.sending.share))
}

// data is a message's associated data: cid ‖ direction ‖ number ‖ share.
func (c *Conversation) data(from box.Direction, number uint64, share *[shareSize]byte) []byte {
	b := make([]byte, 0, ticket.CIDSize+1+8+shareSize)
	b = append(b, c.run.CID[:]...)
	b = append(b, byte(from))
	b = binary.BigEndian.AppendUint64(b, number)
	return append(b, share[:]...)
}

// Prepare makes the key of the next message each way, so that Seal and Open find it: nearly half of their work, which need not
// stand between a text and the other end. Call it when a message was sent or received. Where the talk turns, what was made
// is thrown away: a turn makes its own, and not ahead, since who steals a key must not have the next turn's.
func (c *Conversation) Prepare() {
	if c.opening.begun {
		c.opening.prepare()
	}
	if c.sending.begun && c.ratchet.next != ours { // our next message begins a new chain where the turn is ours
		c.sending.prepare()
	}
}

// Received is what a message says.
type Received struct {
	Number       uint64
	Kind         Kind
	Text         []byte // of a KindText only: 1 to 8192 bytes of UTF-8, the caller's to keep
	Acknowledged uint64 // everything that this end sent, up to this number, has arrived
}

// Open takes a message of the peer's. It returns ErrClosed, ErrMalformed, ErrOther, ErrLater, ErrEarlier, ErrOpen and
// ErrViolation, and then the conversation is as before.
func (c *Conversation) Open(msg []byte) (Received, error) {
	if !c.live {
		return Received{}, ErrClosed
	}
	if err := due(TypeMessage, c.run.CID, msg); err != nil {
		return Received{}, err
	}
	number := binary.BigEndian.Uint64(msg[headerSize:])
	switch next := c.opened + 1; {
	case number > next:
		return Received{}, ErrLater
	case number < next:
		return Received{}, ErrEarlier
	}
	share := (*[shareSize]byte)(msg[headerSize+8 : clearSize])
	ratchet, opening := c.ratchet, c.opening // what they will be if the message is good
	defer func() {
		ratchet.clear()
		opening.clear()
	}()
	if !opening.carries(share) {
		var err error
		if ratchet, opening, err = c.ratchet.follow(share); err != nil {
			return Received{}, err
		}
	}

	from := 1 - c.role
	key := opening.step()
	defer clear(key[:])
	aead := box.NewAEAD(key[:])
	defer box.Forget(aead)
	plaintext, err := aead.Open(nil, nonce[:], msg[clearSize:], c.data(from, number, share))
	if err != nil {
		return Received{}, ErrOpen
	}
	r, err := parsePlaintext(plaintext)
	if err != nil {
		clear(plaintext)
		return Received{}, err
	}
	r.Number = number
	opens := from == box.FromInitiator && number == 1
	if r.Acknowledged > c.sealed || (r.Kind == KindOpen) != opens {
		clear(plaintext)
		return Received{}, ErrViolation
	}

	c.ratchet, c.opening, c.opened = ratchet, opening, number
	if r.Kind == KindText {
		c.text = number
	}
	c.handedOut()
	return r, nil
}

// parsePlaintext decodes what a message encrypts; the text shares its memory. The error is ErrViolation.
func parsePlaintext(b []byte) (r Received, err error) {
	if len(b) < plainSize {
		return r, ErrViolation
	}
	r.Acknowledged = binary.BigEndian.Uint64(b)
	r.Kind = Kind(b[8])
	body := b[plainSize:]
	switch r.Kind {
	case KindAck, KindOpen, KindBye:
		if len(body) != 0 {
			return Received{}, ErrViolation
		}
		return r, nil
	case KindText:
	default:
		return Received{}, ErrViolation
	}
	if len(body) < lengthSize {
		return Received{}, ErrViolation
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[lengthSize:]
	if padded(n) != len(body) || !zero(body[n:]) || !validText(body[:n]) {
		return Received{}, ErrViolation
	}
	r.Text = body[:n:n]
	return r, nil
}

// HandedOut says that everything up to the number has been handed to the user: that is what later messages acknowledge.
// It never goes back, and never beyond what was opened.
func (c *Conversation) HandedOut(number uint64) {
	c.handed = max(c.handed, min(number, c.opened))
	c.handedOut()
}

// handedOut passes over what has no text, once no text waits: there is nothing to hand out. Otherwise an acknowledgement that was opened while the
// text before it waited would never be acknowledged itself, nor what comes after it, until the next text.
func (c *Conversation) handedOut() {
	if c.handed >= c.text {
		c.handed = c.opened
	}
}

// Clear ends the conversation and forgets its keys. Its digits can still be read.
func (c *Conversation) Clear() {
	c.live = false
	c.ratchet.clear()
	c.sending.clear()
	c.opening.clear()
	clear(c.cs[:])
}

// validText reports whether a text may be sent: 1 to 8192 bytes of UTF-8.
func validText(text []byte) bool {
	return 1 <= len(text) && len(text) <= MaxText && utf8.Valid(text)
}

// padded returns what a text of n bytes is padded to: 256·2^i, the smallest that holds it.
func padded(n int) int {
	size := minText
	for size < n {
		size *= 2
	}
	return size
}

// messageSize reports whether a message can have this length: without a text, or with one of the padded sizes.
func messageSize(n int) bool {
	if n == emptySize {
		return true
	}
	n -= emptySize + lengthSize
	return n <= MaxText && padded(n) == n
}

var zeros [MaxText]byte

// zero reports whether b, a part of a text's body, is zeros. It is compared as a block, not byte by byte.
func zero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }
