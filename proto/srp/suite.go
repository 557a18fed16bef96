package srp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"filippo.io/bigmod"
)

const (
	Size       = 256 // bytes of a group element: A, B, v and S
	SaltSize   = 32
	SecretSize = 32 // bytes of T, Argon2id's output

	uniformSize  = Size + 16 // an invented verifier's bias is at most 2^-128
	exponentSize = 32        // bytes of a and b; RFC 5054 §2.5.3, §2.5.4: at least 256 bits
	maxDraws     = 8         // of b, before Answer gives up
)

// A suite is a group and a hash. The protocol has one, group2048; RFC 5054's
// test vectors have another.
type suite struct {
	hash func() hash.Hash
	mod  *bigmod.Modulus // N
	wide *bigmod.Modulus // above every number of size + 16 bytes
	size int             // bytes of N, and of every PAD
	g, k elem
}

// group2048 is the 2048-bit group of RFC 5054 appendix A with SHA-256.
var group2048 = newSuite(sha256.New, 2,
	"ac6bdb41324a9a9bf166de5e1389582faf72b6651987ee07fc3192943db56050"+
		"a37329cbb4a099ed8193e0757767a13dd52312ab4b03310dcd7f48a9da04fd50"+
		"e8083969edb767b0cf6095179a163ab3661a05fbd5faaae82918a9962f0b93b8"+
		"55f97993ec975eeaa80d740adbf4ff747359d041d5c33ea71d281e446b14773b"+
		"ca97b43a23fb801676bd207a436c6481f1d2b9078717461a5b9d32e688f87748"+
		"544523b524b0d57d5ea77a2775d2ecfa032cfbdbf52fb3786160279004e57ae6"+
		"af874e7303ce53299ccc041c7bc308d82a5698f3a8d0c38271ae35f8e9dbfbb6"+
		"94b5c803d89f7ae435de236d525f54759b65e372fcd68ef20fa7111f9e4aff73")

// newSuite panics on what is no odd modulus longer than the hash: its callers
// pass constants.
func newSuite(newHash func() hash.Hash, g byte, primeHex string) *suite {
	prime, err := hex.DecodeString(primeHex)
	if err != nil {
		panic("srp: bad prime: " + err.Error())
	}
	mod, err := bigmod.NewModulus(prime)
	if err != nil {
		panic("srp: bad prime: " + err.Error())
	}
	// Only SetBytes and Mod use wide, so it need not be odd.
	wide, err := bigmod.NewModulus(append([]byte{1}, make([]byte, len(prime)+16)...))
	if err != nil {
		panic("srp: bad bound: " + err.Error())
	}
	s := &suite{hash: newHash, mod: mod, wide: wide, size: len(prime)}
	s.g = s.reduced([]byte{g})
	s.k = s.reduced(s.digest(prime, s.g.bytes()))
	return s
}

// digest is the hash of the parts, one after the other.
func (s *suite) digest(parts ...[]byte) []byte {
	h := s.hash()
	for _, part := range parts {
		h.Write(part)
	}
	sum := h.Sum(nil)
	for range 2 { // the hash still has its last block, secrets in it: less than a block at a time goes into that buffer
		h.Write(make([]byte, h.BlockSize()/2))
	}
	return sum
}

// scrambler is u = H(PAD(A) | PAD(B)), and whether it is not 0. u is public.
func (s *suite) scrambler(A, B elem) ([]byte, bool) {
	u := s.digest(A.bytes(), B.bytes())
	for _, b := range u {
		if b != 0 {
			return u, true
		}
	}
	return nil, false
}

// A source fills a slice with secret random bytes.
type source func([]byte)

// random is the only source outside of tests. crypto/rand ends the program
// rather than return an error.
func random(b []byte) { rand.Read(b) }
