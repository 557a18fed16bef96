package box

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
)

// State is the symmetric state of a handshake: a transcript hash h and a chaining key ck, 32 bytes each.
// Use NewState; the zero value has no label.
type State struct {
	h  [32]byte
	ck [32]byte
}

// NewState starts a transcript: h = ck = SHA-256(label).
func NewState(label string) *State {
	h := sha256.Sum256([]byte(label))
	return &State{h: h, ck: h}
}

// MixHash takes parts into the transcript as one string: h = SHA-256(h ‖ parts[0] ‖ parts[1] …).
func (s *State) MixHash(parts ...[]byte) {
	s.h = MixHash(&s.h, parts...)
}

// MixHash is one step of a transcript that has no chaining key: SHA-256(h ‖ parts[0] ‖ parts[1] …).
func MixHash(h *[32]byte, parts ...[]byte) (next [32]byte) {
	d := sha256.New()
	d.Write(h[:])
	for _, p := range parts {
		d.Write(p)
	}
	d.Sum(next[:0])
	return next
}

// MixKey takes a shared secret into the chaining key: ck = HKDF(secret, salt = ck, info = label ‖ h).
func (s *State) MixKey(label string, secret []byte) {
	s.ck = HKDF(secret, s.ck[:], label, &s.h)
}

// Derive returns Expand(ck, label ‖ h), a key for what has been said so far.
func (s *State) Derive(label string) [KeySize]byte {
	return Expand(&s.ck, label, s.h[:])
}

// Final returns HKDF(secret, salt = ck, info = label ‖ h): the last key of a handshake, which no later MixKey follows.
func (s *State) Final(label string, secret []byte) [KeySize]byte {
	return HKDF(secret, s.ck[:], label, &s.h)
}

// Hash returns the transcript hash.
func (s *State) Hash() [32]byte { return s.h }

// Clear forgets the chaining key.
func (s *State) Clear() { clear(s.ck[:]) }

// HKDF is RFC 5869 with SHA-256 to 32 bytes: Extract(salt, secret), then Expand with info = label ‖ context.
func HKDF(secret, salt []byte, label string, context *[32]byte) (key [KeySize]byte) {
	k, err := hkdf.Key(sha256.New, secret, salt, label+string(context[:]), KeySize)
	if err != nil {
		panic(err)
	}
	copy(key[:], k)
	clear(k)
	return key
}

// Expand is HKDF-Expand (RFC 5869, section 2.3) with SHA-256 to 32 bytes, info = label ‖ context.
func Expand(key *[KeySize]byte, label string, context []byte) (out [KeySize]byte) {
	k, err := hkdf.Expand(sha256.New, key[:], label+string(context), KeySize)
	if err != nil {
		panic(err)
	}
	copy(out[:], k)
	clear(k)
	return out
}

// ExpandTwo returns Expand(key, first ‖ context) and Expand(key, second ‖ context). Each is one block of HKDF-Expand, which is
// HMAC(key, info ‖ 1); both come from one HMAC, which costs half of what two of Expand do.
func ExpandTwo(key *[KeySize]byte, first, second string, context []byte) (a, b [KeySize]byte) {
	mac := hmac.New(sha256.New, key[:])
	buf := make([]byte, 0, 128) // for what the HMAC takes, and then for what it gives
	block := func(label string) []byte {
		buf = append(append(append(buf[:0], label...), context...), 1)
		mac.Write(buf)
		return mac.Sum(buf[:0])
	}
	copy(a[:], block(first))
	mac.Reset()
	copy(b[:], block(second))
	clear(buf)
	return a, b
}

// HKDFTwo returns HKDF(secret, salt, first, context) and HKDF(secret, salt, second, context), with one Extract.
func HKDFTwo(secret, salt []byte, first, second string, context *[32]byte) (a, b [KeySize]byte) {
	k, err := hkdf.Extract(sha256.New, secret, salt)
	if err != nil {
		panic(err) // only where FIPS 140 forbids a short secret
	}
	defer clear(k)
	return ExpandTwo((*[KeySize]byte)(k), first, second, context[:])
}
