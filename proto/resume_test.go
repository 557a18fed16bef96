package proto

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"sim/proto/box"
	"sim/proto/record"
)

// A lost is alice's session as both ends have it when its connection is lost.
type lost struct {
	w              *world
	client, server *Resumption
}

func newLost(t *testing.T) *lost {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	if c.Resumption == [32]byte{} || c.Resumption != s.Resumption {
		t.Fatal("no common resumption secret")
	}
	l := &lost{w, NewResumption(c), NewResumption(s)}
	if c.Resumption != [32]byte{} || s.Resumption != [32]byte{} {
		t.Fatal("the secret was copied, not moved")
	}
	return l
}

// asks brings a resumption to the point where the server has to answer.
func (l *lost) asks(t *testing.T, seen uint64) (*LoginClient, *LoginServer, error) {
	t.Helper()
	c, err := NewResumeClient(l.w.public, l.client, seen)
	if err != nil {
		t.Fatal(err)
	}
	s := NewLoginServer(l.w.config, l.w.now)
	hello, err := c.Hello(l.w.now)
	if err != nil {
		t.Fatal(err)
	}
	challenge, _, err := s.Handle(l.w.now, body(t, hello))
	if err != nil {
		t.Fatal(err)
	}
	task, err := c.Challenge(body(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	wire, err := c.Login(l.w.now, solve(t, task))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bodies(t, wire) {
		if out, session, e := s.Handle(l.w.now, b); out != nil || session != nil {
			t.Fatal("an answer before the session was found")
		} else if e != nil {
			return c, s, e
		}
	}
	return c, s, nil
}

// resumes is a resumption that is well.
func (l *lost) resumes(t *testing.T, clientSeen, serverSeen uint64) (client, server *Link) {
	t.Helper()
	c, s, err := l.asks(t, clientSeen)
	if err != nil {
		t.Fatal(err)
	}
	request, ok := s.Resuming()
	if !ok || request != (ResumeRequest{l.server.ID, clientSeen}) || !s.Resumes(l.server) {
		t.Fatal(request, ok)
	}
	out, server, err := s.AnswerResume(l.w.now, l.server, serverSeen)
	if err != nil {
		t.Fatal(err)
	}
	if client, err = c.Resumed(l.w.now, body(t, out)); err != nil {
		t.Fatal(err)
	}
	if client.Seen != serverSeen || server.Seen != clientSeen {
		t.Fatal(client.Seen, server.Seen)
	}
	return client, server
}

// talk sends a record each way over a resumed connection.
func talk(t *testing.T, l *lost, client, server *Link) {
	t.Helper()
	for _, way := range []struct {
		from  *Link
		to    *Link
		frame []byte
	}{{client, server, AppendPing(nil, [8]byte{1})}, {server, client, AppendPong(nil, make([]byte, 8))}} {
		sealed := way.from.Send.Seal(nil, way.frame, l.w.now)
		if _, err := way.to.Receive.Open(bytes.Clone(sealed[record.HeaderSize:])); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResume(t *testing.T) {
	l := newLost(t)
	first := l.client.newest
	for i := range uint64(3) {
		client, server := l.resumes(t, 7+i, 40+i)
		talk(t, l, client, server)
		l.server.Confirm()
		if l.client.newest != l.server.newest || l.client.newest == first || l.server.before != [32]byte{} {
			t.Fatal("the secret did not step at both ends")
		}
		first = l.client.newest
	}
}

// Resumed is lost on its way: the client comes back with the secret that it has, as often as that happens.
func TestResumeAnswerLost(t *testing.T) {
	l := newLost(t)
	for range 3 {
		_, s, err := l.asks(t, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.AnswerResume(l.w.now, l.server, 2); err != nil {
			t.Fatal(err)
		}
	}
	client, server := l.resumes(t, 1, 2)
	talk(t, l, client, server)
	// The first record under the new keys is lost: the client has the newest secret, and the server has not confirmed it.
	client, server = l.resumes(t, 1, 2)
	talk(t, l, client, server)
}

// A Login that the network kept back comes when alice has gone on with a newer secret: it would cut her off, and she could not come back.
func TestResumeOvertaken(t *testing.T) {
	l := newLost(t)
	_, late, err := l.asks(t, 1)
	if err != nil {
		t.Fatal(err)
	}
	l.w.now = l.w.now.Add(time.Second)
	l.resumes(t, 1, 2)
	if late.Resumes(l.server) {
		t.Error("an attempt that was overtaken resumes")
	}
	if _, link, err := late.AnswerResume(l.w.now, l.server, 2); err != ErrRefused || link != nil {
		t.Error(link, err)
	}
	client, server := l.resumes(t, 1, 2)
	talk(t, l, client, server)
}

// After the first record under the new keys, what leaked of the secret before is of no use.
func TestResumeOldSecretIsGone(t *testing.T) {
	l := newLost(t)
	stolen := *l.client
	l.resumes(t, 0, 0)
	l.server.Confirm()
	l.client = &stolen
	_, s, err := l.asks(t, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.Resumes(l.server) {
		t.Error("the secret before resumes")
	}
	if _, link, err := s.AnswerResume(l.w.now, l.server, 0); err != ErrRefused || link != nil {
		t.Error(link, err)
	}
}

// Nobody resumes without the secret, and who is refused learns so from the holder of the server's key alone.
func TestResumeRefused(t *testing.T) {
	for name, bend := range map[string]func(*lost){
		"another session":  func(l *lost) { l.client.ID[0] ^= 1 },
		"another secret":   func(l *lost) { l.client.newest[31] ^= 1 },
		"a cleared secret": func(l *lost) { l.server.Clear() },
	} {
		l := newLost(t)
		bend(l)
		c, s, err := l.asks(t, 0)
		if err != nil {
			t.Fatal(name, err)
		}
		before := *l.server
		out, link, err := s.AnswerResume(l.w.now, l.server, 9)
		if err != ErrRefused || link != nil || *l.server != before {
			t.Error(name, link, err)
		}
		clientBefore := *l.client
		if _, err := c.Resumed(l.w.now, body(t, out)); err != ErrRefused || *l.client != clientBefore {
			t.Error(name, err)
		}
	}
}

// M_C covers the session's id and what was seen, and nothing stands behind it.
func TestResumeRequestIsCovered(t *testing.T) {
	for what, bend := range map[string]func(*LoginServer, *Resumption){
		"the id":   func(s *LoginServer, r *Resumption) { s.resume.ID[3] ^= 1; r.ID[3] ^= 1 },
		"seen":     func(s *LoginServer, _ *Resumption) { s.resume.Seen++ },
		"M_C":      func(s *LoginServer, _ *Resumption) { s.resumeMAC[31] ^= 1 },
		"the run":  func(s *LoginServer, _ *Resumption) { s.atLogin.MixHash([]byte("another")) },
		"the keys": func(s *LoginServer, _ *Resumption) { s.atLogin.MixKey("another", nil) },
	} {
		l := newLost(t)
		_, s, err := l.asks(t, 5)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Resumes(l.server) {
			t.Fatal("an honest request is refused")
		}
		if bend(s, l.server); s.Resumes(l.server) {
			t.Error(what, "is not covered")
		}
	}
	for pos := NameSize + 56; pos < resumePlain; pos++ {
		plain := make([]byte, resumePlain)
		plain[pos] = 1
		if _, _, err := new(LoginServer).takeResume(plain, box.State{}); !isPeer(err) {
			t.Fatalf("byte %d is not zero, and that is taken: %v", pos, err)
		}
	}
}

// Mallory flips each byte of Resumed: the client believes none.
func TestMalloryFlipsEveryByteOfResumed(t *testing.T) {
	l := newLost(t)
	c, s, err := l.asks(t, 1)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := s.AnswerResume(l.w.now, l.server, 2)
	if err != nil {
		t.Fatal(err)
	}
	right := body(t, out)
	before := *l.client
	for pos := range right {
		bent := bytes.Clone(right)
		bent[pos] ^= 0x10
		_, err := cloneClient(c).Resumed(l.w.now, bent)
		if pos == 0 && !isPeer(err) || pos > 0 && err != ErrNoProof {
			t.Fatalf("byte %d: %v", pos, err)
		}
	}
	if _, err := cloneClient(c).Resumed(l.w.now, right[:len(right)-1]); !isPeer(err) {
		t.Error(err)
	}
	if *l.client != before {
		t.Error("a bad answer changed the secret")
	}
	if _, err := c.Resumed(l.w.now, right); err != nil {
		t.Error(err)
	}
}

// Accepted is 0 or 1, and a refusal says nothing else.
func TestResumedMalformed(t *testing.T) {
	for _, first := range []byte{0, 2, 255} {
		l := newLost(t)
		c, s, err := l.asks(t, 1)
		if err != nil {
			t.Fatal(err)
		}
		plain := make([]byte, resumedPlain)
		plain[0], plain[resumedPlain-1] = first, 1
		if _, err := c.Resumed(l.w.now, body(t, s.resumedBody(plain))); !isPeer(err) {
			t.Error(first, err)
		}
	}
}

// A server that has the key of the address, and not the session, can't play it.
func TestResumeWithoutTheServersSecret(t *testing.T) {
	l := newLost(t)
	c, s, err := l.asks(t, 1)
	if err != nil {
		t.Fatal(err)
	}
	mallory := *l.server
	request, _ := s.Resuming()
	out := s.resumedBody(append([]byte{1}, make([]byte, resumedPlain-1)...))
	if _, err := c.Resumed(l.w.now, body(t, out)); err != ErrNoProof || request.ID != mallory.ID {
		t.Error(err)
	}
}

// Resumption and log-in don't take each other's steps.
func TestResumeOutOfTurn(t *testing.T) {
	l := newLost(t)
	c, s, err := l.asks(t, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Salt(make([]byte, saltLen)); !isPeer(err) {
		t.Error("a resumption takes Salt:", err)
	}
	if err := s.Admits(proofLen); !isPeer(err) {
		t.Error("a resumption takes Proof:", err)
	}
	login := l.w.client(t, "alice")
	if _, err := login.Resumed(l.w.now, make([]byte, resumedLen)); !isPeer(err) {
		t.Error("a login takes Resumed:", err)
	}
	if _, err := login.Hello(l.w.now); err == nil {
		t.Error("a login goes on after a fault")
	}
	at, _ := l.w.stages(t, l.w.config)
	if _, err := at[atSalt].client.Resumed(l.w.now, append([]byte{msgResumed}, make([]byte, resumedLen-1)...)); !isPeer(err) {
		t.Error("a login takes Resumed for Salt:", err)
	}
	fresh := NewLoginServer(l.w.config, l.w.now)
	if _, ok := fresh.Resuming(); ok || fresh.Resumes(l.server) || fresh.RefuseResume() != nil {
		t.Error("a resumption from nothing")
	}
	if _, _, err := fresh.AnswerResume(l.w.now, l.server, 0); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}
