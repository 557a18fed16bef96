package proto

import (
	"bytes"
	"encoding/binary"

	"sim/proto/record"
)

// Type is the first byte of a frame.
type Type byte

// The frames of a session: who sends each, and its body. Integers are big-endian, names are 32 bytes, padded with zeros.
const (
	TypePadding       Type = 0x00 // not a frame: zeros from here to the end of the record
	TypePing          Type = 0x01 // C→S  8 bytes, any
	TypePong          Type = 0x02 // S→C  the 8 bytes of the Ping
	TypeList          Type = 0x03 // C→S  prefix (32) ‖ after (32), each may be empty
	TypeUsers         Type = 0x04 // S→C  u8 more ‖ 0..500 names
	TypeWatch         Type = 0x05 // C→S  0..256 names
	TypePresence      Type = 0x06 // S→C  1..256 × (name ‖ u8 online)
	TypeRelay         Type = 0x07 // C→S  u32 ref ‖ to (32) ‖ tag (8) ‖ peer message (1..10240)
	TypeRelayed       Type = 0x08 // S→C  from (32) ‖ tag (8) ‖ peer message (1..10240)
	TypeUndeliverable Type = 0x09 // S→C  u32 ref ‖ u8 reason
	TypeGone          Type = 0x0a // S→C  name (32) ‖ tag (8) ‖ u8 reason
	TypeIntro         Type = 0x0b // C→S  package ticket: Intro
	TypeTicket        Type = 0x0c // S→C  cid (16) ‖ u8 status ‖ intro box (352, when status is 0)
	TypePasswordBegin Type = 0x0d // C→S  A (256)
	TypePasswordSalt  Type = 0x0e // S→C  salt (32) ‖ argon2 (9) ‖ B (256)
	TypePasswordSet   Type = 0x0f // C→S  M1 (32) ‖ box{verifier} (304)
	TypeDone          Type = 0x10 // S→C  u8 status ‖ M2 (32)
	TypeLogout        Type = 0x11 // C→S  empty
	TypeLoggedOut     Type = 0x12 // S→C  empty
	TypeNotice        Type = 0x13 // S→C  u8 code
	TypeRekey         Type = 0x14 // both empty; the last frame of its record
	TypeClose         Type = 0x15 // both u8 reason; the last frame of its record
	TypeSeen          Type = 0x16 // both u64: the highest number of a frame that was handled
)

// Limits of frames.
const (
	FrameHeaderSize    = 3 // type and length
	TagSize            = 8
	MaxPeerMessage     = 10240                                 // bytes of what Relay carries
	MaxUsersPage       = 500                                   // names in a Users frame
	MaxWatched         = 256                                   // names in a Watch frame
	MaxFrames          = record.MaxPlaintext - FrameHeaderSize // bytes of frames in a record: a Rekey always has room
	relayHead          = 4 + NameSize + TagSize
	relayedHead        = NameSize + TagSize
	presenceEntry      = NameSize + 1
	maxIntroBody       = 16 + 16 + NameSize + 1 + 8 + 1 + 144
	minIntroBody       = maxIntroBody - 7
	introBoxSize       = 352
	passwordBoxSize    = 304
	ticketHead         = 16 + 1
	MaxRelayFrame      = FrameHeaderSize + relayHead + MaxPeerMessage
	MaxUsersFrame      = FrameHeaderSize + 1 + MaxUsersPage*NameSize
	UndeliverableFrame = FrameHeaderSize + 5
)

// Side is an end of a session.
type Side byte

// The two sides.
const (
	Client Side = 1
	Server Side = 2
)

// shape is what a frame of a type must look like: who may send it, and the lengths that its body can have.
type shape struct {
	name     string
	from     Side // Client, Server, or both
	min, max int  // bytes of body
	unit     int  // body lengths are min plus a multiple of unit; 0 when min is max
}

var shapes = [...]shape{
	TypePing:          {"Ping", Client, 8, 8, 0},
	TypePong:          {"Pong", Server, 8, 8, 0},
	TypeList:          {"List", Client, 2 * NameSize, 2 * NameSize, 0},
	TypeUsers:         {"Users", Server, 1, 1 + MaxUsersPage*NameSize, NameSize},
	TypeWatch:         {"Watch", Client, 0, MaxWatched * NameSize, NameSize},
	TypePresence:      {"Presence", Server, presenceEntry, MaxWatched * presenceEntry, presenceEntry},
	TypeRelay:         {"Relay", Client, relayHead + 1, relayHead + MaxPeerMessage, 1},
	TypeRelayed:       {"Relayed", Server, relayedHead + 1, relayedHead + MaxPeerMessage, 1},
	TypeUndeliverable: {"Undeliverable", Server, 5, 5, 0},
	TypeGone:          {"Gone", Server, NameSize + TagSize + 1, NameSize + TagSize + 1, 0},
	TypeIntro:         {"Intro", Client, minIntroBody, maxIntroBody, 1},
	TypeTicket:        {"Ticket", Server, ticketHead, ticketHead + introBoxSize, introBoxSize},
	TypePasswordBegin: {"PasswordBegin", Client, 256, 256, 0},
	TypePasswordSalt:  {"PasswordSalt", Server, 32 + argon2Size + 256, 32 + argon2Size + 256, 0},
	TypePasswordSet:   {"PasswordSet", Client, 32 + passwordBoxSize, 32 + passwordBoxSize, 0},
	TypeDone:          {"Done", Server, 33, 33, 0},
	TypeLogout:        {"Logout", Client, 0, 0, 0},
	TypeLoggedOut:     {"LoggedOut", Server, 0, 0, 0},
	TypeNotice:        {"Notice", Server, 1, 1, 0},
	TypeRekey:         {"Rekey", Client | Server, 0, 0, 0},
	TypeClose:         {"Close", Client | Server, 1, 1, 0},
	TypeSeen:          {"Seen", Client | Server, 8, 8, 0},
}

// String returns the frame's name in docs/PROTOCOL.md.
func (t Type) String() string {
	if int(t) < len(shapes) && shapes[t].name != "" {
		return shapes[t].name
	}
	return "unknown"
}

// Frame is one frame of a record: its type, and a body whose length is one that the type allows.
// The body lives in the record's memory.
type Frame struct {
	Type Type
	Body []byte
}

// Frames is what a record held, checked for structure: iterate with Next.
type Frames struct{ rest []byte }

// Next returns the next frame; ok is false after the last.
func (f *Frames) Next() (frame Frame, ok bool) {
	if len(f.rest) == 0 {
		return Frame{}, false
	}
	frame, f.rest, _ = cutFrame(f.rest)
	return frame, true
}

// cutFrame takes one frame off b, which holds at least a byte that is not padding.
func cutFrame(b []byte) (f Frame, rest []byte, ok bool) {
	if len(b) < FrameHeaderSize {
		return Frame{}, nil, false
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if len(b)-FrameHeaderSize < n {
		return Frame{}, nil, false
	}
	end := FrameHeaderSize + n
	return Frame{Type: Type(b[0]), Body: b[FrameHeaderSize:end:end]}, b[end:], true
}

// splitRecord checks the structure of a record's plaintext from one side: frames that exist, in their direction, of a length that they
// can have, Rekey and Close only at the end, and the least padding of zeros. It returns the frames and whether the last is a Rekey.
func splitRecord(plaintext []byte, from Side) (frames Frames, rekey bool, err error) {
	rest, last := plaintext, false
	for len(rest) > 0 && Type(rest[0]) != TypePadding {
		f, next, ok := cutFrame(rest)
		switch {
		case !ok:
			return Frames{}, false, peerErrorf("a frame is cut off")
		case last:
			return Frames{}, false, peerErrorf("a frame after the last")
		case int(f.Type) >= len(shapes) || shapes[f.Type].name == "":
			return Frames{}, false, peerErrorf("frame of unknown type %#x", byte(f.Type))
		}
		s := &shapes[f.Type]
		if s.from&from == 0 {
			return Frames{}, false, peerErrorf("%s in the wrong direction", s.name)
		}
		if n := len(f.Body); n < s.min || n > s.max || s.unit != 0 && (n-s.min)%s.unit != 0 {
			return Frames{}, false, peerErrorf("%s of %d bytes", s.name, n)
		}
		rekey = f.Type == TypeRekey
		last = rekey || f.Type == TypeClose
		rest = next
	}
	n := len(plaintext) - len(rest)
	if n == 0 {
		return Frames{}, false, peerErrorf("a record without a frame")
	}
	if record.PaddedSize(n) != len(plaintext) {
		return Frames{}, false, peerErrorf("more padding than need be")
	}
	if !bytes.Equal(rest, zeros[:len(rest)]) { // much faster than a look at each byte
		return Frames{}, false, peerErrorf("padding that is not zero")
	}
	return Frames{rest: plaintext[:n]}, rekey, nil
}

// zeros are as many as a record can have of padding: it would have half the size if it could.
var zeros [record.MaxPlaintext / 2]byte

// appendHeader begins a frame whose body of n bytes follows.
func appendHeader(b []byte, t Type, n int) []byte {
	return append(b, byte(t), byte(n>>8), byte(n))
}
