package proto

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"time"
)

// EpochLength is how long new handshakes begin in one epoch.
const EpochLength = time.Minute

// Epoch is the short-lived half of the server's keys: a fresh X25519 pair and a fresh ML-KEM-768 pair, in memory only. The server makes one
// every EpochLength and drops it; a handshake that began in it holds it until it ends, and with the last holder it is gone.
type Epoch struct {
	x25519 *ecdh.PrivateKey
	kem    *mlkem.DecapsulationKey768
	public [32 + mlkem.EncapsulationKeySize768]byte // e_S ‖ ek, as Challenge has them
}

// NewEpoch makes an epoch.
func NewEpoch() (*Epoch, error) {
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, err
	}
	return newEpoch(x, kem), nil
}

func newEpoch(x *ecdh.PrivateKey, kem *mlkem.DecapsulationKey768) *Epoch {
	e := &Epoch{x25519: x, kem: kem}
	copy(e.public[:32], x.PublicKey().Bytes())
	copy(e.public[32:], kem.EncapsulationKey().Bytes())
	return e
}
