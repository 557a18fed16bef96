package box

import "crypto/sha256"

// HKDF (RFC 5869) over HMAC (RFC 2104) with SHA-256, for keys of 32 bytes and one block of output. crypto/hkdf does the same, and a test
// compares the two; but it leaves what it returns in memory that nobody can clear, and crypto/hmac the key, XORed with constants. What is
// made here is on the stack or cleared.

// HKDF is RFC 5869 to 32 bytes: Extract(salt, secret), then Expand with info = label ‖ context. The salt has 32 bytes.
func HKDF(secret, salt []byte, label string, context *[32]byte) [KeySize]byte {
	prk := extract(salt, secret)
	defer clear(prk[:])
	return Expand(&prk, label, context[:])
}

// Expand is HKDF-Expand (RFC 5869, section 2.3) to 32 bytes, info = label ‖ context.
func Expand(key *[KeySize]byte, label string, context []byte) [KeySize]byte {
	return MAC(key, []byte(label), context, []byte{1})
}

func extract(salt, secret []byte) [KeySize]byte {
	return MAC((*[KeySize]byte)(salt), secret)
}

// MAC is HMAC-SHA-256 of the parts, one after the other.
func MAC(key *[KeySize]byte, parts ...[]byte) [sha256.Size]byte {
	size := sha256.BlockSize
	for _, p := range parts {
		size += len(p)
	}
	inner := pad(key, 0x36, size)
	defer clear(inner[:size])
	for _, p := range parts {
		inner = append(inner, p...)
	}
	sum := sha256.Sum256(inner)
	defer clear(sum[:])

	outer := append(pad(key, 0x5c, sha256.BlockSize+sha256.Size), sum[:]...)
	defer clear(outer)
	return sha256.Sum256(outer)
}

// pad returns the key, filled up with zeros to a block and XORed with x, with room for size bytes in all.
func pad(key *[KeySize]byte, x byte, size int) []byte {
	b := make([]byte, sha256.BlockSize, size)
	copy(b, key[:])
	for i := range b {
		b[i] ^= x
	}
	return b
}
