package client

import (
	"encoding/binary"
	"slices"

	"sim/proto"
	"sim/proto/ticket"
)

// A switchboard is the server's part after login, as docs/PROTOCOL.md has it in sections 6 and 7: it relays, introduces and says who is there.
// It holds no clock and starts nothing; whoever uses it says where frames go, and may bend it (the func fields).
type switchboard struct {
	lines map[proto.Name]*subscriber
	tags  uint64
	page  int // names in a Users frame

	// relays says what becomes of a Relay; nil for what an honest server with room does.
	relays func(from *subscriber, r proto.Relay) fate
	// introduces says the status of a Ticket; nil for TicketIssued.
	introduces func(from *subscriber, in *ticket.Intro) byte
}

// subscriber is one session at the switchboard.
type subscriber struct {
	name  proto.Name
	tag   proto.Tag
	keys  ticket.Keys
	watch []proto.Name
	send  func(frame []byte)
	knows map[proto.Tag]*subscriber // Relays were exchanged with them
	over  bool
}

// fate is what becomes of a Relay.
type fate int

const (
	relayed      fate = iota
	returnedFull      // Undeliverable(full)
	returnedOff       // Undeliverable(offline)
	returnedGone      // Undeliverable(gone)
	swallowed         // what an honest server never does
)

func newSwitchboard() *switchboard {
	return &switchboard{lines: make(map[proto.Name]*subscriber), page: proto.MaxUsersPage}
}

// joins lists a session. One that had the name is replaced.
func (b *switchboard) joins(name proto.Name, keys ticket.Keys, send func([]byte)) *subscriber {
	if old := b.lines[name]; old != nil {
		b.leaves(old, proto.GoneReplaced)
	}
	b.tags++
	l := &subscriber{name: name, keys: keys, send: send, knows: make(map[proto.Tag]*subscriber)}
	binary.BigEndian.PutUint64(l.tag[:], b.tags)
	b.lines[name] = l
	b.changed(name)
	return l
}

// changed tells those who watch a name that somebody has come or gone, at once: how changes are gathered is the server's business.
func (b *switchboard) changed(name proto.Name) {
	for _, l := range b.lines {
		if slices.Contains(l.watch, name) {
			l.send(proto.AppendPresence(nil, []proto.Presence{{Name: name, Online: b.lines[name] != nil}}))
		}
	}
}

// leaves ends a session and tells whoever it exchanged Relays with.
func (b *switchboard) leaves(l *subscriber, why proto.Reason) {
	if l.over {
		return
	}
	l.over = true
	delete(b.lines, l.name)
	for _, other := range l.known() {
		delete(other.knows, l.tag)
		other.send(proto.AppendGone(nil, proto.Gone{Name: l.name, Tag: l.tag, Reason: why}))
	}
	if why != proto.GoneReplaced { // what comes and goes within a second is no change
		b.changed(l.name)
	}
}

// known returns who the session exchanged Relays with, in the order of their log-ins.
func (l *subscriber) known() []*subscriber {
	var all []*subscriber
	for _, other := range l.knows {
		all = append(all, other)
	}
	slices.SortFunc(all, func(a, b *subscriber) int { return slices.Compare(a.tag[:], b.tag[:]) })
	return all
}

// takes takes a frame of a session.
func (b *switchboard) takes(l *subscriber, f proto.Frame) {
	switch f.Type {
	case proto.TypePing:
		l.send(proto.AppendPong(nil, f.Body))
	case proto.TypeList:
		if ask, ok := proto.ParseList(f.Body); ok {
			b.lists(l, ask)
		}
	case proto.TypeWatch:
		names, _ := proto.ParseWatch(f.Body)
		l.watch = names
		var entries []proto.Presence
		for _, name := range names {
			entries = append(entries, proto.Presence{Name: name, Online: b.lines[name] != nil})
		}
		if len(entries) > 0 {
			l.send(proto.AppendPresence(nil, entries))
		}
	case proto.TypeRelay:
		if r, ok := proto.ParseRelay(f.Body); ok {
			b.relay(l, r)
		}
	case proto.TypeIntro:
		if in, ok := proto.ParseIntro(f.Body); ok {
			l.send(proto.AppendTicket(nil, b.introduce(l, in)))
		}
	}
}

func (b *switchboard) lists(l *subscriber, ask proto.List) {
	var names []proto.Name
	prefix := ask.Prefix.String()
	for name := range b.lines {
		if s := name.String(); len(s) >= len(prefix) && s[:len(prefix)] == prefix && s > ask.After.String() {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, proto.Name.Compare)
	n := min(len(names), b.page)
	l.send(proto.AppendUsers(nil, n < len(names), names[:n]))
}

func (b *switchboard) relay(from *subscriber, r proto.Relay) {
	to := b.lines[r.To]
	does := relayed
	if b.relays != nil {
		does = b.relays(from, r)
	}
	switch {
	case does == swallowed:
		return
	case does == returnedOff || does == relayed && to == nil && r.Tag == proto.Tag{}:
		from.send(proto.AppendUndeliverable(nil, r.Ref, proto.Offline))
	case does == returnedGone || does == relayed && (to == nil || r.Tag != proto.Tag{} && r.Tag != to.tag):
		from.send(proto.AppendUndeliverable(nil, r.Ref, proto.GoneAway))
	case does == returnedFull:
		from.send(proto.AppendUndeliverable(nil, r.Ref, proto.Full))
	default:
		from.knows[to.tag], to.knows[from.tag] = to, from
		to.send(proto.AppendRelayed(nil, proto.Relayed{From: from.name, Tag: from.tag, Message: slices.Clone(r.Message)}))
	}
}

func (b *switchboard) introduce(l *subscriber, in *ticket.Intro) proto.Ticket {
	refused := proto.Ticket{CID: in.CID, Status: proto.TicketRefused}
	if b.introduces != nil {
		if status := b.introduces(l, in); status != proto.TicketIssued {
			refused.Status = status
			return refused
		}
	}
	responder := b.lines[in.Responder]
	if responder == nil {
		return refused
	}
	sealed, err := ticket.Issue(l.name, in, &l.keys.Intro, &responder.keys)
	if err != nil {
		return refused
	}
	return proto.Ticket{CID: in.CID, Status: proto.TicketIssued, Box: sealed[:]}
}

// frameOf takes an encoded frame apart.
func frameOf(b []byte) proto.Frame {
	return proto.Frame{Type: proto.Type(b[0]), Body: b[proto.FrameHeaderSize:]}
}
