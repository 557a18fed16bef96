package client

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sim/proto"
	"sim/proto/e2e"
	"sim/proto/ticket"
)

// A board is a switchboard with users at it, whose sessions are the client's own machines, and a clock that stands still unless it is moved.
// Frames wait in queues until board.delivers moves them, or a test moves them one by one.
type board struct {
	*switchboard
	t     testing.TB
	now   time.Time
	users []*user // who is or was logged in
	bent  func(from *user, r *proto.Relay)
}

// A user is one log-in at a board, with what its client told.
type user struct {
	b    *board
	name string
	*session
	line *subscriber

	up, down [][]byte // frames on their way to the server, and from it

	slow    bool // what arrives is shown when the test says so (reads)
	arrived []message
	shown   []string // "alice: hello", or "alice ✓: hello"
	sent    int
	tells   map[uint64][]outcome
	digits  map[uint64]verified
	told    []event // the rest, in order
	broken  bool    // a frame was refused: the connection is over
	ended   bool
}

func newBoard(t testing.TB) *board {
	return &board{switchboard: newSwitchboard(), t: t, now: time.Unix(1_800_000_000, 0)}
}

// logsIn makes users of names, in that order.
func (b *board) logsIn(names ...string) []*user {
	var made []*user
	for _, name := range names {
		parsed, err := proto.ParseName(name)
		if err != nil {
			b.t.Fatal(err)
		}
		var keys ticket.Keys
		for _, key := range []*[32]byte{&keys.Nonce, &keys.Intro, &keys.Ticket} {
			rand.Read(key[:])
		}
		u := &user{b: b, name: name, tells: make(map[uint64][]outcome), digits: make(map[uint64]verified)}
		own := keys // each end clears its own
		u.session = newSession(parsed, &own)
		u.line = b.joins(parsed, keys, func(frame []byte) { u.down = append(u.down, frame) })
		u.frame(u.greet())
		u.works()
		b.users = append(b.users, u)
		made = append(made, u)
	}
	return made
}

// two logs alice and bob in.
func two(t testing.TB) (b *board, alice, bob *user) {
	b = newBoard(t)
	all := b.logsIn("alice", "bob")
	b.delivers()
	return b, all[0], all[1]
}

// talking logs alice and bob in and lets them open a conversation, with one text each way.
func talking(t testing.TB) (b *board, alice, bob *user) {
	b, alice, bob = two(t)
	first := alice.sends(bob, "hello")
	b.delivers()
	answer := bob.sends(alice, "hello yourself")
	b.delivers()
	alice.hears(first, delivered)
	bob.hears(answer, delivered)
	bob.sees("alice: hello")
	alice.sees("bob: hello yourself")
	return b, alice, bob
}

// works takes what the session has for others.
func (u *user) works() {
	u.acknowledge(u.b.now)
	frames, events := u.take()
	u.up = append(u.up, frames...)
	for _, e := range events {
		switch e := e.(type) {
		case message:
			if u.arrived = append(u.arrived, e); !u.slow {
				u.reads()
			}
		case outcome:
			u.tells[e.id] = append(u.tells[e.id], e)
		case verified:
			if _, twice := u.digits[e.id]; twice {
				u.b.t.Errorf("%s: verify %d was answered twice", u.name, e.id)
			}
			u.digits[e.id] = e
		default:
			u.told = append(u.told, e)
		}
	}
	if len(u.out) > 0 || len(u.events) > 0 {
		u.works()
	}
	u.prepare()
}

// reads shows what has arrived, and so acknowledges it.
func (u *user) reads() {
	for _, m := range u.arrived {
		from := m.from.String()
		if m.confirmed {
			from += " ✓"
		}
		u.shown = append(u.shown, from+": "+m.text)
		if !u.ended {
			u.handedOut(u.b.now, m)
		}
	}
	u.arrived = nil
	if !u.ended {
		u.acknowledge(u.b.now)
	}
}

// serves lets the server take one frame of a user.
func (b *board) serves(u *user) bool {
	if len(u.up) == 0 {
		return false
	}
	f := frameOf(u.up[0])
	u.up = u.up[1:]
	if u.line.over {
		return true
	}
	if f.Type == proto.TypeRelay && b.bent != nil {
		r, _ := proto.ParseRelay(f.Body)
		b.bent(u, &r)
		f = frameOf(proto.AppendRelay(nil, r))
	}
	b.takes(u.line, f)
	return true
}

// receives lets a user take one frame from the server.
func (u *user) receives() bool {
	if len(u.down) == 0 || u.ended {
		return false
	}
	f := frameOf(u.down[0])
	u.down = u.down[1:]
	if !u.handle(u.b.now, f) {
		u.broken = true
		u.ends("connection lost")
		return true
	}
	u.works()
	return true
}

// delivers moves frames until there are none.
func (b *board) delivers() {
	for moved, rounds := true, 0; moved; rounds++ {
		if rounds > 10_000 {
			b.t.Fatal("frames cause frames without end")
		}
		moved = false
		for _, u := range b.users {
			if !u.ended {
				u.works()
			}
			for b.serves(u) {
				moved = true
			}
			for u.receives() {
				moved = true
			}
		}
	}
}

// tick lets every session do what is due.
func (b *board) tick() {
	for _, u := range b.users {
		if !u.ended {
			u.tick(b.now)
			u.works()
		}
	}
}

// due returns when the next thing is due for any of them.
func (b *board) due() (next time.Time) {
	for _, u := range b.users {
		if at := u.deadline(); !u.ended && !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// passes moves the clock on, and everything happens on the way that is due.
func (b *board) passes(d time.Duration) {
	end := b.now.Add(d)
	for steps := 0; ; steps++ {
		b.delivers()
		b.tick()
		b.delivers()
		next := b.due()
		if steps > 100_000 {
			b.t.Fatal("something is due all the time")
		}
		if next.IsZero() || next.After(end) {
			b.now = end
			b.tick()
			b.delivers()
			return
		}
		if next.After(b.now) {
			b.now = next
		}
	}
}

// ends is the end of a user's session on its own side.
func (u *user) ends(why string) {
	if u.ended {
		return
	}
	u.end(u.b.now, why, u.left)
	u.works()
	u.ended = true
	u.reads()
}

// goes ends a user's session at the server, which tells the others. The user's own client learns it too.
func (u *user) goes(why proto.Reason) {
	u.b.leaves(u.line, why)
	u.up, u.down = nil, nil
	u.ends("gone")
}

// sends is a send command; the number is that of its outcome.
func (u *user) sends(to *user, text string) uint64 {
	u.b.t.Helper()
	u.sent++
	if !u.send(u.b.now, uint64(u.sent), to.self, text) {
		u.b.t.Fatalf("%s can't send to %s", u.name, to.name)
	}
	u.works()
	return uint64(u.sent)
}

// verifies is a verify command.
func (u *user) verifies(with *user) uint64 {
	u.sent++
	if !u.verify(u.b.now, uint64(u.sent), with.self) {
		u.b.t.Fatalf("%s can't verify %s", u.name, with.name)
	}
	u.works()
	return uint64(u.sent)
}

// confirms is a verify command with yes, and returns why not.
func (u *user) confirms(with *user) (why string) {
	u.sent++
	why = u.confirmDigits(uint64(u.sent), with.self)
	u.works()
	return why
}

// parts is a disconnect command.
func (u *user) parts(from *user) {
	u.disconnect(u.b.now, from.self)
	u.works()
}

// sees checks what was shown since the last time.
func (u *user) sees(lines ...string) {
	u.b.t.Helper()
	if !slices.Equal(u.shown, lines) {
		u.b.t.Fatalf("%s sees %s, want %s", u.name, short(u.shown), short(lines))
	}
	u.shown = nil
}

// short writes lines so that a failure can be read.
func short(lines []string) string {
	if len(lines) > 6 {
		lines = append(slices.Clone(lines[:6]), fmt.Sprintf("… (%d lines)", len(lines)))
	}
	return fmt.Sprintf("%.40q", lines)
}

// hears checks the one outcome of a send. The reasons are parts of what is to be said.
func (u *user) hears(id uint64, end ending, why ...string) {
	u.b.t.Helper()
	got := u.tells[id]
	if len(got) != 1 || got[0].end != end {
		u.b.t.Fatalf("%s: outcome of %d: %+v, want %s once", u.name, id, got, endings[end])
	}
	for _, w := range why {
		if !strings.Contains(got[0].why, w) {
			u.b.t.Fatalf("%s: outcome of %d: %q, want %q", u.name, id, got[0].why, w)
		}
	}
}

// waitsFor checks that sends have no outcome yet.
func (u *user) waitsFor(ids ...uint64) {
	u.b.t.Helper()
	for _, id := range ids {
		if got := u.tells[id]; len(got) != 0 {
			u.b.t.Fatalf("%s: outcome of %d: %+v, want none yet", u.name, id, got)
		}
	}
}

var endings = map[ending]string{delivered: "delivered", failed: "failed", unknown: "unknown"}

// notices checks the other events since the last time, the log-in left out.
func (u *user) notices(events ...event) {
	u.b.t.Helper()
	told := slices.DeleteFunc(u.told, func(e event) bool { _, ok := e.(loggedIn); return ok })
	if len(told) != len(events) {
		u.b.t.Fatalf("%s notices %+v, want %+v", u.name, told, events)
	}
	for i := range told {
		if !reflect.DeepEqual(told[i], events[i]) {
			u.b.t.Fatalf("%s notices %+v, want %+v", u.name, told, events)
		}
	}
	u.told = nil
}

func lostTouch(with *user, how parting) event { return parted{with.self, how} }

// talking returns the cid of the open conversation with a peer.
func (s *session) talking(with proto.Name) (ticket.CID, bool) {
	if p := s.peers[with]; p != nil && p.talk != nil {
		return p.talk.conv.CID(), true
	}
	return ticket.CID{}, false
}

// open says whether a user has an open conversation with another.
func (u *user) open(with *user) bool {
	_, ok := u.talking(with.self)
	return ok
}

// agree checks that two users are in one and the same conversation, or in none.
func (b *board) agree(x, y *user) {
	b.t.Helper()
	cx, okx := x.talking(y.self)
	cy, oky := y.talking(x.self)
	if okx != oky || cx != cy {
		b.t.Fatalf("%s: %v %x, %s: %v %x", x.name, okx, cx, y.name, oky, cy)
	}
}

// stepNames names the peer messages, for rules about one.
var stepNames = map[byte]string{
	e2e.TypeWant: "Want", e2e.TypeNonce: "Nonce", e2e.TypeDecline: "Decline", e2e.TypeOffer: "Offer", e2e.TypeAccept: "Accept",
	e2e.TypeConfirm: "Confirm", e2e.TypeMessage: "Message",
}

// at gives the peer messages of one step a fate, the first n of them; others are relayed.
func (b *board) at(step string, n int, does fate) {
	b.relays = func(_ *subscriber, r proto.Relay) fate {
		if stepNames[r.Message[0]] != step || n == 0 {
			return relayed
		}
		n--
		return does
	}
}

// crowdedUntil is a server that takes no Intro before a time.
func crowdedUntil(b *board, free time.Time) func(*subscriber, *ticket.Intro) byte {
	return func(*subscriber, *ticket.Intro) byte {
		if b.now.Before(free) {
			return proto.TicketBusy
		}
		return proto.TicketIssued
	}
}
