package server

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"sim/internal/forget"
)

// A lot is where links wait. One goroutine waits for all of a lot's, so that none has a goroutine, a stack or a timer of its own, and their connections
// are bare (see wire): Go's poller is told of the lot alone. What comes for a link the lot handles there and then, as far as that never waits; for all
// else the link gets a goroutine, until nothing has come for it for quietTime.
//
// Each record wakes the process for itself, which costs more than the record does. So where many come from those who have been silent, and most likely
// are keep-alives, the lot looks at times only. Who has said something lately never waits for that. And where records come one upon the other the lot
// waits in the system, and not in Go's scheduler, which looks around for other work before it sleeps.
type lot struct {
	// immutable
	lately  int             // an epoll instance: of those who have said something lately, and of silent and clock
	silent  int             // another, of those who have not; lately tells of it once, until it is set again
	clock   int             // a timer
	bell    *os.File        // an epoll instance in Go's poller, which tells of lately, once each time that it is set
	ringing syscall.RawConn // of bell
	ended   chan struct{}

	mu     sync.Mutex
	parked map[uint64]*link // those that wait, by numbers of which none is used twice; file descriptors are
	last   uint64           // of these numbers
	busy   *link            // the one that is being handled,
	wanted bool             // and is to have its goroutine then
	free   sync.Cond        // nobody is busy any more
	spare  int              // a descriptor to give up where another is needed for a moment; -1 for none
}

// The first numbers are not links'.
const (
	silentRings = 1 + iota
	clockRings
	linksBegin
)

// newLots returns the lots of a server: few, since each that has less to do is woken for less, and each occupies a processor while it waits in the system.
func newLots() (all []*lot) {
	for range min(max(1, runtime.GOMAXPROCS(0)/lotProcessors), maxLots) {
		if t := newLot(); t != nil {
			all = append(all, t)
		}
	}
	return all
}

// newLot returns a lot that serves until its end is called; nil if the system has none to give.
func newLot() *lot {
	t := &lot{lately: -1, silent: -1, clock: -1, spare: -1, ended: make(chan struct{}), parked: make(map[uint64]*link), last: linksBegin}
	t.free.L = &t.mu
	if err := t.open(); err != nil {
		t.close()
		return nil
	}
	go t.serve()
	return t
}

func (t *lot) open() (err error) {
	if t.lately, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if t.silent, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if t.clock, err = newClock(); err != nil {
		return err
	}
	bell, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	syscall.SetNonblock(bell, true) // or Go would not watch it
	t.bell = os.NewFile(uintptr(bell), "bell")
	if t.ringing, err = t.bell.SyscallConn(); err != nil {
		return err
	}
	for _, of := range []struct {
		epoll, fd int
		event     *syscall.EpollEvent
	}{
		{bell, t.lately, &once},
		{t.lately, t.silent, &silentOnce},
		{t.lately, t.clock, &syscall.EpollEvent{Events: syscall.EPOLLIN | epollEdge, Fd: clockRings}},
	} {
		if err := syscall.EpollCtl(of.epoll, syscall.EPOLL_CTL_ADD, of.fd, of.event); err != nil {
			return err
		}
	}
	t.save()
	return t.bell.SetReadDeadline(time.Now().Add(lotSweep)) // it can only be set where Go watches
}

func (t *lot) close() {
	if t.bell != nil {
		t.bell.Close()
	}
	for _, fd := range []int{t.lately, t.silent, t.clock, t.spare} {
		syscall.Close(fd) // or EBADF, of -1
	}
}

// end ends the lot's goroutine. Nobody is parked, nor will be.
func (t *lot) end() {
	if t != nil {
		t.bell.Close()
		<-t.ended
		t.close()
	}
}

// park takes a link whose goroutine has nothing else to do, and is to end then. It is false where that must go on: the session is over, or the
// connection, or somebody waits until he can write to it.
func (t *lot) park(l *link) bool {
	if t == nil {
		return false
	}
	w, ok := l.conn.net.(*wire)
	if !ok {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Who ends the session, or closes the connection, calls wake then: it finds the link here, unless we see it now.
	if l.session.ended.Load() != nil || l.held > 0 || w.strip() != nil {
		return false
	}
	t.last++
	if watch(w, t.lately, t.last) != nil {
		t.dress(w)
		return false
	}
	l.parked, l.silent, l.spoke = t.last, false, l.heard
	t.parked[l.parked] = l
	l.in.rest()
	return true
}

// watch has an epoll instance tell of a connection, by a number. It is level-triggered: what is not read is told again.
func watch(w *wire, epoll int, number uint64) error {
	return w.watch(epoll, syscall.EPOLL_CTL_ADD, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(number), Pad: int32(number >> 32)})
}

// room is the epoll instance that tells of a link. The caller holds mu.
func (t *lot) room(l *link) int {
	if l.silent {
		return t.silent
	}
	return t.lately
}

// move brings a link to those who are silent, or away from them. The caller holds mu.
func (t *lot) move(l *link, silent bool) error {
	w := l.conn.net.(*wire)
	if err := w.watch(t.room(l), syscall.EPOLL_CTL_DEL, nil); err != nil {
		return err
	}
	l.silent = silent
	return watch(w, t.room(l), l.parked)
}

// hold keeps a link's connection in Go's poller until letGo is called: somebody is about to wait for it.
func (t *lot) hold(l *link) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l.held++
	for l.parked != 0 && l == t.busy {
		t.wanted = true
		t.free.Wait()
	}
	if l.parked != 0 {
		t.release(l)
		go l.awake(nil)
	}
}

func (t *lot) letGo(l *link) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l.held--
}

// wake gives a link its goroutine back, if it is parked.
func (t *lot) wake(l *link) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case l.parked == 0:
	case l == t.busy:
		t.wanted = true
	default:
		t.release(l)
		go l.awake(nil)
	}
}

// release takes a link out. The caller holds mu.
func (t *lot) release(l *link) {
	delete(t.parked, l.parked)
	l.parked = 0
	w := l.conn.net.(*wire)
	w.watch(t.room(l), syscall.EPOLL_CTL_DEL, nil) // where it is closed, the system has done so
	t.dress(w)
}

// dress gives a connection back to Go's poller. For a moment that takes a descriptor more, and where there is none it would be lost. The caller holds mu.
func (t *lot) dress(w *wire) {
	syscall.Close(t.spare)
	w.dress()
	t.save()
}

// save opens the spare descriptor.
func (t *lot) save() {
	var err error
	if t.spare, err = duplicate(uintptr(t.clock)); err != nil {
		t.spare = -1
	}
}

// serve is the lot's goroutine.
func (t *lot) serve() {
	defer close(t.ended)
	var events [lotEvents]syscall.EpollEvent
	now := time.Now()
	looked, swept, turned := now, now, now
	for brisk := 0; ; {
		n, err := t.await(events[:], brisk == lotBrisk)
		over := errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !over {
			return
		}
		last := now
		now = time.Now()
		switch {
		case now.Sub(last) >= lotLinger: // it has waited for the bell, most likely, while others ran
			brisk, turned = 0, now
		case brisk < lotBrisk-1:
			brisk++
		case brisk == lotBrisk-1 && runtime.GOMAXPROCS(0) > 1: // or it would keep the only processor
			brisk, turned = lotBrisk, time.Time{}
		}
		for _, event := range events[:n] {
			switch number := numberOf(event); number {
			case silentRings, clockRings:
				looked = t.look(now, looked)
			default:
				t.handle(number, now)
			}
		}
		if over || now.Sub(swept) >= lotSweep {
			next := now
			if t.sweep(now) {
				swept, next = now, now.Add(lotSweep)
			}
			t.bell.SetReadDeadline(next)
		}
		if now.Sub(turned) >= lotTurn {
			// Otherwise the scheduler would take this for a loop that lets nobody else run, and look at it all the time. And it has another thread wait at
			// Go's poller: this one may have been the last that did.
			runtime.Gosched()
			turned = now
		}
	}
}

// dense says whether so much came of the silent in a time that the next look can wait. Not where one look did not see all: they would be too many for
// a look at times.
func dense(n int, in time.Duration) bool {
	return n < lotEvents && in*lotDense < lotPause*time.Duration(n)
}

// await waits until something has come, in the system at first where it comes one upon the other.
func (t *lot) await(events []syscall.EpollEvent, brisk bool) (n int, err error) {
	if brisk {
		if n, _ = syscall.EpollWait(t.lately, events, int(lotLinger/time.Millisecond)); n > 0 { // -1 where it was interrupted
			return n, nil
		}
	}
	// Unset, the bell wakes no thread of Go's while the lot waits in the system.
	if err := t.ringing.Control(func(bell uintptr) { syscall.EpollCtl(int(bell), syscall.EPOLL_CTL_MOD, t.lately, &once) }); err != nil {
		return 0, err
	}
	err = t.ringing.Read(func(bell uintptr) bool {
		var rung [1]syscall.EpollEvent
		return pollNow(bell, rung[:]) > 0
	})
	if err != nil {
		return 0, err
	}
	return pollNow(uintptr(t.lately), events), nil
}

// numberOf is the number that an epoll instance was given with what it tells of.
func numberOf(event syscall.EpollEvent) uint64 {
	return uint64(uint32(event.Fd)) | uint64(uint32(event.Pad))<<32
}

// look handles what has come of the silent, and sees to it that the lot looks again. It returns when something had come last.
func (t *lot) look(now, last time.Time) time.Time {
	var events [lotEvents]syscall.EpollEvent
	n := pollNow(uintptr(t.silent), events[:])
	for _, event := range events[:n] {
		t.handle(numberOf(event), now)
	}
	if dense(n, now.Sub(last)) {
		startClock(t.clock, lotPause)
	} else {
		t.set()
	}
	if n > 0 {
		return now
	}
	return last
}

// set makes the lot be told when something has come of the silent: at once, if something is there.
func (t *lot) set() { syscall.EpollCtl(t.lately, syscall.EPOLL_CTL_MOD, t.silent, &silentOnce) }

// What an epoll instance tells of once, when something is there.
var (
	once       = syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT}
	silentOnce = syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT, Fd: silentRings}
)

// handle handles what has come for a link.
func (t *lot) handle(number uint64, now time.Time) {
	t.mu.Lock()
	l := t.parked[number]
	t.busy = l
	t.mu.Unlock()
	if l == nil { // it was woken meanwhile
		return
	}
	var e *ending
	forget.Do(func() { e = l.glance(now) })
	t.mu.Lock()
	defer t.mu.Unlock()
	if silent := l.heard.Sub(l.spoke) >= silentTime; e == nil && silent != l.silent && t.move(l, silent) != nil {
		e = endWaits
	}
	if e != nil || t.wanted {
		t.release(l)
		go l.awake(e)
	}
	t.busy, t.wanted = nil, false
	t.free.Broadcast()
}

// sweep ends links of which nothing was heard for too long, and says whether these were all.
func (t *lot) sweep(now time.Time) (all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, l := range t.parked {
		if now.Sub(l.heard) < idleTime {
			continue
		}
		if n == lotSwept { // others wait
			return false
		}
		t.release(l)
		go l.awake(endIdle)
		n++
	}
	return true
}

// glance handles what has come for a parked link, as far as that never waits. A reason says that the link needs a goroutine.
func (l *link) glance(now time.Time) *ending {
	l.session.hurried, l.session.said = true, false
	defer func() { l.session.hurried = false }()
	if !l.silent && now.Sub(l.heard) >= lateAck {
		l.conn.net.(*wire).delayAcks()
	}
	more := true
	for n := 0; more; n++ {
		if n == lotReads { // it has so much to say that it gets a goroutine for that
			return endWaits
		}
		if l.socket.(*rawSocket).tryRead(&l.in) != nil {
			return endCutOff
		}
		more = l.in.full()
		if !l.whole() {
			continue
		}
		for l.whole() {
			frames, e := l.readRecord()
			if e == nil {
				e = l.session.handleFrames(&frames)
			}
			if e == endWaits {
				l.first = frames
			}
			if e != nil {
				return e
			}
		}
		l.heard = now
		if l.session.said {
			l.spoke = now
		}
		l.session.flush(now) // before others' room is full of what is read next
	}
	l.in.rest()
	return nil
}
