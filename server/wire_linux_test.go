package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sim/proto"
)

// newWirePair returns a wire and its other end.
func newWirePair(t *testing.T) (w *wire, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if far, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	near, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	w = newWire(near).(*wire)
	t.Cleanup(func() {
		w.Close()
		far.Close()
	})
	return w, far
}

// A bare connection goes on: what does not wait can be done with it, and what waits once it is dressed again.
func TestBareConnection(t *testing.T) {
	w, far := newWirePair(t)
	remote := far.LocalAddr().String()
	s := newSocket(w).(*rawSocket)
	var in intake
	for _, say := range []string{"alice", "bob", "carol"} {
		if err := w.strip(); err != nil {
			t.Fatal(err)
		}
		if off, err := syscall.GetsockoptInt(w.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY); off == 0 || err != nil {
			t.Errorf("Nagle's algorithm is on: %v", err)
		}
		if w.RemoteAddr().String() != remote {
			t.Errorf("bare, it comes from %v", w.RemoteAddr())
		}
		if _, err := w.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a Read that might wait: %v", err)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a Write that might wait: %v", err)
		}
		if err := w.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a deadline for nobody: %v", err)
		}
		if n, err := s.tryWrite([]byte(say)); n != len(say) || err != nil {
			t.Fatalf("%d bytes written: %v", n, err)
		}
		far.Write([]byte(say))
		for in.empty() {
			if err := s.tryRead(&in); err != nil {
				t.Fatal(err)
			}
		}
		if got := string(in.bytes()); got != say {
			t.Fatalf("%q was read", got)
		}
		in.free()

		w.dress()
		w.dress() // which is nothing
		w.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(w, " and mallory"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(say)+len(" and mallory"))
		if _, err := io.ReadFull(far, got); err != nil || string(got) != say+" and mallory" {
			t.Fatalf("%q arrived: %v", got, err)
		}
		far.Write([]byte("!"))
		if err := s.read(&in); err != nil || string(in.bytes()) != "!" {
			t.Fatalf("%q was read: %v", in.bytes(), err)
		}
		in.free()
	}
}

// Whoever closes a connection closes it for good, bare or not: its descriptor is another's soon.
func TestClosedIsClosed(t *testing.T) {
	for _, bare := range []bool{true, false} {
		w, far := newWirePair(t)
		s := newSocket(w).(*rawSocket)
		if bare {
			if err := w.strip(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := far.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("the other end reads %d bytes: %v", n, err)
		}
		var in intake
		if err := s.tryRead(&in); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read: %v", err)
		}
		if _, err := s.tryWrite([]byte("x")); err == nil {
			t.Error("a write")
		}
		if err := w.watch(-1, syscall.EPOLL_CTL_DEL, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a change of what is watched: %v", err)
		}
		if err := w.strip(); err == nil {
			t.Error("it was stripped")
		}
		w.dress()
		if _, err := w.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dressed, a write: %v", err)
		}
		if err := w.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed again: %v", err)
		}
	}
}

// A connection that was reset has an address still: the log tells it.
func TestAddressOfAResetConnection(t *testing.T) {
	w, far := newWirePair(t)
	remote := far.LocalAddr().String()
	if err := w.strip(); err != nil {
		t.Fatal(err)
	}
	far.(*net.TCPConn).SetLinger(0)
	far.Close()
	var in intake
	for s := newSocket(w).(*rawSocket); s.tryRead(&in) == nil; {
		time.Sleep(time.Millisecond)
	}
	for _, when := range []string{"bare", "dressed", "closed"} {
		if got := w.RemoteAddr().String(); got != remote {
			t.Errorf("%s, it comes from %s and not from %s", when, got, remote)
		}
		w.LocalAddr()
		if when == "bare" {
			w.dress()
		} else {
			w.Close()
		}
	}
}

// A duplicate does not outlive the program in another that it starts.
func TestDuplicatesEndWithTheProgram(t *testing.T) {
	w, _ := newWirePair(t)
	if err := w.strip(); err != nil {
		t.Fatal(err)
	}
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(w.fd), syscall.F_GETFD, 0)
	if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
		t.Errorf("flags %d: %v", flags, errno)
	}
}

// Who waits until somebody who is parked takes more is waited for: the connection is given back to Go's poller, and not parked meanwhile.
func TestHeldConnection(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	w.untilParked(1)
	l := w.linkOf("alice")
	lot := l.lot
	lot.hold(l)
	lot.hold(l)
	if _, err := l.conn.net.(*wire).plain(); err != nil {
		t.Error(err)
	}
	if lot.park(l) {
		t.Fatal("it was parked while somebody waits")
	}
	lot.letGo(l)
	if lot.park(l) {
		t.Fatal("it was parked while somebody still waits")
	}
	lot.letGo(l)
	alice.ping()
	w.untilParked(1)

	// That somebody writes to her is no sign of her.
	w.heardAgo("alice", idleTime/2)
	lot.hold(l)
	lot.letGo(l)
	w.untilParked(1)
	lot.mu.Lock()
	defer lot.mu.Unlock()
	if ago := time.Since(l.heard); ago < idleTime/2 {
		t.Errorf("she was heard %v ago", ago)
	}
}

// Who wants to wait for a link that the lot is busy with gets it when that is done.
func TestHeldWhileTheLotIsBusy(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	w.untilParked(1)
	l := w.linkOf("alice")
	lot := l.lot
	lot.mu.Lock()
	number := l.parked
	lot.busy = l
	lot.mu.Unlock()
	held := make(chan struct{})
	go func() {
		lot.hold(l)
		close(held)
	}()
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		lot.mu.Lock()
		waits = lot.wanted
		lot.mu.Unlock()
	}
	select {
	case <-held:
		t.Error("the lot was not waited for")
	default:
	}
	lot.handle(number, time.Now())
	<-held
	lot.letGo(l)
	alice.ping()
}

// isSilent says whether somebody is parked among the silent.
func (w *world) isSilent(name string) bool {
	l := w.linkOf(name)
	lot := l.lot
	lot.mu.Lock()
	defer lot.mu.Unlock()
	return l.parked != 0 && l.silent
}

// untilSilent waits until somebody is, or is not.
func (w *world) untilSilent(name string, want bool) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); w.isSilent(name) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s is silent: %v", name, !want)
		}
	}
}

// Who has said nothing but that he is there is among the silent. Who says something is not.
func TestSilence(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	w.untilParked(2)
	w.heardAgo("alice", silentTime/2)
	alice.ping()
	w.untilParked(2)
	w.untilSilent("alice", false)
	w.heardAgo("alice", silentTime)
	w.heardAgo("bob", silentTime)
	alice.ping()
	w.untilSilent("alice", true)
	for range 2 {
		w.heardAgo("alice", silentTime)
		alice.ping()
		w.untilSilent("alice", true)
	}
	w.heardAgo("alice", silentTime)
	alice.relay(1, "bob", proto.Tag{}, "hello")
	bob.expectRelayed("alice", "hello")
	w.untilSilent("alice", false)
	if w.parkedLinks() != 2 {
		t.Error("alice is not parked any more")
	}
	w.heardAgo("alice", silentTime)
	alice.ping()
	w.untilSilent("alice", true)
	bob.ping()
}

// watched returns how many connections an epoll instance tells of.
func watched(t *testing.T, epoll int) int {
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", epoll))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(info), "tfd:")
}

// Who is not parked any more is not watched, and who is parked again has not been silent: the lot would be told of connections without end that it does not
// have, or never of one that it has.
func TestOnlyTheParkedAreWatched(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	w.untilParked(2)
	l := w.linkOf("alice")
	lot := l.lot
	expect := func(lately, silent int) {
		t.Helper()
		a, b := 0, 0
		for _, lot := range w.server.lots {
			a += watched(t, lot.lately) - 2 // silent, and clock
			b += watched(t, lot.silent)
		}
		if a != lately || b != silent {
			t.Errorf("%d of those who spoke lately are watched and %d of the silent, not %d and %d", a, b, lately, silent)
		}
	}
	for range 2 {
		expect(2, 0)
		w.heardAgo("alice", silentTime)
		alice.ping()
		w.untilSilent("alice", true)
		expect(1, 1)
		w.heardAgo("alice", silentTime)
		lot.hold(l)
		expect(1, 0)
		lot.letGo(l)
		alice.ping()
		w.untilParked(2)
		expect(2, 0)
		w.untilSilent("alice", false)
		lot.mu.Lock()
		ago := time.Since(l.spoke)
		lot.mu.Unlock()
		if ago >= silentTime {
			t.Errorf("she is parked as one who spoke %v ago", ago)
		}
	}
	bob.ping()
}

// However many are silent, the lot keeps up with them: it waits only where a look sees all that came.
func TestDense(t *testing.T) {
	for _, c := range []struct {
		n    int
		in   time.Duration
		want bool
	}{
		{0, lotPause, false}, {1, lotPause, false}, {1, lotPause/lotDense - 1, true}, {lotDense, lotPause, false}, {lotDense + 1, lotPause, true},
		{lotEvents - 1, lotPause, true}, {lotEvents, lotPause, false},
	} {
		if dense(c.n, c.in) != c.want {
			t.Errorf("%d in %v: %v", c.n, c.in, !c.want)
		}
	}
}

// Where much comes of the silent, the lot looks at times only. Nothing is left lying there, and who is not silent need not wait.
func TestMuchInTheLot(t *testing.T) {
	names := []string{"alice"}
	for i := range 30 {
		names = append(names, "u"+strings.Repeat("u", i))
	}
	w := newWorld(t, names)
	var people []*client
	for _, name := range names {
		people = append(people, w.enter(name))
	}
	w.untilParked(len(people))
	for range 2 {
		for i, p := range people[1:] {
			w.heardAgo(names[i+1], silentTime)
			p.ping()
		}
		if n := w.parkedLinks(); n != len(people) {
			t.Errorf("%d are parked", n)
		}
	}
	w.untilSilent("uu", true)
	w.untilSilent("alice", false)
	// A pause that does not end.
	for _, lot := range w.server.lots {
		startClock(lot.clock, 0)
		syscall.EpollCtl(lot.lately, syscall.EPOLL_CTL_MOD, lot.silent, &syscall.EpollEvent{Events: syscall.EPOLLONESHOT})
	}
	people[0].relay(1, "uu", proto.Tag{}, "now")
	people[2].expectRelayed("alice", "now")
}
