package server

import (
	"net"
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

// heardAgo makes somebody who is parked one of whom nothing was heard for so long.
func (w *world) heardAgo(name string, ago time.Duration) {
	s := w.sessionOf(name)
	w.server.lot.mu.Lock()
	defer w.server.lot.mu.Unlock()
	s.link.heard = time.Now().Add(-ago)
	s.link.spoke = s.link.heard
}

// sweep has the lot look for the idle now.
func (w *world) sweep() { w.server.lot.bell.SetReadDeadline(time.Now()) }

// Who is quiet has no goroutine, nor gets one for a record now and then. Whoever writes more often has one, until it is quiet again.
func TestQuietLinksHaveNoGoroutine(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	alice, bob, carol := w.enter("alice"), w.enter("bob"), w.enter("carol")
	w.untilParked(3)

	w.heardAgo("alice", quietTime)
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
	alice.ping() // the deadline that had passed is not hers any more
	carol.ping()
	bob.ping()
}

// untilSmall waits until what was read of somebody who is parked holds no more memory than one small record.
func (w *world) untilSmall(name string) {
	w.t.Helper()
	l, lot := w.linkOf(name), w.server.lot
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		lot.mu.Lock()
		held := 0
		if lot.busy == nil && l.parked != 0 {
			held = len(l.in.memory)
		}
		lot.mu.Unlock()
		if held <= readBuffer {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%d bytes are held", held)
		}
	}
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
		w.untilSmall("alice")
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

// fill leaves no room in somebody's queue, until empty is called.
func (w *world) fill(name string) (empty func()) {
	out := w.sessionOf(name).out
	out.mu.Lock()
	defer out.mu.Unlock()
	full := outboxSize - outboxLast - out.held
	out.held += full
	w.server.pool.held.Add(int64(full))
	return func() {
		out.mu.Lock()
		defer out.mu.Unlock()
		out.give(full)
	}
}

// untilClaiming waits until somebody's link waits for room.
func (w *world) untilClaiming(name string) {
	out := w.sessionOf(name).out
	for {
		out.mu.Lock()
		claiming := out.claiming
		out.mu.Unlock()
		if claiming {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// What waits for room keeps nobody but its own session: alice's Ping waits, and the lot goes on.
func TestTheLotNeverWaits(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	w.untilParked(2)
	empty := w.fill("alice")
	alice.send(proto.AppendPing(nil, [8]byte{'p'}))
	w.untilClaiming("alice")
	bob.ping()
	empty()
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

// A frame that the lot begins to handle, and leaves to a goroutine, is handled once.
func TestLeftByTheLot(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.stay("alice")
	w.untilParked(1)
	pool := w.server.pool
	pool.held.Add(pool.size)
	alice.relay(1, "nobody.here", proto.Tag{}, "hello")
	w.untilClaiming("alice")
	pool.held.Add(-pool.size)
	alice.until(proto.TypeUndeliverable)
	alice.send(proto.AppendPing(nil, [8]byte{}))
	alice.until(proto.TypePong)
	out := w.sessionOf("alice").out
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.handled.number != 1 {
		t.Errorf("%d frames are counted", out.handled.number)
	}
}

// A session whose connection is parked, and dead for all that its client knows, goes on over another.
func TestComebackToAParkedSession(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	bob, alice := w.enter("bob"), w.stay("alice")
	for range 3 {
		w.untilParked(2)
		w.comeBack(alice)
		alice.until(proto.TypePong)
	}
	w.untilParked(2)
	bob.ping()
}

// The end of a session that comes while the lot handles something of it is not lost.
func TestEndWhileTheLotIsBusy(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	w.untilParked(1)
	s, lot := w.sessionOf("alice"), w.server.lot
	lot.mu.Lock()
	number := s.link.parked
	lot.busy = s.link
	lot.mu.Unlock()
	s.end(endRemoved)
	if n := w.parkedLinks(); n != 1 {
		t.Fatalf("%d links are parked", n)
	}
	lot.handle(number)
	alice.expectClose(proto.CloseRemoved)
}

// Whose session ends in the moment before it would be parked is not: nobody would wake it.
func TestNobodyIsParkedAtTheEnd(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	w.untilParked(1)
	s, lot := w.sessionOf("alice"), w.server.lot
	lot.mu.Lock()
	lot.release(s.link)
	lot.mu.Unlock()
	s.mark(endRemoved)
	if lot.park(s.link) {
		t.Error("it was parked")
	}
	go s.link.awake(nil)
	s.finish()
	alice.expectClose(proto.CloseRemoved)
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
		{"reset", func(_ *world, alice, _ *client) {
			alice.conn.(*net.TCPConn).SetLinger(0)
			alice.conn.Close()
		}},
		{"stalled", func(w *world, _, _ *client) { w.sessionOf("alice").end(endStalled) }},
		{"idle", func(w *world, alice, bob *client) {
			w.heardAgo("alice", idleTime-quietTime)
			w.sweep()
			alice.ping()
			w.untilParked(2)
			w.heardAgo("alice", idleTime)
			w.sweep()
			alice.expectClose(proto.CloseIdle)
		}},
		{"the server stops", func(w *world, alice, bob *client) {
			go w.stop()
			alice.expect(proto.TypeNotice)
			alice.expectClose(proto.CloseStopping)
		}},
	} {
		t.Run(end.what, func(t *testing.T) {
			var log logged // which asks for addresses, of whatever has ended
			w := newWorld(t, []string{"alice", "bob"}, func(s *Server) { s.log, s.identities = log.logger(), true })
			alice, bob := w.enter("alice"), w.enter("bob")
			w.untilParked(2)
			w.heardAgo("alice", quietTime)
			alice.relay(1, "bob", proto.Tag{}, "hello")
			bob.expectRelayed("alice", "hello")
			w.untilParked(2)
			end.do(w, alice, bob)
			alice.conn.Close()
			if end.what == "the server stops" { // for bob, too
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
