package proto

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"sim/proto/box"
	"sim/proto/puzzle"
)

func TestAliceLogsIn(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	sameSession(t, c, s)
	if s.Name.String() != "alice" || s.ID == [16]byte{} {
		t.Fatal(s.Name, s.ID)
	}
	frames, err := open(s.Receive, c.Send.Seal(nil, AppendPing(nil, [8]byte{1}), w.now))
	if err != nil {
		t.Fatal(err)
	}
	ping, ok := frames.Next()
	if !ok || ping.Type != TypePing {
		t.Fatalf("got %v", ping.Type)
	}
	frames, err = open(c.Receive, s.Send.Seal(nil, AppendPong(nil, ping.Body), w.now))
	if err != nil {
		t.Fatal(err)
	}
	if pong, ok := frames.Next(); !ok || pong.Type != TypePong || pong.Body[0] != 1 {
		t.Fatalf("got %v", pong)
	}
}

func TestEverySessionIsItsOwn(t *testing.T) {
	w := newWorld(t)
	_, one := w.sessions(t, "alice")
	_, two := w.sessions(t, "alice")
	_, bob := w.sessions(t, "bob")
	keys := map[[32]byte]bool{}
	for _, s := range []*Session{one, two, bob} {
		for _, k := range [][32]byte{s.Tickets.Nonce, s.Tickets.Intro, s.Tickets.Ticket, s.Resumption, s.Transcript} {
			keys[k] = true
		}
	}
	if len(keys) != 15 || one.ID == two.ID || one.ID == bob.ID {
		t.Fatalf("%d different keys of 15", len(keys))
	}
	if bytes.Equal(one.Send.Seal(nil, []byte{1}, w.now), two.Send.Seal(nil, []byte{1}, w.now)) {
		t.Fatal("one record key for two sessions")
	}
}

// The two directions have a key each: what alice says does not come back as the server's word.
func TestRecordIsNotReflected(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	if _, err := open(c.Receive, c.Send.Seal(nil, AppendClose(nil, CloseDone), w.now)); err == nil {
		t.Error("alice takes her own record")
	}
	if _, err := open(s.Receive, s.Send.Seal(nil, AppendClose(nil, CloseDone), w.now)); err == nil {
		t.Error("the server takes its own record")
	}
}

func TestPuzzlesOfAnyBitsAreSolved(t *testing.T) {
	for _, bits := range [][2]uint8{{0, 0}, {4, 5}, {8, 0}, {0, 8}, {9, 9}} {
		w := newWorld(t)
		w.config.PuzzleBits, w.config.AccountPuzzleBits = bits[0], bits[1]
		c, s := w.sessions(t, "bob")
		sameSession(t, c, s)
	}
}

func TestLengthsOfEveryBody(t *testing.T) {
	w := newWorld(t)
	for _, who := range [][2]string{{"alice", passwordOf("alice")}, {"alice", "wrong"}, {"nobody", "whatever"}, {"a", "b"}} {
		o := w.login(t, who[0], who[1])
		for i, n := range []int{51, 1252, 161, 1457, 380, 209, 98} {
			if len(o.sent[i]) != n {
				t.Errorf("%s: %s has %d bytes", who, bodyNames[i], len(o.sent[i]))
			}
		}
	}
	if MaxLoginBody != 1457 || MaxUnsolvedBody != 161 || MaxServerBody != 1252 {
		t.Error(MaxLoginBody, MaxUnsolvedBody, MaxServerBody)
	}
}

// A watcher sees neither the name nor anything that repeats.
func TestNothingOfTheNameIsInTheClear(t *testing.T) {
	w := newWorld(t)
	name := "alice.the.quite.long-named"
	w.register(name, "password")
	o := w.login(t, name, "password")
	if o.server == nil {
		t.Fatal(o.serverErr)
	}
	for i, b := range o.sent {
		if bytes.Contains(b, []byte(name)) || bytes.Contains(b, w.public[:]) {
			t.Errorf("%s shows it", bodyNames[i])
		}
	}
}

func TestDeadlines(t *testing.T) {
	w := newWorld(t)
	start := w.now
	c, s := w.client(t, "alice"), NewLoginServer(w.config, start)
	at := func(end string, got, want time.Time) {
		t.Helper()
		if !got.Equal(want) {
			t.Fatalf("%s: deadline %v after accept, want %v", end, got.Sub(start), want.Sub(start))
		}
	}
	later := func(d time.Duration) time.Time {
		w.now = w.now.Add(d)
		return w.now
	}
	at("server", s.Deadline(), start.Add(5*time.Second))

	wire, _ := c.Hello(later(time.Second))
	at("client", c.Deadline(), w.now.Add(10*time.Second))
	out, _, err := s.Handle(later(time.Second), body(t, wire))
	if err != nil {
		t.Fatal(err)
	}
	challenged := w.now
	at("server", s.Deadline(), challenged.Add(45*time.Second))

	task, err := c.Challenge(body(t, out))
	if err != nil {
		t.Fatal(err)
	}
	wire, _ = c.Login(later(3*time.Second), solve(t, task))
	at("client", c.Deadline(), w.now.Add(45*time.Second))
	third := bodies(t, wire)
	if _, _, err = s.Handle(later(time.Second), third[0]); err != nil {
		t.Fatal(err)
	}
	at("server, half of message 3", s.Deadline(), challenged.Add(45*time.Second))
	if err := s.Admits(len(third[1])); err != nil {
		t.Fatal(err)
	}
	at("server, asked for a length", s.Deadline(), challenged.Add(45*time.Second))
	if out, _, err = s.Handle(later(time.Second), third[1]); err != nil {
		t.Fatal(err)
	}
	at("server", s.Deadline(), w.now.Add(90*time.Second))

	waits := c.Deadline()
	if task, err = c.Salt(body(t, out)); err != nil {
		t.Fatal(err)
	}
	at("client, while it derives", c.Deadline(), waits)
	wire, _ = c.Proof(later(time.Second), solve(t, task), derive(passwordOf("alice"), task.Salt))
	at("client", c.Deadline(), w.now.Add(60*time.Second))
	out, session, err := s.Handle(later(time.Second), body(t, wire))
	if err != nil || session == nil {
		t.Fatal(err)
	}
	if got, err := c.Welcome(w.now, body(t, out)); err != nil || got.ID != session.ID {
		t.Fatal(err)
	}
}

// A refusal does not move the deadline: until then the bytes of whoever it is are thrown away.
func TestSilenceKeepsItsDeadline(t *testing.T) {
	w := newWorld(t)
	s := NewLoginServer(w.config, w.now)
	if _, _, err := s.Handle(w.now.Add(time.Second), make([]byte, helloMin)); err != ErrSilence {
		t.Fatal(err)
	}
	if !s.Deadline().Equal(w.now.Add(HelloDeadline)) {
		t.Fatal(s.Deadline())
	}
}

// The epoch is in no hands but the server's once Login has come: then it can be dropped.
func TestEpochIsDroppedAfterLogin(t *testing.T) {
	w := newWorld(t)
	at, done := w.stages(t, w.config)
	if at[atLogin].server.epoch == nil || at[atSolution].server.epoch == nil {
		t.Fatal("the epoch is gone too early")
	}
	if at[atProof].server.epoch != nil || done.server.epoch != nil {
		t.Fatal("the epoch is still held")
	}
	s := at[atSolution].server
	s.Clear()
	if s.epoch != nil {
		t.Fatal("the epoch is held after Clear")
	}
	s = at[atLogin].server
	if _, _, err := s.Handle(w.now, make([]byte, loginLen)); err == nil || s.epoch != nil {
		t.Fatal("the epoch is held after a fault")
	}
}

// A handshake goes on in the epoch that it began in.
func TestEpochChangesUnderAHandshake(t *testing.T) {
	w := newWorld(t)
	o := w.handshake(t, w.client(t, "alice"), NewLoginServer(w.config, w.now), passwordOf("alice"), func(at int, b []byte) []byte {
		if at == atSolution {
			var err error
			if w.epoch, err = NewEpoch(); err != nil {
				t.Fatal(err)
			}
		}
		return b
	})
	if !o.bothIn(t) {
		t.Fatal(o.clientErr, o.serverErr)
	}
}

// What was kept for the transcript is dropped once it is in it.
func TestBodiesAreNotKept(t *testing.T) {
	w := newWorld(t)
	at, _ := w.stages(t, w.config)
	if s := at[atLogin].server; s.hello == nil || s.solution == nil {
		t.Fatal("a body is gone too early")
	}
	if s := at[atProof].server; s.hello != nil || s.solution != nil {
		t.Error("a body is still held")
	}
}

func TestSecretsAreCleared(t *testing.T) {
	w := newWorld(t)
	check := func(what string, c *LoginClient, s *LoginServer) {
		t.Helper()
		if c != nil && (c.e != nil || c.srp != nil || c.key != [32]byte{} || c.s != nil && *c.s != [256]byte{} || c.state != clientDone) {
			t.Errorf("%s: the client still holds a secret", what)
		}
		if s != nil && (s.epoch != nil || s.srp != nil || s.key != [32]byte{} || s.state != TurnOver) {
			t.Errorf("%s: the server still holds a secret", what)
		}
		// The chaining key is box's; without it every derivation is that of zeros.
		for _, sym := range []*box.State{symOf(c), symOfServer(s)} {
			if sym != nil {
				h := sym.Hash()
				if sym.Derive("x") != box.Expand(new([32]byte), "x", h[:]) {
					t.Errorf("%s: the chaining key is still there", what)
				}
			}
		}
	}
	at, done := w.stages(t, w.config)
	check("after Welcome", done.client, done.server)
	for i := range at {
		at[i].client.Clear()
		at[i].server.Clear()
		check("cleared before "+bodyNames[i], at[i].client, at[i].server)
		if _, err := at[i].client.Welcome(w.now, at[i].body); !isPeer(err) {
			t.Error("a step after Clear:", err)
		}
	}
	at, _ = w.stages(t, w.config)
	for i, b := range at {
		b.body[len(b.body)-1] ^= 1
		if i == atSolution {
			wrongAnswer(b.server, b.body, puzzle.SolutionSize-1)
		}
		if i == atChallenge || i == atSalt || i == atWelcome {
			give(b.client, i, w.now, b.body)
			if i > atChallenge { // a flip in ek can still be a key
				check("fault at "+bodyNames[i], b.client, nil)
			}
		} else if _, _, err := b.server.Handle(w.now, b.body); err == nil {
			t.Error("a fault is taken")
		} else {
			check("fault at "+bodyNames[i], nil, b.server)
		}
	}
}

func symOf(c *LoginClient) *box.State {
	if c == nil {
		return nil
	}
	return c.sym
}

func symOfServer(s *LoginServer) *box.State {
	if s == nil {
		return nil
	}
	return s.sym
}

// T, which is as good as the password, is cleared whatever Proof returns.
func TestProofClearsT(t *testing.T) {
	w := newWorld(t)
	at, _ := w.stages(t, w.config)
	c := at[atSalt].client
	task, err := c.Salt(at[atSalt].body)
	if err != nil {
		t.Fatal(err)
	}
	for _, turn := range []string{"in turn", "out of turn"} {
		secret := derive("password", task.Salt)
		c.Proof(w.now, solve(t, task), secret)
		if *secret != [32]byte{} {
			t.Error("T is still there,", turn)
		}
	}
}

// Over a whole login, and over two, no two boxes have the same salt.
func TestBoxSaltsAreDistinct(t *testing.T) {
	w := newWorld(t)
	seen := map[[32]byte]string{}
	for range 5 {
		o := w.login(t, "alice", passwordOf("alice"))
		for i, sealed := range map[int][]byte{
			atLogin: o.sent[atLogin][loginHead:], atSalt: o.sent[atSalt][1:], atProof: o.sent[atProof][1:], atWelcome: o.sent[atWelcome][1:],
		} {
			r := [32]byte(sealed)
			if other, ok := seen[r]; ok {
				t.Errorf("%s has the salt of %s", bodyNames[i], other)
			}
			seen[r] = bodyNames[i]
		}
	}
	if len(seen) != 20 {
		t.Error(len(seen))
	}
}

// Busy and Refusal may stand in the place of each of the server's messages. They are hints, of one exact form.
func TestBusyAndRefusal(t *testing.T) {
	w := newWorld(t)
	at, _ := w.stages(t, w.config)
	for _, i := range []int{atChallenge, atSalt, atWelcome} {
		c := cloneClient(at[i].client)
		err := give(c, i, w.now, []byte{msgBusy, 0x01, 0x02})
		if busy, ok := errors.AsType[*BusyError](err); !ok || busy.Seconds != 258 || busy.Error() != "the server is busy for 258 s" {
			t.Errorf("%s: %v", bodyNames[i], err)
		}
		c = cloneClient(at[i].client)
		hint := []byte{msgRefusal, 2, 3, 9}
		err = give(c, i, w.now, hint)
		clear(hint) // the error does not live in the caller's buffer
		if version, ok := errors.AsType[*VersionError](err); !ok || !slices.Equal(version.Versions, []byte{3, 9}) || version.Error() != "the server speaks versions [3 9]" {
			t.Errorf("%s: %v", bodyNames[i], err)
		}
		for _, malformed := range [][]byte{
			{}, {0x0a, 1, 3}, {0x0a, 0, 1}, {msgBusy}, {msgBusy, 1}, {msgBusy, 1, 2, 3}, {msgRefusal}, {msgRefusal, 0}, {msgRefusal, 1}, {msgRefusal, 1, 0}, {msgRefusal, 2, 3, 3},
			{msgRefusal, 2, 4, 3}, {msgRefusal, 1, 3, 0}, {msgRefusal, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		} {
			if err := give(cloneClient(at[i].client), i, w.now, malformed); !isPeer(err) {
				t.Errorf("%s, %x: %v", bodyNames[i], malformed, err)
			}
		}
	}
}

// give lets a client take the server's message of a stage.
func give(c *LoginClient, at int, now time.Time, body []byte) (err error) {
	switch at {
	case atChallenge:
		_, err = c.Challenge(body)
	case atSalt:
		_, err = c.Salt(body)
	case atWelcome:
		_, err = c.Welcome(now, body)
	}
	return err
}

// The server refuses a client of a later version in the clear, and the client can tell.
func TestUnknownVersionIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, versions := range [][]byte{{2}, {2, 3, 255}, {2, 3, 4, 5, 6, 7, 8, 9}} {
		s := NewLoginServer(w.config, w.now)
		out, session, err := s.Handle(w.now, helloOf(w, versions))
		if session != nil || !isPeer(err) || !s.Greeted() {
			t.Fatal(err)
		}
		if !bytes.Equal(out, []byte{0, 3, 8, 1, 1}) {
			t.Fatalf("%x", out)
		}
		c := w.client(t, "alice")
		c.Hello(w.now)
		_, err = c.Challenge(body(t, out))
		if version, ok := errors.AsType[*VersionError](err); !ok || !slices.Equal(version.Versions, []byte{1}) {
			t.Fatal(err)
		}
		if _, _, err := s.Handle(w.now, helloOf(w, []byte{1})); !isPeer(err) {
			t.Fatal("a second Hello:", err)
		}
	}
	for _, versions := range [][]byte{{1}, {1, 2}, {1, 2, 3, 4, 5, 6, 7, 255}} {
		s := NewLoginServer(w.config, w.now)
		out, _, err := s.Handle(w.now, helloOf(w, versions))
		if err != nil || len(out) != 2+challengeLen || out[3] != 1 {
			t.Fatalf("versions %v: %v", versions, err)
		}
	}
}

// helloOf is a Hello that offers these versions, with a right mac1.
func helloOf(w *world, versions []byte) []byte {
	return withMAC1(w, cat([]byte{msgHello, byte(len(versions))}, versions, make([]byte, 32)))
}

func withMAC1(w *world, head []byte) []byte {
	return cat(head, refHMAC(refHash([]byte("sim/1 mac1"), w.public[:]), head)[:16])
}
