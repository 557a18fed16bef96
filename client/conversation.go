package client

import (
	"time"

	"sim/proto"
	"sim/proto/e2e"
)

// A talk is an open conversation with what it takes to lose nothing in silence: each message is kept until the peer has acknowledged it, and
// repeated byte for byte when the server returns it. docs/PROTOCOL.md, section 8.
type talk struct {
	conv      *e2e.Conversation
	tag       proto.Tag
	unsettled []sealed // in the order of their numbers
	owed      bool     // the peer is to hear what was accepted
	retry     backoff

	remembered bool // the next conversation can continue it
	shown      bool // its digits: this conversation's, and no other's under the same cid
}

// sealed is a message that may have to be sent again.
type sealed struct {
	number   uint64
	msg      []byte
	ref      uint32
	frame    uint64 // the number of the one that it was sent in first
	id       uint64 // of the send command; 0: there is none, or its outcome was told
	size     int    // of the text
	sent     time.Time
	returned bool // the server had no room for it
}

// settle tells the outcome of a send.
func (s *session) settle(id uint64, end ending, why string) {
	if id != 0 {
		s.tell(outcome{id, end, why})
	}
}

// neverSent is why a text failed that had not left this machine when the session ended.
const neverSent = " before it was sent"

// settleUnheard tells the outcome of a text of which nothing more will be heard: nobody knows it, unless no byte of it ever left.
func (s *session) settleUnheard(e sealed, why string) {
	if e.frame > s.left {
		s.settle(e.id, failed, why+neverSent)
		return
	}
	s.settle(e.id, unknown, why)
}

// send takes a text for a peer. False means that too many wait already.
func (s *session) send(now time.Time, id uint64, to proto.Name, body string) bool {
	p := s.peer(to)
	if p == nil || len(p.waiting) >= maxWaiting {
		return false
	}
	p.wants(now)
	p.waiting = append(p.waiting, text{id, body, now})
	s.advance(now, p)
	return true
}

// verify asks for the digits of the conversation with a peer, which is opened if there is none.
func (s *session) verify(now time.Time, id uint64, with proto.Name) bool {
	p := s.peer(with)
	if p == nil || len(p.verifying) >= maxWaiting {
		return false
	}
	if p.talk != nil {
		s.show(id, p)
		return true
	}
	p.wants(now)
	p.verifying = append(p.verifying, id)
	s.advance(now, p)
	return true
}

// disconnect ends the conversation with a peer: the peer is told, and every key of it is forgotten.
func (s *session) disconnect(now time.Time, from proto.Name) {
	s.forget(from)
	p := s.peers[from]
	if p == nil {
		return
	}
	p.held = nil
	s.farewell(now, p)
	s.endTalk(now, p, "disconnected", false)
	s.failWaiting(p, "disconnected")
}

// farewell tells the peer that the conversation ends. A bye has a number and can't overtake what was returned; where that waits, and where the
// bye itself is returned, a Decline does it, repeated until it stays away.
func (s *session) farewell(now time.Time, p *peer) {
	t := p.talk
	if t == nil {
		return
	}
	decline := e2e.Decline(t.conv.CID(), e2e.DeclineUnknown)
	msg := decline
	if t.retry.at.IsZero() {
		if _, bye, err := t.conv.Seal(e2e.KindBye, nil); err == nil {
			msg = bye
		}
	}
	p.farewell = &leg{tag: t.tag, ref: s.relay(p.name, t.tag, msg), msg: decline, deadline: now.Add(ackWait)}
}

// unheard says that the conversation continues an earlier one by the peer's word alone: no message of the peer's has opened. Texts wait for one.
// Whoever lied can't read them now; but who steals the continuity secret later could (docs/formal, continuity_stolen).
func (t *talk) unheard() bool { return t.conv.Continued() && !t.remembered }

// flush seals what waits, as far as the window allows, and acknowledges. Nothing is sealed while something that was returned waits to be
// repeated: it would come too soon.
func (s *session) flush(now time.Time, p *peer) {
	t := p.talk
	if !t.retry.at.IsZero() {
		return
	}
	texts, bytes := t.window()
	for len(p.waiting) > 0 && !t.unheard() {
		w := p.waiting[0]
		if texts++; texts > windowTexts {
			break
		}
		if bytes += len(w.text); bytes > windowBytes {
			break
		}
		p.waiting = p.waiting[1:]
		s.seal(now, p, e2e.KindText, w)
	}
	if t.owed && len(t.unsettled) < maxUnsettled {
		s.seal(now, p, e2e.KindAck, text{})
	}
}

// seal sends one message and keeps it. It carries the acknowledgement that may be owed.
func (s *session) seal(now time.Time, p *peer, kind e2e.Kind, w text) {
	t := p.talk
	number, msg, err := t.conv.Seal(kind, []byte(w.text))
	if err != nil {
		s.settle(w.id, failed, err.Error())
		return
	}
	t.owed, s.last = false, t.conv
	ref := s.relay(p.name, t.tag, msg)
	t.unsettled = append(t.unsettled, sealed{number: number, msg: msg, ref: ref, frame: s.numbered, id: w.id, size: len(w.text), sent: now})
}

// window returns how many texts, and how many bytes of them, wait for an acknowledgement.
func (t *talk) window() (texts, bytes int) {
	for _, e := range t.unsettled {
		if e.size > 0 {
			texts++
			bytes += e.size
		}
	}
	return texts, bytes
}

// said takes a Message of the open conversation. One that does not open, or comes too soon, changes nothing.
func (s *session) said(now time.Time, p *peer, msg []byte) {
	t := p.talk
	r, err := t.conv.Open(msg)
	if err == e2e.ErrEarlier {
		t.owed = true
		s.flush(now, p)
	}
	if err != nil {
		return
	}
	s.last = t.conv
	s.remember(p)
	n := 0
	for ; n < len(t.unsettled) && t.unsettled[n].number <= r.Acknowledged; n++ {
		s.settle(t.unsettled[n].id, delivered, "")
	}
	if n > 0 {
		t.unsettled = append([]sealed(nil), t.unsettled[n:]...)
		t.retry.next = 0
	}
	switch r.Kind {
	case e2e.KindText:
		s.tell(message{p.name, t.conv.CID(), r.Number, string(r.Text), s.trust(p.name).confirmed})
		clear(r.Text)
	case e2e.KindBye:
		s.tell(parted{p.name, partedDisconnect})
		s.endTalk(now, p, "disconnected", false)
		s.forget(p.name)
	}
	s.advance(now, p)
}

// handedOut says that the user has been shown a message: now it may be acknowledged.
func (s *session) handedOut(now time.Time, m message) {
	p := s.peers[m.from]
	if p == nil || p.talk == nil || p.talk.conv.CID() != m.cid {
		return // the conversation is over
	}
	p.talk.conv.HandedOut(m.number)
	p.talk.owed = true
}

// acknowledge sends what handedOut has gathered.
func (s *session) acknowledge(now time.Time) {
	for _, p := range s.those(func(p *peer) bool { return p.talk != nil && p.talk.owed }) {
		s.flush(now, p)
	}
}

// returned takes an Undeliverable for a message of the open conversation.
func (s *session) returned(now time.Time, p *peer, ref uint32, reason proto.Reason, why string) bool {
	t := p.talk
	for i := range t.unsettled {
		e := &t.unsettled[i]
		if e.ref != ref {
			continue
		}
		if reason == proto.Full {
			e.returned = true
			t.retry.wait(now)
			return true
		}
		// The peer's session is gone, and what was sent after this comes back too.
		for j := i; j < len(t.unsettled); j++ {
			s.settle(t.unsettled[j].id, failed, why)
		}
		t.unsettled = t.unsettled[:i]
		s.tell(parted{p.name, partedLogout})
		s.partedAt(now, p.name)
		s.endTalk(now, p, why, true)
		s.failWaiting(p, why)
		return true
	}
	return false
}

// endTalk forgets the conversation's keys. What left without an acknowledgement is unknown; but where the peer's session has ended (gone), the
// server may still return some of it, and a Pong tells when it has returned all that it will.
func (s *session) endTalk(now time.Time, p *peer, why string, gone bool) {
	t := p.talk
	if t == nil {
		return
	}
	t.conv.Clear()
	p.talk, p.since = nil, now
	s.rewatch()
	for _, e := range t.unsettled {
		switch {
		case e.id == 0:
		case e.returned:
			s.settle(e.id, failed, why)
		case gone:
			p.limbo = append(p.limbo, e)
			p.limboPing = 0
		default:
			s.settleUnheard(e, why)
		}
	}
	if len(p.limbo) > 0 && p.limboPing == 0 {
		p.limboPing = s.sendPing()
	}
}

// pongs settles what no Undeliverable can come for any more.
func (s *session) pongs() {
	for _, p := range s.sorted() {
		if len(p.limbo) > 0 && p.limboPing <= s.pong {
			s.settleLimbo(p, "connection lost")
		}
	}
}

func (s *session) settleLimbo(p *peer, why string) {
	for _, e := range p.limbo {
		s.settleUnheard(e, why)
	}
	p.limbo = nil
}

// tickLimbo tells the outcome of what no Pong came for.
func (s *session) tickLimbo(now time.Time, p *peer) {
	for len(p.limbo) > 0 && !now.Before(p.limbo[0].sent.Add(ackWait)) {
		s.settle(p.limbo[0].id, unknown, "connection lost")
		p.limbo = p.limbo[1:]
	}
}

// tickTalk repeats what was returned, and tells the outcome of what took too long.
func (s *session) tickTalk(now time.Time, p *peer) {
	t := p.talk
	if t.retry.due(now) {
		again := false
		for i := range t.unsettled {
			e := &t.unsettled[i]
			if again = again || e.returned; again {
				e.returned = false
				e.ref = s.relay(p.name, t.tag, e.msg)
			}
		}
	}
	for i := range t.unsettled {
		if e := &t.unsettled[i]; e.id != 0 && !now.Before(e.sent.Add(ackWait)) {
			// Even what the server returned is unknown: its number must come before later ones, so that it is still repeated.
			s.settle(e.id, unknown, "no acknowledgement in 30 s")
			e.id = 0
		}
	}
	if t.unheard() && !now.Before(t.unsettled[0].sent.Add(ackWait)) {
		s.endTalk(now, p, "no answer", false)
		s.failWaiting(p, "no answer")
		return
	}
	for len(p.waiting) > 0 && !now.Before(p.waiting[0].since.Add(ackWait)) {
		s.settle(p.waiting[0].id, failed, "the other side takes no messages now")
		p.waiting = p.waiting[1:]
	}
}

// deadline gives every moment at which something is due to the callback.
func (t *talk) deadline(due func(time.Time)) {
	due(t.retry.at)
	if t.unheard() {
		due(t.unsettled[0].sent.Add(ackWait)) // of Confirm
	}
	for _, e := range t.unsettled {
		if e.id != 0 {
			due(e.sent.Add(ackWait))
			break
		}
	}
}
