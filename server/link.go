package server

import (
	"errors"
	"os"
	"sync"
	"time"

	"sim/internal/forget"
	"sim/proto"
)

// A link is a connection of a session. One goroutine at a time serves it, its own or that of a lot: it reads, and handles what it reads. Others may
// write to it; see writing.go.
type link struct {
	// immutable
	session *session
	conn    *conn
	socket  socket
	lot     *lot          // where it waits; nil where there is none
	resumed []byte        // Resumed, to be written before all records; nil on a session's first link
	ended   chan struct{} // is closed when its goroutine has done with the session, and nobody writes any more

	losing sync.Once

	send *proto.Sender // owned by the one who writes

	// owned by the reader
	receive *proto.Receiver
	in      intake
	first   proto.Frames  // of a record that was opened and is not handled yet: a new session's first one, or glance's
	heard   time.Time     // when records were handled last, or the link began
	within  time.Duration // the next has to come: PingDeadline for the first one, quietTime, or idleTime where the link is quiet

	choosing *time.Timer // in a session that is to choose a password

	// guarded by the lot's mu
	parked uint64 // 0 where it is not
	held   int    // so many want it not to be
	silent bool   // it is parked among the silent

	spoke time.Time // when something other than a Ping was said last, or the link was parked; owned by the lot
}

func newLink(s *session, c *conn, send *proto.Sender, receive *proto.Receiver, now time.Time) *link {
	return &link{
		session: s,
		conn:    c,
		socket:  newSocket(c.net),
		lot:     s.server.nextLot(),
		ended:   make(chan struct{}),
		send:    send,
		receive: receive,
		heard:   now,
		within:  proto.PingDeadline,
	}
}

// run is the beginning of a link, on a goroutine of its own.
func (l *link) run() {
	forget.Do(func() {
		e := l.begin()
		if e == nil {
			e = l.read()
		}
		l.leave(e)
	})
}

// awake goes on with a link that was parked, on a goroutine of its own. The reason is glance's, or nil.
func (l *link) awake(e *ending) {
	forget.Do(func() {
		if e == nil || e == endWaits {
			e = l.goOn(e)
		}
		l.leave(e)
	})
}

// leave is what a goroutine of the link ends with: with the link, unless that was parked.
func (l *link) leave(e *ending) {
	if e != endParked {
		l.end(e)
	}
}

// begin begins with what the login has left to do, and handles the first record.
func (l *link) begin() *ending {
	s := l.session
	if l.resumed != nil {
		if err := l.write(l.resumed); errors.Is(err, errStalled) {
			return endStalled
		} else if err != nil {
			return endCutOff
		}
	}
	l.conn.net.SetWriteDeadline(time.Time{}) // of the login
	if s.keys.Enrol {
		l.choosing = time.AfterFunc(choosingTime, func() { s.end(endUnchosen) })
	}
	s.out.open(l)
	if l.resumed != nil {
		if _, e := l.readFirst(); e != nil {
			return e
		}
		s.confirm()
	}
	return l.handleFirst()
}

// end is the end of a link and its connection, and perhaps of the session.
func (l *link) end(e *ending) {
	defer l.session.server.running.Done()
	defer l.conn.end()
	s := l.session
	s.flush(time.Now())
	if l.choosing != nil {
		l.choosing.Stop()
	}
	l.over(e)
	l.rest()
	l.in.free()
	l.send.Clear()
	l.receive.Clear()
	why := s.leave()
	close(l.ended)
	if why != nil && !why.cut {
		l.conn.closeSlowly()
	}
}

// rest writes what is left, until nobody writes to this link any more.
func (l *link) rest() {
	out := l.session.out
	for {
		switch begun, over := out.leave(); {
		case begun:
			l.writeAll()
		case over:
			return
		default:
			<-out.wake
		}
	}
}

// over ends a link, and with it the session if that can't be resumed.
func (l *link) over(e *ending) {
	s := l.session
	if !e.lost || s.ended.Load() != nil || !s.resumable() {
		s.end(e)
		return
	}
	l.lose(e.reason)
}

// lose ends a link alone, which is the session's current one.
func (l *link) lose(reason string) {
	l.losing.Do(func() {
		l.session.server.log.Debug("connection lost", "reason", reason, l.conn.who(l.session.name))
		l.conn.net.Close()
		l.session.out.unlink()
		l.lot.wake(l)
	})
}

// These are the end of nothing but some loop.
var (
	endQuiet  = &ending{reason: "nothing came for quietTime"}
	endParked = &ending{reason: "it waits in the lot"}
	endWaits  = &ending{reason: "it is handled on a goroutine of its own"}
)

// readFirst reads the first record, whose first frame must be a Ping. It says whether another is a Seen.
func (l *link) readFirst() (seen bool, e *ending) {
	if e := l.wait(); e != nil {
		return false, e
	}
	if e := l.fill(); e != nil {
		return false, e
	}
	if l.first, e = l.readRecord(); e != nil {
		return false, e
	}
	frames := l.first
	if ping, _ := frames.Next(); ping.Type != proto.TypePing {
		return false, violation("a first frame that is no Ping")
	}
	for f, ok := frames.Next(); ok; f, ok = frames.Next() {
		seen = seen || f.Type == proto.TypeSeen
	}
	return seen, nil
}

// handleFirst handles frames that were looked at before.
func (l *link) handleFirst() *ending {
	e := l.session.handleFrames(&l.first)
	l.first = proto.Frames{}
	if e == nil {
		e = l.settle()
	}
	return e
}

// goOn is read for a link that was parked, and has frames to be handled first if that waits.
func (l *link) goOn(e *ending) *ending {
	l.within = quietTime
	l.conn.net.SetReadDeadline(time.Now().Add(quietTime))
	if ended := l.session.ended.Load(); ended != nil { // see wait
		return ended
	}
	if e == endWaits {
		if e := l.handleFirst(); e != nil {
			return e
		}
	}
	return l.read()
}

// read handles all that it reads, until the link or the session ends, or the link is parked.
func (l *link) read() *ending {
	for {
		frames, e := l.readRecord()
		if e == nil {
			e = l.session.handleFrames(&frames)
		}
		if e == nil {
			e = l.settle()
		}
		if e == endQuiet {
			e = l.quiet()
		}
		if e != nil {
			return e
		}
	}
}

// settle is called when a record was handled. When it was the last that has come, what was put into others' queues is written.
func (l *link) settle() *ending {
	if l.whole() {
		return nil
	}
	l.heard = time.Now() // handling may have waited for room, and nothing was heard meanwhile
	l.session.flush(l.heard)
	if l.within != quietTime { // it came by itself, as the next will, most likely
		return l.quiet()
	}
	return nil
}

// quiet parks a link for which nothing is to be done, where there is a lot.
func (l *link) quiet() *ending {
	l.within = idleTime
	if l.lot.park(l) {
		return endParked
	}
	return nil
}

// whole says whether a record is in the intake, or what can be none.
func (l *link) whole() bool {
	b := l.in.bytes()
	return len(b) >= proto.RecordHeaderSize && len(b) >= recordSize(b)
}

// readRecord opens the next record, which it waits for. Its frames are to be used before the next is.
func (l *link) readRecord() (proto.Frames, *ending) {
	for !l.whole() {
		if e := l.fill(); e != nil {
			return proto.Frames{}, e
		}
	}
	if e := l.session.ended.Load(); e != nil {
		return proto.Frames{}, e
	}
	b := l.in.bytes()
	size := recordSize(b)
	if size == 0 {
		return proto.Frames{}, violation("a record of no valid length")
	}
	frames, err := l.receive.Open(b[proto.RecordHeaderSize:size])
	if err != nil {
		return proto.Frames{}, violation(err.Error())
	}
	l.in.drop(size)
	return frames, nil
}

// fill reads what there is to read. The deadline is set when it has passed, not for every record: then the time of the last record decides.
func (l *link) fill() *ending {
	for {
		err := l.socket.read(&l.in)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return endCutOff
		}
		if e := l.wait(); e != nil {
			return e
		}
	}
}

// wait sets the deadline for the next record, if there is still time.
func (l *link) wait() *ending {
	due := l.heard.Add(l.within)
	if !time.Now().Before(due) {
		if l.within == quietTime {
			return endQuiet
		}
		return endIdle
	}
	l.conn.net.SetReadDeadline(due)
	// The end sets its reason first and a deadline in the past second, so one of the two is seen.
	return l.session.ended.Load()
}
