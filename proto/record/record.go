// Package record is one direction of a secure channel: AES-256-GCM records that are numbered from 0 under each key,
// padded to one of six sizes, and rekeyed with HKDF-Expand. See docs/PROTOCOL.md, section 5.
//
// A Sealer and an Opener are owned by one goroutine each. Neither knows what a record holds.
package record

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"

	"sim/proto/box"
)

// Sizes in bytes.
const (
	KeySize      = 32
	HeaderSize   = 2  // the length, which is the associated data
	TagSize      = 16 // the AES-GCM tag
	MinPlaintext = 512
	MaxPlaintext = 16384
	MaxSize      = HeaderSize + MaxPlaintext + TagSize // the largest record with its header
)

// MaxRecords is how many records a key may seal before the sender must step it.
const MaxRecords = 1 << 20

// ErrOpen is returned when a record has a length that no record has, or was not sealed as the next one under the current key.
var ErrOpen = errors.New("record does not open")

// PaddedSize returns the size of the plaintext that holds n bytes: the smallest of 512, 1024 … 16384. n is at most MaxPlaintext.
func PaddedSize(n int) int {
	size := MinPlaintext
	for size < n {
		size *= 2
	}
	return size
}

// ValidLength says whether n, a record's length field, is that of one of the six sizes.
func ValidLength(n int) bool {
	size := n - TagSize
	return size >= MinPlaintext && size <= MaxPlaintext && size&(size-1) == 0
}

// half is what both directions share: a key and how many records it has seen.
type half struct {
	key    [KeySize]byte
	aead   cipher.AEAD
	number uint64
	nonce  [12]byte
	header [HeaderSize]byte // here and not on Open's stack, where it would be an allocation
}

func (h *half) init(key *[KeySize]byte) {
	h.forget()
	h.key, h.aead, h.number = *key, box.NewAEAD(key[:]), 0
}

// forget clears the cipher, if there is one.
func (h *half) forget() {
	if h.aead != nil {
		box.Forget(h.aead)
		h.aead = nil
	}
}

// next returns the nonce of the next record: four zero bytes and its number.
func (h *half) next() []byte {
	binary.BigEndian.PutUint64(h.nonce[4:], h.number)
	h.number++
	return h.nonce[:]
}

// Rekey steps to the next key, Expand(key, "sim/1 rekey"), and forgets this one. It panics after Clear: the key that follows zeros is nobody's secret.
func (h *half) Rekey() {
	if h.aead == nil {
		panic("record: rekey after clear")
	}
	next := box.Expand(&h.key, "sim/1 rekey", nil)
	h.init(&next)
	clear(next[:])
}

// Clear forgets the key. Sealing, opening or a rekey afterwards panics.
func (h *half) Clear() {
	clear(h.key[:])
	h.forget()
}

// Sealer seals the records of one direction.
type Sealer struct{ half }

// NewSealer returns a Sealer at record 0 of a key.
func NewSealer(key [KeySize]byte) *Sealer {
	s := new(Sealer)
	s.init(&key)
	clear(key[:])
	return s
}

// Count returns how many records were sealed under the current key.
func (s *Sealer) Count() uint64 { return s.number }

// Seal appends to dst one record (header, ciphertext, tag) that holds frames, 1 to MaxPlaintext bytes, padded with zeros.
// It panics after MaxRecords records under one key, on no frames and on more than a record holds: all are the caller's mistakes.
func (s *Sealer) Seal(dst, frames []byte) []byte {
	if s.number >= MaxRecords || len(frames) == 0 || len(frames) > MaxPlaintext {
		panic("record: not within the limits of a key and a record")
	}
	size := PaddedSize(len(frames))
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(size+TagSize))
	dst = append(dst, frames...)
	for pad := size - len(frames); pad > 0; {
		n := min(pad, len(zeros))
		dst = append(dst, zeros[:n]...)
		pad -= n
	}
	header, plaintext := dst[start:start+HeaderSize], dst[start+HeaderSize:]
	return s.aead.Seal(dst[:start+HeaderSize], s.next(), plaintext, header)
}

var zeros [1024]byte

// Opener opens the records of one direction.
type Opener struct{ half }

// NewOpener returns an Opener at record 0 of a key.
func NewOpener(key [KeySize]byte) *Opener {
	o := new(Opener)
	o.init(&key)
	clear(key[:])
	return o
}

// Open decrypts a record's ciphertext in place and returns its plaintext, padding included, which lives in ciphertext's memory.
// After ErrOpen the connection is over: the Opener is at the same record as before, and the ciphertext is destroyed.
func (o *Opener) Open(ciphertext []byte) ([]byte, error) {
	if !ValidLength(len(ciphertext)) || o.number >= MaxRecords {
		return nil, ErrOpen
	}
	binary.BigEndian.PutUint16(o.header[:], uint16(len(ciphertext)))
	plaintext, err := o.aead.Open(ciphertext[:0], o.next(), ciphertext, o.header[:])
	if err != nil {
		o.number--
		return nil, ErrOpen
	}
	return plaintext, nil
}
