package server

import (
	"log/slog"
	"runtime"
	"runtime/metrics"
	"time"

	"sim/proto"
)

// Health is how a server is, in numbers. None of them is about one name or one address.
type Health struct {
	Sessions    int              // people who are logged in
	Detached    int              // of them, those without a connection, who may come back
	Connections [len(Stages)]int // by what they have shown
	MaxConns    int              // connections that there can be
	PuzzleBits  uint8            // of a log-in's puzzle, without what failures add
	QueueWait   time.Duration    // of a new log-in, for its public-key work
	Outboxes    int64            // bytes that wait for sessions
	Memory      uint64           // bytes that Go has of the system, and has not given back
	Goroutines  int
}

// Stages are the names of what a connection can have shown.
var Stages = [...]string{silent: "silent", greeted: "greeted", solved: "solved", running: "running", proven: "proven"}

// Health looks at the server. It holds the locks that log-ins and messages need, each for a moment.
func (s *Server) Health() Health {
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(memory)
	h := Health{
		Sessions:   s.registry.size(),
		Detached:   int(s.detached.Load()),
		PuzzleBits: s.budget.bits(time.Now()),
		QueueWait:  time.Duration(s.counters.QueueWait.Load()),
		Outboxes:   s.pool.held.Load(),
		Memory:     memory[0].Value.Uint64() - memory[1].Value.Uint64(),
		Goroutines: runtime.NumGoroutine(),
	}
	h.Connections, h.MaxConns = s.admission.count()
	return h
}

// LogHealth writes the health line.
func (s *Server) LogHealth() {
	h := s.Health()
	connections := 0
	for _, n := range h.Connections {
		connections += n
	}
	s.log.Info("health", "sessions", h.Sessions, "detached", h.Detached, "connections", connections, "max_conns", h.MaxConns,
		"puzzle_bits", h.PuzzleBits, "queue_wait", h.QueueWait.Round(time.Millisecond),
		"memory_mib", h.Memory>>20, "goroutines", h.Goroutines)
}

func (g *registry) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// count counts connections by stage, and returns how many there can be.
func (a *admission) count() (n [len(Stages)]int, most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n[proven] = len(a.all)
	for stage := range a.pools {
		n[stage] = a.pools[stage].size
		n[proven] -= n[stage]
	}
	return n, a.maxConns
}

// who is of whom a line of the log tells: nobody, unless the operator wants identities in it. The name may be none, if nobody has said one.
func (c *conn) who(name proto.Name) slog.Attr { return c.server.who(name, c) }

// who is the same for a session, which may have no connection.
func (s *session) who() slog.Attr {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l == nil {
		return s.server.who(s.name, nil)
	}
	return s.server.who(s.name, l.conn)
}

func (s *Server) who(name proto.Name, c *conn) slog.Attr {
	if !s.identities {
		return slog.Attr{} // which is left out
	}
	var known []any
	if name != (proto.Name{}) {
		known = append(known, slog.String("user", name.String()))
	}
	if c != nil {
		known = append(known, slog.String("address", c.net.RemoteAddr().String()))
	}
	return slog.Group("", known...)
}
