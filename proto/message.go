package proto

import (
	"encoding/binary"

	"sim/proto/ticket"
)

// This file turns the bodies of frames into values and back. A Parse function gets a body of a length that its type allows
// (Receiver.Open sees to that) and says false when a field is not exactly as docs/PROTOCOL.md has it; byte slices in the
// values live in the body's memory. An Append function appends a whole frame.

// Tag is what the server calls a session by; the zero Tag means whoever has the name now.
type Tag [TagSize]byte

// Reason is why a Relay came back or a session ended.
type Reason byte

// Reasons of Undeliverable.
const (
	Offline  Reason = 1 // nobody of that name is logged in; an unknown name looks the same
	Full     Reason = 2 // the receiver's queue, or a table, has no room
	GoneAway Reason = 3 // the session with that tag has ended
)

// Reasons of Gone.
const (
	GoneLogout   Reason = 1
	GoneReplaced Reason = 2
	GoneLost     Reason = 3
)

// Reasons of Close.
const (
	CloseDone     Reason = 0
	CloseReplaced Reason = 1
	CloseStopping Reason = 2
	CloseIdle     Reason = 3
	CloseProtocol Reason = 4
	CloseStalled  Reason = 5
	CloseRemoved  Reason = 6
)

// Codes of Notice.
const (
	NoticeStopping = 1 // the server is about to stop
	NoticePassword = 2 // a one-time code was proved: choose a password
)

// Statuses of Ticket.
const (
	TicketIssued  = 0
	TicketBusy    = 1
	TicketRefused = 2
)

// Statuses of Done.
const (
	DoneChanged  = 0
	DoneRefused  = 1
	DoneNotSaved = 2
)

// AppendPing appends a Ping frame.
func AppendPing(b []byte, echo [8]byte) []byte {
	return append(appendHeader(b, TypePing, 8), echo[:]...)
}

// AppendPong appends the Pong frame that answers a Ping's body of 8 bytes.
func AppendPong(b []byte, ping []byte) []byte {
	return append(appendHeader(b, TypePong, 8), ping[:8]...)
}

// List asks for a page of the names that are logged in.
type List struct{ Prefix, After Prefix }

// AppendList appends a List frame.
func AppendList(b []byte, l List) []byte {
	b = appendHeader(b, TypeList, 2*NameSize)
	return append(append(b, l.Prefix[:]...), l.After[:]...)
}

// ParseList reads a List body.
func ParseList(body []byte) (List, bool) {
	prefix, ok1 := prefixFromWire(body[:NameSize])
	after, ok2 := prefixFromWire(body[NameSize:])
	return List{prefix, after}, ok1 && ok2
}

// AppendUsers appends a Users frame of at most MaxUsersPage names.
func AppendUsers(b []byte, more bool, names []Name) []byte {
	b = appendHeader(b, TypeUsers, 1+len(names)*NameSize)
	b = append(b, boolByte(more))
	for i := range names {
		b = append(b, names[i][:]...)
	}
	return b
}

// ParseUsers reads a Users body: names in strictly ascending order, and at least one when there are more.
func ParseUsers(body []byte) (more bool, names []Name, ok bool) {
	more, ok = parseBool(body[0])
	if !ok {
		return false, nil, false
	}
	names, ok = parseNames(body[1:])
	ok = ok && (len(names) > 0 || !more) // whoever asks for more names the last of the page
	for i := 1; i < len(names); i++ {
		ok = ok && names[i-1].Compare(names[i]) < 0
	}
	return more, names, ok
}

// AppendWatch appends a Watch frame of at most MaxWatched names.
func AppendWatch(b []byte, names []Name) []byte {
	b = appendHeader(b, TypeWatch, len(names)*NameSize)
	for i := range names {
		b = append(b, names[i][:]...)
	}
	return b
}

// ParseWatch reads a Watch body.
func ParseWatch(body []byte) ([]Name, bool) { return parseNames(body) }

func parseNames(b []byte) (names []Name, ok bool) {
	for ; len(b) > 0; b = b[NameSize:] {
		n, ok := nameFromWire(b[:NameSize])
		if !ok {
			return nil, false
		}
		names = append(names, n)
	}
	return names, true
}

// Presence is whether somebody who is watched is logged in.
type Presence struct {
	Name   Name
	Online bool
}

// AppendPresence appends a Presence frame of 1 to MaxWatched entries.
func AppendPresence(b []byte, entries []Presence) []byte {
	b = appendHeader(b, TypePresence, len(entries)*presenceEntry)
	for _, p := range entries {
		b = append(append(b, p.Name[:]...), boolByte(p.Online))
	}
	return b
}

// ParsePresence reads a Presence body.
func ParsePresence(body []byte) (entries []Presence, ok bool) {
	for ; len(body) > 0; body = body[presenceEntry:] {
		name, ok1 := nameFromWire(body[:NameSize])
		online, ok2 := parseBool(body[NameSize])
		if !ok1 || !ok2 {
			return nil, false
		}
		entries = append(entries, Presence{name, online})
	}
	return entries, true
}

// Relay carries a peer message to somebody.
type Relay struct {
	Ref     uint32 // the sender's number for it
	To      Name
	Tag     Tag // of the receiver's session, or zero
	Message []byte
}

// AppendRelay appends a Relay frame; its Message has 1 to MaxPeerMessage bytes.
func AppendRelay(b []byte, r Relay) []byte {
	b = appendHeader(b, TypeRelay, relayHead+len(r.Message))
	b = binary.BigEndian.AppendUint32(b, r.Ref)
	b = append(append(b, r.To[:]...), r.Tag[:]...)
	return append(b, r.Message...)
}

// ParseRelay reads a Relay body.
func ParseRelay(body []byte) (Relay, bool) {
	to, ok := nameFromWire(body[4:36])
	return Relay{binary.BigEndian.Uint32(body), to, Tag(body[36:44]), body[relayHead:]}, ok
}

// Relayed is a peer message that somebody sent; the server vouches for the name and the tag.
type Relayed struct {
	From    Name
	Tag     Tag
	Message []byte
}

// RelayedFrameSize returns the bytes of a Relayed frame that carries n bytes.
func RelayedFrameSize(n int) int { return FrameHeaderSize + relayedHead + n }

// AppendRelayed appends a Relayed frame.
func AppendRelayed(b []byte, r Relayed) []byte {
	b = appendHeader(b, TypeRelayed, relayedHead+len(r.Message))
	b = append(append(b, r.From[:]...), r.Tag[:]...)
	return append(b, r.Message...)
}

// ParseRelayed reads a Relayed body.
func ParseRelayed(body []byte) (Relayed, bool) {
	from, ok := nameFromWire(body[:NameSize])
	r := Relayed{from, Tag(body[NameSize:relayedHead]), body[relayedHead:]}
	return r, ok && r.Tag != Tag{}
}

// AppendUndeliverable appends an Undeliverable frame.
func AppendUndeliverable(b []byte, ref uint32, reason Reason) []byte {
	b = binary.BigEndian.AppendUint32(appendHeader(b, TypeUndeliverable, 5), ref)
	return append(b, byte(reason))
}

// ParseUndeliverable reads an Undeliverable body.
func ParseUndeliverable(body []byte) (ref uint32, reason Reason, ok bool) {
	reason = Reason(body[4])
	return binary.BigEndian.Uint32(body), reason, reason >= Offline && reason <= GoneAway
}

// Gone tells that a session which Relays were exchanged with has ended.
type Gone struct {
	Name   Name
	Tag    Tag
	Reason Reason
}

// AppendGone appends a Gone frame.
func AppendGone(b []byte, g Gone) []byte {
	b = appendHeader(b, TypeGone, NameSize+TagSize+1)
	return append(append(append(b, g.Name[:]...), g.Tag[:]...), byte(g.Reason))
}

// ParseGone reads a Gone body.
func ParseGone(body []byte) (Gone, bool) {
	name, ok := nameFromWire(body[:NameSize])
	g := Gone{name, Tag(body[NameSize : NameSize+TagSize]), Reason(body[NameSize+TagSize])}
	return g, ok && g.Tag != Tag{} && g.Reason >= GoneLogout && g.Reason <= GoneLost
}

// AppendIntro appends an Intro frame.
func AppendIntro(b []byte, in *ticket.Intro) []byte {
	start := len(b)
	b = in.Append(append(b, byte(TypeIntro), 0, 0))
	binary.BigEndian.PutUint16(b[start+1:], uint16(len(b)-start-FrameHeaderSize))
	return b
}

// ParseIntro reads an Intro body.
func ParseIntro(body []byte) (*ticket.Intro, bool) {
	in, err := ticket.ParseIntro(body)
	if err != nil {
		return nil, false
	}
	_, ok := nameFromWire(in.Responder[:])
	return in, ok
}

// Ticket is the server's answer to an Intro: the intro box when the status is TicketIssued, nothing otherwise.
type Ticket struct {
	CID    ticket.CID
	Status byte
	Box    []byte // 352 bytes, or none
}

// AppendTicket appends a Ticket frame.
func AppendTicket(b []byte, t Ticket) []byte {
	b = appendHeader(b, TypeTicket, ticketHead+len(t.Box))
	b = append(append(b, t.CID[:]...), t.Status)
	return append(b, t.Box...)
}

// ParseTicket reads a Ticket body.
func ParseTicket(body []byte) (Ticket, bool) {
	t := Ticket{ticket.CID(body[:16]), body[16], body[ticketHead:]}
	return t, t.Status <= TicketRefused && (t.Status == TicketIssued) == (len(t.Box) == introBoxSize)
}

// AppendLogout appends a Logout frame.
func AppendLogout(b []byte) []byte { return appendHeader(b, TypeLogout, 0) }

// AppendLoggedOut appends a LoggedOut frame.
func AppendLoggedOut(b []byte) []byte { return appendHeader(b, TypeLoggedOut, 0) }

// AppendNotice appends a Notice frame.
func AppendNotice(b []byte, code byte) []byte { return append(appendHeader(b, TypeNotice, 1), code) }

// AppendClose appends a Close frame, the last of its connection.
func AppendClose(b []byte, reason Reason) []byte {
	return append(appendHeader(b, TypeClose, 1), byte(reason))
}

// ParseNotice reads a Notice body.
func ParseNotice(body []byte) (code byte, ok bool) {
	return body[0], body[0] == NoticeStopping || body[0] == NoticePassword
}

// ParseClose reads a Close body.
func ParseClose(body []byte) (Reason, bool) { return Reason(body[0]), Reason(body[0]) <= CloseRemoved }

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func parseBool(b byte) (v, ok bool) { return b == 1, b <= 1 }

// AppendSeen appends a Seen frame: all frames of the other end up to number n were handled.
func AppendSeen(b []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(appendHeader(b, TypeSeen, 8), n)
}

// ParseSeen parses the body of a Seen frame.
func ParseSeen(body []byte) uint64 { return binary.BigEndian.Uint64(body) }

// Numbered says whether frames of a type are counted for resumption, and kept until the other end has seen them.
func (t Type) Numbered() bool {
	switch t {
	case TypePing, TypePong, TypeSeen, TypeRekey, TypeClose:
		return false
	}
	return true
}
