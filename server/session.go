package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sim/internal/forget"
	"sim/proto"
)

// A session is somebody who is logged in on a connection. Two goroutines serve it: the reader runs serve, the writer runs out.run.
type session struct {
	// immutable
	conn *conn
	name proto.Name
	tag  proto.Tag
	out  *outbox

	// keys.Receive is owned by the reader, keys.Send by the writer, keys.Tickets is guarded by registry.mu
	keys *proto.Session

	// owned by the reader
	in     *bufio.Reader
	heard  time.Time     // when the last record was handled, or Welcome was written
	within time.Duration // when the next has to come
	passwd passwordChange
	asked  bool // to choose a password
	intros introLimit

	// guarded by registry.mu
	listed   bool
	contacts map[*session]struct{}
	watched  map[proto.Name]bool // who is watched, and what this session was told last
	changed  map[proto.Name]struct{}

	generation atomic.Uint64 // of the account: the one that was proved, or that this session has made of it
	ended      atomic.Pointer[ending]
}

// An ending is why a session ends.
type ending struct {
	reason string       // for the log
	close  proto.Reason // for the client
	gone   proto.Reason // for those whom it exchanged Relays with
	before []byte       // frames before Close
	cut    bool         // the connection is of no use any more: the client gets nothing
}

var (
	endLogout    = &ending{reason: "log-out", close: proto.CloseDone, gone: proto.GoneLogout, before: proto.AppendLoggedOut(nil)}
	endClosed    = &ending{reason: "closed by the client", close: proto.CloseDone, gone: proto.GoneLost}
	endReplaced  = &ending{reason: "replaced", close: proto.CloseReplaced, gone: proto.GoneReplaced}
	endStopping  = &ending{reason: "the server stops", close: proto.CloseStopping, gone: proto.GoneLost, before: proto.AppendNotice(nil, proto.NoticeStopping)}
	endIdle      = &ending{reason: "idle", close: proto.CloseIdle, gone: proto.GoneLost}
	endStalled   = &ending{reason: "stalled", gone: proto.GoneLost, cut: true}
	endCutOff    = &ending{reason: "cut off", gone: proto.GoneLost, cut: true}
	endPasswords = &ending{reason: "wrong passwords", close: proto.CloseProtocol, gone: proto.GoneLost}
	endRemoved   = &ending{reason: "the account was changed by an admin", close: proto.CloseRemoved, gone: proto.GoneLost}
	endChosen    = &ending{reason: "a password was chosen", close: proto.CloseDone}
	endUnchosen  = &ending{reason: "no password was chosen in time", close: proto.CloseIdle}
)

// violation is the ending of a session whose client broke the protocol.
func violation(reason string) *ending {
	return &ending{reason: "protocol: " + reason, close: proto.CloseProtocol, gone: proto.GoneLost}
}

func newSession(c *conn, keys *proto.Session, now time.Time) *session {
	s := &session{
		conn:   c,
		name:   keys.Name,
		tag:    newTag(),
		out:    newOutbox(c.server.pool),
		keys:   keys,
		in:     bufio.NewReaderSize(c.net, readBuffer),
		heard:  now,
		within: proto.PingDeadline,
	}
	s.generation.Store(keys.Generation)
	return s
}

// recheck ends a session whose account was removed, disabled or reset since the session's password was proved.
func (s *session) recheck() {
	account, err := s.conn.server.login.Directory.Lookup(s.name)
	clear(account.Verifier[:])
	if err != nil || !account.Exists || account.Generation != s.generation.Load() {
		s.end(endRemoved)
	}
}

// serve runs a session that the registry has to its end. The first record, which took it there, is to be handled like all others.
func (s *session) serve(first *record) {
	c := s.conn
	if s.keys.Enrol {
		defer time.AfterFunc(choosingTime, func() { s.end(endUnchosen) }).Stop()
	}
	done := make(chan struct{})
	c.server.running.Go(func() {
		defer close(done)
		forget.Do(s.write)
	})
	s.within = idleTime
	s.end(s.read(first))
	<-done
	s.keys.Receive.Clear()
	e := s.ended.Load()
	if !e.cut {
		c.closeSlowly()
	}
	c.server.log.Info("session ended", "reason", e.reason)
}

// write runs the writer.
func (s *session) write() {
	err := s.out.run(s.conn.net, s.keys.Send)
	switch {
	case errors.Is(err, errStalled):
		s.end(endStalled)
	case err != nil:
		s.end(endCutOff)
	}
}

// end ends a session, once: the first reason counts. Those whom it exchanged Relays with are told before the client is.
func (s *session) end(e *ending) {
	if !s.mark(e) {
		return
	}
	s.conn.server.registry.unlist(s, e.gone)
	s.stop()
}

// mark sets the reason of the end, and is false if there is one already.
func (s *session) mark(e *ending) bool { return s.ended.CompareAndSwap(nil, e) }

// stop is the second half of the end: it wakes the reader, and then the writer, which writes what waits and the last frames.
func (s *session) stop() {
	e := s.ended.Load()
	if e.cut {
		s.conn.net.Close()
		s.out.abort()
		return
	}
	s.conn.net.SetReadDeadline(time.Unix(1, 0))
	s.out.finish(time.Now(), proto.AppendClose(append([]byte(nil), e.before...), e.close))
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

// readFirst reads the first record, whose first frame must be a Ping.
func (s *session) readFirst() (*record, error) {
	r, e := s.readRecord()
	if e != nil {
		return nil, errors.New(e.reason)
	}
	frames := r.frames
	if ping, _ := frames.Next(); ping.Type != proto.TypePing {
		r.free()
		return nil, errors.New("protocol: a first frame that is no Ping")
	}
	return r, nil
}

// read handles the frames of the first record and of all that it reads, until the session ends.
func (s *session) read(r *record) *ending {
	for {
		e := s.handleFrames(&r.frames)
		r.free()
		if e != nil {
			return e
		}
		s.heard = time.Now() // handling may have waited for room, and nothing was heard meanwhile
		if r, e = s.readRecord(); e != nil {
			return e
		}
	}
}

func (s *session) handleFrames(frames *proto.Frames) *ending {
	for {
		f, ok := frames.Next()
		if !ok {
			return nil
		}
		if e := s.handle(f); e != nil {
			return e
		}
	}
}

// turns says for each frame of a client how large its answer can be, whether it has its place in a session that is to choose a password,
// and what handles it.
var turns = [...]struct {
	answer   int
	choosing bool
	handle   func(*session, []byte) *ending
}{
	proto.TypePing:          {pongFrameSize + noticeFrameSize, true, (*session).ping},
	proto.TypeList:          {proto.MaxUsersFrame, false, (*session).list},
	proto.TypeWatch:         {presenceMax, false, (*session).watch},
	proto.TypeRelay:         {proto.UndeliverableFrame, false, (*session).relay},
	proto.TypeIntro:         {ticketMaxSize, false, (*session).intro},
	proto.TypePasswordBegin: {max(passwdSaltSize, doneFrameSize), true, (*session).passwordBegin},
	proto.TypePasswordSet:   {doneFrameSize, true, (*session).passwordSet},
	proto.TypeLogout:        {0, true, func(*session, []byte) *ending { return endLogout }},
	proto.TypeRekey:         {0, false, func(*session, []byte) *ending { return nil }}, // the Receiver has stepped its key
	proto.TypeClose:         {0, true, func(*session, []byte) *ending { return endClosed }},
}

// handle handles one frame, when there is room for its answer.
func (s *session) handle(f proto.Frame) *ending {
	if int(f.Type) >= len(turns) || turns[f.Type].handle == nil {
		return violation("a frame that no client sends")
	}
	turn := &turns[f.Type]
	if s.keys.Enrol && !turn.choosing {
		return violation("a frame that has no place before a password is chosen")
	}
	if turn.answer > 0 {
		if !s.out.claim(turn.answer) {
			return endCutOff // or whatever has ended it already
		}
		defer s.out.settle()
	}
	return turn.handle(s, f.Body)
}

func (s *session) ping(body []byte) *ending {
	answer := proto.AppendPong(make([]byte, 0, pongFrameSize+noticeFrameSize), body)
	if s.keys.Enrol && !s.asked {
		s.asked = true
		answer = proto.AppendNotice(answer, proto.NoticePassword)
	}
	s.out.answer(answer)
	return nil
}

func (s *session) list(body []byte) *ending {
	l, ok := proto.ParseList(body)
	if !ok {
		return violation("a malformed List")
	}
	more, names := s.conn.server.registry.page(l)
	s.out.answer(proto.AppendUsers(nil, more, names))
	return nil
}

func (s *session) watch(body []byte) *ending {
	names, ok := proto.ParseWatch(body)
	if !ok {
		return violation("a malformed Watch")
	}
	s.conn.server.registry.watch(s, names)
	return nil
}

// readRecord reads one record and opens it.
func (s *session) readRecord() (*record, *ending) {
	var head [proto.RecordHeaderSize]byte
	if e := s.fill(head[:]); e != nil {
		return nil, e
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if !proto.ValidRecord(n) {
		return nil, violation("a record of no valid length")
	}
	r := recordBuffers.Get().(*record)
	if e := s.fill(r.buffer[:n]); e != nil {
		r.free()
		return nil, e
	}
	frames, err := s.keys.Receive.Open(r.buffer[:n])
	if err != nil {
		r.free()
		return nil, violation(err.Error())
	}
	r.frames = frames
	return r, nil
}

// fill reads len(b) bytes. The deadline is set when it has passed, not for every record: then the time of the last record decides.
func (s *session) fill(b []byte) *ending {
	for len(b) > 0 {
		n, err := s.in.Read(b)
		b = b[n:]
		switch {
		case err == nil:
			continue
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return endCutOff
		}
		due := s.heard.Add(s.within)
		if !time.Now().Before(due) {
			return endIdle
		}
		s.conn.net.SetReadDeadline(due)
		// The end sets its reason first and a deadline in the past second, so one of the two is seen.
		if e := s.ended.Load(); e != nil {
			return e
		}
	}
	return nil
}
