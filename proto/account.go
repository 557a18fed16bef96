package proto

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"sim/proto/srp"
)

// Argon2 holds the Argon2id parameters of a database: passes, memory in KiB, lanes.
type Argon2 struct {
	Time, Memory uint32
	Threads      uint8
}

const argon2Size = 9

func (p Argon2) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, p.Time)
	b = binary.BigEndian.AppendUint32(b, p.Memory)
	return append(b, p.Threads)
}

func parseArgon2(b []byte) Argon2 {
	return Argon2{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), b[8]}
}

// Directory answers for every name, known or not, by the same steps: neither reply, length nor work tells which names exist.
type Directory struct {
	SaltSecret   [32]byte // makes every name's salt; it never changes
	InventSecret [32]byte // makes the verifiers of names that have no account
	Argon2       Argon2   // the same for every name

	// Lookup returns the stored verifier (256 bytes) of a name, and false if there is none. An error ends the handshake.
	Lookup func(Name) (verifier [srp.Size]byte, exists bool, err error)
}

// Salt returns the 32-byte salt of a name: HMAC-SHA-256 under the salt secret.
func (d *Directory) Salt(name Name) [32]byte {
	mac := hmac.New(sha256.New, d.SaltSecret[:])
	mac.Write(name[:])
	return [32]byte(mac.Sum(nil))
}

// verifier computes both the invented and the stored verifier and selects one in constant time. exists is 1 or 0.
func (d *Directory) verifier(name Name) (v *[srp.Size]byte, exists int, err error) {
	uniform, err := hkdf.Expand(sha256.New, d.InventSecret[:], "sim/1 invented"+string(name[:]), 272)
	if err != nil {
		return nil, 0, err
	}
	v = srp.InventVerifier((*[272]byte)(uniform))
	stored, found, err := d.Lookup(name)
	if err != nil {
		return nil, 0, err
	}
	exists = int(boolByte(found))
	subtle.ConstantTimeCopy(exists, v[:], stored[:])
	clear(uniform)
	clear(stored[:])
	return v, exists, nil
}

// answer is SRP's answer to A with a verifier, which it clears. A verifier out of range is a fault of ours, anything else the peer's.
func answer(verifier, a *[srp.Size]byte) (*srp.ServerStart, error) {
	start, err := srp.Answer(verifier, a)
	clear(verifier[:])
	if errors.Is(err, srp.ErrVerifier) {
		return nil, err
	}
	if err != nil {
		return nil, peerErrorf("SRP: %v", err)
	}
	return start, nil
}

// CheckVerifier returns an error for what can't be an account's verifier (256 bytes): one to which no password belongs, or every one.
func CheckVerifier(verifier *[srp.Size]byte) error { return srp.CheckVerifier(verifier) }
