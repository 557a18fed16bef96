package main

import (
	"fmt"
	"sync"
	"time"

	"sim/proto"
)

const (
	pingEvery   = 30 * time.Second // as a client does; the server ends a session that says nothing for 75 s
	pongWait    = 10 * time.Second // for what should have come long ago
	restsBuffer = 1 << 10          // of an end that only stays: holds a record with a Pong
)

// A flock is sessions that are kept alive.
type flock struct {
	mu   sync.Mutex
	ends []*simEnd
	lost error // of one that was ended
}

func (f *flock) add(e *simEnd) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ends = append(f.ends, e)
}

func (f *flock) all() []*simEnd {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ends
}

func (f *flock) lose(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost == nil {
		f.lost = err
	}
}

// health is nil while none was ended.
func (f *flock) health() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// idle logs somebody in who then only stays.
func (s *simServer) idle(n int) (end, error) {
	e, err := s.enter(n, restsBuffer)
	if err != nil {
		return nil, err
	}
	s.idlers.add(e)
	return e, nil
}

// keepAlive pings all sessions, one after the other all the time, as they would that came one after the other. Who rests reads what the last
// ping was answered with before the next.
func (s *simServer) keepAlive() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		busy, idlers := s.busy.all(), s.idlers.all()
		began, n := time.Now(), len(busy)+len(idlers)
		for i := range n + 1 {
			due := began.Add(pingEvery) // the end of the round
			if i < n {
				due = began.Add(pingEvery * time.Duration(i) / time.Duration(n))
			}
			pause.Reset(time.Until(due))
			select {
			case <-pause.C:
			case <-s.quit:
				return
			}
			switch {
			case i < len(busy):
				busy[i].ping()
			case i < n:
				if err := idlers[i-len(busy)].pingAgain(); err != nil {
					s.idlers.lose(err)
				}
			}
		}
	}
}

func (e *simEnd) ping() error { return e.write(proto.AppendPing(nil, [8]byte{})) }

// pingAgain takes the answer to the last ping, and sends one.
func (e *simEnd) pingAgain() error {
	if e.pinged {
		e.socket.SetReadDeadline(time.Now().Add(pongWait))
		if _, err := e.await(proto.TypePong); err != nil {
			return fmt.Errorf("%s was not kept alive: %w", e.session.Name, err)
		}
	}
	e.pinged = true
	return e.ping()
}
