package server

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// What was put into somebody's queue is written there and then, whatever becomes of the one who put it in; and nobody who writes is in another's
// way.

// Alice's last text comes in one record with what ends her session. Bob, who says nothing, has it at once.
func TestLastTextBeforeTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  []byte
		gone proto.Reason
	}{
		"log-out":                  {proto.AppendLogout(nil), proto.GoneLogout},
		"Close":                    {proto.AppendClose(nil, proto.CloseDone), proto.GoneLost},
		"a breach of the protocol": {proto.AppendSeen(nil, 9), proto.GoneLost},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipeWorld(t, []string{"alice", "bob"})
				alice, bob := w.enter("alice"), w.enter("bob")
				synctest.Wait() // nobody writes to bob any more, who would take it along
				began := time.Now()
				alice.send(slices.Concat(relayFrame(t, 1, "bob", proto.Tag{}, "bye"), c.end))
				tag := bob.expectRelayed("alice", "bye")
				bob.expectGone("alice", tag, c.gone)
				if d := time.Since(began); d > 0 {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}

// What follows alice's text in its record takes its time: it waits for room, since she doesn't read, or for its turn at what is dear. Bob has
// the text before.
func TestTextBeforeASlowFrame(t *testing.T) {
	for name, slow := range map[string]func(w *world, alice *client) (frames []byte, release func()){
		"that waits for room": func(w *world, alice *client) ([]byte, func()) {
			const small = 100 // so that no more than the reserve, and one such, is left
			fillWith(w.t.(*testing.T), w.enter("carol"), "alice", small)
			pings := (outboxReserve+proto.RelayedFrameSize(small))/pongFrameSize + 2
			return bytes.Repeat(proto.AppendPing(nil, [8]byte{}), pings), func() {}
		},
		"that waits for the budget": func(w *world, alice *client) ([]byte, func()) {
			release := w.server.budget.occupy(w.t.(*testing.T))
			return proto.NewPasswordClient(alice.session).Begin(nil), release
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipeWorld(t, []string{"alice", "bob", "carol"})
				alice, bob := w.enter("alice"), w.enter("bob")
				frames, release := slow(w, alice)
				o := w.sessionOf("alice").out
				synctest.Wait()
				began := time.Now()
				alice.send(slices.Concat(relayFrame(t, 1, "bob", proto.Tag{}, "hello"), frames))
				bob.expectRelayed("alice", "hello")
				if d := time.Since(began); d > 0 {
					t.Errorf("it took %v", d)
				}
				synctest.Wait()
				if name == "that waits for room" && !o.isClaiming() {
					t.Error("alice's reader does not wait")
				}
				release()
			})
		})
	}
}

func (o *outbox) isClaiming() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.claiming
}

// The owner waits for room while others' frames are written to it. If they have to be kept until it has read on, the end of the writing gives
// none, and it learns there and then that it waits in vain.
func TestClaimInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(&pool{size: 1 << 20})
		o.keepWritten()
		for o.tryClaim(1000) {
			o.answer(numbered(0, 1000))
		}
		b, ok := o.next()
		if !ok {
			t.Fatal("nothing is to be written")
		}
		claimed := make(chan bool, 1)
		go func() { claimed <- o.claim(proto.MaxUsersFrame) }()
		synctest.Wait()
		o.written(b.passing)
		synctest.Wait()
		if !o.isClaiming() {
			t.Error("the owner waits no more, although somebody writes")
		}
		o.next()
		synctest.Wait()
		select {
		case ok := <-claimed:
			if ok {
				t.Error("a claim without room")
			}
		default:
			t.Error("the owner still waits")
			o.abort()
		}
		b.frames.free()
	})
}

// Who has put something in and comes to flush is not alone: what others put in meanwhile goes with it, and nobody is started for that.
func TestWhatIsDueGoesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := pair(t)
		o := newOutbox(&pool{size: 1 << 20})
		conn := new(countingConn)
		l := linked(t, o, conn, server)
		o.open(l)
		o.promise(goneFrameSize)
		w := &way{open: true}
		r := proto.Relayed{From: nameOf(t, "alice"), Message: []byte("hello")}
		for first := range 3 {
			if due, reason := o.offerRelayed(w, r); due != (first == 0) || reason != 0 {
				t.Errorf("text %d: due %v, reason %d", first, due, reason)
			}
		}
		o.offer(numbered(0, 100))
		o.keep(numbered(0, goneFrameSize))
		synctest.Wait()
		if conn.writes != 0 {
			t.Errorf("%d writes before the flush", conn.writes)
		}
		o.flush(time.Now())
		synctest.Wait()
		if conn.writes != 1 {
			t.Errorf("%d writes", conn.writes)
		}
		o.abort()
		o.drain()
	})
}

// A noted listener's connections note the deadline for their writes.
type (
	notedListener struct{ net.Listener }
	notedConn     struct {
		*net.TCPConn
		mu sync.Mutex
		by time.Time
	}
)

func (l notedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &notedConn{TCPConn: c.(*net.TCPConn)}, nil
}

func (c *notedConn) SetWriteDeadline(by time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by = by
	return c.TCPConn.SetWriteDeadline(by)
}

// Who writes without waiting has no deadline, not that of the log-in, nor that of somebody who waited: past it the socket would take nothing
// at once any more, and a goroutine would be started for every text.
func TestNoDeadlineForWritesInPlace(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"}, func(s *Server) { s.listener = notedListener{s.listener} })
	alice, bob := w.enter("alice"), w.enter("bob")
	none := func(when string) {
		t.Helper()
		for _, who := range []string{"alice", "bob"} {
			c := w.linkOf(who).conn.net.(*notedConn)
			c.mu.Lock()
			defer c.mu.Unlock()
			if !c.by.IsZero() {
				t.Errorf("%s: what is written to %s has to be so by %v", when, who, c.by)
			}
		}
	}
	none("after the log-in")
	for range fill(t, alice, "bob") {
		bob.expect(proto.TypeRelayed)
	}
	for o := w.sessionOf("bob").out; o.busy(); {
		bob.ping()
	}
	none("after a wait for the socket")
}
