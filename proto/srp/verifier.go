package srp

// Verifier is v = g^x, x = SHA-256(salt | SHA-256(name | ":" | secret)): what a
// server keeps of a user. secret is Argon2id's output and stays the caller's to
// clear.
func Verifier(name string, salt, secret *[32]byte) *[Size]byte {
	return (*[Size]byte)(group2048.verifier(name, salt[:], secret[:]))
}

// InventVerifier reduces 272 uniform bytes modulo N, in constant time: a number
// that nobody can tell from a verifier, at no exponentiation's cost, for a name
// that has none.
func InventVerifier(uniform *[272]byte) *[Size]byte {
	x := group2048.reduced(uniform[:])
	defer x.clear()
	return (*[Size]byte)(x.bytes())
}

func (s *suite) verifier(name string, salt, secret []byte) []byte {
	x := s.x(name, salt, secret)
	defer clear(x)
	v := s.g.pow(x)
	defer v.clear()
	return v.bytes()
}

// x is the private key of RFC 5054 §2.4, to be cleared by the caller.
func (s *suite) x(name string, salt, secret []byte) []byte {
	inner := s.digest([]byte(name), []byte(":"), secret)
	defer clear(inner)
	return s.digest(salt, inner)
}
