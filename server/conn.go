package server

import (
	"container/list"
	"errors"
	"net"
	"os"
	"time"

	"sim/proto"
)

// A conn is one connection: a login, and the session that comes of it.
type conn struct {
	// immutable
	server   *Server
	net      net.Conn
	accepted time.Time
	network  network

	// guarded by admission.mu
	stage  stage
	pooled place

	// guarded by the mutex of the queue that the connection waits in: the budget's, or that of guessing
	verdict verdict
	waiting place
	queued  *list.Element

	// owned by the goroutine that reads, and still while it waits
	rank      uint8     // bits of its puzzle that count in the budget's order
	named     bool      // a handshake runs for a name,
	cell      cellIndex // whose cell is this
	name      proto.Name
	welcomeBy time.Time // once its Proof has come
}

// errGone is returned when a connection ended or was evicted in the middle of its login.
var errGone = errors.New("cut off")

// serve runs a connection from accept to its session. The session gets a goroutine of its own: the login leaves a large stack behind.
func (c *conn) serve() {
	l, err := c.enter()
	if err != nil {
		c.logLogin(err)
		c.end()
		return
	}
	c.server.tidying.note()
	c.server.running.Add(1)
	go l.run()
}

// end is the end of a connection.
func (c *conn) end() {
	c.net.Close()
	c.server.admission.leave(c)
}

// enter is the way to a session: a new one, or one that goes on.
func (c *conn) enter() (*link, error) {
	login := proto.NewLoginServer(c.server.login, c.accepted)
	defer login.Clear()
	keys, welcome, err := c.login(login)
	if err != nil {
		return nil, err
	}
	if keys == nil {
		return c.resume(login)
	}
	l, err := c.welcome(keys, welcome)
	if err != nil {
		keys.Send.Clear()
		keys.Receive.Clear()
		keys.Clear()
		return nil, err
	}
	c.server.log.Info("session began", c.who(keys.Name))
	return l, nil
}

// discard reads and throws away until the deadline or the end: silence tells nobody that a sim server listens here.
func (c *conn) discard(buffer []byte) {
	for {
		if _, err := c.net.Read(buffer); err != nil {
			return
		}
	}
}

// welcome writes Welcome, when the name's turn has come, and lists the session when the client's first record opens and holds a Ping.
// One that is to choose a password neither waits for a turn nor is listed: it takes nobody's place.
func (c *conn) welcome(keys *proto.Session, welcome []byte) (*link, error) {
	registry := &c.server.registry
	if !keys.Enrol {
		if err := c.awaitTurn(keys.Name); err != nil {
			return nil, err
		}
		defer registry.turnOver(keys.Name)
	}

	now := time.Now()
	c.net.SetWriteDeadline(now.Add(proto.PingDeadline))
	if _, err := c.net.Write(welcome); err != nil {
		return nil, err
	}
	s := newSession(c.server, keys)
	l := newLink(s, c, keys.Send, keys.Receive, now)
	s.link = l
	seen, e := l.readFirst()
	if e != nil {
		l.in.free()
		return nil, errors.New(e.reason)
	}
	if !c.advance(proven) {
		return nil, errGone
	}
	if s.seens = seen; seen {
		s.out.keepWritten()
	}
	if keys.Enrol {
		if !registry.choose(s) {
			return nil, errors.New("too many choose a password under this name")
		}
	} else {
		if seen {
			s.resumption = proto.NewResumption(keys)
		}
		replaced, ok := registry.list(s, time.Now())
		if !ok {
			s.forgetResumption()
			return nil, errGone
		}
		if replaced != nil {
			replaced.stop()
		}
	}
	// Who changes an account commits that first and looks for its sessions then. We come to be found first and look at the account then:
	// whichever is later sees the other.
	s.recheck()
	return l, nil
}

// awaitTurn waits until a Welcome for a name may be written: at once, but for a second replacement of the same name's session. Nothing
// may come from the client meanwhile; so reading, with a deadline, notices when it goes.
func (c *conn) awaitTurn(name proto.Name) error {
	for {
		now := time.Now()
		wait := c.server.registry.turn(name, now)
		if wait == 0 {
			return nil
		}
		if now.Add(wait).After(c.welcomeBy) {
			busy := newBusy(busyProof)
			c.turnAway(nil, busy)
			return busy
		}
		c.net.SetReadDeadline(now.Add(wait))
		var b [1]byte
		if _, err := c.net.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
			return errGone
		}
	}
}

// closeSlowly lets the client read what was written last: closing a socket that holds unread bytes would take it away.
func (c *conn) closeSlowly() {
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.net.SetReadDeadline(time.Now().Add(lingerTime))
	c.discard(make([]byte, 512))
}
