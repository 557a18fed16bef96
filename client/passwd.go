package client

import (
	"errors"
	"slices"
	"time"

	"sim/proto"
)

// The session's side of a change of password: PasswordBegin, PasswordSalt, PasswordSet, Done. docs/PROTOCOL.md, sections 9 and 9.1.
// What is typed for it is choice.go's.

type (
	// choose: the password of the log-in was a one-time code, and nothing can be done before another was chosen.
	choose struct{}
	// passwordSalt: what the old and the new password are to be derived with; then setPassword is to be called.
	passwordSalt struct {
		salt   [32]byte
		params proto.Argon2
	}
	// passwordDone: the end of a change. err is nil, proto.ErrRefused, proto.ErrNotSaved, errNotChanged or errMaybeChanged.
	passwordDone struct{ err error }
	// passwordLate: the server did not answer.
	passwordLate struct{}
)

var (
	// errNotChanged is told when the session ended before the new password had left.
	errNotChanged = errors.New("the password is as it was")
	// errMaybeChanged is told when the session ended between the new password and the server's answer.
	errMaybeChanged = errors.New("log in with the new password, and where that is refused, with the old one")
)

// passwordChange is a change of password that is under way.
type passwordChange struct {
	machine  *proto.PasswordClient
	salt     []byte    // body of PasswordSalt, once it has come
	set      bool      // PasswordSet was sent
	frame    uint64    // its number
	deadline time.Time // of the server's answer; zero while it is this side's turn
}

// changePassword begins a change. False means that one is under way.
func (s *session) changePassword(now time.Time, machine *proto.PasswordClient) bool {
	if s.change != nil {
		return false
	}
	s.change = &passwordChange{machine: machine, deadline: now.Add(passwordSaltWait)}
	s.frame(machine.Begin(nil))
	return true
}

// takePasswordSalt takes a PasswordSalt body; false if it is out of turn.
func (s *session) takePasswordSalt(body []byte) bool {
	c := s.change
	if c == nil || c.salt != nil {
		return false
	}
	c.salt, c.deadline = slices.Clone(body), time.Time{}
	salt, params := proto.ParsePasswordSalt(body)
	s.tell(passwordSalt{salt, params})
	return true
}

// setPassword takes what was derived, 32 bytes of the old and of the new password, which it clears. False is a breach of the server's.
func (s *session) setPassword(now time.Time, old, fresh *[32]byte) bool {
	c := s.change
	frame, err := c.machine.Set(nil, c.salt, old, fresh)
	if err != nil {
		return false
	}
	c.set, c.deadline = true, now.Add(passwordDoneWait)
	s.frame(frame)
	c.frame = s.numbered
	return true
}

// takeDone takes a Done body; false if it is out of turn, or no proof of the old password stands in it.
func (s *session) takeDone(body []byte) bool {
	c := s.change
	if c == nil {
		return false
	}
	err := c.machine.Done(body)
	switch {
	case errors.Is(err, proto.ErrNotSaved) && (c.salt == nil || c.set): // in place of PasswordSalt, too
	case (err == nil || errors.Is(err, proto.ErrRefused)) && c.set:
	default:
		return false
	}
	s.change = nil
	c.machine.Clear()
	s.tell(passwordDone{err})
	return true
}

// tickChange tells that an answer is late.
func (s *session) tickChange(now time.Time) {
	if c := s.change; c != nil && isDue(c.deadline, now) {
		c.deadline = time.Time{}
		s.tell(passwordLate{})
	}
}

// endChange tells what became of a change whose session has ended.
func (s *session) endChange() {
	c := s.change
	if c == nil {
		return
	}
	s.change = nil
	c.machine.Clear()
	if c.set && c.frame <= s.left {
		s.tell(passwordDone{errMaybeChanged})
		return
	}
	s.tell(passwordDone{errNotChanged})
}
