package proto

import (
	"time"

	"sim/proto/box"
	"sim/proto/record"
	"sim/proto/ticket"
)

// RekeyEvery is how long a sender uses one record key at most; record.MaxRecords is how often.
const RekeyEvery = time.Hour

// Sizes of records on the wire in bytes.
const (
	RecordHeaderSize = record.HeaderSize                    // the length
	MaxRecord        = record.MaxPlaintext + record.TagSize // the largest length
)

// ValidRecord says whether n can be a record's length: one of the six. To ask before reading on is what bounds a reader's memory.
func ValidRecord(n int) bool { return record.ValidLength(n) }

// Session is what both ends hold after Welcome. Send and Receive are owned by one goroutine each.
type Session struct {
	Name       Name
	ID         [16]byte
	Send       *Sender
	Receive    *Receiver
	Tickets    ticket.Keys
	Resumption [32]byte
	Transcript [32]byte // h6

	// What the server knows of the account that was proved, and the client does not.
	Enrol      bool
	Generation uint64
}

// newSession derives everything from S_A and h6. It clears the secret.
func newSession(name Name, id [16]byte, secret *[32]byte, h6 [32]byte, side Side, now time.Time) *Session {
	derive := func(label string) [32]byte { return box.Expand(secret, label, h6[:]) }
	client, server := derive("sim/1 record client"), derive("sim/1 record server")
	send, receive, peer := client, server, Server
	if side == Server {
		send, receive, peer = server, client, Client
	}
	s := &Session{
		Name:       name,
		ID:         id,
		Send:       &Sender{sealer: record.NewSealer(send), most: record.MaxRecords, since: now},
		Receive:    &Receiver{opener: record.NewOpener(receive), from: peer},
		Tickets:    ticket.Keys{Nonce: derive("sim/1 nonce"), Intro: derive("sim/1 intro"), Ticket: derive("sim/1 ticket")},
		Resumption: derive("sim/1 resumption"),
		Transcript: h6,
	}
	for _, key := range []*[32]byte{secret, &client, &server, &send, &receive} {
		clear(key[:])
	}
	return s
}

// Clear forgets the keys of the tickets and of resumption. The record keys belong to the owners of Send and Receive.
func (s *Session) Clear() {
	s.Tickets.Clear()
	clear(s.Resumption[:])
}

// Sender turns encoded frames into records and steps its key when that is due.
type Sender struct {
	sealer *record.Sealer
	most   uint64    // records under one key: record.MaxRecords, fewer in tests
	since  time.Time // of the first record under this key
}

// Seal appends one record with frames, 1 to MaxFrames bytes of whole frames. It must be sent: the record number is used up.
func (s *Sender) Seal(dst, frames []byte, now time.Time) []byte {
	if s.sealer.Count()+1 < s.most && now.Sub(s.since) < RekeyEvery {
		return s.sealer.Seal(dst, frames)
	}
	dst = s.sealer.Seal(dst, appendHeader(frames[:len(frames):len(frames)], TypeRekey, 0))
	s.sealer.Rekey()
	s.since = now
	return dst
}

// SealLast appends the last record of a connection, whose frames end with a Close, and forgets the key.
func (s *Sender) SealLast(dst, frames []byte) []byte {
	dst = s.sealer.Seal(dst, frames)
	s.Clear()
	return dst
}

// Clear forgets the key. Nothing can be sealed afterwards.
func (s *Sender) Clear() { s.sealer.Clear() }

// Receiver turns records into frames that are checked for structure.
type Receiver struct {
	opener *record.Opener
	from   Side // who sends what is received
}

// Open decrypts one record (without its length field) in place. Any error ends the connection: record.ErrOpen or a *PeerError.
func (r *Receiver) Open(ciphertext []byte) (Frames, error) {
	plaintext, err := r.opener.Open(ciphertext)
	if err != nil {
		return Frames{}, err
	}
	frames, rekey, err := splitRecord(plaintext, r.from)
	if err != nil {
		return Frames{}, err
	}
	if rekey {
		r.opener.Rekey()
	}
	return frames, nil
}

// Clear forgets the key. Nothing can be opened afterwards.
func (r *Receiver) Clear() { r.opener.Clear() }
