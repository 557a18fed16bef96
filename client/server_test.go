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
	"slices"
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

	network *network // between it and the clients; nil for none
	// meets takes a connection in place of the login, if it returns true.
	meets    func(c net.Conn) bool
	mu       sync.Mutex                         // guards what follows
	takes    func(g *guest, f proto.Frame) bool // takes a frame in place of the switchboard, if it returns true
	board    *switchboard
	accounts map[proto.Name]*[srp.Size]byte
	codes    map[proto.Name]bool // whose password is a one-time code
	guests   map[*subscriber]*guest
	sessions map[[16]byte]*guest // that can be resumed
	resumed  int
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
		sessions: make(map[[16]byte]*guest),
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
	if s.network != nil {
		return s.network.dial(s.serve)
	}
	here, there := net.Pipe()
	go s.serve(there)
	return here, nil
}

// serve serves one connection until it ends.
func (s *fakeServer) serve(c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	meets := s.meets
	s.mu.Unlock()
	if meets != nil && meets(c) {
		return
	}
	session, machine, err := s.login(c)
	if err != nil {
		if errors.Is(err, proto.ErrSilence) {
			c.SetReadDeadline(time.Now().Add(proto.HelloDeadline))
			io.Copy(io.Discard, c)
		}
		return
	}
	if session == nil {
		s.resumes(c, machine)
		return
	}
	g := &guest{server: s, session: session, secret: proto.NewResumption(session)}
	g.some.L = &g.mu
	g.serves(c, session.Send, session.Receive)
}

// login returns a session, or the machine of a client that wants to resume one.
func (s *fakeServer) login(c net.Conn) (*proto.Session, *proto.LoginServer, error) {
	machine := proto.NewLoginServer(s.config, time.Now())
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return nil, nil, err
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if err := machine.Admits(n); err != nil {
			return nil, nil, err
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(c, body); err != nil {
			return nil, nil, err
		}
		out, session, err := machine.Handle(time.Now(), body)
		if len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return nil, nil, err
			}
		}
		if _, ok := machine.Resuming(); ok {
			return nil, machine, nil
		}
		if err != nil || session != nil {
			return session, nil, err
		}
	}
}

// resumes answers a client that comes back.
func (s *fakeServer) resumes(c net.Conn, machine *proto.LoginServer) {
	asked, _ := machine.Resuming()
	s.mu.Lock()
	g := s.sessions[asked.ID]
	s.mu.Unlock()
	if g == nil || !machine.Resumes(g.secret) {
		c.Write(machine.RefuseResume())
		return
	}
	g.detach()
	g.mu.Lock()
	ok := !g.over && g.journal.seen(asked.Seen)
	handled := g.journal.handled
	g.mu.Unlock()
	if !ok {
		c.Write(machine.RefuseResume())
		return
	}
	out, link, err := machine.AnswerResume(time.Now(), g.secret, handled)
	if err != nil {
		s.t.Errorf("fake server: %v", err)
	}
	if _, err := c.Write(out); err != nil {
		return
	}
	s.with(func(*switchboard) { s.resumed++ })
	g.mu.Lock()
	g.queue = slices.Clone(g.journal.kept)
	g.journal.toldAll()
	g.mu.Unlock()
	g.serves(c, link.Send, link.Receive)
}

// loses ends the session of a user as a server does that was started again: nobody can come back to it.
func (s *fakeServer) loses(name string) {
	g := s.guest(name)
	g.ends(proto.GoneLost)
	g.cuts()
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
	session *proto.Session
	secret  *proto.Resumption
	line    *subscriber // nil before the first Ping
	begun   *proto.PasswordServer
	asked   bool // for a password in place of a code

	mu      sync.Mutex
	some    sync.Cond
	conn    net.Conn      // nil while there is none
	served  chan struct{} // closed when conn is not any more
	queue   [][]byte      // what waits for it
	journal journal
	lasts   bool // it outlives its connection
	says    bool // what was handled, even if nothing else is to be said
	over    bool
	deaf    bool           // nothing is written any more
	closed  []proto.Reason // of a Close from the client
}

// send sends a frame.
func (g *guest) send(frame []byte) { g.sends(frame) }

// sends sends frames together.
func (g *guest) sends(frames ...[]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range frames {
		if g.over {
			break
		}
		g.journal.keep([][]byte{f})
		g.journal.given()
		g.queue = append(g.queue, f)
		g.over = proto.Type(f[0]) == proto.TypeClose
	}
	g.some.Signal()
}

func (g *guest) closes(reason proto.Reason) { g.send(proto.AppendClose(nil, reason)) }

// cuts ends the connection, if there is one.
func (g *guest) cuts() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		g.conn.Close()
	}
}

// detach ends the connection and waits until nothing of it is handled any more.
func (g *guest) detach() {
	g.cuts()
	g.mu.Lock()
	served := g.served
	g.mu.Unlock()
	<-served
}

// ends ends the session.
func (g *guest) ends(why proto.Reason) {
	g.mu.Lock()
	g.over = true
	g.some.Signal()
	g.mu.Unlock()
	g.server.with(func(b *switchboard) {
		delete(g.server.sessions, g.secret.ID)
		if g.line != nil {
			b.leaves(g.line, why)
		}
	})
}

// serves serves one connection of the session; where that is lost without a Close, another may come.
func (g *guest) serves(c net.Conn, send *proto.Sender, receive *proto.Receiver) {
	g.mu.Lock()
	served := make(chan struct{})
	g.conn, g.served = c, served
	g.mu.Unlock()
	wrote := make(chan struct{})
	go func() { defer close(wrote); g.writes(c, send) }()
	cut := g.reads(c, receive)
	g.mu.Lock()
	cut = cut && g.lasts && !g.over
	g.mu.Unlock()
	if cut {
		c.Close()
	} else {
		g.closes(proto.CloseDone)
	}
	g.mu.Lock()
	g.conn = nil
	g.some.Signal()
	g.mu.Unlock()
	<-wrote
	if !cut {
		g.ends(proto.GoneLost)
	} else {
		time.AfterFunc(MaxReconnect, func() {
			g.mu.Lock()
			late := g.conn == nil && g.served == served
			g.mu.Unlock()
			if late {
				g.ends(proto.GoneLost)
			}
		})
	}
	close(served)
}

// writes writes until the connection or the session ends.
func (g *guest) writes(c net.Conn, send *proto.Sender) {
	defer c.Close()
	var written int // frames
	for {
		most := proto.MaxFrames
		if written < 100 {
			most = repeatedRecords
		}
		g.mu.Lock()
		for len(g.queue) == 0 && !g.says && !g.over && g.conn == c {
			g.some.Wait()
		}
		var batch []byte
		for len(g.queue) > 0 && (len(batch) == 0 || len(batch)+len(g.queue[0]) <= most) {
			batch = append(batch, g.queue[0]...)
			g.queue = g.queue[1:]
			written++
		}
		if len(batch)+11 <= proto.MaxFrames && (len(batch) > 0 || g.says) && g.lasts && g.journal.tells() && !g.over {
			batch = append(batch, g.journal.tell()...)
		}
		g.says = false
		last, deaf, ended := g.over && len(g.queue) == 0, g.deaf, g.conn != c && !g.over
		g.mu.Unlock()
		switch {
		case ended:
			return
		case last && len(batch) > 0: // ends with a Close
			c.Write(send.SealLast(nil, batch))
		case len(batch) > 0 && !deaf:
			if _, err := c.Write(send.Seal(nil, batch, time.Now())); err != nil {
				return
			}
		}
		if last {
			return
		}
	}
}

// reads handles what comes. True means that the connection was lost without a Close.
func (g *guest) reads(c net.Conn, receive *proto.Receiver) (cut bool) {
	for first := true; ; first = false {
		body, err := readBody(c, proto.MaxRecord)
		if err != nil {
			return true
		}
		frames, err := receive.Open(body)
		if err != nil {
			g.server.t.Errorf("fake server: %v", err)
			return false
		}
		if first {
			g.secret.Confirm()
		}
		for f, ok := frames.Next(); ok; f, ok = frames.Next() {
			if f.Type == proto.TypeClose {
				g.mu.Lock()
				g.closed = append(g.closed, proto.Reason(f.Body[0]))
				g.mu.Unlock()
				return false
			}
			if f.Type == proto.TypeSeen {
				g.takesSeen(proto.ParseSeen(f.Body))
				continue
			}
			g.server.mu.Lock()
			takes := g.server.takes
			g.server.mu.Unlock()
			if takes != nil && takes(g, f) || g.password(f) {
				g.took(f)
				continue
			}
			g.server.with(func(b *switchboard) { g.frame(b, f) })
			g.took(f)
		}
	}
}

// takesSeen takes the client's word; the first says that the session is to outlive its connection.
func (g *guest) takesSeen(n uint64) {
	g.mu.Lock()
	if !g.journal.seen(n) {
		g.server.t.Errorf("fake server: Seen(%d), %d were sent", n, g.journal.sent)
	}
	first := !g.lasts && !g.session.Enrol
	g.lasts = g.lasts || first
	g.mu.Unlock()
	if first {
		g.server.with(func(*switchboard) { g.server.sessions[g.secret.ID] = g })
	}
}

// took counts what was handled, and tells it when much is untold.
func (g *guest) took(f proto.Frame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.journal.took(time.Now(), f)
	if g.lasts && g.journal.due(time.Now()) {
		g.says = true
		g.some.Signal()
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
		answer := [][]byte{proto.AppendPong(nil, f.Body)}
		if !g.asked {
			g.asked, answer = true, append(answer, proto.AppendNotice(nil, proto.NoticePassword))
		}
		g.sends(answer...)
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
			delete(s.sessions, old.secret.ID)
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
