package server

import (
	"errors"
	"time"

	"sim/proto"
	"sim/store"
)

// passwordChange is how far a session's change of password is.
type passwordChange struct {
	begun *proto.PasswordServer // between PasswordBegin and PasswordSet
	wrong int                   // old passwords
}

// passwordWork runs the public-key work of a step when its turn has come. Where that doesn't come, the client is told that nothing was saved.
func (s *session) passwordWork(work func()) bool {
	await := func(turn <-chan struct{}) bool { return s.out.await(turn, maxChangeWait) }
	if s.server.budget.change(await, work) {
		return true
	}
	s.server.log.Info("a password could not be changed", "step", "wait")
	s.out.answer(proto.AppendDone(nil, proto.DoneNotSaved, nil))
	return false
}

func (s *session) passwordBegin(body []byte) *ending {
	if s.passwd.begun != nil {
		return violation("a second PasswordBegin")
	}
	var begun *proto.PasswordServer
	var frame []byte
	var err error
	if !s.passwordWork(func() { begun, frame, err = proto.AnswerPasswordBegin(nil, s.server.login.Directory, s.keys, body) }) {
		return nil
	}
	if err != nil {
		if _, peer := errors.AsType[*proto.PeerError](err); peer {
			return violation(err.Error())
		}
		s.server.log.Error("a password could not be changed", "step", "read")
		s.out.answer(proto.AppendDone(nil, proto.DoneNotSaved, nil))
		return nil
	}
	s.passwd.begun = begun
	s.out.answer(frame)
	return nil
}

func (s *session) passwordSet(body []byte) *ending {
	begun := s.passwd.begun
	if begun == nil {
		return violation("a PasswordSet without a PasswordBegin")
	}
	s.passwd.begun = nil
	defer begun.Clear()
	var verifier *[256]byte
	var m2 *[32]byte
	var err error
	if !s.passwordWork(func() { verifier, m2, err = begun.Set(body) }) {
		return nil
	}
	switch {
	case errors.Is(err, proto.ErrRefused):
		s.out.answer(proto.AppendDone(nil, proto.DoneRefused, nil))
		if s.passwd.wrong++; s.passwd.wrong == maxWrongPasswords {
			return endPasswords
		}
		return nil
	case err != nil:
		return violation(err.Error())
	}
	generation, err := s.server.store.SetVerifier(s.name.String(), begun.Generation, verifier, false, time.Time{}, time.Now(), store.TheUser)
	clear(verifier[:])
	switch {
	case errors.Is(err, store.ErrChanged), errors.Is(err, store.ErrNoAccount): // by an admin, after PasswordBegin
		s.out.answer(proto.AppendDone(nil, proto.DoneRefused, nil))
		return nil
	case err != nil:
		s.server.log.Error("a password could not be changed", "step", "write")
		s.out.answer(proto.AppendDone(nil, proto.DoneNotSaved, nil))
		return nil
	}
	s.generation.Store(generation)
	s.out.answer(proto.AppendDone(nil, proto.DoneChanged, m2))
	s.server.recheck(s.name) // others that the same code let in
	if s.keys.Enrol {
		return endChosen
	}
	return nil
}
