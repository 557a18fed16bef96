package server

import (
	"errors"
	"os"
	"sync"
	"time"

	"sim/internal/forget"
	"sim/proto"
)

// A link is a connection of a session. One goroutine serves it: it reads, and handles what it reads. Others may write to it; see writing.go.
type link struct {
	// immutable
	session *session
	conn    *conn
	socket  socket
	resumed []byte        // Resumed, to be written before all records; nil on a session's first link
	ended   chan struct{} // is closed when its goroutine has done with the session, and nobody writes any more

	losing sync.Once

	send *proto.Sender // owned by the one who writes

	// owned by the reader
	receive *proto.Receiver
	in      intake
	first   proto.Frames  // of a new session's first record, which were looked at and not handled
	heard   time.Time     // when records were handled last, or the link began
	within  time.Duration // when the next has to come
}

func newLink(s *session, c *conn, send *proto.Sender, receive *proto.Receiver, now time.Time) *link {
	return &link{
		session: s,
		conn:    c,
		socket:  newSocket(c.net),
		ended:   make(chan struct{}),
		send:    send,
		receive: receive,
		heard:   now,
		within:  proto.PingDeadline,
	}
}

// run runs a link to its end, and its connection's.
func (l *link) run() {
	defer l.conn.end()
	forget.Do(l.serve)
}

// serve is the goroutine of a link. It begins with a small stack, and waits with little on it.
func (l *link) serve() {
	s := l.session
	l.over(l.talk())
	l.rest()
	l.in.free()
	l.send.Clear()
	l.receive.Clear()
	e := s.leave()
	close(l.ended)
	if e != nil && !e.cut {
		l.conn.closeSlowly()
	}
}

// talk is what is between the beginning of a link and its end.
func (l *link) talk() *ending {
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
		defer time.AfterFunc(choosingTime, func() { s.end(endUnchosen) }).Stop()
	}
	s.out.open(l)
	e := l.read()
	s.flush(time.Now())
	return e
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
	})
}

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

// read handles the frames of the first record and of all that it reads, until the link or the session ends. What was put into others' queues
// meanwhile is written when all that has come is handled.
func (l *link) read() *ending {
	s := l.session
	if l.resumed != nil {
		if _, e := l.readFirst(); e != nil {
			return e
		}
		s.confirm()
	}
	frames := l.first
	l.first, l.within = proto.Frames{}, idleTime
	for {
		if e := s.handleFrames(&frames); e != nil {
			return e
		}
		if !l.whole() {
			l.heard = time.Now() // handling may have waited for room, and nothing was heard meanwhile
			s.flush(l.heard)
		}
		var e *ending
		if frames, e = l.readRecord(); e != nil {
			return e
		}
	}
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
		return endIdle
	}
	l.conn.net.SetReadDeadline(due)
	// The end sets its reason first and a deadline in the past second, so one of the two is seen.
	return l.session.ended.Load()
}
