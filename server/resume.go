package server

import (
	"errors"
	"time"

	"sim/proto"
)

// A session outlives its connection, if its client wants so: it waits for a while, detached, and the client comes back with the session's
// secret. Others notice nothing. A detached session has no goroutine and no buffer but what waits for it, and one timer.

// errNotResumed is the end of a login that was to resume a session.
var errNotResumed = errors.New("no such session, or not its secret")

// resume answers a client that wants to resume a session, and gives the session this connection if it may.
func (c *conn) resume(login *proto.LoginServer) (*link, error) {
	request, _ := login.Resuming()
	if s := c.server.registry.resumable(request.ID); s != nil {
		if l := s.resume(c, login, request.Seen); l != nil {
			c.server.counters.Resumed.Add(1)
			c.server.log.Debug("session resumed", c.who(s.name))
			return l, nil
		}
	}
	c.server.counters.NotResumed.Add(1)
	c.turnAway(login.RefuseResume(), errNotResumed)
	return nil, errNotResumed
}

// resume gives the session a connection in the place of the one that it had, and may still have. It returns nil where it may not.
func (s *session) resume(c *conn, login *proto.LoginServer, seen uint64) *link {
	s.attempts.Lock()
	defer s.attempts.Unlock()
	s.mu.Lock()
	old, proved := s.link, s.resumption != nil && login.Resumes(s.resumption)
	s.mu.Unlock()
	if !proved || !c.advance(proven) {
		return nil
	}
	if old != nil {
		old.lose("the client came back")
		<-old.ended // now what was handled is final
	}
	l, e := s.attach(c, login, seen)
	if e != nil {
		s.end(e)
	}
	return l
}

// attach is the part of resume behind which there is no way back.
func (s *session) attach(c *conn, login *proto.LoginServer, seen uint64) (*link, *ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumption == nil || s.ended.Load() != nil {
		return nil, nil
	}
	handled, ok := s.out.resume(seen)
	if !ok {
		return nil, violation("resumed with a Seen of what was not sent, or that goes back")
	}
	now := time.Now()
	resumed, keys, err := login.AnswerResume(now, s.resumption, handled)
	if err != nil {
		s.out.unlink()
		return nil, nil
	}
	s.attached()
	s.link = newLink(s, c, keys.Send, keys.Receive, now)
	s.link.resumed = resumed
	return s.link, nil
}

// resumable says whether the session outlives its connection. It does until its end.
func (s *session) resumable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resumption != nil
}

// confirm is called with the first record of a link: its client has the newest secret.
func (s *session) confirm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumption != nil {
		s.resumption.Confirm()
	}
}

// leave takes note that a link is over. The session is detached then, or it has ended, and leave returns why.
func (s *session) leave() *ending {
	s.mu.Lock()
	s.link = nil
	detached := s.ended.Load() == nil && s.detach()
	s.mu.Unlock()
	if detached {
		return nil
	}
	s.end(endCutOff) // if nothing else has ended it
	s.out.drain()
	return s.ended.Load()
}

// detach makes the session wait to be resumed. It is false when too many do. The caller holds mu.
func (s *session) detach() bool {
	if n := &s.server.detached; n.Add(1) > maxDetached {
		n.Add(-1)
		return false
	}
	s.out.detach()
	s.expiry = time.AfterFunc(detachedTime, s.expire)
	return true
}

// attached ends the wait of a detached session. The caller holds mu.
func (s *session) attached() {
	if s.expiry != nil {
		s.expiry.Stop()
		s.expiry = nil
		s.server.detached.Add(-1)
	}
}

// expire ends a session that was not resumed in time.
func (s *session) expire() {
	s.mu.Lock()
	due := s.expiry != nil && s.mark(endExpired) // otherwise it was resumed at the last moment
	s.mu.Unlock()
	if due {
		s.finish()
	}
}

// forgetResumption makes the session one that can't be resumed any more.
func (s *session) forgetResumption() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attached()
	if s.resumption != nil {
		s.resumption.Clear()
		s.resumption = nil
	}
}
