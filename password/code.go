package password

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// A one-time code stands in place of a password until its person has chosen one: 16 random characters and 4 that check them, 80 bits that
// nobody needs to judge. docs/PROTOCOL.md, section 9.1.
const (
	codeAlphabet = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford's base32
	codeSecret   = 16                                 // characters
	codeCheck    = 4                                  // characters
	codeGroup    = 4                                  // characters between dashes
)

// NewCode makes a code in the form in which it is written, five groups of four. It is a prepared password.
func NewCode() string {
	var random [codeSecret]byte
	rand.Read(random[:])
	for i, b := range random {
		random[i] = codeAlphabet[b%32] // 256 is a multiple of 32: no character is likelier
	}
	defer clear(random[:])
	return string(writtenCode(random[:]))
}

// ParseCode returns the written form of a code, however it was typed: with other dashes and spaces, in capitals, with o for 0 and i or l for 1.
// ok is false for what is no code, or has a typing error. The slice is the caller's to clear.
func ParseCode(line []byte) (written []byte, ok bool) {
	if len(line) > maxLine {
		return nil, false
	}
	typed := make([]byte, 0, codeSecret+codeCheck)
	defer func() { clear(typed) }()
	for _, c := range line {
		if c == '-' || c == ' ' {
			continue
		}
		c, ok := codeCharacter(c)
		if !ok || len(typed) == cap(typed) {
			return nil, false
		}
		typed = append(typed, c)
	}
	if len(typed) < cap(typed) || string(typed[codeSecret:]) != codeChecks(typed[:codeSecret]) {
		return nil, false
	}
	return writtenCode(typed[:codeSecret]), true
}

// MayBeCode says of what is no code that a person may have meant one: it has about as many characters, all of those that codes are made of.
func MayBeCode(line []byte) bool {
	n := 0
	for _, c := range line {
		if c == '-' || c == ' ' {
			continue
		}
		if _, ok := codeCharacter(c); !ok {
			return false
		}
		n++
	}
	return n >= codeSecret+codeCheck-2 && n <= codeSecret+codeCheck+2
}

// codeCharacter returns the character of a code that is meant.
func codeCharacter(c byte) (_ byte, ok bool) {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	switch c {
	case 'o':
		c = '0'
	case 'i', 'l':
		c = '1'
	}
	return c, strings.IndexByte(codeAlphabet, c) >= 0
}

// codeChecks returns the check characters: the first 20 bits of the hash, the highest first.
func codeChecks(secret []byte) string {
	hash := sha256.New()
	hash.Write([]byte("sim/1 code"))
	hash.Write(secret)
	sum := hash.Sum(nil)
	bits := uint32(sum[0])<<16 | uint32(sum[1])<<8 | uint32(sum[2])
	var checks [codeCheck]byte
	for i := range checks {
		checks[i] = codeAlphabet[bits>>(19-5*i)&31]
	}
	return string(checks[:])
}

func writtenCode(secret []byte) []byte {
	checks := codeChecks(secret)
	written := make([]byte, 0, codeSecret+codeCheck+(codeSecret+codeCheck)/codeGroup)
	for i := 0; i < codeSecret; i += codeGroup {
		written = append(append(written, secret[i:i+codeGroup]...), '-')
	}
	return append(written, checks...)
}
