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

	// Lookup returns what is stored of a name. An error ends the handshake.
	Lookup func(Name) (Account, error)
}

// Account is what a login needs to know of a name.
type Account struct {
	Verifier   [srp.Size]byte
	Exists     bool   // and may log in now; otherwise the rest says nothing
	Enrol      bool   // the password is a one-time code: the session is to choose a password (docs/PROTOCOL.md, section 9.1)
	Generation uint64 // of the account: another one after each change
}

// Salt returns the 32-byte salt of a name: HMAC-SHA-256 under the salt secret.
func (d *Directory) Salt(name Name) [32]byte {
	mac := hmac.New(sha256.New, d.SaltSecret[:])
	mac.Write(name[:])
	return [32]byte(mac.Sum(nil))
}

// account returns what is stored of a name, with its verifier apart: both the invented and the stored one are computed, and one is
// selected in constant time. exists is 1 or 0.
func (d *Directory) account(name Name) (v *[srp.Size]byte, exists int, a Account, err error) {
	uniform, err := hkdf.Expand(sha256.New, d.InventSecret[:], "sim/1 invented"+string(name[:]), 272)
	if err != nil {
		return nil, 0, Account{}, err
	}
	v = srp.InventVerifier((*[272]byte)(uniform))
	a, err = d.Lookup(name)
	if err != nil {
		return nil, 0, Account{}, err
	}
	exists = int(boolByte(a.Exists))
	subtle.ConstantTimeCopy(exists, v[:], a.Verifier[:])
	clear(uniform)
	clear(a.Verifier[:])
	return v, exists, a, nil
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
