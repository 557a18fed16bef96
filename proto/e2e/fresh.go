package e2e

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
)

// fresh makes the key pairs and encapsulates; only golden vectors have another one than system.
// Nonces and the like come from crypto/rand.Read.
type fresh struct {
	x25519      func() *ecdh.PrivateKey
	kem         func() *mlkem.DecapsulationKey768
	encapsulate func(*mlkem.EncapsulationKey768) (secret, ciphertext []byte)
}

var system = &fresh{
	x25519: func() *ecdh.PrivateKey {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		return key
	},
	kem: func() *mlkem.DecapsulationKey768 {
		key, err := mlkem.GenerateKey768()
		if err != nil {
			panic(err)
		}
		return key
	},
	encapsulate: (*mlkem.EncapsulationKey768).Encapsulate,
}
