package box

import (
	"crypto/hmac"
	"crypto/sha256"
)

// MAC is HMAC-SHA-256 (RFC 2104) of the parts, one after the other. It is crypto/hmac's, and HKDF crypto/hkdf's, though both leave copies of
// keys in memory until it is used again: an algorithm of our own would be worse. docs/SECURITY.md names what they leave.
func MAC(key *[KeySize]byte, parts ...[]byte) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, key[:])
	for _, p := range parts {
		mac.Write(p)
	}
	mac.Sum(sum[:0])
	return sum
}
