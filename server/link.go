package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"time"

	"sim/internal/forget"
	"sim/proto"
)

// A link is a connection of a session. Two goroutines serve it: the connection's own reads, and the writer runs the session's outbox.
type link struct {
	// immutable
	session *session
	conn    *conn
	resumed []byte        // Resumed, to be written before all records; nil on a session's first link
	ended   chan struct{} // is closed when both goroutines have done with the session

	losing sync.Once

	send *proto.Sender // owned by the writer

	// owned by the reader
	receive *proto.Receiver
	in      *bufio.Reader
	heard   time.Time     // when the last record was handled, or the link began
	within  time.Duration // when the next has to come
}

func newLink(s *session, c *conn, send *proto.Sender, receive *proto.Receiver, now time.Time) *link {
	return &link{
		session: s,
		conn:    c,
		ended:   make(chan struct{}),
		send:    send,
		receive: receive,
		in:      bufio.NewReaderSize(c.net, readBuffer),
		heard:   now,
		within:  proto.PingDeadline,
	}
}

// serve runs a link to its end. The first record of a new session was read before, and is to be handled like all others.
func (l *link) serve(first *record) {
	s := l.session
	written := make(chan struct{})
	s.server.running.Go(func() {
		defer close(written)
		forget.Do(l.write)
	})
	l.over(l.read(first))
	<-written
	l.send.Clear()
	l.receive.Clear()
	e := s.leave()
	close(l.ended)
	if e != nil && !e.cut {
		l.conn.closeSlowly()
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

// write runs the writer.
func (l *link) write() {
	out := l.session.out
	var err error
	if l.resumed != nil {
		err = out.write(l.conn.net, l.resumed)
	}
	if err == nil {
		err = out.run(l.conn.net, l.send)
	}
	switch {
	case errors.Is(err, errStalled):
		l.over(endStalled)
	case err != nil:
		l.over(endCutOff)
	}
}

// A record is what was read of one, in a buffer that goes back to recordBuffers. An idle session holds none.
type record struct {
	frames proto.Frames
	buffer [proto.MaxRecord]byte
}

var recordBuffers = sync.Pool{New: func() any { return new(record) }}

func (r *record) free() {
	r.frames = proto.Frames{}
	recordBuffers.Put(r)
}

// readFirst reads the first record, whose first frame must be a Ping. It says whether another is a Seen.
func (l *link) readFirst() (r *record, seen bool, e *ending) {
	if e := l.wait(); e != nil {
		return nil, false, e
	}
	if r, e = l.readRecord(); e != nil {
		return nil, false, e
	}
	frames := r.frames
	if ping, _ := frames.Next(); ping.Type != proto.TypePing {
		r.free()
		return nil, false, violation("a first frame that is no Ping")
	}
	for f, ok := frames.Next(); ok; f, ok = frames.Next() {
		seen = seen || f.Type == proto.TypeSeen
	}
	return r, seen, nil
}

// read handles the frames of the first record and of all that it reads, until the link or the session ends.
func (l *link) read(r *record) (e *ending) {
	if r == nil {
		if r, _, e = l.readFirst(); e != nil {
			return e
		}
		l.session.confirm()
	}
	l.within = idleTime
	for {
		e = l.session.handleFrames(&r.frames)
		r.free()
		if e != nil {
			return e
		}
		l.heard = time.Now() // handling may have waited for room, and nothing was heard meanwhile
		if r, e = l.readRecord(); e != nil {
			return e
		}
	}
}

// readRecord reads one record and opens it.
func (l *link) readRecord() (*record, *ending) {
	var head [proto.RecordHeaderSize]byte
	if e := l.fill(head[:]); e != nil {
		return nil, e
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if !proto.ValidRecord(n) {
		return nil, violation("a record of no valid length")
	}
	r := recordBuffers.Get().(*record)
	if e := l.fill(r.buffer[:n]); e != nil {
		r.free()
		return nil, e
	}
	frames, err := l.receive.Open(r.buffer[:n])
	if err != nil {
		r.free()
		return nil, violation(err.Error())
	}
	r.frames = frames
	return r, nil
}

// fill reads len(b) bytes. The deadline is set when it has passed, not for every record: then the time of the last record decides.
func (l *link) fill(b []byte) *ending {
	for len(b) > 0 {
		n, err := l.in.Read(b)
		b = b[n:]
		switch {
		case err == nil:
			continue
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return endCutOff
		}
		if e := l.wait(); e != nil {
			return e
		}
	}
	return nil
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
