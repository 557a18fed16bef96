package proto

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"sim/proto/box"
	"sim/proto/record"
	"sim/proto/srp"
)

// Resuming a session whose connection was lost: a login that proves the session's resumption secret in place of a password.
// docs/PROTOCOL.md, section 4.6.

const (
	resumePlain  = NameSize + srp.Size // as a Login's: the two look alike
	resumedPlain = 1 + 8 + 32
	resumedLen   = 1 + box.Overhead + resumedPlain
)

// Resumption is what a session is resumed with. Both ends hold one as long as the session lives.
type Resumption struct {
	ID     [16]byte // the session's
	newest [32]byte // R

	// The server's alone: the R before, until the client has shown that it has the newest.
	before  [32]byte
	pending bool
	last    time.Time // when the Challenge of the attempt that was accepted last was made
}

// NewResumption moves the first resumption secret out of a session that has just begun.
func NewResumption(s *Session) *Resumption {
	r := &Resumption{ID: s.ID, newest: s.Resumption}
	clear(s.Resumption[:])
	return r
}

// Confirm is called by the server when the first record under the newest keys has opened: no older secret is of use any more.
func (r *Resumption) Confirm() {
	clear(r.before[:])
	r.pending = false
}

// Clear forgets the secrets: the session can't be resumed any more.
func (r *Resumption) Clear() {
	r.Confirm()
	clear(r.newest[:])
}

// Link is a connection of a session: what sends and receives its records, and how many of our frames the other end has handled.
type Link struct {
	Send    *Sender
	Receive *Receiver
	Seen    uint64
}

// resumeMAC is M_C or M_S. The state is where the label's formula has it.
func resumeMAC(state *box.State, label string, secret *[32]byte, parts ...[]byte) [32]byte {
	key := state.Final(label, secret[:])
	mac := hmac.New(sha256.New, key[:])
	clear(key[:])
	for _, p := range parts {
		mac.Write(p)
	}
	return [32]byte(mac.Sum(nil))
}

// newLink derives the record keys and the next resumption secret, which it puts into next. The state is at h4.
func newLink(state *box.State, secret, next *[32]byte, side Side, seen uint64, now time.Time) *Link {
	resumed, h4 := state.Final("sim/1 resumed", secret[:]), state.Hash()
	client, server := box.Expand(&resumed, "sim/1 record client", h4[:]), box.Expand(&resumed, "sim/1 record server", h4[:])
	*next = box.Expand(&resumed, "sim/1 resumption", h4[:])
	send, receive, peer := &client, &server, Server
	if side == Server {
		send, receive, peer = &server, &client, Client
	}
	link := &Link{
		Send:    &Sender{sealer: record.NewSealer(*send), most: record.MaxRecords, since: now},
		Receive: &Receiver{opener: record.NewOpener(*receive), from: peer},
		Seen:    seen,
	}
	clear(resumed[:])
	clear(client[:])
	clear(server[:])
	return link
}

// NewResumeClient begins to resume a session; seen is the highest number of the server's frames that was handled. Its steps are Hello,
// Challenge, Login and then Resumed.
func NewResumeClient(publicKey [PublicKeySize]byte, r *Resumption, seen uint64) (*LoginClient, error) {
	e, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return newResumeClient(publicKey, r, seen, e), nil
}

func newResumeClient(publicKey [PublicKeySize]byte, r *Resumption, seen uint64, e *ecdh.PrivateKey) *LoginClient {
	return &LoginClient{publicKey: publicKey, e: e, resume: r, seen: seen}
}

// resumePlaintext is the plaintext of Login's box (288 bytes), and M_C, which Resumed needs. The state is at h2.
func (c *LoginClient) resumePlaintext() []byte {
	plain := make([]byte, NameSize, resumePlain)
	plain = append(plain, c.resume.ID[:]...)
	plain = binary.BigEndian.AppendUint64(plain, c.seen)
	c.m1 = resumeMAC(c.sym, "sim/1 resume client", &c.resume.newest, plain[NameSize:])
	plain = append(plain, c.m1[:]...)
	return plain[:resumePlain]
}

// Resumed takes the server's answer. It returns ErrRefused when the session is over, and ErrNoProof when the answer proves neither the
// server's key nor the resumption secret. Otherwise the resumption secret has stepped.
func (c *LoginClient) Resumed(now time.Time, body []byte) (*Link, error) {
	if c.resume == nil {
		return nil, c.fail(peerErrorf("a step out of turn"))
	}
	if err := c.take(clientAwaitsSalt, msgResumed, resumedLen, body); err != nil {
		return nil, c.fail(err)
	}
	h3 := c.sym.Hash()
	plain, err := box.Open(&c.key, "sim/1 box resumed", box.FromServer, &h3, body[1:])
	if err != nil {
		return nil, c.fail(ErrNoProof)
	}
	if plain[0] != 1 {
		if [resumedPlain]byte(plain) != [resumedPlain]byte{} {
			return nil, c.fail(peerErrorf("a malformed Resumed"))
		}
		return nil, c.fail(ErrRefused)
	}
	mac := resumeMAC(c.sym, "sim/1 resume server", &c.resume.newest, plain[:9], c.m1[:])
	if !hmac.Equal(mac[:], plain[9:]) {
		return nil, c.fail(ErrNoProof)
	}
	c.sym.MixHash(plain)
	secret := c.resume.newest
	link := newLink(c.sym, &secret, &c.resume.newest, Client, binary.BigEndian.Uint64(plain[1:]), now)
	clear(secret[:])
	c.Clear()
	return link, nil
}

// ResumeRequest is what a client that comes back says.
type ResumeRequest struct {
	ID   [16]byte // of the session, which it has not proved yet
	Seen uint64   // the highest number of the server's frames that it handled
}

// takeResume is takeLogin for a Login that resumes. The answer is its caller's to choose: AnswerResume or RefuseResume.
func (l *LoginServer) takeResume(plain []byte, h2 box.State) ([]byte, *Session, error) {
	plain = plain[NameSize:]
	copy(l.resume.ID[:], plain)
	l.resume.Seen = binary.BigEndian.Uint64(plain[16:])
	copy(l.resumeMAC[:], plain[24:])
	if [resumePlain - NameSize - 56]byte(plain[56:]) != [resumePlain - NameSize - 56]byte{} {
		return nil, nil, peerErrorf("a malformed resumption")
	}
	l.atLogin = h2
	l.state = TurnSession
	return nil, nil, nil
}

// Resuming returns the request of a client that wants to resume a session, when Handle has taken one.
func (l *LoginServer) Resuming() (ResumeRequest, bool) {
	return l.resume, l.state == TurnSession
}

// Resumes says whether the client has proved that it may resume the session of r, by constant-time comparison, in an attempt that is not older
// than the last that was accepted. It changes nothing.
func (l *LoginServer) Resumes(r *Resumption) bool {
	_, ok := l.resumes(r)
	return ok
}

func (l *LoginServer) resumes(r *Resumption) (secret [32]byte, ok bool) {
	// A client makes one attempt at a time. A Login that was overtaken would cut off the client that has gone on since, with a newer secret.
	if l.state != TurnSession || l.resume.ID != r.ID || l.challenged.Before(r.last) {
		return secret, false
	}
	proved := func(secret *[32]byte) bool {
		id := l.resume.ID
		mac := resumeMAC(&l.atLogin, "sim/1 resume client", secret, id[:], binary.BigEndian.AppendUint64(nil, l.resume.Seen))
		return subtle.ConstantTimeCompare(mac[:], l.resumeMAC[:]) == 1
	}
	switch {
	case proved(&r.newest):
		return r.newest, true
	case r.pending && proved(&r.before):
		return r.before, true
	}
	return secret, false
}

// AnswerResume accepts: it returns message 4, to be written before anything else, and the new connection's Link. seen is the highest number
// of the client's frames that was handled. The secret of r steps; the one that the client used stays good until Confirm. It returns
// ErrRefused, and RefuseResume's answer, where Resumes is false.
func (l *LoginServer) AnswerResume(now time.Time, r *Resumption, seen uint64) (out []byte, link *Link, err error) {
	secret, ok := l.resumes(r)
	if !ok {
		return l.RefuseResume(), nil, ErrRefused
	}
	plain := binary.BigEndian.AppendUint64([]byte{1}, seen)
	mac := resumeMAC(l.sym, "sim/1 resume server", &secret, plain, l.resumeMAC[:])
	plain = append(plain, mac[:]...)
	out = l.resumedBody(plain)
	l.sym.MixHash(plain)
	r.before, r.pending, r.last = secret, true, l.challenged
	link = newLink(l.sym, &secret, &r.newest, Server, l.resume.Seen, now)
	clear(secret[:])
	l.Clear()
	return out, link, nil
}

// RefuseResume returns message 4 for a session that can't be resumed, and ends the login.
func (l *LoginServer) RefuseResume() (out []byte) {
	if l.state != TurnSession {
		return nil
	}
	out = l.resumedBody(make([]byte, resumedPlain))
	l.Clear()
	return out
}

func (l *LoginServer) resumedBody(plain []byte) []byte {
	h3 := l.sym.Hash()
	return appendBody(nil, append([]byte{msgResumed}, box.Seal(&l.key, "sim/1 box resumed", box.FromServer, &h3, plain)...))
}
