package client

import (
	"slices"
	"time"

	"sim/proto"
	"sim/proto/e2e"
)

// A peer is the slot of one other user. At most one attempt of ours (opening), one of theirs (answering) and one open conversation (talk)
// are in it; a Want against an open conversation runs beside it. docs/PROTOCOL.md, section 7.
type peer struct {
	name proto.Name

	opening   *opening
	answering *answering
	talk      *talk

	attempts  int       // at opening for what waits
	crowded   time.Time // when the server first took no Intro for it
	later     time.Time // when the next attempt may begin, after one that the server took no Intro for
	waiting   []text    // texts that are not sealed yet
	verifying []uint64  // verify commands that wait for a conversation
	since     time.Time // when the first of these came, while there is no conversation

	answered time.Time // when the last Want was answered
	held     []byte    // a Want that came too soon
	heldTag  proto.Tag

	farewell *leg // what tells the peer that a conversation was ended here, while it may come back

	limbo     []sealed // what was unsettled when the peer's session ended, until a Pong says that nothing of it comes back
	limboPing uint64
}

// text is what a send command gave.
type text struct {
	id    uint64
	text  string
	since time.Time
}

// leg is the message of an attempt that waits for an answer.
type leg struct {
	tag      proto.Tag
	ref      uint32
	msg      []byte
	deadline time.Time
	retry    backoff
}

// backoff is the wait after "full".
type backoff struct {
	at   time.Time // zero: not waiting
	next time.Duration
}

func (b *backoff) wait(now time.Time) {
	if !b.at.IsZero() {
		return
	}
	b.next = min(max(2*b.next, firstBackoff), maxBackoff)
	b.at = now.Add(b.next)
}

// due says whether the wait is over, and ends it.
func (b *backoff) due(now time.Time) bool {
	if b.at.IsZero() || now.Before(b.at) {
		return false
	}
	b.at = time.Time{}
	return true
}

type opening struct {
	leg
	machine *e2e.Initiator
}

type answering struct {
	leg
	machine *e2e.Responder
}

// idle says whether nothing of the slot matters any more.
func (p *peer) idle() bool {
	return p.opening == nil && p.answering == nil && p.talk == nil && len(p.waiting) == 0 && len(p.verifying) == 0 && p.held == nil &&
		p.farewell == nil && len(p.limbo) == 0
}

// wanted says whether something waits for a conversation.
func (p *peer) wanted() bool { return len(p.waiting) > 0 || len(p.verifying) > 0 }

// wants says that something new waits.
func (p *peer) wants(now time.Time) {
	if !p.wanted() {
		p.since = now
	}
}

// advance does what can be done for the slot now: seal what waits, or open.
func (s *session) advance(now time.Time, p *peer) {
	switch {
	case p.talk != nil:
		s.flush(now, p)
	case p.opening == nil && p.answering == nil && p.wanted() && !now.Before(p.later):
		s.open(now, p)
	}
}

// open begins an attempt of ours with a Want.
func (s *session) open(now time.Time, p *peer) {
	if p.attempts++; p.attempts > maxOpenings {
		s.failOpening(now, p, "no answer")
		return
	}
	machine, want, err := e2e.Start(s.self, p.name, s.versions)
	if err != nil {
		s.failOpening(now, p, err.Error())
		return
	}
	machine.Continue(s.recall(p.name))
	p.opening = &opening{machine: machine}
	s.step(now, p, &p.opening.leg, want)
}

// step sends an attempt's next message, and its clock begins anew.
func (s *session) step(now time.Time, p *peer, l *leg, msg []byte) {
	l.msg, l.deadline, l.retry = msg, now.Add(stepWait), backoff{}
	l.ref = s.relay(p.name, l.tag, msg)
}

func (s *session) cancelOpening(p *peer) {
	if p.opening != nil {
		p.opening.machine.Clear()
		p.opening = nil
	}
}

func (s *session) cancelAnswering(p *peer) {
	if p.answering != nil {
		p.answering.machine.Clear()
		p.answering = nil
	}
}

// failOpening gives up: what waited has failed, since it never left.
func (s *session) failOpening(now time.Time, p *peer, why string) {
	s.cancelOpening(p)
	s.failWaiting(p, why)
}

func (s *session) failWaiting(p *peer, why string) {
	p.attempts, p.crowded, p.later = 0, time.Time{}, time.Time{}
	for _, t := range p.waiting {
		s.tell(outcome{t.id, failed, why})
	}
	for _, id := range p.verifying {
		s.tell(verified{id: id, why: why})
	}
	p.waiting, p.verifying = nil, nil
}

// want takes a Want: at most one in two seconds is answered, the newest in place of an older.
func (s *session) want(now time.Time, p *peer, tag proto.Tag, msg []byte) {
	if next := p.answered.Add(wantEvery); now.Before(next) {
		p.held, p.heldTag = msg, tag
		return
	}
	p.held = nil
	_, cid, _ := e2e.Header(msg)
	if p.opening != nil && (p.opening.machine.CID() == cid || s.self.Compare(p.name) < 0) {
		return // both open at once: the smaller name's attempt stands
	}
	if p.answering != nil && p.answering.machine.CID() == cid || p.talk != nil && p.talk.conv.CID() == cid {
		return
	}
	p.answered = now
	machine, nonce, err := e2e.Answer(s.self, p.name, msg, s.versions, &s.keys.Nonce)
	switch err {
	case nil:
	case e2e.ErrNoVersion:
		s.relay(p.name, tag, e2e.Decline(cid, e2e.DeclineVersion))
		return
	default:
		return
	}
	s.cancelOpening(p)
	s.cancelAnswering(p)
	machine.Continue(s.recall(p.name))
	p.answering = &answering{machine: machine, leg: leg{tag: tag}}
	s.step(now, p, &p.answering.leg, nonce)
}

// nonce takes 2 Nonce and asks the server (3 Intro).
func (s *session) nonce(now time.Time, p *peer, r proto.Relayed) {
	if p.opening == nil {
		return
	}
	intro, err := p.opening.machine.Nonce(r.Message)
	if err != nil {
		return
	}
	l := &p.opening.leg
	*l = leg{tag: r.Tag, deadline: now.Add(stepWait)}
	s.frame(proto.AppendIntro(nil, intro))
}

// ticket takes 4 Ticket and sends 5 Offer.
func (s *session) ticket(now time.Time, t proto.Ticket) {
	for _, p := range s.peers {
		if p.opening == nil || p.opening.machine.CID() != t.CID {
			continue
		}
		switch t.Status {
		case proto.TicketBusy:
			s.putOff(now, p)
		case proto.TicketRefused:
			s.failOpening(now, p, "offline")
		case proto.TicketIssued:
			if offer, err := p.opening.machine.Ticket(t.Box, &s.keys.Intro); err == nil {
				s.step(now, p, &p.opening.leg, offer)
			}
		}
		return
	}
}

// putOff puts an attempt off for which the server took no Intro: so many a minute it takes, and the minute will be over.
func (s *session) putOff(now time.Time, p *peer) {
	s.cancelOpening(p)
	if p.crowded.IsZero() {
		p.crowded = now
		s.tell(crowded{p.name})
	}
	if !now.Before(p.crowded.Add(crowdedWait)) {
		s.failWaiting(p, "too many conversations were opened: wait a minute")
		return
	}
	p.attempts-- // it didn't come to anything that could count
	p.later = now.Add(crowdedRetry)
}

// offer takes 5 Offer and answers with 6 Accept.
func (s *session) offer(now time.Time, p *peer, r proto.Relayed) {
	if p.answering == nil || p.answering.tag != r.Tag {
		return
	}
	if accept, err := p.answering.machine.Offer(r.Message, r.From, &s.keys.Ticket); err == nil {
		s.step(now, p, &p.answering.leg, accept)
	}
}

// accept takes 6 Accept and sends 7 Confirm: from here on the conversation is open.
func (s *session) accept(now time.Time, p *peer, r proto.Relayed) {
	if p.opening == nil || p.opening.tag != r.Tag {
		return
	}
	confirm, conv, err := p.opening.machine.Accept(r.Message)
	if err != nil {
		return
	}
	s.cancelOpening(p)
	s.cancelAnswering(p)
	t := s.begin(now, p, conv, r.Tag)
	t.unsettled = append(t.unsettled, sealed{number: 1, msg: confirm, ref: s.relay(p.name, r.Tag, confirm), sent: now})
	s.flush(now, p)
}

// confirm takes 7 Confirm: only now is the conversation open, and replaces one that was.
func (s *session) confirm(now time.Time, p *peer, r proto.Relayed) {
	if p.answering == nil || p.answering.tag != r.Tag {
		return
	}
	conv, err := p.answering.machine.Confirm(r.Message)
	if err != nil {
		return
	}
	s.cancelAnswering(p)
	s.cancelOpening(p)
	s.begin(now, p, conv, r.Tag).owed = true
	s.remember(p)
	s.flush(now, p)
}

// begin makes the slot's talk of an open conversation, in place of an older one.
func (s *session) begin(now time.Time, p *peer, conv *e2e.Conversation, tag proto.Tag) *talk {
	s.endTalk(now, p, "a new conversation took its place", false)
	p.attempts, p.crowded, p.later = 0, time.Time{}, time.Time{}
	p.talk = &talk{conv: conv, tag: tag}
	s.rewatch()
	s.doubt(p)
	for _, id := range p.verifying {
		s.show(id, p)
	}
	p.verifying = nil
	for i := range p.waiting {
		p.waiting[i].since = now
	}
	return p.talk
}

// declined takes a Decline, of an attempt or of a conversation that the peer no longer has.
func (s *session) declined(now time.Time, p *peer, r proto.Relayed) {
	cid, reason, err := e2e.ParseDecline(r.Message)
	if err != nil {
		return
	}
	if p.opening != nil && p.opening.machine.CID() == cid {
		why := "declined"
		if reason == e2e.DeclineVersion {
			why = "the other client speaks no common version"
		}
		s.failOpening(now, p, why)
	}
	if reason == e2e.DeclineUnknown && p.talk != nil && p.talk.conv.CID() == cid && p.talk.tag == r.Tag {
		s.tell(parted{p.name, partedDisconnect})
		s.endTalk(now, p, "disconnected", false)
		s.advance(now, p)
	}
}

// undeliverable takes what the server returned.
func (s *session) undeliverable(now time.Time, ref uint32, reason proto.Reason) {
	why := "offline"
	if reason == proto.GoneAway {
		why = "logged out"
	}
	for _, p := range s.sorted() {
		switch {
		case p.opening != nil && p.opening.ref == ref && p.opening.msg != nil:
			if reason == proto.Full {
				p.opening.retry.wait(now)
			} else {
				s.failOpening(now, p, why)
			}
			return
		case p.answering != nil && p.answering.ref == ref:
			if reason == proto.Full {
				p.answering.retry.wait(now)
			} else {
				s.cancelAnswering(p)
				s.advance(now, p)
			}
			return
		case p.farewell != nil && p.farewell.ref == ref:
			if reason == proto.Full {
				p.farewell.retry.wait(now)
			} else {
				p.farewell = nil
			}
			return
		}
		if i := slices.IndexFunc(p.limbo, func(e sealed) bool { return e.ref == ref }); i >= 0 {
			s.settle(p.limbo[i].id, failed, why)
			p.limbo = slices.Delete(p.limbo, i, i+1)
			return
		}
		if p.talk != nil && s.returned(now, p, ref, reason, why) {
			return
		}
	}
}

// gone takes the end of a session that had to do with ours.
func (s *session) gone(now time.Time, p *peer, g proto.Gone) {
	how := map[proto.Reason]parting{proto.GoneLogout: partedLogout, proto.GoneReplaced: partedElsewhere, proto.GoneLost: partedLost}[g.Reason]
	if p.heldTag == g.Tag {
		p.held = nil
	}
	if p.answering != nil && p.answering.tag == g.Tag {
		s.cancelAnswering(p)
	}
	if p.opening != nil && (p.opening.tag == g.Tag || p.opening.tag == proto.Tag{}) {
		s.cancelOpening(p) // a Want, which has no tag, may have gone to the session that ended
	}
	if p.talk != nil && p.talk.tag == g.Tag {
		s.tell(parted{p.name, how})
		if g.Reason != proto.GoneReplaced {
			s.partedAt(now, p.name)
		}
		s.endTalk(now, p, string(how), true)
	}
	if g.Reason != proto.GoneReplaced && p.opening == nil && p.answering == nil && p.talk == nil {
		s.failWaiting(p, "offline")
	}
	s.advance(now, p)
}

// tickPeer does what is due in one slot.
func (s *session) tickPeer(now time.Time, p *peer) {
	if o := p.opening; o != nil {
		if !now.Before(o.deadline) {
			s.cancelOpening(p)
			// A Want without an answer may have been suppressed by one that the smaller name lost.
			if p.attempts >= maxOpenings || o.tag == (proto.Tag{}) && s.self.Compare(p.name) < 0 {
				s.failOpening(now, p, "no answer")
			}
		} else if o.retry.due(now) {
			o.ref = s.relay(p.name, o.tag, o.msg)
		}
	}
	if p.talk == nil && p.wanted() && !now.Before(p.since.Add(openingWait)) {
		s.failOpening(now, p, "no answer")
	}
	if a := p.answering; a != nil {
		if !now.Before(a.deadline) {
			s.cancelAnswering(p)
		} else if a.retry.due(now) {
			a.ref = s.relay(p.name, a.tag, a.msg)
		}
	}
	if f := p.farewell; f != nil {
		if !now.Before(f.deadline) {
			p.farewell = nil
		} else if f.retry.due(now) {
			f.ref = s.relay(p.name, f.tag, f.msg)
		}
	}
	if p.held != nil && !now.Before(p.answered.Add(wantEvery)) {
		s.want(now, p, p.heldTag, p.held)
	}
	if p.talk != nil {
		s.tickTalk(now, p)
	}
	s.tickLimbo(now, p)
	s.advance(now, p)
	if p.idle() && now.Sub(p.answered) >= wantEvery {
		delete(s.peers, p.name)
	}
}

// deadline gives every moment at which something is due to the callback.
func (p *peer) deadline(due func(time.Time)) {
	if p.opening != nil {
		due(p.opening.deadline)
		due(p.opening.retry.at)
	}
	if p.answering != nil {
		due(p.answering.deadline)
		due(p.answering.retry.at)
	}
	if p.farewell != nil {
		due(p.farewell.deadline)
		due(p.farewell.retry.at)
	}
	if p.held != nil {
		due(p.answered.Add(wantEvery))
	}
	if p.talk == nil && p.wanted() {
		due(p.since.Add(openingWait))
		if p.opening == nil && p.answering == nil {
			due(p.later)
		}
	}
	if len(p.limbo) > 0 {
		due(p.limbo[0].sent.Add(ackWait))
	}
	if p.talk != nil {
		p.talk.deadline(due)
		if len(p.waiting) > 0 {
			due(p.waiting[0].since.Add(ackWait))
		}
	}
}
