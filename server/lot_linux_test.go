package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"sim/proto"
)

// parkedLinks returns how many links wait in lots.
func (w *world) parkedLinks() (n int) {
	for _, t := range w.server.lots {
		t.mu.Lock()
		n += len(t.parked)
		t.mu.Unlock()
	}
	return n
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
	l := w.linkOf(name)
	l.lot.mu.Lock()
	defer l.lot.mu.Unlock()
	for l.lot.busy == l {
		l.lot.free.Wait()
	}
	l.heard = time.Now().Add(-ago)
	l.spoke = l.heard
}

// placeOf is the number under which somebody is parked, which is another each time; 0 for none.
func (w *world) placeOf(name string) uint64 {
	l := w.linkOf(name)
	l.lot.mu.Lock()
	defer l.lot.mu.Unlock()
	return l.parked
}

// sweep has the lots look for the idle now.
func (w *world) sweep() {
	for _, t := range w.server.lots {
		t.bell.SetReadDeadline(time.Now())
	}
}

// Nobody has a goroutine, however much he says, while nothing of it has to wait.
func TestParkedLinksHaveNoGoroutine(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	alice, bob, carol := w.enter("alice"), w.enter("bob"), w.enter("carol")
	w.untilParked(3)
	was := w.placeOf("alice")
	for i := range 3 * lotBrisk {
		alice.ping()
		alice.relay(uint32(i), "bob", proto.Tag{}, "the lot relays, too")
		bob.expectRelayed("alice", "the lot relays, too")
	}
	w.untilParked(3)
	if w.placeOf("alice") != was {
		t.Error("alice was taken out meanwhile")
	}
	carol.ping()
}

// While one says something all the time, the lot waits in the system. It does all that it does otherwise.
func TestBriskLot(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	alice, bob, carol := w.enter("alice"), w.enter("bob"), w.enter("carol")
	w.untilParked(3)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			alice.ping()
		}
	}()
	for range 3 {
		w.heardAgo("bob", silentTime)
		bob.ping()
		w.untilSilent("bob", true)
	}
	bob.relay(1, "carol", proto.Tag{}, "hello")
	carol.expectRelayed("bob", "hello")
	w.heardAgo("carol", idleTime)
	carol.expectClose(proto.CloseIdle) // in a sweep that nobody called for
	close(stop)
	<-stopped
	alice.ping()
	for range lotBrisk {
		alice.ping()
	}
	go w.stop()
	alice.expect(proto.TypeNotice)
	alice.expectClose(proto.CloseStopping)
	alice.conn.Close()
	bob.conn.Close()
	carol.conn.Close()
}

// newUnserved returns a lot that nobody serves, with a connection in one of its rooms, and that connection's far end.
func newUnserved(t *testing.T, room func(*lot) int) (*lot, *wire, net.Conn) {
	t.Helper()
	lot := &lot{}
	t.Cleanup(lot.close)
	if err := lot.open(); err != nil {
		t.Fatal(err)
	}
	wire, far := newWirePair(t)
	if err := errors.Join(wire.strip(), watch(wire, room(lot), linksBegin)); err != nil {
		t.Fatal(err)
	}
	return lot, wire, far
}

// While the lot waits in the system, Go's poller is not told of what comes: a thread of Go's would wake each time, for nothing.
func TestTheBellIsSilent(t *testing.T) {
	lot, wire, far := newUnserved(t, func(t *lot) int { return t.lately })
	isSet := func() (set bool) {
		lot.ringing.Control(func(bell uintptr) {
			info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", bell))
			if err != nil {
				t.Error(err)
			}
			var fd, events uint32
			for line := range strings.Lines(string(info)) {
				if n, _ := fmt.Sscanf(line, "tfd: %d events: %x", &fd, &events); n == 2 {
					set = events&syscall.EPOLLIN != 0
				}
			}
		})
		return set
	}
	var events [lotEvents]syscall.EpollEvent
	if err := far.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, brisk := range []bool{false, true, true, false, true} {
		far.Write([]byte("x"))
		if !brisk { // so that the bell, which is set at the beginning, has rung
			for !isReadable(lot.lately) {
				time.Sleep(time.Millisecond)
			}
		}
		n, err := lot.await(events[:], brisk)
		for n == 0 && err == nil {
			n, err = lot.await(events[:], brisk)
		}
		if err != nil || n != 1 || numberOf(events[0]) != linksBegin {
			t.Fatalf("%d events, of %d: %v", n, numberOf(events[0]), err)
		}
		if isSet() {
			t.Error("the bell is set while nobody waits for it")
		}
		var in intake
		if err := newSocket(wire).(*rawSocket).tryRead(&in); err != nil || len(in.bytes()) != 1 {
			t.Fatal(in.bytes(), err)
		}
	}
	// With something there, who waits in the system does not touch the bell.
	syscall.EpollCtl(lot.lately, syscall.EPOLL_CTL_MOD, lot.silent, &silentOnce)
	far.Write([]byte("x"))
	for !isReadable(lot.lately) {
		time.Sleep(time.Millisecond)
	}
	lot.ringing.Control(func(bell uintptr) { syscall.EpollCtl(int(bell), syscall.EPOLL_CTL_DEL, lot.lately, nil) })
	if n, err := lot.await(events[:], true); n != 1 || err != nil {
		t.Errorf("%d events without the bell: %v", n, err)
	}
	lot.ringing.Control(func(bell uintptr) { syscall.EpollCtl(int(bell), syscall.EPOLL_CTL_ADD, lot.lately, &once) })
	var in intake
	newSocket(wire).(*rawSocket).tryRead(&in)

	// Where nothing comes the lot comes back to Go's poller, where its end reaches it.
	time.AfterFunc(2*lotLinger, func() { lot.bell.Close() })
	for {
		if _, err := lot.await(events[:], true); err != nil {
			break
		}
	}
	lot.bell = nil
}

// What comes of the silent is told once, until the lot has looked and asks again: in its pause nothing wakes it.
func TestTheSilentRingOnce(t *testing.T) {
	lot, _, far := newUnserved(t, func(t *lot) int { return t.silent })
	far.Write([]byte("x"))
	var events [lotEvents]syscall.EpollEvent
	for range 2 {
		for n := 0; n == 0; {
			var err error
			if n, err = lot.await(events[:], false); err != nil {
				t.Fatal(err)
			}
		}
		if number := numberOf(events[0]); number != silentRings {
			t.Errorf("%d rings", number)
		}
		if isReadable(lot.lately) {
			t.Error("it rings on")
		}
		lot.set()
		if !isReadable(lot.lately) {
			t.Error("set, it does not ring")
		}
	}
}

// isReadable says whether an epoll instance has something to tell, and leaves it there.
func isReadable(epoll int) bool {
	var set syscall.FdSet
	set.Bits[epoll/64] |= 1 << (epoll % 64)
	n, err := syscall.Select(epoll+1, &set, nil, nil, &syscall.Timeval{})
	return n == 1 && err == nil
}

// What alice says is acknowledged with what is written to her next, however long she was quiet.
func TestLateAcknowledgements(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	w.untilParked(2)
	raw := (*rawWire)(w.linkOf("alice").conn.net.(*wire))
	for judged := 0; judged < 3; {
		// As the system does when nothing was written to her in time.
		raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) })
		w.heardAgo("alice", lateAck)
		began := time.Now()
		alice.relay(1, "bob", proto.Tag{}, "hello")
		bob.expectRelayed("alice", "hello")
		quick := -1
		raw.Control(func(fd uintptr) { quick, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK) })
		if time.Since(began) >= lateAck/2 {
			continue // the system may have done it again
		}
		judged++
		if quick != 0 {
			t.Errorf("she gets acknowledgements at once: %d", quick)
		}
	}
}

// pileUp lets so many bytes of records come for somebody who is parked before the lot is told, and returns what tells it. It skips the test where a
// socket does not hold as many.
func (w *world) pileUp(c *client, name string, records []byte) (tell func()) {
	w.t.Helper()
	l := w.linkOf(name)
	at := l.conn.net.(*wire)
	at.watch(l.lot.lately, syscall.EPOLL_CTL_DEL, nil)
	at.mu.RLock()
	syscall.SetsockoptInt(at.fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4*len(records))
	at.mu.RUnlock()
	c.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.conn.Write(records); err != nil {
		w.t.Skipf("a socket here does not hold %d bytes: %v", len(records), err)
	}
	for deadline := time.Now().Add(5 * time.Second); w.waiting(name) < len(records); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Skipf("a socket here holds %d bytes, and not %d", w.waiting(name), len(records))
		}
	}
	return func() { watch(at, l.lot.lately, w.placeOf(name)) }
}

// waiting returns how many bytes have come of somebody who is parked, and were not read.
func (w *world) waiting(name string) int {
	at := w.linkOf(name).conn.net.(*wire)
	at.mu.RLock()
	defer at.mu.RUnlock()
	var n int32
	syscall.Syscall(syscall.SYS_IOCTL, uintptr(at.fd), syscall.TIOCINQ, uintptr(unsafe.Pointer(&n)))
	return int(n)
}

// Who says very much has his turn, as others have, and then a goroutine.
func TestTurnsInTheLot(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	w.untilParked(1)
	var much []byte
	records := 0
	for ; len(much) < lotReads*readSize+readSize/2; records++ {
		much = alice.session.Send.Seal(much, proto.AppendPing(nil, [8]byte{}), time.Now())
	}
	tell := w.pileUp(alice, "alice", much)
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		for range records {
			alice.expect(proto.TypePong)
		}
	})
	before := w.waiting("alice")
	l := w.linkOf("alice")
	if e := l.glance(time.Now()); e != endWaits {
		t.Errorf("after a turn: %v", e)
	}
	if taken := before - w.waiting("alice"); taken <= (lotReads-1)*readSize || taken > lotReads*readSize {
		t.Errorf("%d bytes in a turn", taken)
	}
	tell()
}

// What one read brings is written before the next is handled: it would find no room.
func TestManyAtOnceFindRoom(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	w.untilParked(2)
	text := strings.Repeat("x", 3900)
	var much []byte
	const texts = 28
	for n := 0; n < texts; n += 4 {
		var frames []byte
		for i := range 4 { // which are a record of the largest size: more of these in a turn than bob has room for
			frames = append(frames, relayFrame(t, uint32(n+i), "bob", proto.Tag{}, text)...)
		}
		much = alice.session.Send.Seal(much, frames, time.Now())
	}
	w.pileUp(alice, "alice", much)()
	for range texts {
		bob.expectRelayed("alice", text)
	}
	alice.ping() // and none was refused
}

// What waits in somebody's own queue keeps no room from his next answer: it is written first.
func TestRoomForTheNextAnswer(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	w.untilParked(1)
	place := w.placeOf("alice")
	defer w.fill("alice", proto.MaxUsersFrame+pongFrameSize/2)()
	alice.send(proto.AppendList(proto.AppendPing(nil, [8]byte{}), proto.List{}))
	alice.expect(proto.TypePong)
	alice.expect(proto.TypeUsers)
	if w.placeOf("alice") != place {
		t.Error("she got a goroutine")
	}
}

// Very many who went silent at once are ended a few at a time, and all.
func TestManyEndInASweep(t *testing.T) {
	const more = 4
	var names []string
	for n := range lotSwept + more {
		names = append(names, fmt.Sprint("user", n))
	}
	w := newWorld(t, names)
	var people []*client
	for _, name := range names {
		people = append(people, w.enter(name))
	}
	w.untilParked(len(names))
	for _, name := range names {
		w.heardAgo(name, idleTime)
	}
	for _, lot := range w.server.lots {
		before := w.parkedLinks()
		if all := lot.sweep(time.Now()); before-w.parkedLinks() > lotSwept || all == (len(w.server.lots) == 1) {
			t.Errorf("%d are ended; all: %v", before-w.parkedLinks(), all)
		}
	}
	w.sweep()
	for _, p := range people {
		p.expectClose(proto.CloseIdle)
		p.conn.Close()
	}
}

// In a server with many processors people are spread over several lots, and notice nothing.
func TestPeopleInSeveralLots(t *testing.T) {
	names := []string{"alice", "bob", "carol", "dave", "erin", "frank"}
	was := runtime.GOMAXPROCS(4 * lotProcessors)
	w := newWorld(t, names)
	var people []*client
	for _, name := range names {
		people = append(people, w.enter(name))
	}
	runtime.GOMAXPROCS(was)
	if len(w.server.lots) < 2 {
		t.Fatal("there is one lot")
	}
	w.untilParked(len(people))
	var all sync.WaitGroup
	for i, p := range people {
		all.Go(func() {
			to := names[(i+1)%len(names)]
			for n := range 50 {
				p.relay(uint32(n), to, proto.Tag{}, "hello")
			}
			from := names[(i+len(names)-1)%len(names)]
			for range 50 {
				p.expectRelayed(from, "hello")
			}
		})
	}
	all.Wait()
	w.untilParked(len(people))
	w.sessionOf("bob").end(endRemoved)
	people[0].expect(proto.TypeGone)
	people[2].expect(proto.TypeGone)
	people[1].expectClose(proto.CloseRemoved)
	people[1].conn.Close()
	w.untilParked(len(people) - 1)
}

// Lots are spread evenly over links, and there are few.
func TestLots(t *testing.T) {
	all := newLots()
	if n := len(all); n < 1 || n > maxLots {
		t.Errorf("%d lots", n)
	}
	for _, lot := range all {
		lot.end()
	}
	s := &Server{lots: []*lot{{}, {}, {}}}
	given := map[*lot]int{}
	for range 300 {
		given[s.nextLot()]++
	}
	for _, lot := range s.lots {
		if given[lot] != 100 {
			t.Errorf("one has %d links of 300", given[lot])
		}
	}
	if (&Server{}).nextLot() != nil {
		t.Error("a lot where there is none")
	}
}

// untilSmall waits until what was read of somebody who is parked holds no more memory than one small record.
func (w *world) untilSmall(name string) {
	w.t.Helper()
	l := w.linkOf(name)
	lot := l.lot
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

// fill leaves so much room in somebody's queue, until empty is called.
func (w *world) fill(name string, room int) (empty func()) {
	out := w.sessionOf(name).out
	out.mu.Lock()
	defer out.mu.Unlock()
	full := outboxSize - outboxLast - out.held - room
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
	empty := w.fill("alice", 0)
	alice.send(proto.AppendPing(nil, [8]byte{'p'}))
	w.untilClaiming("alice")
	bob.ping()
	empty()
	alice.expect(proto.TypePong)
	alice.ping()
	if n := w.parkedLinks(); n != 1 {
		t.Errorf("%d links are parked, and alice may have to wait again", n)
	}
	w.untilParked(2) // when she has been quiet
	alice.ping()     // the deadline that had passed is not hers any more
	bob.ping()

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
	s := w.sessionOf("alice")
	lot := s.link.lot
	lot.mu.Lock()
	number := s.link.parked
	lot.busy = s.link
	lot.mu.Unlock()
	s.end(endRemoved)
	if n := w.parkedLinks(); n != 1 {
		t.Fatalf("%d links are parked", n)
	}
	lot.handle(number, time.Now())
	alice.expectClose(proto.CloseRemoved)
}

// Whose session ends in the moment before it would be parked is not: nobody would wake it.
func TestNobodyIsParkedAtTheEnd(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	w.untilParked(1)
	s := w.sessionOf("alice")
	lot := s.link.lot
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
			place := w.placeOf("bob")
			end.do(w, alice, bob)
			alice.conn.Close()
			if end.what == "the server stops" { // for bob, too
				bob.conn.Close()
				return
			}
			bob.expect(proto.TypeGone)
			w.untilParked(1)
			if w.placeOf("bob") != place {
				t.Error("bob got a goroutine to be told that alice is gone")
			}
			bob.ping()
			bob.conn.Close()
		})
	}
}
