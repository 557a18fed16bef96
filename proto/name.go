package proto

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// NameSize is a name's size on the wire in bytes: the name, then zeros.
const NameSize = 32

// Name is the name of a user as it goes over the wire: 1 to 32 of a-z 0-9 . _ -, the first a letter or a digit, padded with zeros.
// The zero Name is no name. Names compare and sort as arrays.
type Name [NameSize]byte

// ErrName is returned when a name breaks the rules for names.
var ErrName = errors.New("a user name is 1 to 32 letters a-z, digits, dots, underscores and dashes, and begins with a letter or a digit")

// ParseName folds ASCII upper case to lower case and returns the name, or ErrName.
func ParseName(s string) (Name, error) {
	var n Name
	if len(s) == 0 || len(s) > NameSize {
		return Name{}, ErrName
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if !nameByte(c, i == 0) {
			return Name{}, ErrName
		}
		n[i] = c
	}
	return n, nil
}

// nameFromWire reads 32 bytes strictly: folded, padded with zeros, not empty.
func nameFromWire(b []byte) (Name, bool) {
	n := Name(b)
	size := bytes.IndexByte(n[:], 0)
	if size < 0 {
		size = NameSize
	}
	if size == 0 || !bytes.Equal(n[size:], zeros[:NameSize-size]) {
		return Name{}, false
	}
	for i, c := range n[:size] {
		if !nameByte(c, i == 0) {
			return Name{}, false
		}
	}
	return n, true
}

func nameByte(c byte, first bool) bool {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return true
	case c == '.', c == '_', c == '-':
		return !first
	}
	return false
}

// String returns the name without its padding.
func (n Name) String() string {
	s := string(n[:])
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return s
}

// Compare orders names by their bytes: -1, 0 or 1.
func (n Name) Compare(m Name) int { return bytes.Compare(n[:], m[:]) }

// reserved are the names that would be taken for the system's own voice, or for a word that people type.
var reserved = []string{
	"admin", "server", "system", "root", "sim", "nobody", "yes",
	"login", "logout", "list", "send", "talk", "verify", "disconnect", "recv", "passwd", "block", "unblock", "watch", "unwatch", "help", "quit",
}

// Reserved says whether a name can't be anybody's account.
func (n Name) Reserved() bool { return slices.Contains(reserved, n.String()) }

// Prefix is the beginning of a name, possibly empty, padded with zeros: what List asks for.
type Prefix [NameSize]byte

// ParsePrefix folds ASCII upper case and returns the prefix, or ErrName when no name can begin so.
func ParsePrefix(s string) (Prefix, error) {
	if s == "" {
		return Prefix{}, nil
	}
	n, err := ParseName(s)
	return Prefix(n), err
}

func prefixFromWire(b []byte) (Prefix, bool) {
	p := Prefix(b)
	if p == (Prefix{}) {
		return p, true
	}
	_, ok := nameFromWire(b)
	return p, ok
}

// String returns the prefix without its padding.
func (p Prefix) String() string { return Name(p).String() }
