package proto

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"

	"sim/proto/box"
	"sim/proto/srp"
)

// The change of a password within a session: a fresh SRP proof of the old one, and the new verifier in a box under its secret.
// docs/PROTOCOL.md, section 9.

// passwordState is the transcript up to PasswordSalt with SRP's premaster secret, which it clears, mixed in.
func passwordState(session *[32]byte, name Name, begin, salt []byte, s *[srp.Size]byte) *box.State {
	state := box.NewState("sim/1 password")
	state.MixHash(session[:])
	state.MixHash(name[:])
	state.MixHash(begin)
	state.MixHash(salt)
	state.MixKey("sim/1 srp", s[:])
	clear(s[:])
	return state
}

func passwordMAC(state *box.State, label string, parts ...[]byte) []byte {
	key := state.Derive(label)
	mac := hmac.New(sha256.New, key[:])
	clear(key[:])
	h := state.Hash()
	mac.Write(h[:])
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

// PasswordClient is the client's side of a change of password; its steps are called in the order of its methods.
type PasswordClient struct {
	session [32]byte // h6
	name    Name
	srp     *srp.ClientStart
	begin   []byte
	m2      []byte
}

// NewPasswordClient begins a change of the session's password.
func NewPasswordClient(s *Session) *PasswordClient {
	return &PasswordClient{session: s.Transcript, name: s.Name, srp: srp.Begin()}
}

// Begin appends the PasswordBegin frame.
func (p *PasswordClient) Begin(b []byte) []byte {
	a := p.srp.A()
	p.begin = a[:]
	return append(appendHeader(b, TypePasswordBegin, srp.Size), a[:]...)
}

// ParsePasswordSalt returns what the old and the new password are derived with from a PasswordSalt body.
func ParsePasswordSalt(body []byte) (salt [32]byte, params Argon2) {
	return [32]byte(body), parseArgon2(body[32:])
}

// Set takes a PasswordSalt body and Argon2id of the old and the new password, 32 bytes each, which it clears, and appends PasswordSet.
func (p *PasswordClient) Set(b, body []byte, old, fresh *[32]byte) ([]byte, error) {
	defer clear(old[:])
	defer clear(fresh[:])
	salt, _ := ParsePasswordSalt(body)
	B := [srp.Size]byte(body[32+argon2Size:])
	s, err := p.srp.Finish(p.name.String(), &salt, old, &B)
	if err != nil {
		return nil, peerErrorf("SRP: %v", err)
	}
	state := passwordState(&p.session, p.name, p.begin, body, s)
	defer state.Clear()
	verifier := srp.Verifier(p.name.String(), &salt, fresh)
	key, h := state.Derive("sim/1 password key"), state.Hash()
	sealed := box.Seal(&key, "sim/1 box password", box.FromClient, &h, verifier[:])
	clear(key[:])
	clear(verifier[:])
	state.MixHash(sealed)
	m1 := passwordMAC(state, "sim/1 password M1")
	p.m2 = passwordMAC(state, "sim/1 password M2", m1)
	b = appendHeader(b, TypePasswordSet, len(m1)+len(sealed))
	return append(append(b, m1...), sealed...), nil
}

// Done takes a Done body: nil when the password was changed and the server proved the old one too, ErrRefused when the old one was wrong.
func (p *PasswordClient) Done(body []byte) error {
	switch {
	case body[0] == DoneChanged && hmac.Equal(p.m2, body[1:]):
		return nil
	case body[0] == DoneRefused && [32]byte(body[1:]) == [32]byte{}:
		return ErrRefused
	case body[0] == DoneNotSaved && [32]byte(body[1:]) == [32]byte{}:
		return ErrNotSaved
	case body[0] == DoneChanged:
		return ErrNoProof
	}
	return peerErrorf("a malformed Done")
}

// Clear forgets what is left of a change, whether it came to its end or not.
func (p *PasswordClient) Clear() {
	p.srp.Clear()
	clear(p.session[:])
	clear(p.m2)
}

// PasswordServer is the server's side of a change of password.
type PasswordServer struct {
	session [32]byte // h6
	name    Name
	srp     *srp.ServerStart
	begin   []byte
	salt    []byte

	// Generation is the account's at PasswordBegin: the new verifier is for this account, and no other.
	Generation uint64
}

// AnswerPasswordBegin takes a PasswordBegin body and appends the PasswordSalt frame.
func AnswerPasswordBegin(b []byte, d *Directory, s *Session, body []byte) (*PasswordServer, []byte, error) {
	verifier, _, account, err := d.account(s.Name)
	if err != nil {
		return nil, nil, err
	}
	start, err := answer(verifier, (*[srp.Size]byte)(body))
	if err != nil {
		return nil, nil, err
	}
	salt, B := d.Salt(s.Name), start.B()
	b = appendHeader(b, TypePasswordSalt, 32+argon2Size+srp.Size)
	from := len(b)
	b = append(d.Argon2.append(append(b, salt[:]...)), B[:]...)
	return &PasswordServer{
		session: s.Transcript, name: s.Name, srp: start,
		begin: append([]byte(nil), body...), salt: append([]byte(nil), b[from:]...),
		Generation: account.Generation,
	}, b, nil
}

// Set takes a PasswordSet body. It returns the new verifier to store, and the Done body's M2 for when it is stored; ErrRefused for a wrong M1.
func (p *PasswordServer) Set(body []byte) (verifier *[srp.Size]byte, m2 *[32]byte, err error) {
	s, err := p.srp.Finish()
	if err != nil {
		return nil, nil, peerErrorf("SRP: %v", err)
	}
	state := passwordState(&p.session, p.name, p.begin, p.salt, s)
	defer state.Clear()
	key, h := state.Derive("sim/1 password key"), state.Hash()
	defer clear(key[:])
	state.MixHash(body[32:])
	m1 := passwordMAC(state, "sim/1 password M1")
	if subtle.ConstantTimeCompare(m1, body[:32]) != 1 {
		return nil, nil, ErrRefused
	}
	fresh, err := box.Open(&key, "sim/1 box password", box.FromClient, &h, body[32:])
	if err != nil {
		return nil, nil, ErrRefused
	}
	if err := srp.CheckVerifier((*[srp.Size]byte)(fresh)); err != nil {
		return nil, nil, peerErrorf("a verifier out of range")
	}
	return (*[srp.Size]byte)(fresh), (*[32]byte)(passwordMAC(state, "sim/1 password M2", m1)), nil
}

// Clear forgets what is left of a change that doesn't come to Set.
func (p *PasswordServer) Clear() { p.srp.Clear() }

// AppendDone appends a Done frame; m2 is nil unless the status is DoneChanged.
func AppendDone(b []byte, status byte, m2 *[32]byte) []byte {
	if m2 == nil {
		m2 = new([32]byte)
	}
	return append(append(appendHeader(b, TypeDone, 33), status), m2[:]...)
}
