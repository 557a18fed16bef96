package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

func newGuessing() *guessing {
	g := new(guessing)
	g.init(new(Counters))
	return g
}

// proof waits for the turn of a Proof for a name from a network, which is then right or wrong, and says when it was evaluated.
func (g *guessing) proof(t *testing.T, name string, n network, right bool) (at time.Duration, err error) {
	c, _ := parked(t, n)
	c.cell = g.cellOf(nameOf(t, name))
	if err := g.begin(c); err != nil {
		return 0, err
	}
	at = g.now()
	g.end(c, right, !right)
	return at, nil
}

// Whatever comes, from wherever: one wrong password at a name in two seconds. Right ones are no guesses and cost nothing.
func TestGuessesAtOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing()
		var mu sync.Mutex
		var wrong []time.Duration
		var everybody sync.WaitGroup
		for i := range 600 {
			everybody.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				right := i%10 == 0
				at, err := g.proof(t, "alice", network(i*i%37), right)
				if err == nil && !right {
					mu.Lock()
					defer mu.Unlock()
					wrong = append(wrong, at)
				}
			})
		}
		everybody.Wait()
		slices.Sort(wrong)
		for i := 1; i < len(wrong); i++ {
			if d := wrong[i] - wrong[i-1]; d < guessEvery {
				t.Errorf("two guesses within %v", d)
			}
		}
		if min, max := 20, 1+int(g.now()/guessEvery); len(wrong) < min || len(wrong) > max {
			t.Errorf("%d guesses in %v", len(wrong), g.now())
		}
	})
}

// The right password at another name, and a second one at the same, wait for nobody.
func TestRightPasswordsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing()
		g.proof(t, "mallory", 1, false)
		for range 100 {
			if at, err := g.proof(t, "alice", 1, true); at != 0 || err != nil {
				t.Fatalf("%v, %v", at, err)
			}
		}
	})
}

// flood lets mallory guess at a name until a time: each of her connections comes again half a second after it was refused or sent away.
func (g *guessing) flood(t *testing.T, everybody *sync.WaitGroup, name string, conns int, of func(i int) network, until time.Duration) {
	for i := range conns {
		everybody.Go(func() {
			for g.now() < until {
				g.proof(t, name, of(i), false)
				time.Sleep(500 * time.Millisecond)
			}
		})
	}
}

func one(int) network    { return 7 }
func many(i int) network { return network(1000 + i) }

// alice, who has the right password, comes through a flood of guesses at her name.
func TestAliceInAFloodOfGuesses(t *testing.T) {
	for name, c := range map[string]struct {
		mallory func(int) network
		home    bool          // alice has logged in from her network before
		limit   time.Duration // in which she is in at the first try; 0 if she need not be
	}{
		"one network":                {one, false, 2 * guessEvery},
		"many networks, from home":   {many, true, 2 * guessEvery},
		"one network, from home":     {one, true, 2 * guessEvery},
		"many networks, from abroad": {many, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuessing()
				if c.home {
					g.proof(t, "alice", 99, true)
				}
				const end = 2 * time.Minute
				var everybody sync.WaitGroup
				g.flood(t, &everybody, "alice", 2*maxLine, c.mallory, end)
				time.Sleep(time.Minute)
				tries := 0
				for in := false; !in; tries++ {
					came := g.now()
					at, err := g.proof(t, "alice", 99, true)
					if in = err == nil; c.limit > 0 && (!in || at-came > c.limit) {
						t.Errorf("%v after %v", err, at-came)
					}
					if g.now() > end+2*maxLine*guessEvery {
						t.Fatal("alice is locked out, even after the flood")
					}
					if busy, ok := errors.AsType[*busyError](err); ok {
						time.Sleep(time.Duration(busy.seconds) * time.Second)
					}
				}
				t.Logf("%d tries, in after %v", tries, g.now()-time.Minute)
				everybody.Wait()
			})
		})
	}
}

// A name that is real is told from one that isn't by nothing: the same networks, at the same times, get the same answers in the same order,
// and account puzzles of the same bits, wherever people log in from.
func TestInventedNamesHaveTheSameLine(t *testing.T) {
	at := func(name string) (log []string) {
		synctest.Test(t, func(t *testing.T) {
			g := newGuessing()
			for range 5 { // alice lives in network 3, and is the only one who does
				g.proof(t, "alice", 3, true)
			}
			var mu sync.Mutex
			var everybody sync.WaitGroup
			for i := range 24 {
				everybody.Go(func() {
					time.Sleep(time.Duration(i) * 10 * time.Millisecond)
					_, bits := g.start(nameOf(t, name))
					defer g.stop(g.cellOf(nameOf(t, name)))
					n := network(i % 4) // and mallory has got a foothold there
					when, err := g.proof(t, name, n, false)
					_, busy := errors.AsType[*busyError](err)
					mu.Lock()
					defer mu.Unlock()
					log = append(log, fmt.Sprintf("%v: network %d, busy %v, %d bits", when.Round(time.Millisecond), n, busy, bits))
				})
			}
			everybody.Wait()
		})
		return log
	}
	real, invented := at("alice"), at("nobody")
	if !slices.Equal(real, invented) {
		t.Errorf("they differ:\n%s\n\n%s", strings.Join(real, "\n"), strings.Join(invented, "\n"))
	}
	if turns := strings.Count(strings.Join(real[:12], "\n"), "network 3"); turns != 6 {
		t.Errorf("somebody's home had %d of 12 turns:\n%s", turns, strings.Join(real, "\n"))
	}
}

// Networks take turns, and so do homes and all others.
func TestTurnsOfALine(t *testing.T) {
	var l line
	for _, n := range []network{1, 1, 1, 2, 3, 1} {
		l.add(from(n), false)
	}
	for _, n := range []network{8, 8, 9} {
		l.add(from(n), true)
	}
	var turns []network
	for l.size() > 0 {
		turns = append(turns, l.next().network)
	}
	if want := []network{8, 1, 9, 2, 8, 3, 1, 1, 1}; !slices.Equal(turns, want) {
		t.Errorf("%v, not %v", turns, want)
	}
	for i := range l.queues {
		if len(l.queues[i].waiting)+len(l.queues[i].turns) != 0 {
			t.Error("something is left")
		}
	}
}

// A full line sends away one of the network that has most there; a network of its own keeps its place.
func TestFullLine(t *testing.T) {
	var l line
	alice := from(1)
	l.add(alice, false)
	for i := range 10 * maxLine {
		victim := l.add(from(2), false)
		if (victim != nil) != (i >= maxLine-1) || victim == alice {
			t.Fatalf("%d: %v", i, victim)
		}
	}
	if l.size() != maxLine {
		t.Errorf("%d wait", l.size())
	}
	l.add(from(3), true) // the other queue has its own places
	if c := l.next(); c.network != 3 {
		t.Errorf("the turn is network %d's", c.network)
	}
	if c := l.next(); c != alice {
		t.Errorf("the turn is network %d's", c.network)
	}
}

// Who waits is sent away while its client still listens, and who goes gives its turn to the next.
func TestWaitAtAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing()
		var everybody sync.WaitGroup
		held, _ := parked(t, 1)
		held.cell = g.cellOf(nameOf(t, "alice"))
		if err := g.begin(held); err != nil { // is evaluated, and evaluated
			t.Fatal(err)
		}
		begin := g.now()
		if _, err := g.proof(t, "alice", 2, true); g.now()-begin != maxProofWait {
			t.Errorf("%v after %v", err, g.now()-begin)
		} else if busy, ok := errors.AsType[*busyError](err); !ok || int(busy.seconds) < busyProof[0] || int(busy.seconds) > busyProof[1] {
			t.Errorf("%v", err)
		}
		for i := range 3 {
			c, far := parked(t, 3)
			c.cell = held.cell
			everybody.Go(func() {
				if err := g.begin(c); err != errGone {
					t.Errorf("%d goes: %v", i, err)
				}
			})
			synctest.Wait()
			far.Close()
			synctest.Wait()
		}
		everybody.Go(func() {
			if _, err := g.proof(t, "alice", 4, true); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		g.end(held, false, false) // came to nothing: the turn is the next one's at once
		synctest.Wait()
		everybody.Wait()
		if len(g.lines) != 0 {
			t.Error("the line is still there")
		}
	})
}

func TestAccountPuzzleFollowsTheName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing()
		alice := nameOf(t, "alice")
		bits := func() uint8 {
			at, bits := g.start(alice)
			g.stop(at)
			return bits
		}
		expect := func(want uint8, when string) {
			t.Helper()
			if got := bits(); got != want {
				t.Errorf("%s: %d bits, not %d", when, got, want)
			}
		}
		expect(0, "at rest")
		for range 100 {
			g.proof(t, "alice", 1, true)
		}
		expect(0, "after right passwords")
		for range freeScore - 1 {
			g.proof(t, "alice", 1, false)
		}
		expect(0, "after two mistakes")
		var flights []cellIndex
		for range 20 {
			at, _ := g.start(alice)
			flights = append(flights, at)
		}
		expect(proto.MaxAccountPuzzleBits, "with twenty handshakes in flight")
		for _, at := range flights {
			g.stop(at)
		}
		expect(0, "when they have ended")
		for range 50 {
			g.proof(t, "alice", 1, false)
		}
		expect(proto.MaxAccountPuzzleBits, "after many mistakes")
		g.proof(t, "alice", 1, true)
		expect(proto.MaxAccountPuzzleBits, "a right password does not lower it")
		if at, other := g.start(nameOf(t, "bob")); other != 0 {
			t.Errorf("bob's has %d bits", other)
		} else {
			g.stop(at)
		}
		last := uint8(proto.MaxAccountPuzzleBits)
		for range 6 {
			time.Sleep(cellHalf)
			now := bits()
			if now > last || now != 0 && now < 4 {
				t.Errorf("%d bits after %d", now, last)
			}
			last = now
		}
		expect(0, "after quiet")
	})
}

func TestAccountBits(t *testing.T) {
	for score, want := range map[float64]uint8{0: 0, 2.9: 0, 3: 12, 3.9: 12, 4: 14, 5: 16, 6: 18, 7: 20, 8: 22, 9: 22, 1e9: 22} {
		if got := accountBits(score); got != want {
			t.Errorf("%v: %d bits, not %d", score, got, want)
		}
	}
}

// Wrong passwords of one network, each for another name, make its own puzzles harder, and very many make everybody's; quiet ends both.
func TestSprayedPasswords(t *testing.T) {
	for failures, want := range map[float64]uint8{0: 0, 7.9: 0, 8: 1, 15: 1, 16: 2, 255: 5, 256: 6, 1e9: 6} {
		if got := networkSurcharge.bits(failures); got != want {
			t.Errorf("%v failures: %d bits, not %d", failures, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing()
		expect := func(n network, all, own uint8) {
			t.Helper()
			if a, o := g.surcharge(n); a != all || o != own {
				t.Errorf("network %d: %d and %d bits, not %d and %d", n, a, o, all, own)
			}
		}
		for i := range 100 {
			g.proof(t, fmt.Sprintf("user%d", i), 7, false)
		}
		expect(7, 0, 4)
		expect(8, 0, 0)
		for i := range 2000 {
			g.proof(t, fmt.Sprintf("name%d", i), network(100+i), false)
		}
		expect(8, totalSurcharge.most, 0)
		time.Sleep(20 * failureHalf)
		expect(7, 0, 0)
	})
}

// A name has few homes, the newest in place of the oldest; they are forgotten after a time, and none is lost that another name has.
func TestHomes(t *testing.T) {
	var h homes
	h.init()
	for i := range network(10) {
		h.remember(1, i, time.Duration(i))
	}
	h.remember(2, 3, 100)
	h.remember(1, 7, 200) // again
	h.remember(1, 20, 300)
	for n, want := range map[network]bool{5: false, 6: false, 7: true, 8: true, 9: true, 20: true, 3: true, 99: false} {
		if h.known(n) != want {
			t.Errorf("network %d: %v", n, !want)
		}
	}
	if len(h.count) != homesEach+1 {
		t.Errorf("%d networks", len(h.count))
	}
	h.sweep(homeTime + 100)
	if h.known(8) || h.known(3) || !h.known(7) || !h.known(20) {
		t.Error("forgotten too early or too late")
	}
	h.sweep(homeTime + 300)
	if len(h.count) != 0 {
		t.Errorf("%d networks are left", len(h.count))
	}
}

// A cell's counter holds as many handshakes as there can be.
func TestCellsHoldEveryHandshake(t *testing.T) {
	if int(^uint16(0)) < 2*defaultMaxRunning {
		t.Error("a cell could overflow")
	}
}
