package ticket

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// A Nonce is the peer message with which B answers Want:
//
//	02 ‖ cid (16) ‖ chosen version (1) ‖ nonce box (144)          162 bytes
type Nonce struct {
	CID     CID
	Version byte
	Box     [NonceBoxSize]byte
}

// Append appends the message to b.
func (n *Nonce) Append(b []byte) []byte {
	b = append(b, nonceMsgType)
	b = append(b, n.CID[:]...)
	b = append(b, n.Version)
	return append(b, n.Box[:]...)
}

// ParseNonce decodes what Append encodes, and nothing else. The error is ErrMalformed.
func ParseNonce(msg []byte) (*Nonce, error) {
	var n Nonce
	var typ uint8
	s := cryptobyte.String(msg)
	if !s.ReadUint8(&typ) || typ != nonceMsgType || !s.CopyBytes(n.CID[:]) || !s.ReadUint8(&n.Version) || !s.CopyBytes(n.Box[:]) || !s.Empty() {
		return nil, ErrMalformed
	}
	return &n, nil
}

// An Intro is the body of the frame with which A asks the server for a ticket:
//
//	cid (16) ‖ N_1 (16) ‖ responder (32) ‖ version list of Want (1 + count) ‖ chosen version (1) ‖ nonce box (144)
type Intro struct {
	CID       CID
	N1        [NonceSize]byte
	Responder Name
	Versions  []byte // what Want offers
	Version   byte   // what B chose
	NonceBox  [NonceBoxSize]byte
}

// Append appends the body to b.
func (i *Intro) Append(b []byte) []byte {
	b = append(b, i.CID[:]...)
	b = append(b, i.N1[:]...)
	b = append(b, i.Responder[:]...)
	b = AppendVersions(b, i.Versions)
	b = append(b, i.Version)
	return append(b, i.NonceBox[:]...)
}

// ParseIntro decodes what Append encodes, and nothing else: 210 bytes and the versions. The error is ErrMalformed.
// That the version is one of the versions and the name a good one is not checked here.
func ParseIntro(b []byte) (*Intro, error) {
	var in Intro
	s := cryptobyte.String(b)
	if !s.CopyBytes(in.CID[:]) || !s.CopyBytes(in.N1[:]) || !s.CopyBytes(in.Responder[:]) {
		return nil, ErrMalformed
	}
	versions, rest, err := ParseVersions(s)
	if err != nil {
		return nil, err
	}
	in.Versions, s = slices.Clone(versions), rest
	if !s.ReadUint8(&in.Version) || !s.CopyBytes(in.NonceBox[:]) || !s.Empty() {
		return nil, ErrMalformed
	}
	return &in, nil
}

// AppendVersions appends a version list, u8 count ‖ versions, to b.
func AppendVersions(b, versions []byte) []byte {
	return append(append(b, byte(len(versions))), versions...)
}

// ParseVersions decodes a version list at the beginning of b: 1 to 8 versions, non-zero and strictly ascending. The
// versions and the rest of b share its memory. The error is ErrMalformed.
func ParseVersions(b []byte) (versions, rest []byte, err error) {
	s := cryptobyte.String(b)
	var list cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&list) || !ValidVersions(list) {
		return nil, nil, ErrMalformed
	}
	return list, s, nil
}

// ValidVersions reports whether a version list may hold these versions: 1 to 8, non-zero and strictly ascending.
func ValidVersions(versions []byte) bool {
	if len(versions) < 1 || len(versions) > maxVersions {
		return false
	}
	last := byte(0)
	for _, v := range versions {
		if v <= last {
			return false
		}
		last = v
	}
	return true
}
