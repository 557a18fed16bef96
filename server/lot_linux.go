package server

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"sim/internal/forget"
)

// A lot is where quiet links wait. One goroutine waits for all of them, so that none has a goroutine, a stack or a timer of its own. What comes
// for a link it handles there and then, as far as that never waits; for all else the link gets a goroutine again.
type lot struct {
	// immutable
	file  *os.File // of an epoll instance, which Go's own one watches
	raw   syscall.RawConn
	ended chan struct{}

	mu     sync.Mutex
	parked map[uint64]*link // those that wait, by numbers of which none is used twice; file descriptors are
	last   uint64           // of these numbers
	busy   *link            // the one that is being handled,
	wanted bool             // and is to have its goroutine then
}

// newLot returns a lot that serves until its end is called; nil if the system has none to give.
func newLot() *lot {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	syscall.SetNonblock(fd, true) // or Go would not watch it
	t := &lot{file: os.NewFile(uintptr(fd), "lot"), ended: make(chan struct{}), parked: make(map[uint64]*link)}
	if t.raw, err = t.file.SyscallConn(); err == nil {
		err = t.file.SetReadDeadline(time.Now().Add(lotSweep)) // it can only be set where Go watches
	}
	if err != nil {
		t.file.Close()
		return nil
	}
	go t.serve()
	return t
}

// end ends the lot's goroutine. Nobody is parked, nor will be.
func (t *lot) end() {
	if t != nil {
		t.file.Close()
		<-t.ended
	}
}

// park takes a link whose goroutine has nothing else to do, and is to end then. It is false where that must go on: the session is over, or the connection.
func (t *lot) park(l *link) bool {
	if t == nil {
		return false
	}
	socket, ok := l.socket.(*rawSocket)
	if !ok {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Who ends the session, or closes the connection, calls wake then: it finds the link here, unless we see it now.
	if l.session.ended.Load() != nil {
		return false
	}
	t.last++
	// Level-triggered: what is not read is told again.
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(t.last), Pad: int32(t.last >> 32)}
	if t.control(socket, syscall.EPOLL_CTL_ADD, &event) != nil {
		return false
	}
	l.parked = t.last
	t.parked[l.parked] = l
	l.in.rest()
	l.conn.net.SetReadDeadline(time.Time{})
	return true
}

func (t *lot) control(socket *rawSocket, op int, event *syscall.EpollEvent) error {
	var err error
	outer := t.raw.Control(func(epoll uintptr) {
		if closed := socket.raw.Control(func(fd uintptr) { err = syscall.EpollCtl(int(epoll), op, int(fd), event) }); closed != nil {
			err = closed
		}
	})
	return errors.Join(outer, err)
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
	t.control(l.socket.(*rawSocket), syscall.EPOLL_CTL_DEL, nil) // where it is closed, the system has done so
}

// serve is the lot's goroutine.
func (t *lot) serve() {
	defer close(t.ended)
	var events [lotEvents]syscall.EpollEvent
	for {
		n := 0
		err := t.raw.Read(func(epoll uintptr) bool {
			n = pollNow(epoll, events[:])
			return n > 0
		})
		switch {
		case err == nil:
			for _, event := range events[:n] {
				t.handle(uint64(uint32(event.Fd)) | uint64(uint32(event.Pad))<<32)
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			now := time.Now()
			t.sweep(now)
			t.file.SetReadDeadline(now.Add(lotSweep))
		default:
			return
		}
	}
}

// handle handles what has come for a link.
func (t *lot) handle(number uint64) {
	t.mu.Lock()
	l := t.parked[number]
	t.busy = l
	t.mu.Unlock()
	if l == nil { // it was woken meanwhile
		return
	}
	var e *ending
	forget.Do(func() { e = l.glance() })
	t.mu.Lock()
	defer t.mu.Unlock()
	if e != nil || t.wanted {
		t.release(l)
		go l.awake(e)
	}
	t.busy, t.wanted = nil, false
}

// sweep ends links of which nothing was heard for too long.
func (t *lot) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.parked {
		if now.Sub(l.heard) >= idleTime {
			t.release(l)
			go l.awake(endIdle)
		}
	}
}

// glance handles what has come for a parked link, as far as that never waits. A reason says that the link needs a goroutine.
func (l *link) glance() *ending {
	l.session.hurried = true
	defer func() { l.session.hurried = false }()
	switch err := l.socket.(*rawSocket).tryRead(&l.in); {
	case errors.Is(err, os.ErrDeadlineExceeded): // the end of the session, which wakes it
		return nil
	case err != nil:
		return endCutOff
	case !l.whole():
		l.in.rest()
		return nil
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
	now := time.Now()
	alone := now.Sub(l.heard) >= quietTime
	l.heard = now
	l.session.flush(now)
	if !alone {
		return endWaits
	}
	l.in.rest()
	return nil
}
