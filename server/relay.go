package server

import (
	"time"

	"sim/proto"
	"sim/proto/ticket"
)

// What passes between two sessions: Relays, which the server does not look into, and its part in opening a conversation.

func (s *session) relay(body []byte) *ending {
	r, ok := proto.ParseRelay(body)
	if !ok {
		return violation("a malformed Relay")
	}
	reason := s.send(r)
	if reason == 0 {
		s.round.relays++
		s.round.relayed += uint64(len(r.Message))
		return nil
	}
	if e := s.claim(proto.UndeliverableFrame); e != nil {
		return e
	}
	defer s.out.unclaim()
	s.server.Counters().Undeliverables[reason].Add(1)
	s.out.answer(proto.AppendUndeliverable(make([]byte, 0, proto.UndeliverableFrame), r.Ref, reason))
	return nil
}

// A way leads from one session to another that it exchanges Relays with. Who has taken it once takes it again without asking the registry.
type way struct {
	to   *session // immutable
	open bool     // until one of the two is off the list; guarded by to.out.mu
}

// send puts a peer message into its receiver's queue, or returns why it can't. It never waits. An unknown name and one that is offline look
// the same.
func (s *session) send(r proto.Relay) proto.Reason {
	relayed := proto.Relayed{From: s.name, Tag: s.tag, Message: r.Message}
	if w := s.way; w != nil && w.to.name == r.To && (r.Tag == w.to.tag || r.Tag == proto.Tag{}) {
		due, reason := w.to.out.offerRelayed(w, relayed)
		if due {
			s.touch(w.to.out)
		}
		if reason != proto.GoneAway {
			return reason
		}
	}
	w, due, reason := s.server.registry.relay(s, r.To, r.Tag, relayed)
	if due {
		s.touch(w.to.out)
	}
	s.way = w
	return reason
}

// relay is send for whoever does not know the way, which it returns if there is one.
func (g *registry) relay(from *session, name proto.Name, tag proto.Tag, r proto.Relayed) (w *way, due bool, reason proto.Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	to := g.sessions[name]
	switch {
	case to == nil && tag == proto.Tag{}:
		return nil, false, proto.Offline
	case to == nil, tag != proto.Tag{} && tag != to.tag:
		return nil, false, proto.GoneAway
	case !from.listed: // replaced a moment ago
		return nil, false, proto.GoneAway
	}
	w = from.contacts[to]
	known := w != nil
	if !known {
		if w = meet(from, to); w == nil {
			return nil, false, proto.Full
		}
	}
	due, reason = to.out.offerRelayed(w, r)
	if reason != 0 && !known {
		part(from, to)
		w = nil
	}
	return w, due, reason
}

// meet makes two sessions contacts, each with room for the other's Gone, and returns the way from the first to the second; nil if one has too
// many contacts or no room.
func meet(a, b *session) *way {
	if len(a.contacts) >= maxContacts || len(b.contacts) >= maxContacts || !a.out.promise(goneFrameSize) {
		return nil
	}
	if a != b && !b.out.promise(goneFrameSize) {
		a.out.release(goneFrameSize)
		return nil
	}
	a.contacts[b] = &way{to: b, open: true}
	if a != b {
		b.contacts[a] = &way{to: a, open: true}
	}
	return a.contacts[b]
}

// part undoes meet.
func part(a, b *session) {
	a.out.release(goneFrameSize)
	if a != b {
		b.out.release(goneFrameSize)
	}
	delete(a.contacts, b)
	delete(b.contacts, a)
}

// introLimit remembers when the last Intros were taken: introsPerWindow of them in any introWindow.
type introLimit struct {
	taken []time.Time // a ring
	next  int
}

func (l *introLimit) allow(now time.Time) bool {
	if len(l.taken) < introsPerWindow {
		l.taken = append(l.taken, now)
		return true
	}
	if now.Sub(l.taken[l.next]) < introWindow {
		return false
	}
	l.taken[l.next] = now
	l.next = (l.next + 1) % introsPerWindow
	return true
}

func (s *session) intro(body []byte) *ending {
	in, ok := proto.ParseIntro(body)
	if !ok {
		return violation("a malformed Intro")
	}
	answer := proto.Ticket{CID: in.CID, Status: proto.TicketBusy}
	if s.intros.allow(time.Now()) {
		answer.Status = proto.TicketRefused
		if sealed := s.issue(in); sealed != nil {
			answer.Status, answer.Box = proto.TicketIssued, sealed
		}
	}
	s.out.answer(proto.AppendTicket(make([]byte, 0, ticketMaxSize), answer))
	return nil
}

// issue returns the intro box, or nil: the responder is not there, or is the initiator, or its nonce box is not of this run.
func (s *session) issue(in *ticket.Intro) []byte {
	introKey, responder, ok := s.server.registry.ticketKeys(s, in.Responder)
	defer clear(introKey[:])
	defer responder.Clear()
	if !ok {
		return nil
	}
	sealed, err := ticket.Issue(ticket.Name(s.name), in, &introKey, &responder)
	if err != nil {
		return nil
	}
	return sealed[:]
}

// ticketKeys returns copies, for the caller to clear, of a session's intro key and of the keys of a responder's current session.
func (g *registry) ticketKeys(from *session, responder proto.Name) (introKey [32]byte, keys ticket.Keys, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	to := g.sessions[responder]
	if to == nil || !from.listed {
		return introKey, keys, false
	}
	return from.keys.Tickets.Intro, to.keys.Tickets, true
}
