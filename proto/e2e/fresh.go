package e2e

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
)

// fresh makes the ML-KEM pair and encapsulates; only golden vectors have another one than system.
// All else that is random comes from crypto/rand.Read.
type fresh struct {
	kem         func() *mlkem.DecapsulationKey768
	encapsulate func(*mlkem.EncapsulationKey768) (secret, ciphertext []byte)
}

var system = &fresh{
	kem: func() *mlkem.DecapsulationKey768 {
		key, err := mlkem.GenerateKey768()
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		return key
	},
	encapsulate: (*mlkem.EncapsulationKey768).Encapsulate,
}

// A scalar is the private key of an X25519 share. It is ours to clear, and therefore not an ecdh.PrivateKey: one of those
// is made for each computation and dropped, and until the garbage collector and the allocator have come by, its copy of
// the scalar stays in memory.
type scalar [32]byte

// newScalar draws one.
func newScalar() (s scalar) {
	rand.Read(s[:])
	return s
}

// share returns the public key.
func (s *scalar) share() []byte { return s.key().PublicKey().Bytes() }

// agree is X25519. It returns ErrViolation when the result would be all zeros (RFC 7748, section 6.1).
func (s *scalar) agree(share []byte) ([]byte, error) { return agree(s.key(), share) }

func (s *scalar) key() *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(s[:])
	if err != nil {
		panic(err) // only for another length, and where FIPS 140 forbids X25519
	}
	return key
}

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
