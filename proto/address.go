package proto

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// PublicKeySize is the size of the server's static X25519 public key in bytes.
const PublicKeySize = 32

const (
	addressScheme       = "sim://"
	addressChecksumSize = 2
	addressKeyLength    = 46 // characters: 34 bytes in unpadded base64url
)

// Address tells a client where its server is and which key it must prove: sim://KEY@HOST:PORT.
type Address struct {
	Key  [PublicKeySize]byte
	Host string // HOST:PORT, an IPv6 address in brackets; split by whoever dials
}

// Errors of ParseAddress.
var (
	ErrAddressForm     = errors.New("a server address looks like sim://KEY@HOST:PORT, as `sim server` prints it")
	ErrAddressChecksum = errors.New("the KEY in the server address has a typing mistake: copy the line that `sim server` prints again")
)

// ParseAddress reads an address strictly. It returns ErrAddressForm when the parts are not there,
// and ErrAddressChecksum when the key is not the one that was printed.
func ParseAddress(s string) (Address, error) {
	rest, ok := strings.CutPrefix(s, addressScheme)
	if !ok {
		return Address{}, ErrAddressForm
	}
	key, host, _ := strings.Cut(rest, "@")
	if host == "" || strings.ContainsAny(host, "@/ \t\r\n") {
		return Address{}, ErrAddressForm
	}
	if len(key) != addressKeyLength {
		return Address{}, ErrAddressChecksum
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err != nil || len(raw) != PublicKeySize+addressChecksumSize {
		return Address{}, ErrAddressChecksum
	}
	a := Address{Key: [PublicKeySize]byte(raw[:PublicKeySize]), Host: host}
	if !bytes.Equal(raw[PublicKeySize:], addressChecksum(&a.Key)) {
		return Address{}, ErrAddressChecksum
	}
	return a, nil
}

// String returns the address as ParseAddress reads it.
func (a Address) String() string {
	return addressScheme + a.KeyText() + "@" + a.Host
}

// KeyText returns the KEY alone.
func (a Address) KeyText() string {
	return base64.RawURLEncoding.EncodeToString(append(a.Key[:], addressChecksum(&a.Key)...))
}

func addressChecksum(key *[PublicKeySize]byte) []byte {
	sum := sha256.Sum256(append([]byte("sim/1 address"), key[:]...))
	return sum[:addressChecksumSize]
}
