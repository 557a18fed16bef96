package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
	"sim/proto/puzzle"
)

// addressed is a connection that comes from a made-up address.
type addressed struct {
	net.Conn
	from net.Addr
}

func (c *addressed) RemoteAddr() net.Addr { return c.from }

// address is one of a network: 10.0.n.1 and so on.
func address(n int) net.Addr {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], 10<<24|uint32(n)<<8|1)
	return &net.TCPAddr{IP: ip[:], Port: 1024 + n%1000}
}

// dialFrom is dial from an address, in a world of pipes.
func (w *world) dialFrom(from net.Addr) net.Conn {
	near, far := net.Pipe()
	w.server.take(&addressed{far, from})
	return near
}

// newcomerFrom is newcomer from an address.
func (w *world) newcomerFrom(from net.Addr, name, password string) *newcomer {
	w.t.Helper()
	c, err := proto.NewLoginClient(w.server.key, nameOf(w.t, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return &newcomer{t: w.t, conn: w.dialFrom(from), login: c, password: password}
}

// The kinds of flood: what mallory does with a connection, until it ends. i tells her connections apart.
var floods = []struct {
	name string
	one  func(n *newcomer, i int)
}{
	{"silent connections", func(n *newcomer, _ int) { io.Copy(io.Discard, n.conn) }},
	{"bad mac1", func(n *newcomer, _ int) {
		b, _ := n.hello()
		b[len(b)-1] ^= 1
		n.conn.Write(b)
		io.Copy(io.Discard, n.conn)
	}},
	{"unsolved puzzles", func(n *newcomer, _ int) {
		n.advance(0, 1)
		io.Copy(io.Discard, n.conn)
	}},
	{"wrong solutions", func(n *newcomer, _ int) {
		if n.advance(0, 1) == nil {
			n.conn.Write(append([]byte{0, 161, 3}, make([]byte, 160)...))
			io.Copy(io.Discard, n.conn)
		}
	}},
	{"solved puzzles and no Login", func(n *newcomer, _ int) {
		if n.advance(0, 1) == nil {
			if b, err := n.loginBytes(); err == nil {
				n.conn.Write(b[:len(b)-1])
				io.Copy(io.Discard, n.conn)
			}
		}
	}},
	{"handshakes that stand still", func(n *newcomer, _ int) {
		n.advance(0, 2)
		io.Copy(io.Discard, n.conn)
	}},
	{"wrong passwords", func(n *newcomer, _ int) { n.advance(0, 3) }},
}

// honest logs somebody in as a client does: it comes again when it was cut off or told to. It returns how often it came.
func (w *world) honest(from net.Addr, name string) (c *client, tries int) {
	for tries = 1; tries <= 20; tries++ {
		n := w.newcomerFrom(from, name, passwordOf(name))
		err := n.advance(0, len(steps))
		if err == nil {
			if c, err = n.client(); err == nil {
				return c, tries
			}
		}
		n.conn.Close()
		if busy, ok := errors.AsType[*proto.BusyError](err); ok {
			time.Sleep(time.Duration(busy.Seconds) * time.Second)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Errorf("%s is kept out", name)
	return nil, tries
}

// Two people talk while mallory floods, from one network or from thousands, and a third logs in. All places are few, so that each flood is
// larger than its pool.
func TestFloods(t *testing.T) {
	const places, floodConns = 12, 3 * 12
	for _, flood := range floods {
		for _, source := range []struct {
			name string
			of   func(i int) net.Addr
		}{
			{"one network", func(int) net.Addr { return address(1) }},
			{"thousands of networks", func(i int) net.Addr { return address(1000 + i) }},
		} {
			t.Run(flood.name+" from "+source.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newPipeWorld(t, []string{"alice", "bob", "carol"}, func(s *Server) {
						s.admission.maxUnproven, s.admission.maxSolved, s.admission.maxRunning = places, places, places
					})
					bob, _ := w.honest(address(11), "bob")
					carol, _ := w.honest(address(12), "carol")

					var mallory sync.WaitGroup
					ctx, stop := context.WithCancel(t.Context())
					for i := range floodConns {
						mallory.Go(func() {
							for again := i; ; again += floodConns {
								n := w.newcomerFrom(source.of(again), fmt.Sprintf("name%d", again%100), "a guess")
								forget := context.AfterFunc(ctx, func() { n.conn.Close() })
								flood.one(n, again)
								forget()
								n.conn.Close()
								select {
								case <-ctx.Done():
									return
								case <-time.After(time.Second):
								}
							}
						})
					}
					time.Sleep(6 * time.Second)

					began := time.Now()
					alice, tries := w.honest(address(10), "alice")
					if alice != nil {
						t.Logf("alice was in after %v and %d tries", time.Since(began), tries)
					}
					if source.name == "one network" && tries > 1 {
						t.Errorf("alice came %d times: a flood from another network is no matter of hers", tries)
					}
					carol.relay(1, "bob", proto.Tag{}, "hello in the storm")
					bob.expectRelayed("carol", "hello in the storm")

					s := w.server
					s.admission.mu.Lock()
					all := len(s.admission.all)
					for stage, limit := range []int{silent: places, greeted: places, solved: places, running: places} {
						if n := s.admission.pools[stage].size; n > limit {
							t.Errorf("stage %d: %d are there", stage, n)
						}
					}
					s.admission.mu.Unlock()
					if most := 3*places + 3; all > most {
						t.Errorf("%d connections", all)
					}
					stop()
					mallory.Wait()
					w.stop() // counts: the end of each login is told
				})
			})
		}
	}
}

// As many goroutines as connections have places, and a few, whatever comes.
func TestGoroutinesInAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 50
		w := newPipeWorld(t, nil, func(s *Server) { s.admission.maxUnproven = places })
		for i := range 20 * places {
			conn := w.dialFrom(address(i % 7))
			defer conn.Close()
		}
		synctest.Wait()
		if n := len(ourGoroutines()); n > places+10 {
			t.Errorf("%d goroutines for %d places", n, places)
		}
		n := w.server.Counters()
		if n.Accepted.Load() != 20*places || n.Evicted[silent].Load() != 19*places {
			t.Errorf("%d came, %d had to go", n.Accepted.Load(), n.Evicted[silent].Load())
		}
	})
}

// Each way to be turned away has its counter.
func TestCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"}, func(s *Server) { s.admission.maxUnproven = 2 })
		n := w.server.Counters()
		come := func(password string, do func(*newcomer)) {
			a := w.newcomerFrom(address(1), "alice", password)
			do(a)
			io.Copy(io.Discard, a.conn)
			a.conn.Close()
			synctest.Wait()
		}
		write := func(from int, spoil func(b []byte) []byte) func(*newcomer) {
			return func(a *newcomer) {
				if err := a.advance(0, from); err != nil {
					t.Fatal(err)
				}
				b, _ := steps[from].write(a)
				a.conn.Write(spoil(b))
			}
		}
		flip := func(at int) func([]byte) []byte {
			return func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b }
		}
		come("", write(0, flip(-1)))
		come("", write(0, func(b []byte) []byte { b[4] = 9; resign(w, b); return b }))
		come("", write(1, func(b []byte) []byte { clear(b[35:163]); return b[:163] }))
		come("", write(1, flip(10))) // SHA-256(Login): the solution is for another one
		come("", write(2, flip(-1)))
		come("a guess", func(a *newcomer) { a.advance(0, 3) })
		come("", func(a *newcomer) { a.conn.Close() })
		for i := range 3 {
			defer w.dialFrom(address(i)).Close()
		}
		synctest.Wait()
		alice := w.newcomerFrom(address(2), "alice", passwordOf("alice"))
		if err := alice.advance(0, len(steps)); err != nil { // behind the guess, so it waits
			t.Fatal(err)
		}
		defer alice.conn.Close()
		for what, c := range map[string]struct{ got, want uint64 }{
			"bad hello":      {n.BadHellos.Load(), 1},
			"versions":       {n.OtherVersions.Load(), 1},
			"wrong solution": {n.WrongSolutions.Load(), 2},
			"bad Proof":      {n.BadProofs.Load(), 1},
			"refused":        {n.Refused.Load(), 1},
			"evicted":        {n.Evicted[silent].Load(), 2},
			"unfinished":     {n.Unfinished.Load(), 3},
			"succeeded":      {n.Succeeded.Load(), 1},
			"delayed":        {n.DelayedProofs.Load(), 1},
			"bits":           {uint64(n.PuzzleBits.Load()), 8},
		} {
			if c.got != c.want {
				t.Errorf("%s: %d, not %d", what, c.got, c.want)
			}
		}
	})
}

// A server that has more Logins than work for two seconds asks for harder puzzles, tells those who have no place when to come back, and
// answers the Proofs of handshakes that run before anything new.
func TestMoreSolvedPuzzlesThanWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"}, func(s *Server) {
			s.budget.workers = 1
			look := s.login.Directory.Lookup
			s.login.Directory.Lookup = func(n proto.Name) (proto.Account, error) {
				time.Sleep(50 * time.Millisecond) // a slow machine: 20 Logins a second
				return look(n)
			}
		})
		alice := w.newcomerFrom(address(10), "alice", passwordOf("alice"))
		if err := alice.advance(0, 2); err != nil {
			t.Fatal(err)
		}
		var mallory sync.WaitGroup
		begin := time.Now()
		for i := range 100 {
			for j := range 4 {
				mallory.Go(func() {
					time.Sleep(time.Duration(i) * 100 * time.Millisecond)
					n := w.newcomerFrom(address(1+j), fmt.Sprintf("name%d", i), "a guess")
					defer n.conn.Close()
					if err := n.advance(0, 2); err == nil {
						return
					} else if busy, ok := errors.AsType[*proto.BusyError](err); !ok || busy.Seconds < 2 {
						t.Errorf("mallory: %v", err)
					}
				})
			}
		}
		time.Sleep(8 * time.Second)
		n := w.server.Counters()
		if wait := time.Duration(n.QueueWait.Load()); wait > maxQueued || n.BusyLogins.Load() == 0 {
			t.Errorf("%v of work waits, %d were sent away", wait, n.BusyLogins.Load())
		}
		if bits := n.PuzzleBits.Load(); bits < 12 {
			t.Errorf("the puzzle has %d bits after %v", bits, time.Since(begin))
		}
		came := time.Now()
		if err := alice.advance(2, 3); err != nil || time.Since(came) > 50*time.Millisecond {
			t.Errorf("alice's Proof was answered after %v: %v", time.Since(came), err)
		}
		alice.conn.Close()
		mallory.Wait()
		time.Sleep(time.Hour)
		late := w.newcomerFrom(address(10), "alice", "")
		defer late.conn.Close()
		if err := late.advance(0, 1); err != nil || late.task.Puzzle.Bits != 8 {
			t.Errorf("an hour later the puzzle has %d bits, %v", late.task.Puzzle.Bits, err)
		}
	})
}

// Failures of a network make its own puzzles harder, and give it no better place in the queue.
func TestHarderPuzzlesOfABadNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		for i := range 20 {
			n := w.newcomerFrom(address(1), fmt.Sprintf("name%d", i), "a guess")
			if err := n.advance(0, 3); !errors.Is(err, proto.ErrRefused) {
				t.Error(err)
			}
			n.conn.Close()
		}
		for network, want := range map[int]uint8{1: 10, 2: 8} {
			c := &conn{server: w.server, network: networkOf(address(network))}
			if bits := c.puzzleBits(); bits != want || c.rank != 8 {
				t.Errorf("network %d: %d bits, of which %d count", network, bits, c.rank)
			}
		}
	})
}

// The account puzzle that a name's failures ask for is checked before its Proof has a turn: a Proof without it costs nobody a turn.
func TestProofWithoutAccountSolutionHasNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		for range 2 * freeScore {
			n := w.newcomerFrom(address(1), "alice", "a guess")
			n.advance(0, 3)
			n.conn.Close()
		}
		time.Sleep(guessEvery)
		before := w.server.Counters().Refused.Load()
		for range 10 {
			n := w.newcomerFrom(address(2), "alice", "a guess")
			if err := n.advance(0, 2); err != nil || n.task.Puzzle.Bits < firstAccountBits {
				t.Fatalf("%d bits, %v", n.task.Puzzle.Bits, err)
			}
			b, err := n.login.Proof(time.Now(), new([puzzle.SolutionSize]byte), fakeArgon2("a guess", n.task.Salt))
			if err != nil {
				t.Fatal(err)
			}
			n.conn.Write(b)
			if rest, err := io.ReadAll(n.conn); len(rest) != 0 || err != nil {
				t.Errorf("%d bytes, %v", len(rest), err)
			}
			n.conn.Close()
		}
		n := w.server.Counters()
		if n.BadProofs.Load() != 10 || n.Refused.Load() != before {
			t.Errorf("%d bad, %d refused", n.BadProofs.Load(), n.Refused.Load()-before)
		}
		came := time.Now()
		if alice, tries := w.honest(address(3), "alice"); alice == nil || tries != 1 || time.Since(came) > 0 {
			t.Errorf("alice came %d times, for %v", tries, time.Since(came))
		} else {
			alice.conn.Close()
		}
	})
}
