package client

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"sim/proto"
	"sim/proto/e2e"
	"sim/proto/ticket"
)

// A session is what one logged-in user has: the conversations, and what is asked of the server. It is a pure machine that belongs to one
// goroutine: frames and commands go in with the time, frames (take) and events (take too) come out, and deadline says when tick is due.
type session struct {
	self     proto.Name
	keys     *ticket.Keys
	versions []byte // of conversations that it speaks

	peers    map[proto.Name]*peer
	trusts   map[proto.Name]*trust
	blocked  map[proto.Name]bool
	watching watching
	change   *passwordChange // of password; nil when none is under way
	byCode   bool            // the password of the log-in was a one-time code's form

	ref      uint32 // of the last Relay
	ping     uint64 // of the last Ping
	pong     uint64 // of the last Pong
	greeting uint64 // of the first Ping of the connection
	lists    []*listing
	quits    bool // Logout was sent

	out      [][]byte // frames to be sent
	numbered uint64   // how many that have a number were sent, as the journal counts them
	left     uint64   // the number of the last that may have left this machine: all of them, until the session ends
	events   []event

	last *e2e.Conversation // the one that last sealed or opened a message, since prepare was called
}

// listing is a list command that waits for its pages.
type listing struct {
	id     uint64 // 0: nobody asked, it only fills the names to complete
	prefix proto.Prefix
	names  []proto.Name
}

// An event is what a session tells whoever runs it.
type event any

type (
	// loggedIn: the server has listed this session.
	loggedIn struct{}
	// message: a text to be shown; then handedOut is to be called.
	message struct {
		from   proto.Name
		cid    ticket.CID
		number uint64
		text   string

		confirmed bool // the digits of the conversation were compared
	}
	// outcome: what became of a send.
	outcome struct {
		id  uint64
		end ending
		why string
	}
	// verified: the digits of a conversation, or why there are none.
	verified struct {
		id          uint64
		digits, why string
		confirmed   bool
	}
	// unconfirmed: the conversations that continue the one whose digits were confirmed have ended, and digits have to be compared again.
	unconfirmed struct{ peer proto.Name }
	// users: who is logged in.
	users struct {
		id    uint64
		names []proto.Name
	}
	// parted: an open conversation ended, not by this user's wish.
	parted struct {
		peer proto.Name
		how  parting
	}
	// crowded: the server takes no more Intros now, and a conversation waits for it.
	crowded struct{ peer proto.Name }
	// notice: the server is about to stop.
	notice struct{}
	// loggedOut: the server has ended the session as asked.
	loggedOut struct{}
	// closed: the server has ended the session by itself.
	closed struct{ reason proto.Reason }
)

// ending is how a send ends.
type ending int

const (
	delivered ending = iota
	failed           // it never left, or the server returned it
	unknown          // it left, and nobody can say
)

func (e ending) String() string { return [...]string{"delivered", "failed", "unknown"}[e] }

// parting is how the other side of a conversation went.
type parting string

const (
	partedDisconnect parting = "disconnected"
	partedLogout     parting = "logged out"
	partedLost       parting = "lost the connection"
	partedElsewhere  parting = "logged in again elsewhere"
)

// word returns the name of the event.
func (p parting) word() string {
	switch p {
	case partedDisconnect:
		return "disconnected"
	case partedLogout:
		return "logged_out"
	case partedElsewhere:
		return "elsewhere"
	}
	return "lost"
}

func newSession(self proto.Name, keys *ticket.Keys) *session {
	return &session{
		self: self, keys: keys, versions: e2e.Versions, peers: make(map[proto.Name]*peer), trusts: make(map[proto.Name]*trust),
		blocked: make(map[proto.Name]bool), watching: newWatching(), left: math.MaxUint64,
	}
}

// take returns the frames to send and the events to tell since the last call.
func (s *session) take() (frames [][]byte, events []event) {
	frames, events = s.out, s.events
	s.out, s.events = nil, nil
	return frames, events
}

// prepare makes ahead of time what another message of that conversation will need. It is for when nothing else is to be done.
func (s *session) prepare() {
	if s.last != nil {
		s.last.Prepare()
		s.last = nil
	}
}

func (s *session) tell(e event) { s.events = append(s.events, e) }

func (s *session) frame(b []byte) {
	if proto.Type(b[0]).Numbered() {
		s.numbered++
	}
	s.out = append(s.out, b)
}

// relay sends a peer message and returns its ref.
func (s *session) relay(to proto.Name, tag proto.Tag, msg []byte) uint32 {
	s.ref++
	s.frame(proto.AppendRelay(nil, proto.Relay{Ref: s.ref, To: to, Tag: tag, Message: msg}))
	return s.ref
}

// sendPing sends a Ping and returns its number; Pongs come back in order.
func (s *session) sendPing() uint64 {
	s.ping++
	s.frame(s.pingFrame())
	return s.ping
}

func (s *session) pingFrame() []byte {
	return proto.AppendPing(nil, [8]byte(binary.BigEndian.AppendUint64(nil, s.ping)))
}

// greet returns the Ping that a connection begins with. The Pings of one that was lost are lost with it, and so are their Pongs.
func (s *session) greet() []byte {
	s.pong = s.ping
	s.ping++
	s.greeting = s.ping
	return s.pingFrame()
}

// greeted takes the Pong of that Ping. A Ping that was to show when nothing more is returned is repeated behind all that was sent again.
func (s *session) greeted() {
	if s.greeting == 1 {
		s.tell(loggedIn{})
		return
	}
	for _, p := range s.sorted() {
		if len(p.limbo) > 0 {
			p.limboPing = s.sendPing()
		}
	}
}

// list asks who is logged in.
func (s *session) list(id uint64, prefix proto.Prefix) bool {
	if len(s.lists) >= maxLists {
		return false
	}
	s.lists = append(s.lists, &listing{id: id, prefix: prefix})
	if len(s.lists) == 1 {
		s.askList()
	}
	return true
}

func (s *session) askList() {
	l := s.lists[0]
	ask := proto.List{Prefix: l.prefix}
	if n := len(l.names); n > 0 {
		ask.After = proto.Prefix(l.names[n-1])
	}
	s.frame(proto.AppendList(nil, ask))
}

// logout asks the server to end the session.
func (s *session) logout() {
	s.quits = true
	s.frame(proto.AppendLogout(nil))
}

// handle takes one frame from the server. False means that the frame is malformed, and the connection is over.
func (s *session) handle(now time.Time, f proto.Frame) bool {
	switch f.Type {
	case proto.TypePong:
		n := binary.BigEndian.Uint64(f.Body)
		if n != s.pong+1 || n > s.ping {
			return false
		}
		if s.pong = n; n == s.greeting {
			s.greeted()
		}
		s.pongs()
	case proto.TypeUsers:
		more, names, ok := proto.ParseUsers(f.Body)
		if !ok || len(s.lists) == 0 {
			return false
		}
		return s.usersPage(more, names)
	case proto.TypeRelayed:
		r, ok := proto.ParseRelayed(f.Body)
		if !ok || r.From == s.self {
			return false
		}
		s.relayed(now, r)
	case proto.TypeUndeliverable:
		ref, reason, ok := proto.ParseUndeliverable(f.Body)
		if !ok {
			return false
		}
		s.undeliverable(now, ref, reason)
	case proto.TypeGone:
		g, ok := proto.ParseGone(f.Body)
		if !ok {
			return false
		}
		if p := s.peers[g.Name]; p != nil {
			s.gone(now, p, g)
		}
	case proto.TypeTicket:
		t, ok := proto.ParseTicket(f.Body)
		if !ok {
			return false
		}
		s.ticket(now, t)
	case proto.TypeLoggedOut:
		if !s.quits {
			return false
		}
		s.tell(loggedOut{})
	case proto.TypeNotice:
		code, ok := proto.ParseNotice(f.Body)
		if !ok {
			return false
		}
		if code == proto.NoticePassword {
			return s.toChoose()
		}
		s.tell(notice{})
	case proto.TypeClose:
		reason, ok := proto.ParseClose(f.Body)
		if !ok {
			return false
		}
		s.tell(closed{reason})
	case proto.TypePresence:
		entries, ok := proto.ParsePresence(f.Body)
		if !ok {
			return false
		}
		s.takePresence(now, entries)
	case proto.TypePasswordSalt:
		return s.takePasswordSalt(f.Body)
	case proto.TypeDone:
		return s.takeDone(f.Body)
	}
	return true
}

// toChoose takes the server's word that the password of the log-in was a one-time code: it comes right behind the first Pong, which listed
// nobody then.
func (s *session) toChoose() bool {
	last := len(s.events) - 1
	if !s.byCode || last < 0 || s.events[last] != (loggedIn{}) {
		return false
	}
	s.events[last] = choose{}
	return true
}

// usersPage takes a page of the list that is under way. A page must go on where the last one ended.
func (s *session) usersPage(more bool, names []proto.Name) bool {
	l := s.lists[0]
	if n := len(l.names); n > 0 && len(names) > 0 && l.names[n-1].Compare(names[0]) >= 0 {
		return false
	}
	if len(l.names)+len(names) > maxNames {
		return false // pages without end
	}
	l.names = append(l.names, names...)
	if more {
		s.askList()
		return true
	}
	s.tell(users{l.id, l.names})
	if s.lists = s.lists[1:]; len(s.lists) > 0 {
		s.askList()
	}
	return true
}

// relayed takes a peer message. What it can't use it drops: whoever sent it has its own clock.
func (s *session) relayed(now time.Time, r proto.Relayed) {
	typ, cid, err := e2e.Header(r.Message)
	if err != nil {
		return
	}
	p := s.peers[r.From]
	if typ == e2e.TypeWant {
		if s.blocked[r.From] {
			return
		}
		if p == nil {
			p = s.peer(r.From)
		}
		if p == nil {
			s.relay(r.From, r.Tag, e2e.Decline(cid, e2e.DeclineBusy))
			return
		}
		s.want(now, p, r.Tag, slices.Clone(r.Message))
		return
	}
	if typ == e2e.TypeMessage {
		if p != nil && p.answering != nil && p.answering.machine.CID() == cid {
			return // its Confirm came back to the sender and is still to come, and this after it
		}
		if p == nil || p.talk == nil || p.talk.conv.CID() != cid {
			s.relay(r.From, r.Tag, e2e.Decline(cid, e2e.DeclineUnknown))
			return
		}
		if p.talk.tag == r.Tag {
			s.said(now, p, r.Message)
		}
		return
	}
	if p == nil {
		return
	}
	switch typ {
	case e2e.TypeNonce:
		s.nonce(now, p, r)
	case e2e.TypeDecline:
		s.declined(now, p, r)
	case e2e.TypeOffer:
		s.offer(now, p, r)
	case e2e.TypeAccept:
		s.accept(now, p, r)
	case e2e.TypeConfirm:
		s.confirm(now, p, r)
	}
}

// peer returns the slot for a name, made anew where there is none, or nil when there are too many.
func (s *session) peer(name proto.Name) *peer {
	if p := s.peers[name]; p != nil {
		return p
	}
	if len(s.peers) >= maxPeers {
		for _, p := range s.peers {
			if p.idle() {
				delete(s.peers, p.name)
			}
		}
		if len(s.peers) >= maxPeers {
			return nil
		}
	}
	p := &peer{name: name}
	s.peers[name] = p
	return p
}

// noRoom says why something for a peer was not taken: that they are one too many, or else why.
func (s *session) noRoom(with proto.Name, why string) string {
	if s.peer(with) == nil {
		return fmt.Sprintf("a session has conversations with %d people at the most: wait until some of them have logged out, or log out and in again", maxPeers)
	}
	return why
}

// tick does what is due.
func (s *session) tick(now time.Time) {
	for _, p := range s.sorted() {
		s.tickPeer(now, p)
	}
	s.tickWatch(now)
	s.tickChange(now)
}

// deadline returns when tick is due next; the zero time if nothing waits.
func (s *session) deadline() (at time.Time) {
	due := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, p := range s.peers {
		p.deadline(due)
	}
	if s.watching.stale {
		due(s.watching.sent.Add(watchEvery))
	}
	if s.change != nil {
		due(s.change.deadline)
	}
	return at
}

// end forgets every key. What left without an acknowledgement is unknown, what never left has failed: what was not sealed yet, and what only
// waited for a connection. left is the number of the last frame of which a connection took anything.
func (s *session) end(now time.Time, why string, left uint64) {
	s.left = left
	for _, p := range s.sorted() {
		s.cancelOpening(p)
		s.cancelAnswering(p)
		s.endTalk(now, p, why, false)
		s.settleLimbo(p, why)
		for _, t := range p.waiting {
			s.settle(t.id, failed, why+neverSent)
		}
		p.waiting = nil
		s.failWaiting(p, why)
	}
	s.endChange()
	clear(s.peers)
	for name, t := range s.trusts {
		t.confirmed = false // with the session, which needs no word
		s.forget(name)
	}
	s.keys.Clear()
}

// sorted returns the peers by name, so that what a step tells does not depend on a map's order.
func (s *session) sorted() []*peer { return s.those(func(*peer) bool { return true }) }

// those returns the peers that are, by name: where few are, few have to be sorted.
func (s *session) those(are func(*peer) bool) []*peer {
	var all []*peer
	for _, p := range s.peers {
		if are(p) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *peer) int { return a.name.Compare(b.name) })
	return all
}
