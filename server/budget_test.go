package server

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// parked is a connection of a network that can wait in queues, and its other end.
func parked(t *testing.T, n network) (c *conn, far net.Conn) {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return &conn{network: n, net: near}, far
}

func newBudget(workers int) *budget {
	b := new(budget)
	b.init(new(Counters), 18)
	b.workers = workers
	return b
}

// occupy takes all workers until what it returns is called.
func (b *budget) occupy(t *testing.T) (release func()) {
	ended := make(chan struct{})
	var busy sync.WaitGroup
	for range b.workers {
		c, _ := parked(t, thisMachine)
		busy.Go(func() { b.do(c, proofStep, func() { <-ended }) })
	}
	synctest.Wait()
	return func() { close(ended); busy.Wait() }
}

// A waiting is somebody who waits for a step.
type waiting struct {
	name    string
	network network
	rank    uint8
	step    step
	at      time.Duration // comes
}

// run lets all come to a budget whose workers are taken until a time, and returns whose step ran, in that order, and who was sent away.
func run(t *testing.T, b *budget, until time.Duration, all []waiting) (ran, sent []string) {
	var mu sync.Mutex
	var everybody sync.WaitGroup
	release := b.occupy(t)
	for _, w := range all {
		c, _ := parked(t, w.network)
		c.rank = w.rank
		everybody.Go(func() {
			time.Sleep(w.at)
			err := b.do(c, w.step, func() {
				mu.Lock()
				defer mu.Unlock()
				ran = append(ran, w.name)
			})
			if busy, ok := errors.AsType[*busyError](err); ok {
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, w.name)
				if s := int(busy.seconds); s < busyLogin[0] || s > busyLogin[1] {
					t.Errorf("come back in %d s", s)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(until)
	release()
	everybody.Wait()
	return ran, sent
}

func TestOrderOfTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran, sent := run(t, newBudget(1), time.Second, []waiting{
			{"18, early", 1, 18, loginStep, 1},
			{"20, late", 2, 20, loginStep, 4},
			{"18, late", 3, 18, loginStep, 3},
			{"20, early", 1, 20, loginStep, 2},
			{"a Proof", 4, 4, proofStep, 6},
			{"26", 5, 26, loginStep, 5},
		})
		if want := []string{"a Proof", "26", "20, early", "20, late", "18, early", "18, late"}; !slices.Equal(ran, want) || sent != nil {
			t.Errorf("%q ran, %q were sent away", ran, sent)
		}
	})
}

// Two seconds of work wait, and no more: of the least work, and of the network that has most, one is sent away. Proofs never are.
func TestBudgetSendsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1)
		b.cost = [2]time.Duration{100 * time.Millisecond, 100 * time.Millisecond}
		const room = 20
		var all []waiting
		for i := range network(4) {
			all = append(all, waiting{"alice", 100 + i, 18, loginStep, 1}, waiting{"little work", 200 + i, 17, loginStep, 1}, waiting{"a Proof", 300 + i, 0, proofStep, 1})
		}
		for i := range 100 {
			all = append(all, waiting{"mallory", 7, 18, loginStep, time.Duration(2 + i)})
		}
		ran, sent := run(t, b, time.Second, all)
		count := make(map[string]int)
		for _, name := range ran {
			count[name]++
		}
		if count["alice"] != 4 || count["a Proof"] != 4 || count["little work"] != 0 || len(ran) != room {
			t.Errorf("%v ran of %d, %d were sent away", count, len(all), len(sent))
		}
	})
}

// The mean of what steps cost decides how many may wait.
func TestCostIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1)
		c, _ := parked(t, 1)
		for range 200 {
			b.do(c, loginStep, func() { time.Sleep(40 * time.Millisecond) })
		}
		if got := b.cost[loginStep].Round(time.Millisecond); got != 40*time.Millisecond {
			t.Errorf("a Login costs %v", got)
		}
		for range 200 {
			b.do(c, loginStep, func() {})
		}
		if got := b.cost[loginStep]; got < leastCost || got > leastCost*11/10 {
			t.Errorf("a Login costs %v", got)
		}
	})
}

// Never more steps than workers at once; each comes to its turn, and the places of those who go are not lost.
func TestBudgetBoundsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 3
		b := newBudget(workers)
		var now, most, ran atomic.Int32
		var everybody sync.WaitGroup
		for i := range 300 {
			c, far := parked(t, network(i))
			c.rank = uint8(i % 27)
			everybody.Go(func() {
				time.Sleep(time.Duration(i/10) * time.Millisecond)
				b.do(c, step(i%2), func() {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(time.Millisecond)
					now.Add(-1)
					ran.Add(1)
				})
			})
			if i%5 == 0 {
				everybody.Go(func() {
					time.Sleep(time.Duration(i/10+i%3) * time.Millisecond)
					far.Close()
				})
			}
			if i%7 == 0 { // nothing may come from one who waits
				everybody.Go(func() {
					time.Sleep(time.Duration(i/10+1) * time.Millisecond)
					far.SetDeadline(time.Now().Add(time.Second))
					far.Write([]byte{1})
				})
			}
		}
		everybody.Wait()
		if most.Load() > workers || ran.Load() < 150 {
			t.Errorf("%d at once, %d in all", most.Load(), ran.Load())
		}
		if b.running != 0 || b.waitAbove(0) != 0 {
			t.Errorf("%d places are lost, %v of work waits", b.running, b.waitAbove(0))
		}
	})
}

// Who is overtaken for ever is sent away in time: its client still listens.
func TestOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1)
		begin := time.Now()
		release := b.occupy(t)
		defer release()
		c, _ := parked(t, 1)
		if _, ok := errors.AsType[*busyError](b.do(c, loginStep, nil)); !ok || time.Since(begin) != maxQueueWait {
			t.Errorf("after %v", time.Since(begin))
		}
	})
}

func TestDifficulty(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	type look struct {
		at, wait time.Duration
		bits     uint8
	}
	for name, looks := range map[string][]look{
		"calm":            {{0, 0, 18}, {time.Hour, 0, 18}, {2 * time.Hour, calmWait, 18}},
		"a short burst":   {{0, longWait + 1, 19}, {raiseEvery - 1, longWait + 1, 19}, {raiseEvery, longWait, 19}},
		"rises fast":      {{0, time.Second, 19}, {raiseEvery, time.Second, 20}, {raiseEvery + 1, time.Second, 20}, {2 * raiseEvery, time.Second, 21}},
		"never above 26":  {{0, time.Hour, 19}, {1e9, time.Hour, 20}, {2e9, time.Hour, 21}, {3e9, time.Hour, 22}, {4e9, time.Hour, 23}, {5e9, time.Hour, 24}, {6e9, time.Hour, 25}, {7e9, time.Hour, 26}, {8e9, time.Hour, 26}},
		"falls slowly":    {{0, time.Second, 19}, {raiseEvery, time.Second, 20}, {10 * time.Second, 0, 20}, {10*time.Second + lowerEvery - 1, 0, 20}, {10*time.Second + lowerEvery, 0, 19}, {10*time.Second + 2*lowerEvery, 0, 18}, {time.Hour, 0, 18}},
		"hysteresis":      {{0, time.Second, 19}, {time.Minute, calmWait + 1, 19}, {time.Hour, longWait, 19}},
		"calm is whole":   {{0, time.Second, 19}, {time.Second, 0, 19}, {lowerEvery, calmWait + 1, 19}, {lowerEvery + time.Second, 0, 19}, {2 * lowerEvery, 0, 19}, {2*lowerEvery + time.Second, 0, 18}},
		"nobody has come": {{0, time.Second, 19}, {raiseEvery, time.Second, 20}, {2 * time.Second, 0, 20}, {time.Hour, 0, 18}},
	} {
		d := difficulty{bits: 18, least: 18}
		for i, l := range looks {
			if d = d.next(begin.Add(l.at), l.wait); d.bits != l.bits {
				t.Errorf("%s, %d: %d bits after a wait of %v at %v", name, i, d.bits, l.wait, l.at)
			}
		}
	}
}

// goesWhenWoken is a client that goes in the moment in which its turn comes.
type goesWhenWoken struct {
	net.Conn
	woken chan struct{}
}

func (c *goesWhenWoken) SetReadDeadline(t time.Time) error {
	if t.Before(time.Now()) {
		close(c.woken)
	}
	return nil
}

func (c *goesWhenWoken) Read([]byte) (int, error) { <-c.woken; return 0, io.EOF }

// The turn of a client that goes as it comes is the next one's, in both queues.
func TestTurnOfOneWhoHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBudget(1), newGuessing()
		release := b.occupy(t)
		held, _ := parked(t, 1)
		g.begin(held)
		var everybody sync.WaitGroup
		for i := range 2 {
			for name, wait := range map[string]func(c *conn) error{
				"budget": func(c *conn) error { return b.do(c, loginStep, func() {}) },
				"name": func(c *conn) error {
					err := g.begin(c)
					if err == nil {
						g.end(c, false, false)
					}
					return err
				},
			} {
				c, _ := parked(t, 1)
				want := error(nil)
				if i == 0 {
					c.net, want = &goesWhenWoken{c.net, make(chan struct{})}, errGone
				}
				everybody.Go(func() {
					if err := wait(c); err != want {
						t.Errorf("%s, %d: %v", name, i, err)
					}
				})
			}
			synctest.Wait()
		}
		release()
		g.end(held, false, false)
		everybody.Wait()
		if b.running != 0 || g.cells[held.cell].evaluating || len(g.lines) != 0 {
			t.Errorf("%d steps run, or the name's turn is taken", b.running)
		}
	})
}
