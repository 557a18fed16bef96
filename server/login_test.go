package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

func TestLogin(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice := w.enter("alice")
	alice.ping()
	bob := w.enter("bob")
	bob.ping()
	alice.ping()
	alice.logout()
	bob.ping()
}

// Other clients may put more into the first record than the Ping.
func TestFramesBesideTheFirstPing(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	n := w.newcomer("alice", passwordOf("alice"))
	if err := n.advance(0, 3); err != nil {
		t.Fatal(err)
	}
	frames := proto.AppendPing(nil, [8]byte{'h', 'e', 'l', 'l', 'o'})
	frames = proto.AppendList(frames, proto.List{})
	n.conn.Write(n.session.Send.Seal(nil, frames, time.Now()))
	alice, err := n.client()
	if err != nil {
		t.Fatal(err)
	}
	if _, names, ok := proto.ParseUsers(alice.expect(proto.TypeUsers)); !ok || len(names) != 1 {
		t.Errorf("%v", names)
	}
}

// Nobody is listed before the first Ping, and another frame in its place ends the connection.
func TestListedWithThePing(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	bob := w.enter("bob")
	n := w.newcomer("alice", passwordOf("alice"))
	if err := n.advance(0, 3); err != nil {
		t.Fatal(err)
	}
	online := func() int {
		bob.send(proto.AppendList(nil, proto.List{}))
		_, names, _ := proto.ParseUsers(bob.expect(proto.TypeUsers))
		return len(names)
	}
	if got := online(); got != 1 {
		t.Errorf("%d online before the Ping", got)
	}
	n.conn.Write(n.session.Send.Seal(nil, proto.AppendList(nil, proto.List{}), time.Now()))
	if b, err := io.ReadAll(n.conn); len(b) != 0 {
		t.Errorf("answered with %d bytes, %v", len(b), err)
	}
	if got := online(); got != 1 {
		t.Errorf("%d online without a Ping", got)
	}
	w.enter("alice")
	if got := online(); got != 2 {
		t.Errorf("%d online", got)
	}
}

// A wrong password and an unknown name: the same steps, the same lengths, the same end.
func TestOneReplyForEveryRefusedLogin(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	var heard []string
	for _, who := range []struct{ name, password string }{{"alice", "a guess"}, {"nobody", "a guess"}} {
		n := w.newcomer(who.name, who.password)
		var log strings.Builder
		n.conn = &loggedConn{n.conn, &log}
		if err := n.advance(0, len(steps)); !errors.Is(err, proto.ErrRefused) {
			t.Errorf("%s: %v", who.name, err)
		}
		rest, err := io.ReadAll(n.conn)
		heard = append(heard, fmt.Sprint(log.String(), len(rest), err))
	}
	if heard[0] != heard[1] {
		t.Errorf("they differ:\n%s\n%s", heard[0], heard[1])
	}
}

// loggedConn notes how much is read and written.
type loggedConn struct {
	net.Conn
	log *strings.Builder
}

func (c *loggedConn) Read(b []byte) (int, error) {
	n, err := io.ReadFull(c.Conn, b)
	fmt.Fprintf(c.log, "read %d; ", n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

func (c *loggedConn) Write(b []byte) (int, error) {
	fmt.Fprintf(c.log, "write %d; ", len(b))
	return c.Conn.Write(b)
}

// endsAt reads until the connection ends and checks when, and that nothing came.
func endsAt(t *testing.T, conn net.Conn, want time.Time) {
	t.Helper()
	if b, err := io.ReadAll(conn); len(b) > 0 || err != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if now := time.Now(); !now.Equal(want) {
		t.Errorf("the connection ended %v too late", now.Sub(want))
	}
}

func TestSilenceBeforeARightMAC(t *testing.T) {
	hello := func(n *newcomer) []byte {
		b, err := n.hello()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, bytes := range map[string]func(*newcomer) []byte{
		"nothing":      func(*newcomer) []byte { return nil },
		"a byte":       func(*newcomer) []byte { return []byte{0} },
		"half a hello": func(n *newcomer) []byte { return hello(n)[:30] },
		"a wrong mac1": func(n *newcomer) []byte { b := hello(n); b[len(b)-1] ^= 1; return b },
		"another key's mac1": func(n *newcomer) []byte {
			c, _ := proto.NewLoginClient([32]byte{9}, nameOf(t, "alice"))
			b, _ := c.Hello(time.Now())
			return b
		},
		"a length of zero":     func(n *newcomer) []byte { return []byte{0, 0} },
		"a length of 65535":    func(n *newcomer) []byte { return []byte{255, 255} },
		"a Login in its place": func(n *newcomer) []byte { return append([]byte{5, 177, 4}, make([]byte, 1456)...) },
		"HTTP":                 func(n *newcomer) []byte { return []byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n") },
		"another type":         func(n *newcomer) []byte { b := hello(n); b[2] = 4; return b },
		"much":                 func(n *newcomer) []byte { return make([]byte, 100_000) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipeWorld(t, nil)
				accepted := time.Now()
				n := w.newcomer("alice", "")
				go n.conn.Write(bytes(n))
				time.Sleep(time.Second)
				go n.conn.Write([]byte("and more")) // never extends it
				endsAt(t, n.conn, accepted.Add(proto.HelloDeadline))
			})
		})
	}
}

func TestStallAtEachStep(t *testing.T) {
	for i, step := range steps {
		for _, part := range []string{"nothing", "a part", "a byte a second"} {
			t.Run(step.name+" "+part, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newPipeWorld(t, []string{"alice"})
					n := w.newcomer("alice", passwordOf("alice"))
					if err := n.advance(0, i); err != nil {
						t.Fatal(err)
					}
					from := time.Now()
					b, err := step.write(n)
					if err != nil {
						t.Fatal(err)
					}
					switch part {
					case "a part":
						n.conn.Write(b[:len(b)-1])
					case "a byte a second":
						var wg sync.WaitGroup
						defer wg.Wait()
						wg.Go(func() {
							for i := range b {
								if _, err := n.conn.Write(b[i : i+1]); err != nil {
									return
								}
								time.Sleep(time.Second)
							}
						})
					}
					endsAt(t, n.conn, from.Add(step.limit))
				})
			})
		}
	}
	t.Run("Solution alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newPipeWorld(t, []string{"alice"})
			n := w.newcomer("alice", passwordOf("alice"))
			n.advance(0, 1)
			from := time.Now()
			b, _ := n.loginBytes()
			n.conn.Write(b[:2+161])
			time.Sleep(40 * time.Second)
			endsAt(t, n.conn, from.Add(proto.LoginDeadline))
		})
	})
}

// After a right mac1 a fault ends the connection at once, and without a word.
func TestFaultsAfterHello(t *testing.T) {
	flip := func(at int) func([]byte) { return func(b []byte) { b[at] ^= 1 } }
	for _, c := range []struct {
		name  string
		step  int
		spoil func([]byte)
	}{
		{"a wrong solution", 1, spoilSolution},
		{"a solution for another Login", 1, flip(2 + 161 + 2 + 1200)},
		{"a Solution of another length", 1, flip(1)},
		{"a Solution of another type", 1, flip(2)},
		{"a Proof that does not open", 2, flip(60)},
		{"a record that does not open", 3, flip(60)},
		{"a record of another length", 3, flip(1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipeWorld(t, []string{"alice"})
				n := w.newcomer("alice", passwordOf("alice"))
				if err := n.advance(0, c.step); err != nil {
					t.Fatal(err)
				}
				now := time.Now()
				b, err := steps[c.step].write(n)
				if err != nil {
					t.Fatal(err)
				}
				c.spoil(b)
				go n.conn.Write(b)
				endsAt(t, n.conn, now)
			})
		})
	}
}

// spoilSolution changes all sixteen answers: an easy puzzle's are right by chance now and then.
func spoilSolution(b []byte) {
	for i := range 128 {
		b[2+1+32+i] ^= 0xff
	}
}

// The server holds no more for a connection than its state needs: Login is read only after a right solution.
func TestNothingIsReadBeforeASolution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		n := w.newcomer("alice", passwordOf("alice"))
		n.advance(0, 1)
		b, _ := n.loginBytes()
		spoilSolution(b)
		written, err := n.conn.Write(b) // a pipe takes only what is read
		if err == nil || written != 2+161 {
			t.Errorf("the server read %d bytes, %v", written, err)
		}
	})
}

func TestAnotherVersionIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	n := w.newcomer("alice", "")
	b, _ := n.hello()
	b[4] = 9 // the one version it offers
	resign(w, b)
	n.conn.Write(b)
	if got, err := io.ReadAll(n.conn); string(got) != "\x00\x03\x08\x01\x01" || err != nil {
		t.Errorf("%x, %v", got, err)
	}
}

// resign makes mac1 right again (docs/PROTOCOL.md, section 4.1).
func resign(w *world, hello []byte) {
	key := sha256.Sum256(append([]byte("sim/1 mac1"), w.server.key[:]...))
	body := hello[2 : len(hello)-16]
	copy(hello[len(hello)-16:], hmacSHA256(key[:], body)[:16])
}

func TestFloodOfSilentConnections(t *testing.T) {
	const places = 32
	w := newWorld(t, []string{"alice", "bob"}, func(s *Server) { s.admission.maxUnproven = places })
	alice := w.enter("alice")
	var flood []net.Conn
	for range 10 * places {
		flood = append(flood, w.dial())
	}
	// bob comes in the middle of it, and may be evicted before his Hello is read; a client tries thrice.
	var bob *client
	for range 3 {
		if c, err := w.try("bob", passwordOf("bob")); err == nil {
			bob = c
			break
		}
	}
	if bob == nil {
		t.Fatal("bob is not let in")
	}
	alice.relay(1, "bob", proto.Tag{}, "hello bob")
	bob.expectRelayed("alice", "hello bob")
	if n := unprovenConns(w.server); n > places {
		t.Errorf("%d unproven connections", n)
	}
	for _, c := range flood {
		c.Close()
	}
}

func unprovenConns(s *Server) int {
	s.admission.mu.Lock()
	defer s.admission.mu.Unlock()
	n := 0
	for i := range s.admission.pools {
		n += s.admission.pools[i].size
	}
	return n
}

func TestTheEvictedAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, nil, func(s *Server) { s.admission.maxUnproven = 1 })
		now := time.Now()
		first := w.dial()
		w.dial()
		endsAt(t, first, now)
	})
}

// Who has said Hello keeps its place in a flood of silent ones; who is logged in always does.
func TestEvictionSparesAGoodMAC(t *testing.T) {
	const places = 8
	w := newWorld(t, []string{"alice"}, func(s *Server) { s.admission.maxUnproven = places })
	var greeted []*newcomer
	for range places / 2 {
		n := w.newcomer("alice", passwordOf("alice"))
		if err := n.advance(0, 1); err != nil {
			t.Fatal(err)
		}
		greeted = append(greeted, n)
	}
	var flood []net.Conn
	for range 20 * places {
		flood = append(flood, w.dial())
	}
	flood[len(flood)-1].Close()
	for i, n := range greeted {
		if err := n.advance(1, 2); err != nil {
			t.Errorf("%d was evicted: %v", i, err)
		}
		n.conn.Close()
	}
}

func TestMaxConns(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"}, func(s *Server) { s.admission.maxConns = 2 })
	alice, bob := w.enter("alice"), w.enter("bob")
	if _, err := w.try("carol", passwordOf("carol")); err == nil {
		t.Error("a third connection is served")
	}
	alice.ping()
	bob.logout()
	// Its place is free when its goroutines have ended.
	for {
		if c, err := w.try("carol", passwordOf("carol")); err == nil {
			c.ping()
			return
		}
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	const clients, patience = 300, 5 * time.Minute
	names := make([]string, clients)
	for i := range names {
		names[i] = fmt.Sprintf("user%03d", i)
	}
	w := newWorld(t, names)
	everybody := make([]*client, clients)
	var wg, onTheirWay sync.WaitGroup
	onTheirWay.Add(clients)
	began, allIn := time.Now(), make(chan struct{})
	for i := range names {
		n := w.newcomer(names[i], passwordOf(names[i]))
		wg.Go(func() {
			arrived := sync.OnceFunc(onTheirWay.Done)
			defer arrived()
			err := n.advance(0, len(steps))
			if err == nil {
				everybody[i], err = n.client()
			}
			for err != nil && time.Since(began) < patience { // as a client does: a busy machine may be too slow for a deadline
				if busy, ok := errors.AsType[*proto.BusyError](err); ok {
					time.Sleep(time.Duration(busy.Seconds) * time.Second)
				}
				everybody[i], err = w.try(names[i], passwordOf(names[i]))
			}
			if err != nil {
				t.Errorf("%s: %v", names[i], err)
				return
			}
			arrived()
			for waits := true; waits; {
				select {
				case <-allIn:
					waits = false
				case <-time.After(idleTime / 3): // who is in stays in, however long the others take
					everybody[i].ping()
				}
			}
		})
	}
	onTheirWay.Wait()
	close(allIn)
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, c := range everybody {
		wg.Go(func() {
			if err := c.trySend(relayFrame(t, 1, names[(i+1)%clients], proto.Tag{}, "hello from "+names[i])); err != nil {
				t.Error(err)
				return
			}
			f, err := c.read()
			if err != nil || f.Type != proto.TypeRelayed {
				t.Errorf("%s: %v, %v", names[i], f.Type, err)
				return
			}
			before := names[(i+clients-1)%clients]
			if r, ok := proto.ParseRelayed(f.Body); !ok || string(r.Message) != "hello from "+before || r.From.String() != before {
				t.Errorf("%s: %q", names[i], r.Message)
			}
		})
	}
	wg.Wait()
}

func TestReplacedSession(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	bob := w.enter("bob")
	first := w.enter("alice")
	first.relay(1, "bob", proto.Tag{}, "hello")
	tag := bob.expectRelayed("alice", "hello")
	second := w.enter("alice")
	first.expectClose(proto.CloseReplaced)
	bob.expectGone("alice", tag, proto.GoneReplaced)
	second.ping()
	bob.relay(2, "alice", tag, "for the first")
	bob.expectUndeliverable(2, proto.GoneAway)
	bob.relay(3, "alice", proto.Tag{}, "for the second")
	second.expectRelayed("bob", "for the second")
	second.send(proto.AppendList(nil, proto.List{}))
	if _, names, _ := proto.ParseUsers(second.expect(proto.TypeUsers)); len(names) != 2 {
		t.Errorf("%v", names)
	}
}

func TestSecondReplacementIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		keep := func(c *client) { // reads to the end, as a client does
			go func() {
				for {
					if _, err := c.read(); err != nil {
						return
					}
				}
			}()
		}
		start := time.Now()
		keep(w.enter("alice"))
		keep(w.enter("alice")) // the first replacement
		if now := time.Now(); !now.Equal(start) {
			t.Errorf("the first replacement was held for %v", now.Sub(start))
		}
		time.Sleep(4 * time.Second)
		keep(w.enter("alice"))
		if held := time.Since(start); held != replaceTime {
			t.Errorf("the second replacement came after %v", held)
		}
		// Several at once come one in ten seconds.
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if c, err := w.try("alice", passwordOf("alice")); err == nil {
					keep(c)
				} else {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if held := time.Since(start); held != 4*replaceTime {
			t.Errorf("the fifth replacement came after %v", held)
		}
		// Without a session to replace there is nothing to hold.
		time.Sleep(replaceTime)
		now := time.Now()
		last := w.enter("alice")
		last.logout()
		w.enter("alice").logout()
		if held := time.Since(now); held != 0 {
			t.Errorf("held for %v", held)
		}
	})
}

// A Welcome that waits for its Ping counts as a session that the next one replaces.
func TestThirdOfThreeWelcomesIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		start := time.Now()
		for i, want := range []time.Duration{0, 0, replaceTime} {
			if err := w.newcomer("alice", passwordOf("alice")).advance(0, 3); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d != want {
				t.Errorf("Welcome %d came after %v", i+1, d)
			}
		}
	})
}

// Nobody is held for longer than a client waits.
func TestHeldForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		start := time.Now()
		in := make(chan bool)
		for range 12 {
			go func() {
				c, err := w.try("alice", passwordOf("alice"))
				if d := time.Since(start); d > maxWelcomeWait {
					t.Errorf("held for %v", d)
				}
				if _, busy := errors.AsType[*proto.BusyError](err); err != nil && !busy {
					t.Error(err)
				}
				in <- err == nil
				for err == nil { // reads to the end, as a client does
					_, err = c.read()
				}
			}()
		}
		entered := 0
		for range 12 {
			if <-in {
				entered++
			}
		}
		// The first, the one that replaces it, and one every replaceTime.
		if want := 2 + int(maxWelcomeWait/replaceTime); entered != want {
			t.Errorf("%d of 12 came in, not %d", entered, want)
		}
	})
}

// All that a log-in can wait for behind its Proof, one after the other, is no longer than a client waits.
func TestWaitForWelcomeInAll(t *testing.T) {
	const atTheName = maxProofWait - time.Second
	for name, then := range map[string]func(t *testing.T, w *world, alice proto.Name) (release func()){
		"held": func(_ *testing.T, w *world, alice proto.Name) func() {
			w.server.registry.nextReplace[alice] = time.Now().Add(maxWelcomeWait + replaceTime)
			return func() {}
		},
		"for the budget": func(t *testing.T, w *world, _ proto.Name) func() { return w.server.budget.occupy(t) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipeWorld(t, []string{"alice"})
				w.enter("alice")
				n := w.newcomer("alice", passwordOf("alice"))
				if err := n.advance(0, 2); err != nil {
					t.Fatal(err)
				}
				guessing := &w.server.guessing
				guessing.cells[guessing.cellOf(nameOf(t, "alice"))].next = guessing.now() + atTheName
				release := then(t, w, nameOf(t, "alice"))
				defer release()
				begin := time.Now()
				err := n.advance(2, 3)
				if _, busy := errors.AsType[*proto.BusyError](err); !busy {
					t.Error(err)
				}
				if d := time.Since(begin); d < atTheName || d > maxWelcomeWait {
					t.Errorf("after %v", d)
				}
			})
		})
	}
}

// Who is held is not deaf: when the client goes, its connection is given up.
func TestHeldClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		first := w.enter("alice")
		go func() { first.expectClose(proto.CloseReplaced) }()
		second := w.enter("alice")
		n := w.newcomer("alice", passwordOf("alice"))
		n.advance(0, 2)
		b, _ := n.proof()
		n.conn.Write(b)
		synctest.Wait()
		n.conn.Close()
		synctest.Wait()
		if got := unprovenConns(w.server); got != 0 {
			t.Errorf("%d connections are held", got)
		}
		second.ping()
	})
}

// Half a second of the other half: a log-in that comes while the name's first one has not sent its Ping.
func TestReplacementsCountFromWelcome(t *testing.T) {
	g := new(registry)
	g.init()
	alice, now := proto.Name{'a'}, time.Now()
	if wait := g.turn(alice, now); wait != 0 {
		t.Errorf("the first waits %v", wait)
	}
	if wait := g.turn(alice, now); wait != 0 {
		t.Errorf("the second, which will replace the first, waits %v", wait)
	}
	if wait := g.turn(alice, now.Add(time.Second)); wait != replaceTime-time.Second {
		t.Errorf("the third waits %v", wait)
	}
	if wait := g.turn(proto.Name{'b'}, now); wait != 0 {
		t.Errorf("another name waits %v", wait)
	}
	g.turnOver(alice)
	g.turnOver(alice)
	if wait := g.turn(alice, now.Add(time.Second)); wait != 0 {
		t.Errorf("waits %v although nobody is there", wait)
	}
	g.turnOver(alice)
	g.turnOver(proto.Name{'b'})
	g.sweep(now.Add(replaceTime))
	if len(g.pending)+len(g.nextReplace) != 0 {
		t.Error("something is left")
	}
}

func TestEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		old := w.server.epoch.Load()
		n := w.newcomer("alice", passwordOf("alice"))
		if err := n.advance(0, 1); err != nil { // begins in the old one
			t.Fatal(err)
		}
		time.Sleep(proto.LoginDeadline - time.Second)
		if w.server.epoch.Load() != old {
			t.Error("a new epoch too soon")
		}
		late := w.newcomer("alice", passwordOf("alice"))
		if err := late.advance(0, 1); err != nil {
			t.Fatal(err)
		}
		n.conn.Close()
		time.Sleep(proto.EpochLength - proto.LoginDeadline + 2*time.Second)
		if w.server.epoch.Load() == old {
			t.Error("no new epoch")
		}
		if err := late.advance(1, len(steps)); err != nil {
			t.Errorf("a login that began in the old epoch: %v", err)
		}
		if _, err := late.client(); err != nil {
			t.Error(err)
		}
	})
}
