package client

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sim/password"
	"sim/proto"
	"sim/proto/srp"
)

// A fakeServer is a server for tests: the real login, and a switchboard behind it. Each dial is a pipe.
type fakeServer struct {
	t       testing.TB
	address proto.Address
	config  *proto.LoginConfig
	derived atomic.Int32 // passwords
	dials   atomic.Int32

	// meets takes a connection in place of the login, if it returns true.
	meets    func(c net.Conn) bool
	mu       sync.Mutex                         // guards what follows
	takes    func(g *guest, f proto.Frame) bool // takes a frame in place of the switchboard, if it returns true
	board    *switchboard
	accounts map[proto.Name]*[srp.Size]byte
	codes    map[proto.Name]bool // whose password is a one-time code
	guests   map[*subscriber]*guest
	last     *guest
}

func newFakeServer(t testing.TB) *fakeServer {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := proto.NewEpoch()
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{
		t: t, address: proto.Address{Key: [32]byte(key.PublicKey().Bytes()), Host: "server.example:7465"},
		board: newSwitchboard(), accounts: make(map[proto.Name]*[srp.Size]byte), codes: make(map[proto.Name]bool), guests: make(map[*subscriber]*guest),
	}
	s.config = &proto.LoginConfig{
		Key:   key,
		Epoch: func() *proto.Epoch { return epoch },
		Directory: &proto.Directory{
			Argon2: proto.Argon2{Time: 3, Memory: 65536, Threads: 4},
			Lookup: func(n proto.Name) (proto.Account, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				if v := s.accounts[n]; v != nil {
					return proto.Account{Verifier: *v, Exists: true, Enrol: s.codes[n]}, nil
				}
				return proto.Account{}, nil
			},
		},
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		s.account(name, passwordOf(name))
	}
	return s
}

func passwordOf(name string) string { return name + "'s password" }

func (s *fakeServer) account(name, pw string) {
	n, salt := mustName(name), s.config.Directory.Salt(mustName(name))
	secret, _ := s.Derive([]byte(pw), &salt, password.Params{})
	s.accounts[n] = srp.Verifier(name, &salt, secret)
	s.derived.Store(0)
}

// Derive is a quick stand-in for Argon2id, and counts.
func (s *fakeServer) Derive(pw []byte, salt *[32]byte, _ password.Params) (*[32]byte, error) {
	s.derived.Add(1)
	sum := sha256.Sum256(append(append([]byte(nil), salt[:]...), pw...))
	return &sum, nil
}

func (s *fakeServer) dial(context.Context, string, string) (net.Conn, error) {
	s.dials.Add(1)
	here, there := net.Pipe()
	go s.serve(there)
	return here, nil
}

// serve serves one connection until it ends.
func (s *fakeServer) serve(c net.Conn) {
	defer c.Close()
	if s.meets != nil && s.meets(c) {
		return
	}
	session, err := s.login(c)
	if err != nil {
		if errors.Is(err, proto.ErrSilence) {
			c.SetReadDeadline(time.Now().Add(proto.HelloDeadline))
			io.Copy(io.Discard, c)
		}
		return
	}
	g := &guest{server: s, conn: c, session: session}
	g.some.L = &g.mu
	ended := make(chan struct{})
	go func() { defer close(ended); g.writes() }()
	g.reads()
	g.closes(proto.CloseDone)
	<-ended
}

func (s *fakeServer) login(c net.Conn) (*proto.Session, error) {
	machine := proto.NewLoginServer(s.config, time.Now())
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if err := machine.Admits(n); err != nil {
			return nil, err
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(c, body); err != nil {
			return nil, err
		}
		out, session, err := machine.Handle(time.Now(), body)
		if len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return nil, err
			}
		}
		if err != nil || session != nil {
			return session, err
		}
	}
}

// with does something to the switchboard while nothing else does.
func (s *fakeServer) with(f func(b *switchboard)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.board)
}

// meddles gives frames to f before the switchboard.
func (s *fakeServer) meddles(f func(g *guest, f proto.Frame) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes = f
}

// guest returns whoever is logged in under a name, or nil.
func (s *fakeServer) guest(name string) *guest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.guests[s.board.lines[mustName(name)]]
}

// A guest is a session of the fake server.
type guest struct {
	server  *fakeServer
	conn    net.Conn
	session *proto.Session
	line    *subscriber // nil before the first Ping
	begun   *proto.PasswordServer
	asked   bool // for a password in place of a code

	mu     sync.Mutex
	some   sync.Cond
	queue  []byte
	frames []int // lengths of what is in the queue
	over   bool
	deaf   bool           // nothing is written any more
	closed []proto.Reason // of a Close from the client
}

func (g *guest) send(frame []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		g.queue, g.frames = append(g.queue, frame...), append(g.frames, len(frame))
		g.over = proto.Type(frame[0]) == proto.TypeClose
	}
	g.some.Signal()
}

func (g *guest) closes(reason proto.Reason) { g.send(proto.AppendClose(nil, reason)) }

// writes owns session.Send.
func (g *guest) writes() {
	defer g.conn.Close()
	for {
		g.mu.Lock()
		for len(g.frames) == 0 && !g.over {
			g.some.Wait()
		}
		n := 0
		for len(g.frames) > 0 && n+g.frames[0] <= proto.MaxFrames {
			n += g.frames[0]
			g.frames = g.frames[1:]
		}
		batch, last := g.queue[:n:n], g.over && len(g.frames) == 0
		g.queue = g.queue[n:]
		deaf := g.deaf
		g.mu.Unlock()
		if last && n > 0 { // ends with a Close
			g.conn.Write(g.session.Send.SealLast(nil, batch))
		} else if n > 0 && !deaf {
			if _, err := g.conn.Write(g.session.Send.Seal(nil, batch, time.Now())); err != nil {
				last = true
			}
		}
		if last {
			g.mu.Lock()
			g.over = true
			g.mu.Unlock()
			return
		}
	}
}

// reads owns session.Receive.
func (g *guest) reads() {
	defer g.server.with(func(b *switchboard) {
		if g.line != nil {
			b.leaves(g.line, proto.GoneLost)
		}
	})
	for {
		body, err := readBody(g.conn, proto.MaxRecord)
		if err != nil {
			return
		}
		frames, err := g.session.Receive.Open(body)
		if err != nil {
			g.server.t.Errorf("fake server: %v", err)
			return
		}
		for f, ok := frames.Next(); ok; f, ok = frames.Next() {
			if f.Type == proto.TypeClose {
				g.mu.Lock()
				g.closed = append(g.closed, proto.Reason(f.Body[0]))
				g.mu.Unlock()
				return
			}
			g.server.mu.Lock()
			takes := g.server.takes
			g.server.mu.Unlock()
			if takes != nil && takes(g, f) {
				continue
			}
			if g.password(f) {
				continue
			}
			g.server.with(func(b *switchboard) { g.frame(b, f) })
		}
	}
}

// password takes the frames of a change of password, and all frames before one is chosen in place of a code.
func (g *guest) password(f proto.Frame) bool {
	s := g.server
	switch f.Type {
	case proto.TypePing:
		if !g.session.Enrol {
			return false
		}
		pong := proto.AppendPong(nil, f.Body)
		if !g.asked {
			g.asked, pong = true, proto.AppendNotice(pong, proto.NoticePassword)
		}
		g.send(pong)
	case proto.TypePasswordBegin:
		begun, frame, err := proto.AnswerPasswordBegin(nil, s.config.Directory, g.session, f.Body)
		if err != nil {
			s.t.Errorf("fake server: %v", err)
		}
		g.begun = begun
		g.send(frame)
	case proto.TypePasswordSet:
		verifier, m2, err := g.begun.Set(f.Body)
		if err != nil {
			g.send(proto.AppendDone(nil, proto.DoneRefused, nil))
			break
		}
		s.mu.Lock()
		s.accounts[g.session.Name] = verifier
		delete(s.codes, g.session.Name)
		s.mu.Unlock()
		g.send(proto.AppendDone(nil, proto.DoneChanged, m2))
		if g.session.Enrol {
			g.closes(proto.CloseDone)
		}
	case proto.TypeLogout:
		if !g.session.Enrol {
			return false
		}
		g.send(proto.AppendLoggedOut(nil))
		g.closes(proto.CloseDone)
	default:
		if g.session.Enrol {
			s.t.Errorf("fake server: %v before a password was chosen", f.Type)
		}
		return g.session.Enrol
	}
	return true
}

// frame takes a frame while the server's lock is held.
func (g *guest) frame(b *switchboard, f proto.Frame) {
	s := g.server
	if g.line == nil {
		if old := s.guests[b.lines[g.session.Name]]; old != nil {
			old.closes(proto.CloseReplaced)
		}
		g.line = b.joins(g.session.Name, g.session.Tickets, g.send)
		s.guests[g.line] = g
		s.last = g
	}
	if g.line.over {
		return
	}
	if f.Type == proto.TypeLogout {
		b.leaves(g.line, proto.GoneLogout)
		g.send(proto.AppendLoggedOut(nil))
		g.closes(proto.CloseDone)
		return
	}
	b.takes(g.line, f)
}
