package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// The server says what it has handled in what it writes anyway, and by itself only after much.
func TestServerSaysWhatItHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		alice, bob := w.stay("alice"), w.enter("bob")
		go func() {
			for {
				if _, err := bob.read(); err != nil {
					return
				}
			}
		}()
		alice.relay(1, "bob", proto.Tag{}, "hello")
		alice.relay(2, "bob", proto.Tag{}, "hello")
		alice.ping() // whose Pong carries it
		alice.ping()
		if got := fmt.Sprint(alice.counts.heard); got != "[2]" {
			t.Errorf("with Pong: %s", got)
		}
		silent := make(chan struct{})
		go func() {
			defer close(silent)
			alice.read() // nothing but Seens comes
		}()
		for i := range seenFrames {
			synctest.Wait()
			if got := len(alice.counts.heard); got != 1 {
				t.Errorf("after %d frames there are %d", i, got)
			}
			alice.relay(3, "bob", proto.Tag{}, "hello")
		}
		synctest.Wait()
		message := strings.Repeat("x", seenBytes/2)
		alice.relay(3, "bob", proto.Tag{}, message)
		alice.relay(3, "bob", proto.Tag{}, message)
		synctest.Wait()
		if got := fmt.Sprint(alice.counts.heard); got != fmt.Sprintf("[2 %d %d]", 2+seenFrames, 4+seenFrames) {
			t.Errorf("by itself: %s", got)
		}
		alice.conn.Close()
		<-silent
	})
}

// Resumed says what was handled, and then it is not said again.
func TestResumedIsASeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		alice := w.stay("alice")
		alice.send(proto.AppendWatch(nil, nil)) // which has no answer
		synctest.Wait()
		w.comeBack(alice)
		alice.expect(proto.TypePong)
		alice.ping()
		if len(alice.counts.heard) != 0 || alice.counts.covered != 1 {
			t.Errorf("%d Seens, up to %d", len(alice.counts.heard), alice.counts.covered)
		}
	})
}

// To other clients it says nothing.
func TestNoSeenUnasked(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	for range seenFrames {
		alice.list("", "")
	}
	alice.ping()
}

// What comes for a lost session waits, up to a bound, and whoever sends more is told.
func TestDetachedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		alice, bob := w.stay("alice"), w.enter("bob")
		alice.conn.Close()
		synctest.Wait()
		sent := fill(t, bob, "alice")
		if o := w.sessionOf("alice").out; sent == 0 || o.held > outboxSize || o.waiting.size() > o.held || o.kept.bytes != nil {
			t.Errorf("%d messages, %d bytes held, %d waiting", sent, o.held, o.waiting.size())
		}
		w.comeBack(alice)
		for range sent {
			alice.expectRelayed("bob", strings.Repeat("x", proto.MaxPeerMessage))
		}
		alice.expect(proto.TypePong)
		synctest.Wait()
		o := w.sessionOf("alice").out
		if o.kept.bytes.size() == 0 || o.held > outboxSize {
			t.Errorf("%d bytes are kept, and %d held", o.kept.bytes.size(), o.held)
		}
		if n := fill(t, bob, "alice"); n != 0 {
			t.Errorf("%d more", n)
		}
		// She has not said that she saw them, and still gets answers.
		alice.counts.quiet = true
		alice.list("", "")
		alice.send(proto.AppendWatch(nil, []proto.Name{bob.name}))
		alice.expect(proto.TypePresence)
		alice.counts.quiet = false
		alice.send(proto.AppendSeen(nil, alice.counts.handled))
		alice.ping()
		synctest.Wait()
		if o.kept.bytes != nil || o.held != goneFrameSize {
			t.Errorf("when all is seen %d bytes are kept, and %d held", o.kept.bytes.size(), o.held)
		}
	})
}

// A client that never says what it has seen gets nothing more, and does not hang: its connection is cut off, and coming back says it.
func TestNeverSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		alice := w.stay("alice")
		alice.counts.quiet = true
		names := make([]proto.Name, proto.MaxUsersPage)
		for i := range names {
			names[i] = nameOf(t, fmt.Sprintf("u%d", i))
		}
		defer w.leave(w.strangers(names))
		lists, start := 0, time.Now()
		for {
			alice.send(proto.AppendList(nil, proto.List{}))
			if f, err := alice.read(); err != nil {
				break
			} else if f.Type == proto.TypeUsers {
				lists++
			}
		}
		if want := (outboxSize - outboxLast) / proto.MaxUsersFrame; lists != want {
			t.Errorf("%d lists, not %d", lists, want)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it waited %v", d)
		}
		synctest.Wait()
		if !w.isDetached("alice") {
			t.Error("the session has ended")
		}
		w.comeBack(alice)
		alice.until(proto.TypeUsers)
	})
}

// Others than the resumable sessions end with their connection; and so does one more than there may be without.
func TestNotDetached(t *testing.T) {
	for name, come := range map[string]func(w *world) *client{
		"a client that did not ask for it": func(w *world) *client { return w.enter("alice") },
		"who is to choose a password": func(w *world) *client {
			w.invite("alice", time.Time{})
			alice := w.stayWith("alice", aCode)
			alice.expect(proto.TypeNotice)
			alice.send(proto.AppendSeen(nil, 1))
			alice.ping()
			return alice
		},
		"too many are": func(w *world) *client {
			w.server.detached.Store(maxDetached)
			return w.stay("alice")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipeWorld(t, []string{"alice"})
				alice := come(w)
				alice.conn.Close()
				synctest.Wait()
				g := &w.server.registry
				if len(g.sessions)+len(g.choosing)+len(g.byID) != 0 {
					t.Error("it goes on")
				}
				w.server.detached.Store(0)
			})
		})
	}
}

// Who has come back has half a minute for a Ping; another frame in its place is a breach of the protocol.
func TestFirstRecordAfterResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		alice := w.stay("alice")
		come := func() *comeback {
			b := w.comes(alice, alice.counts.resumption, 0)
			b.greets()
			b.asks()
			if err := b.hears(); err != nil {
				t.Fatal(err)
			}
			return b
		}
		b := come()
		time.Sleep(proto.PingDeadline - time.Second)
		synctest.Wait()
		if w.isDetached("alice") {
			t.Error("lost too early")
		}
		time.Sleep(time.Second)
		endsAt(t, b.conn, time.Now())
		synctest.Wait()
		if !w.isDetached("alice") {
			t.Error("not lost")
		}
		time.Sleep(detachedTime - time.Second)
		b = come()
		if _, err := b.conn.Write(b.link.Send.Seal(nil, proto.AppendList(nil, proto.List{}), time.Now())); err != nil {
			t.Fatal(err)
		}
		session := *alice.session
		session.Receive = b.link.Receive
		alice.conn, alice.session = b.conn, &session
		alice.expectClose(proto.CloseProtocol)
		w.isRefused(alice)
	})
}

// Nobody runs for a lost session, and its keys are gone.
func TestDetachedHasNoGoroutine(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	bob := w.enter("bob")
	before := len(ourGoroutines())
	alice := w.stay("alice")
	first := w.linkOf("alice")
	for range 3 {
		w.comeBack(alice)
		alice.until(proto.TypePong)
	}
	last := w.linkOf("alice")
	alice.conn.Close()
	for !w.isDetached("alice") || len(ourGoroutines()) > before {
		time.Sleep(time.Millisecond) // until it is so; a ping would give bob a goroutine
	}
	bob.ping()
	for _, l := range []*link{first, last} {
		for name, use := range map[string]func(){
			"Send":    func() { l.send.Seal(nil, []byte{1, 0, 0}, time.Now()) },
			"Receive": func() { l.receive.Open(make([]byte, 528)) },
		} {
			if !panics(use) {
				t.Errorf("%s still has its key", name)
			}
		}
	}
	if n := len(w.server.admission.everybody()); n != 1 {
		t.Errorf("%d connections are counted", n)
	}
}

// A model of what both ends know of a session's frames.
type seenModel struct {
	queued, sent [][]byte // frames that wait, and that are kept
	seen, number uint64   // of the last that was seen, and of the last that was put in
}

// FuzzSeen does with an outbox what clients and networks may do, in any order, and with any Seen: what has to be written comes out, in order,
// and its bytes are counted.
func FuzzSeen(f *testing.F) {
	f.Add([]byte{0, 9, 1, 0, 2, 1, 0, 200, 1, 0, 3, 0, 1, 0, 2, 1})
	f.Add([]byte{0, 9, 0, 80, 0, 3, 1, 0, 2, 2, 0, 255, 0, 254, 3, 1, 1, 0, 2, 1, 3, 0, 1, 0})
	f.Add([]byte{2, 1, 0, 9, 2, 1, 1, 0, 2, 2, 3, 9})
	f.Add([]byte{4, 0, 0, 1, 4, 0, 1, 0, 4, 0, 3, 0, 1, 0})
	f.Add(slices.Repeat([]byte{0, 200, 4, 1, 1, 0, 2, 1}, 100))
	f.Fuzz(func(t *testing.T, script []byte) {
		p := &pool{size: 1 << 20, reserve: 1 << 16}
		o := newOutbox(p)
		o.keepWritten()
		var m seenModel
		pong := proto.AppendPong(nil, make([]byte, 8))
		pongs, linked := 0, true
		// take is the writer: it takes what is to be written and compares it.
		take := func(again bool) {
			if o.waiting == nil && !again {
				return
			}
			var want []byte
			if again {
				want = slices.Concat(m.sent...)
			}
			for _, frame := range m.queued {
				want = append(want, frame...)
				if proto.Type(frame[0]).Numbered() {
					m.sent = append(m.sent, frame)
				}
			}
			m.queued = nil
			if len(want) == 0 {
				return
			}
			b, ok := o.next()
			if !ok || string(b.frames.bytes) != string(want) || b.passing != pongs*len(pong) {
				t.Fatalf("%d bytes are written, %d of them passing, and not %d", b.frames.size(), b.passing, len(want))
			}
			o.written(b.passing)
			pongs = 0
		}
		script = script[:min(len(script), 1000)]
		for ; len(script) >= 2; script = script[2:] {
			switch x := int(script[1]); script[0] % 5 {
			case 0:
				frame := numbered(m.number, 11+x*x/8)
				if o.offer(frame) {
					m.number++
					m.queued = append(m.queued, frame)
				}
			case 1:
				if linked {
					take(false)
				}
			case 2: // a Seen of x more, or of one less
				number := m.seen + uint64(x)
				if x == 255 {
					number = m.seen - 1
				}
				ok := o.seen(number)
				if want := x != 255 && x <= len(m.sent); ok != want {
					t.Fatalf("Seen(%d): %v, with %d frames that were sent after %d", number, ok, len(m.sent), m.seen)
				}
				if ok {
					m.seen, m.sent = number, m.sent[x:]
				}
			case 3: // another connection
				o.unlink()
				if _, ok := o.next(); ok || o.claim(1) {
					t.Fatal("something goes on without a connection")
				}
				o.detach()
				m.queued = slices.DeleteFunc(m.queued, func(frame []byte) bool { return !proto.Type(frame[0]).Numbered() })
				pongs = 0
				x = min(x, len(m.sent))
				if _, ok := o.resume(m.seen + uint64(len(m.sent)) + 1); ok {
					t.Fatal("a client has seen what was not sent")
				}
				if _, ok := o.resume(m.seen + uint64(x)); !ok {
					t.Fatal("not linked")
				}
				m.seen, m.sent = m.seen+uint64(x), m.sent[x:]
				take(true)
			case 4:
				if o.held+len(pong) <= outboxSize-outboxLast && o.claim(len(pong)) { // otherwise it would wait
					o.answer(pong)
					o.unclaim()
					m.queued = append(m.queued, pong)
					pongs++
				}
			}
			held := 0
			for _, frame := range slices.Concat(m.queued, m.sent) {
				held += len(frame)
			}
			if o.held != held || p.held.Load() != int64(held) || held > outboxSize {
				t.Fatalf("%d bytes are held, and counted as %d by the pool, and there are %d", o.held, p.held.Load(), held)
			}
			if n := len(m.sent); n == 0 && o.kept.bytes != nil || n > 0 && cap(o.kept.bytes.bytes) > 4*outboxSize {
				t.Fatalf("%d frames are kept in %d bytes", n, cap(o.kept.bytes.bytes))
			}
			if o.kept.sent-o.kept.seen != uint64(len(m.sent)) {
				t.Fatalf("%d to %d", o.kept.seen, o.kept.sent)
			}
		}
		o.abort()
		if _, ok := o.next(); ok {
			t.Fatal("something is written after the end")
		}
		o.drain()
		if p.held.Load() != 0 {
			t.Fatalf("%d bytes are left", p.held.Load())
		}
	})
}
