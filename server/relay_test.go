package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
	"sim/proto/ticket"
)

func TestRelay(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	alice.relay(1, "bob", proto.Tag{}, "hello bob")
	tagA := bob.expectRelayed("alice", "hello bob")
	bob.relay(1, "alice", tagA, "hello alice")
	tagB := alice.expectRelayed("bob", "hello alice")
	if tagA == tagB || tagA == (proto.Tag{}) || tagB == (proto.Tag{}) {
		t.Errorf("tags %x and %x", tagA, tagB)
	}
	for i := range 200 { // in order, the smallest and the largest
		alice.relay(uint32(i), "bob", tagB, strings.Repeat("x", 1+i%2*(proto.MaxPeerMessage-1)))
		if tag := bob.expectRelayed("alice", strings.Repeat("x", 1+i%2*(proto.MaxPeerMessage-1))); tag != tagA {
			t.Errorf("tag %x", tag)
		}
	}
}

func TestUndeliverable(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	alice, bob := w.enter("alice"), w.enter("bob")
	// One that exists and is offline, and one that doesn't exist, look the same.
	alice.relay(7, "carol", proto.Tag{}, "hello")
	alice.expectUndeliverable(7, proto.Offline)
	alice.relay(8, "nobody", proto.Tag{}, "hello")
	alice.expectUndeliverable(8, proto.Offline)
	alice.relay(9, "carol", proto.Tag{1}, "hello")
	alice.expectUndeliverable(9, proto.GoneAway)
	alice.relay(10, "nobody", proto.Tag{1}, "hello")
	alice.expectUndeliverable(10, proto.GoneAway)
	// Another tag than that of the session of the name.
	alice.relay(11, "bob", proto.Tag{1}, "hello")
	alice.expectUndeliverable(11, proto.GoneAway)
	bob.ping()
	w.server.registry.mu.Lock()
	defer w.server.registry.mu.Unlock()
	if n := len(w.server.registry.sessions[bob.name].contacts); n != 0 {
		t.Errorf("bob has %d contacts", n)
	}
}

func TestGoneReasons(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	bob := w.enter("bob")
	for name, c := range map[string]struct {
		leave func(alice *client)
		want  proto.Reason
	}{
		"log-out":        {func(alice *client) { alice.logout() }, proto.GoneLogout},
		"cut off":        {func(alice *client) { alice.conn.Close() }, proto.GoneLost},
		"Close":          {func(alice *client) { alice.send(proto.AppendClose(nil, proto.CloseDone)) }, proto.GoneLost},
		"protocol error": {func(alice *client) { alice.send([]byte{0xff, 0, 0}) }, proto.GoneLost},
	} {
		t.Run(name, func(t *testing.T) {
			alice := w.enter("alice")
			alice.relay(1, "bob", proto.Tag{}, "hello")
			tag := bob.expectRelayed("alice", "hello")
			bob.relay(1, "alice", tag, "hello") // a second time the same two: one Gone
			alice.expectRelayed("bob", "hello")
			c.leave(alice)
			bob.expectGone("alice", tag, c.want)
			bob.ping()
			bob.relay(2, "alice", tag, "still there?")
			bob.expectUndeliverable(2, proto.GoneAway)
		})
	}
	// Who only tried is told nothing.
	alice := w.enter("alice")
	alice.relay(1, "bob", proto.Tag{9}, "hello")
	alice.expectUndeliverable(1, proto.GoneAway)
	alice.logout()
	bob.ping()
}

func TestRelayToOneself(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	alice.relay(1, "alice", proto.Tag{}, "note")
	alice.expectRelayed("alice", "note")
	alice.logout() // and no Gone of oneself before
}

func TestContacts(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	alice := w.enter("alice")
	var names []proto.Name
	for i := range maxContacts - 1 {
		names = append(names, nameOf(t, fmt.Sprintf("stranger%d", i)))
	}
	strangers := w.strangers(names)
	defer w.leave(strangers)
	for _, s := range strangers {
		alice.relay(1, s.name.String(), proto.Tag{}, "hello")
	}
	bob, carol := w.enter("bob"), w.enter("carol")
	alice.relay(2, "bob", proto.Tag{}, "the 256th")
	tag := bob.expectRelayed("alice", "the 256th")
	alice.relay(3, "carol", proto.Tag{}, "the 257th")
	alice.expectUndeliverable(3, proto.Full)
	carol.relay(4, "alice", proto.Tag{}, "and the other way")
	carol.expectUndeliverable(4, proto.Full)
	alice.relay(5, "bob", proto.Tag{}, "known")
	bob.expectRelayed("alice", "known")
	// A place is free when somebody goes.
	bob.logout()
	gone, _ := proto.ParseGone(alice.expect(proto.TypeGone))
	if gone.Name != bob.name {
		t.Errorf("Gone(%s)", gone.Name)
	}
	alice.relay(6, "carol", proto.Tag{}, "now")
	if carol.expectRelayed("alice", "now") != tag {
		t.Error("another tag")
	}
}

// A contact is paid for when it is made: its Gone finds room, however full the queue is.
func TestGoneFindsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob", "mallory"})
		bob := w.enter("bob")
		var told []proto.Tag
		sent := 0
		for range 3 { // mallory comes and goes while bob does not read
			mallory := w.enter("mallory")
			mallory.relay(1, "bob", proto.Tag{}, "hello")
			mallory.ping()
			w.server.registry.mu.Lock()
			told = append(told, w.server.registry.sessions[mallory.name].tag)
			w.server.registry.mu.Unlock()
			mallory.logout()
		}
		alice := w.enter("alice")
		sent = fill(t, alice, "bob")
		for i := range 200 { // and the last bytes
			alice.relay(uint32(i), "bob", proto.Tag{}, strings.Repeat("y", 200))
		}
		go func() { // reads what comes back
			for {
				if _, err := alice.read(); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		alice.conn.Close()
		synctest.Wait()
		for i := range told {
			bob.expectRelayed("mallory", "hello")
			bob.expectGone("mallory", told[i], proto.GoneLogout)
		}
		for range sent {
			bob.expect(proto.TypeRelayed)
		}
		for {
			f, err := bob.read()
			if err != nil {
				t.Fatal(err)
			}
			if f.Type == proto.TypeGone {
				break
			}
		}
		bob.ping()
	})
}

// bob stops reading. Those who write to him learn that he is full, others don't notice, and he is ended after stallTime.
func TestFrozenReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob", "carol"})
		alice, bob, carol := w.enter("alice"), w.enter("bob"), w.enter("carol")
		frozen := time.Now()
		sent := fill(t, alice, "bob")
		if sent < 5 || sent > 6 {
			t.Errorf("%d large messages went into his queue", sent)
		}
		alice.relay(2, "carol", proto.Tag{}, "hello")
		carol.expectRelayed("alice", "hello")
		carol.relay(3, "bob", proto.Tag{}, strings.Repeat("z", proto.MaxPeerMessage))
		carol.expectUndeliverable(3, proto.Full)
		if w.server.pool.held.Load() > outboxSize+2*goneFrameSize {
			t.Errorf("%d bytes are held", w.server.pool.held.Load())
		}
		gone, ok := proto.ParseGone(alice.expect(proto.TypeGone))
		if !ok || gone.Name != bob.name || gone.Reason != proto.GoneLost {
			t.Errorf("%v", gone)
		}
		if d := time.Since(frozen); d != stallTime {
			t.Errorf("he was ended after %v", d)
		}
		io.Copy(io.Discard, bob.conn)
		if d := time.Since(frozen); d != stallTime {
			t.Errorf("his connection was closed after %v", d)
		}
		carol.ping()
	})
}

// Slow is not frozen: whoever takes a little from time to time stays.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		alice, bob := w.enter("alice"), w.enter("bob")
		sent := fill(t, alice, "bob")
		slow := &slowConn{Conn: bob.conn, pause: stallTime - stallCheck - time.Second}
		bob.conn = slow
		// He asks for a page, whose answer has no room for minutes; the server does not take that for his silence.
		asked := make(chan struct{})
		defer func() { <-asked }()
		go func() {
			defer close(asked)
			bob.trySend(proto.AppendList(nil, proto.List{}))
			for range 12 {
				bob.trySend(proto.AppendPing(nil, [8]byte{})) // waits too
				time.Sleep(30 * time.Second)
			}
		}()
		start := time.Now()
		for range sent {
			bob.expectRelayed("alice", strings.Repeat("x", proto.MaxPeerMessage))
		}
		if d := time.Since(start); d < 2*idleTime {
			t.Errorf("he was too fast for this test: %v", d)
		}
		bob.conn = slow.Conn
		got := map[proto.Type]int{}
		for got[proto.TypePong] < 12 {
			f, err := bob.read()
			if err != nil {
				t.Fatal(err)
			}
			got[f.Type]++
		}
		if got[proto.TypeUsers] != 1 {
			t.Errorf("%v", got)
		}
		<-asked
		bob.ping()
	})
}

// slowConn reads 4 KiB at a time, with pauses.
type slowConn struct {
	net.Conn
	pause time.Duration
}

func (c *slowConn) Read(b []byte) (int, error) {
	time.Sleep(c.pause)
	return c.Conn.Read(b[:min(len(b), 4096)])
}

// mallory sends and never reads. The server stops reading from her when there is no room for answers, and nobody else notices.
func TestFloodWithoutReading(t *testing.T) {
	list := proto.AppendList(nil, proto.List{})
	for name, frames := range map[string][]byte{
		"Ping":     bytes.Repeat(proto.AppendPing(nil, [8]byte{}), 1400),
		"List":     bytes.Repeat(list, 200),
		"Relay":    bytes.Repeat(relayFrame(t, 1, "nobody", proto.Tag{}, "x"), 280),
		"Watch":    bytes.Repeat(proto.AppendWatch(nil, nil), 500),
		"Password": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipeWorld(t, []string{"alice", "bob", "mallory"})
				alice, bob, mallory := w.enter("alice"), w.enter("bob"), w.enter("mallory")
				var others []proto.Name
				for i := range 500 {
					others = append(others, nameOf(t, fmt.Sprintf("u%d", i)))
				}
				defer w.leave(w.strangers(others))
				base := w.server.pool.held.Load()
				var written atomic.Int32
				if frames == nil {
					frames = proto.NewPasswordClient(mallory.session).Begin(nil)
				}
				go func() {
					for range 200 {
						if mallory.trySend(frames) != nil {
							return
						}
						written.Add(1)
					}
				}()
				synctest.Wait()
				if held := w.server.pool.held.Load() - base; held > outboxSize {
					t.Errorf("%d bytes are held", held)
				}
				alice.relay(1, "bob", proto.Tag{}, "hello")
				bob.expectRelayed("alice", "hello")
				if n := written.Load(); name != "Watch" && name != "Password" && n > 40 { // those two are never answered, or end it
					t.Errorf("the server took %d records", n)
				}
				time.Sleep(stallTime)
				synctest.Wait()
				if name != "Watch" {
					if _, names := alice.list("mallory", ""); len(names) != 0 {
						t.Error("mallory is still there")
					}
				}
				alice.ping()
				mallory.conn.Close()
			})
		})
	}
}

// A flood of others' Relays does not keep a session that reads from its own answers.
func TestAnswersInAFlood(t *testing.T) {
	w := newWorld(t, []string{"bob", "m0", "m1", "m2", "m3"})
	bob := w.enter("bob")
	stop := make(chan struct{})
	ended := make(chan struct{})
	for i := range 4 {
		m := w.enter(fmt.Sprintf("m%d", i))
		go func() {
			go io.Copy(io.Discard, m.conn) // only the answers; nothing of it is opened
			for {
				select {
				case <-stop:
					ended <- struct{}{}
					return
				default:
				}
				m.trySend(relayFrame(t, 1, "bob", proto.Tag{}, strings.Repeat("f", 5000)))
			}
		}()
	}
	for range 50 {
		bob.send(proto.AppendList(nil, proto.List{}))
		for {
			f, err := bob.read()
			if err != nil {
				t.Fatal(err)
			}
			if f.Type == proto.TypeUsers {
				break
			}
		}
	}
	close(stop)
	for range 4 {
		<-ended
	}
}

// nonceFor makes bob's half of an opening: the Intro that alice sends.
func nonceFor(initiator proto.Name, responder *client, cid byte) (*ticket.Intro, *ticket.Run, [32]byte) {
	run := &ticket.Run{Initiator: initiator, Responder: responder.name, CID: ticket.CID{cid}}
	versions := []byte{1}
	h0 := run.Transcript(versions)
	nb := [ticket.NonceSize]byte{7}
	in := &ticket.Intro{CID: run.CID, N1: [16]byte{5}, Responder: responder.name, Versions: versions, Version: 1,
		NonceBox: run.SealNonce(&responder.session.Tickets.Nonce, &h0, &nb)}
	return in, run, h0
}

func (c *client) intro(in *ticket.Intro) proto.Ticket {
	c.t.Helper()
	c.send(proto.AppendIntro(nil, in))
	ticket, ok := proto.ParseTicket(c.expect(proto.TypeTicket))
	if !ok || ticket.CID != in.CID {
		c.t.Errorf("a malformed Ticket")
	}
	return ticket
}

func TestIntro(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	alice, bob := w.enter("alice"), w.enter("bob")
	in, run, h0 := nonceFor(alice.name, bob, 1)
	got := alice.intro(in)
	if got.Status != proto.TicketIssued {
		t.Fatalf("status %d", got.Status)
	}
	h2 := sha256Of(h0[:], (&ticket.Nonce{CID: in.CID, Version: 1, Box: in.NonceBox}).Append(nil))
	k, forBob, err := run.OpenIntro(&alice.session.Tickets.Intro, &h2, &in.N1, got.Box)
	if err != nil {
		t.Fatal(err)
	}
	kB, err := run.OpenTicket(&bob.session.Tickets.Ticket, &h2, &[16]byte{7}, &forBob)
	if err != nil || k != kB {
		t.Errorf("bob: %v", err)
	}

	refused := func(name string, c *client, in *ticket.Intro) {
		if got := c.intro(in); got.Status != proto.TicketRefused {
			t.Errorf("%s: status %d", name, got.Status)
		}
	}
	spoilt := *in
	spoilt.NonceBox[50] ^= 1
	refused("a spoilt box", alice, &spoilt)
	other := *in
	other.Responder = nameOf(t, "nobody")
	refused("an unknown name", alice, &other)
	other.Responder = nameOf(t, "carol")
	refused("somebody offline", alice, &other)
	refused("somebody else's run", w.enter("carol"), in)
	self, _, _ := nonceFor(alice.name, alice, 2)
	refused("oneself", alice, self)
	// bob comes again: the box of his last session is of no use.
	w.enter("bob")
	refused("a replaced session", alice, in)
}

func TestIntroLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		alice, bob := w.enter("alice"), w.enter("bob")
		go func() { // alive, and reads nothing else
			for range 4 {
				time.Sleep(50 * time.Second)
				bob.trySend(proto.AppendPing(nil, [8]byte{}))
				bob.read()
			}
		}()
		in, _, _ := nonceFor(alice.name, bob, 1)
		status := func(want byte) {
			t.Helper()
			if got := alice.intro(in).Status; got != want {
				t.Errorf("status %d, not %d", got, want)
			}
		}
		for range introsPerWindow / 2 {
			status(proto.TicketIssued)
		}
		time.Sleep(introWindow / 2)
		for range introsPerWindow / 2 {
			status(proto.TicketIssued)
		}
		status(proto.TicketBusy)
		time.Sleep(introWindow/2 - time.Millisecond)
		status(proto.TicketBusy)
		time.Sleep(time.Millisecond)
		for range introsPerWindow / 2 { // the first half is a minute old now
			status(proto.TicketIssued)
		}
		status(proto.TicketBusy)
		time.Sleep(introWindow / 2)
		status(proto.TicketIssued)
		time.Sleep(4 * introWindow / 2)
	})
}
