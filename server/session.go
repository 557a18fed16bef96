package server

import (
	"sync"
	"sync/atomic"
	"time"

	"sim/proto"
)

// A session is somebody who is logged in, on a connection (see link), or for a while on none (see resume.go).
type session struct {
	// immutable, from the first record on
	server *Server
	name   proto.Name
	tag    proto.Tag
	out    *outbox
	seens  bool // the client counts frames, and so do we

	keys *proto.Session // Tickets is guarded by registry.mu; Send and Receive are the first link's

	attempts sync.Mutex // held while somebody resumes

	mu         sync.Mutex
	link       *link             // nil while there is none
	resumption *proto.Resumption // nil if the session can't be resumed
	expiry     *time.Timer       // of a session that waits to be resumed

	// owned by the reader of the link that there is
	passwd  passwordChange
	asked   bool // to choose a password
	intros  introLimit
	way     *way // the one that was taken last
	round   round
	hurried bool // nothing may wait: see glance
	said    bool // something other than a Ping

	// guarded by registry.mu
	listed   bool
	contacts map[*session]*way
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
	lost   bool         // the connection is: the session ends only if it can't be resumed
}

var (
	endLogout    = &ending{reason: "log-out", close: proto.CloseDone, gone: proto.GoneLogout, before: proto.AppendLoggedOut(nil)}
	endClosed    = &ending{reason: "closed by the client", close: proto.CloseDone, gone: proto.GoneLost}
	endReplaced  = &ending{reason: "replaced", close: proto.CloseReplaced, gone: proto.GoneReplaced}
	endStopping  = &ending{reason: "the server stops", close: proto.CloseStopping, gone: proto.GoneLost, before: proto.AppendNotice(nil, proto.NoticeStopping)}
	endIdle      = &ending{reason: "idle", close: proto.CloseIdle, gone: proto.GoneLost, lost: true}
	endStalled   = &ending{reason: "stalled", gone: proto.GoneLost, cut: true, lost: true}
	endCutOff    = &ending{reason: "cut off", gone: proto.GoneLost, cut: true, lost: true}
	endExpired   = &ending{reason: "not resumed", gone: proto.GoneLost}
	endPasswords = &ending{reason: "wrong passwords", close: proto.CloseProtocol, gone: proto.GoneLost}
	endRemoved   = &ending{reason: "the account was changed by an admin", close: proto.CloseRemoved, gone: proto.GoneLost}
	endChosen    = &ending{reason: "a password was chosen", close: proto.CloseDone}
	endUnchosen  = &ending{reason: "no password was chosen in time", close: proto.CloseIdle}
)

// violation is the ending of a session whose client broke the protocol.
func violation(reason string) *ending {
	return &ending{reason: "protocol: " + reason, close: proto.CloseProtocol, gone: proto.GoneLost}
}

func newSession(server *Server, keys *proto.Session) *session {
	s := &session{server: server, name: keys.Name, tag: newTag(), out: newOutbox(server.pool), keys: keys}
	s.generation.Store(keys.Generation)
	return s
}

// recheck ends a session whose account was removed, disabled or reset since the session's password was proved.
func (s *session) recheck() {
	account, err := s.server.login.Directory.Lookup(s.name)
	clear(account.Verifier[:])
	if err != nil || !account.Exists || account.Generation != s.generation.Load() {
		s.end(endRemoved)
	}
}

// end ends a session, once: the first reason counts. Those whom it exchanged Relays with are told before the client is.
func (s *session) end(e *ending) {
	if s.mark(e) {
		s.finish()
	}
}

// finish is what follows a mark.
func (s *session) finish() {
	s.server.registry.unlist(s, s.ended.Load().gone)
	s.stop()
}

// mark sets the reason of the end, and is false if there is one already.
func (s *session) mark(e *ending) bool { return s.ended.CompareAndSwap(nil, e) }

// stop is the second half of the end. It wakes the reader, and then the writer, which writes what waits and the last frames.
func (s *session) stop() {
	e := s.ended.Load()
	s.forgetResumption()
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	switch {
	case l == nil:
		s.out.drain()
	case e.cut:
		l.conn.net.Close()
		s.out.abort()
		l.lot.wake(l)
	default:
		l.conn.net.SetReadDeadline(time.Unix(1, 0))
		s.out.finish(time.Now(), proto.AppendClose(append([]byte(nil), e.before...), e.close))
		l.lot.wake(l)
	}
	s.server.log.Info("session ended", "reason", e.reason, s.who())
}

// handleFrames handles frames. Where it may not wait, it leaves what it would have to wait for, and what follows, with endWaits.
func (s *session) handleFrames(frames *proto.Frames) *ending {
	for {
		rest := *frames
		f, ok := rest.Next()
		if !ok {
			return nil
		}
		e := s.handle(f)
		if e != endWaits {
			*frames = rest
		}
		if e != nil {
			return e
		}
	}
}

// turns says for each frame of a client how large its answer can be, whether it has its place in a session that is to choose a password,
// whether handling it takes so long that others should not wait for it, and what handles it. A Relay needs room only if it is refused.
var turns [proto.TypeSeen + 1]turn

type turn struct {
	answer   int
	choosing bool
	slow     bool
	handle   func(*session, []byte) *ending
}

// Not above: what handles a frame may wake a link, which handles frames.
func init() {
	turns = [...]turn{
		proto.TypePing:          {pongFrameSize + noticeFrameSize, true, false, (*session).ping},
		proto.TypeList:          {proto.MaxUsersFrame, false, false, (*session).list},
		proto.TypeWatch:         {presenceMax, false, false, (*session).watch},
		proto.TypeRelay:         {0, false, false, (*session).relay},
		proto.TypeIntro:         {ticketMaxSize, false, false, (*session).intro},
		proto.TypePasswordBegin: {max(passwdSaltSize, doneFrameSize), true, true, (*session).passwordBegin},
		proto.TypePasswordSet:   {doneFrameSize, true, true, (*session).passwordSet},
		proto.TypeLogout:        {0, true, false, func(*session, []byte) *ending { return endLogout }},
		proto.TypeRekey:         {0, false, false, func(*session, []byte) *ending { return nil }}, // the Receiver has stepped its key
		proto.TypeClose:         {0, true, false, func(*session, []byte) *ending { return endClosed }},
		proto.TypeSeen:          {0, true, false, (*session).seen},
	}
}

// handle handles one frame, when there is room for its answer. Where it would have to wait and may not, it does nothing.
func (s *session) handle(f proto.Frame) *ending {
	if int(f.Type) >= len(turns) || turns[f.Type].handle == nil {
		return violation("a frame that no client sends")
	}
	s.said = s.said || f.Type != proto.TypePing
	turn := &turns[f.Type]
	if s.keys.Enrol && !turn.choosing {
		return violation("a frame that has no place before a password is chosen")
	}
	if turn.slow {
		if s.hurried {
			return endWaits
		}
		s.flush(time.Now())
	}
	if turn.answer > 0 {
		if e := s.claim(turn.answer); e != nil {
			return e
		}
		defer s.out.unclaim()
	}
	e := turn.handle(s, f.Body)
	if e != endCutOff && e != endWaits && f.Type.Numbered() {
		s.round.frames++
		s.round.bytes += proto.FrameHeaderSize + len(f.Body)
	}
	return e
}

// claim takes room for an answer, and waits for it if need be.
func (s *session) claim(n int) *ending {
	if s.out.tryClaim(n) {
		return nil
	}
	s.flush(time.Now())
	if s.hurried {
		if s.out.tryClaim(n) {
			return nil
		}
		return endWaits
	}
	if !s.out.claim(n) {
		return endCutOff // or whatever has ended it already
	}
	return nil
}

// A round is what the reader puts off while there is more to handle: one write does for all that was put into a queue, and one look at what is
// shared does for all that was counted.
type round struct {
	touched [maxTouched]*outbox // others', with something in that we have to write
	count   int                 // of them
	frames  int                 // numbered ones that were handled,
	bytes   int                 // of so many bytes
	relays  uint64
	relayed uint64 // bytes
}

// touch notes that another's queue is to be flushed.
func (s *session) touch(o *outbox) {
	if s.round.count == maxTouched {
		s.flush(time.Now())
	}
	s.round.touched[s.round.count] = o
	s.round.count++
}

// flush does what was put off. It never waits.
func (s *session) flush(now time.Time) {
	r := &s.round
	if r.relays > 0 {
		counters := s.server.Counters()
		counters.Relays.Add(r.relays)
		counters.RelayedBytes.Add(r.relayed)
	}
	for i, o := range r.touched[:r.count] {
		o.flush(now)
		r.touched[i] = nil
	}
	s.out.flushOwn(now, r.frames, r.bytes)
	r.count, r.frames, r.bytes, r.relays, r.relayed = 0, 0, 0, 0, 0
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

func (s *session) seen(body []byte) *ending {
	if !s.seens || !s.out.seen(proto.ParseSeen(body)) {
		return violation("a Seen of what was not sent, or that goes back")
	}
	return nil
}

func (s *session) list(body []byte) *ending {
	l, ok := proto.ParseList(body)
	if !ok {
		return violation("a malformed List")
	}
	more, names := s.server.registry.page(l)
	s.out.answer(proto.AppendUsers(nil, more, names))
	return nil
}

func (s *session) watch(body []byte) *ending {
	names, ok := proto.ParseWatch(body)
	if !ok {
		return violation("a malformed Watch")
	}
	s.server.registry.watch(s, names)
	return nil
}
