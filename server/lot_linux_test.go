package server

import (
	"strings"
	"testing"
	"time"

	"sim/proto"
)

// parkedLinks returns how many links wait in the lot.
func (w *world) parkedLinks() int {
	t := w.server.lot
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.parked)
}

// untilParked waits until so many links are parked, and no goroutine serves one.
func (w *world) untilParked(n int) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		serving := 0
		for _, stack := range ourGoroutines() {
			if strings.Contains(stack, "(*link)") {
				serving++
			}
		}
		parked := w.parkedLinks()
		if parked == n && serving == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%d links are parked and not %d, and %d goroutines serve others", parked, n, serving)
		}
	}
}

// longAgo makes somebody one of whom nothing was heard for quietTime, and who is parked.
func (w *world) longAgo(name string) {
	s := w.sessionOf(name)
	w.server.lot.mu.Lock()
	defer w.server.lot.mu.Unlock()
	s.link.heard = time.Now().Add(-quietTime)
}

// Who is quiet has no goroutine, nor gets one for a record now and then. Whoever writes more often has one, until it is quiet again.
func TestQuietLinksHaveNoGoroutine(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	alice, bob, carol := w.enter("alice"), w.enter("bob"), w.enter("carol")
	w.untilParked(3)

	w.longAgo("alice")
	alice.ping()
	w.untilParked(3)

	alice.relay(1, "bob", proto.Tag{}, "the lot relays, too")
	bob.expectRelayed("alice", "the lot relays, too")
	alice.ping()
	alice.ping()
	if n := w.parkedLinks(); n > 2 {
		t.Errorf("%d links are parked while alice writes", n)
	}
	w.untilParked(3)
	carol.ping()
	bob.ping()
}

// A record that comes in pieces, and many at once, are as they are elsewhere.
func TestParkedLinkInPieces(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	w.untilParked(2)
	record := alice.session.Send.Seal(nil, proto.AppendPing(nil, [8]byte{'p'}), time.Now())
	for len(record) > 0 {
		n := min(100, len(record))
		alice.conn.Write(record[:n])
		bob.ping() // the lot is not kept
		record = record[n:]
	}
	alice.expect(proto.TypePong)
	w.untilParked(2)
	var many []byte
	for range 200 {
		many = alice.session.Send.Seal(many, proto.AppendPing(nil, [8]byte{'p'}), time.Now())
	}
	alice.conn.Write(many)
	for range 200 {
		alice.expect(proto.TypePong)
	}
}

// What waits for room keeps nobody but its own session: alice's Ping waits, and the lot goes on.
func TestTheLotNeverWaits(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	w.untilParked(2)
	out := w.sessionOf("alice").out
	out.mu.Lock()
	full := outboxSize - outboxLast - out.held
	out.held += full
	w.server.pool.held.Add(int64(full))
	out.mu.Unlock()

	alice.send(proto.AppendPing(nil, [8]byte{'p'}))
	for { // alice's link has a goroutine, which waits
		out.mu.Lock()
		waits := out.claiming
		out.mu.Unlock()
		if waits {
			break
		}
		bob.ping()
	}
	bob.ping()
	out.mu.Lock()
	out.give(full)
	out.mu.Unlock()
	alice.expect(proto.TypePong)

	// So with what takes long, even where there is room.
	hurried := newSession(w.server, &proto.Session{})
	hurried.hurried = true
	for typ := range turns {
		if turns[typ].slow && hurried.handle(proto.Frame{Type: proto.Type(typ)}) != endWaits {
			t.Errorf("%v is handled in the lot", proto.Type(typ))
		}
	}
}

// Each end of a session reaches it while it is parked.
func TestEndsOfParkedSessions(t *testing.T) {
	for _, end := range []struct {
		what string
		do   func(w *world, alice, bob *client)
	}{
		{"log-out", func(_ *world, alice, _ *client) {
			alice.send(proto.AppendLogout(nil))
			alice.expect(proto.TypeLoggedOut)
			alice.expectClose(proto.CloseDone)
		}},
		{"replaced", func(w *world, alice, bob *client) {
			w.enter("alice").conn.Close()
			alice.expectClose(proto.CloseReplaced)
		}},
		{"garbage", func(_ *world, alice, _ *client) {
			alice.conn.Write(append([]byte{2, 16}, make([]byte, 528)...))
			alice.expectClose(proto.CloseProtocol)
		}},
		{"a length that no record has", func(_ *world, alice, _ *client) {
			alice.conn.Write([]byte{0, 1})
			alice.expectClose(proto.CloseProtocol)
		}},
		{"cut off", func(_ *world, alice, _ *client) { alice.conn.Close() }},
		{"stalled", func(w *world, _, _ *client) { w.sessionOf("alice").end(endStalled) }},
		{"idle", func(w *world, alice, bob *client) {
			w.longAgo("alice")
			w.server.lot.sweep(time.Now().Add(idleTime - 2*quietTime))
			alice.ping()
			w.untilParked(2)
			bob.conn.Close()
			alice.expect(proto.TypeGone)
			w.server.lot.sweep(time.Now().Add(idleTime))
			alice.expectClose(proto.CloseIdle)
		}},
		{"the server stops", func(w *world, alice, bob *client) {
			go w.stop()
			alice.expect(proto.TypeNotice)
			alice.expectClose(proto.CloseStopping)
		}},
	} {
		t.Run(end.what, func(t *testing.T) {
			w := newWorld(t, []string{"alice", "bob"})
			alice, bob := w.enter("alice"), w.enter("bob")
			w.untilParked(2)
			w.longAgo("alice")
			alice.relay(1, "bob", proto.Tag{}, "hello")
			bob.expectRelayed("alice", "hello")
			w.untilParked(2)
			end.do(w, alice, bob)
			alice.conn.Close()
			if end.what == "idle" || end.what == "the server stops" { // for bob, too
				bob.conn.Close()
				return
			}
			bob.expect(proto.TypeGone)
			w.untilParked(1)
			bob.ping()
			bob.conn.Close()
		})
	}
}
