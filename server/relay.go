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
	counters := s.server.Counters()
	if reason := s.server.registry.relay(s, r); reason != 0 {
		counters.Undeliverables[reason].Add(1)
		s.out.answer(proto.AppendUndeliverable(make([]byte, 0, proto.UndeliverableFrame), r.Ref, reason))
		return nil
	}
	counters.Relays.Add(1)
	counters.RelayedBytes.Add(uint64(len(r.Message)))
	return nil
}

// relay puts a peer message into its receiver's queue, or returns why it can't. It never waits. An unknown name and one that is
// offline look the same.
func (g *registry) relay(from *session, r proto.Relay) proto.Reason {
	g.mu.Lock()
	defer g.mu.Unlock()
	to := g.sessions[r.To]
	switch {
	case to == nil && r.Tag == proto.Tag{}:
		return proto.Offline
	case to == nil, r.Tag != proto.Tag{} && r.Tag != to.tag:
		return proto.GoneAway
	case !from.listed: // replaced a moment ago
		return proto.GoneAway
	}
	_, known := from.contacts[to]
	if !known && !meet(from, to) {
		return proto.Full
	}
	if !to.out.offerRelayed(proto.Relayed{From: from.name, Tag: from.tag, Message: r.Message}) {
		if !known {
			part(from, to)
		}
		return proto.Full
	}
	return 0
}

// meet makes two sessions contacts, each with room for the other's Gone; false if one has too many contacts or no room.
func meet(a, b *session) bool {
	if len(a.contacts) >= maxContacts || len(b.contacts) >= maxContacts || !a.out.promise(goneFrameSize) {
		return false
	}
	if a != b && !b.out.promise(goneFrameSize) {
		a.out.release(goneFrameSize)
		return false
	}
	a.contacts[b] = struct{}{}
	b.contacts[a] = struct{}{}
	return true
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
