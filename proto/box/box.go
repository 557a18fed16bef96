// Package box holds the two pieces that both handshakes of sim are made of: the symmetric state (a transcript hash and
// a chaining key, in the manner of the Noise protocol framework, section 5.2) and the box, which is AES-256-GCM under a
// key that is made for one plaintext and never used again. See docs/PROTOCOL.md, sections 2.1 and 2.2.
package box

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"reflect"
)

// Sizes in bytes.
const (
	KeySize  = 32                 // a key that boxes are made under
	SaltSize = 32                 // the random bytes that a box begins with
	TagSize  = 16                 // the AES-GCM tag that it ends with
	Overhead = SaltSize + TagSize // how much longer a box is than its plaintext
)

// Direction says who sealed a box; it enters the box's key, so that no box can be reflected.
type Direction byte

// The two directions.
const (
	FromClient    Direction = 0 // client to server
	FromServer    Direction = 1 // server to client
	FromInitiator Direction = 0 // initiator to responder
	FromResponder Direction = 1 // responder to initiator
)

// ErrOpen is returned when a box is shorter than Overhead or was not sealed under the same key, label, direction and context.
var ErrOpen = errors.New("box does not open")

// nonce is all zeros: each box has a key of its own.
var nonce [12]byte

// Seal returns a box of len(plaintext)+Overhead bytes. The context is a transcript hash of 32 bytes that both ends know.
func Seal(key *[KeySize]byte, label string, direction Direction, context *[32]byte, plaintext []byte) []byte {
	out := make([]byte, SaltSize, len(plaintext)+Overhead)
	rand.Read(out)
	once := aead(key, out, label, direction, context)
	defer Forget(once)
	return once.Seal(out, nonce[:], plaintext, nil)
}

// Open returns the plaintext of a box, or ErrOpen.
func Open(key *[KeySize]byte, label string, direction Direction, context *[32]byte, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrOpen
	}
	once := aead(key, sealed[:SaltSize], label, direction, context)
	defer Forget(once)
	plaintext, err := once.Open(nil, nonce[:], sealed[SaltSize:], nil)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// aead makes the one-use cipher of a box.
func aead(key *[KeySize]byte, salt []byte, label string, direction Direction, context *[32]byte) cipher.AEAD {
	boxKey := onceKey(key, salt, label, direction, context)
	defer clear(boxKey)
	return NewAEAD(boxKey)
}

func onceKey(key *[KeySize]byte, salt []byte, label string, direction Direction, context *[32]byte) []byte {
	info := label + string([]byte{byte(direction)}) + string(context[:])
	boxKey, err := hkdf.Key(sha256.New, key[:], salt, info, KeySize)
	if err != nil {
		panic(err) // only for lengths that HKDF can't give
	}
	return boxKey
}

// NewAEAD returns AES-256-GCM (NIST SP 800-38D: 12-byte nonces, 16-byte tags) under a key of 32 bytes. Forget is its end.
func NewAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a key of another size
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	zero(block) // of which NewGCM has made a copy
	return gcm
}

// Forget clears what a cipher of NewAEAD holds: the key schedule, which begins with the key, and what is made of it. The cipher can't be used
// any more.
func Forget(aead cipher.AEAD) { zero(aead) }

// zero clears what a pointer points to. The standard library has no other way to forget a cipher's key.
func zero(pointer any) { reflect.ValueOf(pointer).Elem().SetZero() }
