package client

import "sim/proto"

const noLongerConfirmed = "no longer confirmed"

// A trust is what this user holds of the conversations with a peer, in memory, from one to the next: until either of the two disconnects,
// or log-out. docs/PROTOCOL.md, section 7.1.
type trust struct {
	secret    *[32]byte // the continuity secret of the last conversation in which both were heard; nil before the first
	confirmed bool      // the user has compared the digits of one, and every conversation since has continued that one
}

// trust returns what is held of a peer with a slot, made anew where there is nothing. There are at most maxPeers.
func (s *session) trust(name proto.Name) *trust {
	if t := s.trusts[name]; t != nil {
		return t
	}
	if len(s.trusts) >= maxPeers {
		s.forgetOne()
	}
	t := new(trust)
	s.trusts[name] = t
	return t
}

// forgetOne makes room: of peers without a slot, which are there if there are maxPeers of others, one that is confirmed goes last. So
// strangers, however many, take nobody's confirmation away.
func (s *session) forgetOne() {
	var victim proto.Name
	for name, t := range s.trusts {
		if s.peers[name] == nil && (victim == proto.Name{} || !t.confirmed) {
			victim = name
		}
	}
	s.forget(victim)
}

// recall returns the continuity secret for the next conversation with a peer, or nil.
func (s *session) recall(name proto.Name) *[32]byte {
	if t := s.trusts[name]; t != nil {
		return t.secret
	}
	return nil
}

// forget ends the continuity with a peer, and a confirmation with it. An attempt under way holds a copy of the secret.
func (s *session) forget(name proto.Name) {
	s.unconfirm(name)
	if p := s.peers[name]; p != nil {
		s.cancelOpening(p)
		s.cancelAnswering(p)
	}
	if t := s.trusts[name]; t != nil && t.secret != nil {
		clear(t.secret[:])
	}
	delete(s.trusts, name)
	s.rewatch()
}

// confirmed says that the user has compared the digits of the conversation with a peer, or of one that it continues.
func (s *session) confirmed(name proto.Name) bool {
	t := s.trusts[name]
	return t != nil && t.confirmed
}

// doubt takes the confirmation away if the peer's new conversation does not continue the confirmed one.
func (s *session) doubt(p *peer) {
	if !p.talk.conv.Continued() {
		s.unconfirm(p.name)
	}
}

// unconfirm ends a confirmation, if there is one, and tells so. What was written to the confirmed peer, and has not left, goes to nobody: who
// answers to the name from here on may be somebody else.
func (s *session) unconfirm(name proto.Name) {
	t := s.trusts[name]
	if t == nil || !t.confirmed {
		return
	}
	t.confirmed = false
	s.tell(unconfirmed{name})
	p := s.peers[name]
	if p == nil {
		return
	}
	for _, w := range p.waiting {
		s.tell(outcome{w.id, failed, noLongerConfirmed})
	}
	p.waiting = nil
}

// remember makes the conversation the one that the next can continue: from the first message of the peer's on, or when the user says that
// the peer has the same digits: then both have its keys.
func (s *session) remember(p *peer) {
	if p.talk.remembered {
		return
	}
	p.talk.remembered = true
	s.cancelAnswering(p) // it would continue an older one, which may have been with somebody else
	t := s.trust(p.name)
	if t.secret != nil {
		clear(t.secret[:])
	}
	t.secret = p.talk.conv.Continuity()
	s.rewatch()
}

// show tells the digits of the open conversation with a peer.
func (s *session) show(id uint64, p *peer) {
	p.talk.shown = true
	s.tell(verified{id: id, digits: p.talk.conv.Digits(), confirmed: s.trust(p.name).confirmed})
}

// confirmDigits says that the user has compared the digits that were shown last and found the same. It returns why that can't be.
func (s *session) confirmDigits(id uint64, with proto.Name) (why string) {
	p := s.peers[with]
	if p == nil || p.talk == nil {
		return "there is no conversation whose digits could be confirmed: verify <user> opens one and shows them"
	}
	if !p.talk.shown {
		return "the digits of this conversation were not shown yet: verify <user> shows them; compare them first"
	}
	s.remember(p)
	s.trust(with).confirmed = true
	s.show(id, p)
	return ""
}
