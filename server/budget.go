package server

import (
	"container/list"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"sim/proto"
)

// A step is a piece of a login that costs public-key work.
type step int

const (
	loginStep step = iota // Login to Salt
	proofStep             // Proof to Welcome
)

// budget lets a bounded number of steps run at once, so that a flood of log-ins leaves cores to the relay. What has to wait waits in order:
// Proofs first, so that what was begun is ended (there are no more of them than Logins that were let in); then the Logins, those that have
// proved most work first, and of these the oldest. Where more than maxQueued of work waits, one of the least work is sent away: of the
// network that has most there. Changes of password within sessions get every other turn where Logins wait too, so that neither keeps the
// other out.
type budget struct {
	// immutable
	workers  int
	counters *Counters

	mu         sync.Mutex
	running    int
	proofs     queue
	logins     [proto.MaxPuzzleBits + 1]queue // by bits
	cost       [2]time.Duration               // a step's mean
	changes    []chan struct{}                // of those who wait to change a password, the oldest first; closed when it is their turn
	changed    bool                           // the last turn that was no Proof's was a change's
	difficulty difficulty
}

// A queue is those who wait for a step with the same right to it.
type queue struct {
	order list.List // of *conn, the oldest first
	crowd crowd
}

func (q *queue) add(c *conn) {
	c.waiting.conn = c
	c.queued = q.order.PushBack(c)
	q.crowd.add(&c.waiting)
}

func (q *queue) remove(c *conn) {
	q.order.Remove(c.queued)
	c.queued = nil
	q.crowd.remove(&c.waiting)
}

func (b *budget) init(counters *Counters, bits uint8) {
	b.counters = counters
	b.workers = max(1, runtime.GOMAXPROCS(0)/2)
	b.cost = [2]time.Duration{firstCost, firstCost}
	b.difficulty = difficulty{bits: bits, least: bits}
}

// bits is how hard a puzzle is now.
func (b *budget) bits(now time.Time) uint8 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.follow(now)
	return b.difficulty.bits
}

// do runs a step of a connection when its turn has come. Its errors are errGone and a *busyError: then the step did not run.
func (b *budget) do(c *conn, s step, run func()) error {
	c.net.SetReadDeadline(c.until(maxQueueWait))
	if !b.enter(c, s) {
		gone := c.watch()
		if err := b.settle(c, s, gone); err != nil {
			return err
		}
	}
	runtime.Gosched() // the relay's goroutines first
	begin := time.Now()
	defer func() { b.end(s, time.Since(begin)) }()
	run()
	return nil
}

// enter lets a step run at once, or puts the connection into a queue.
func (b *budget) enter(c *conn, s step) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.follow(time.Now())
	if b.running < b.workers {
		b.running++
		return true
	}
	c.verdict = waits
	b.queueOf(c, s).add(c)
	if b.waitAbove(0) > maxQueued {
		b.shed()
	}
	return false
}

// shed sends one Login away: who has proved least, and of these one of the network that has most. Proofs are never sent away: the pool of
// running handshakes bounds them.
func (b *budget) shed() {
	for i := range b.logins {
		if victim := b.logins[i].crowd.pick(); victim != nil {
			b.logins[i].remove(victim)
			victim.wake(sentAway)
			return
		}
	}
}

// settle is for a connection that was woken, or is gone, or has waited for too long.
func (b *budget) settle(c *conn, s step, gone error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	verdict := c.verdict
	if verdict == waits {
		b.queueOf(c, s).remove(c)
		verdict = sentAway
	}
	switch {
	case gone != nil:
		if verdict == granted {
			b.next()
		}
		return gone
	case verdict == sentAway:
		return newBusy(busyLogin)
	}
	return nil
}

// end ends a step, which has taken some time, and lets the next one run.
func (b *budget) end(s step, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cost[s] += (max(took, leastCost) - b.cost[s]) / costMemory
	b.pass()
}

// pass gives the place of what has ended to the next one. The caller holds mu.
func (b *budget) pass() {
	b.next()
	b.follow(time.Now())
}

// change runs the work of a change of password when its turn has come. It is false where it did not run: too many wait, or await, which
// waits for the turn, was false.
func (b *budget) change(await func(turn <-chan struct{}) bool, run func()) bool {
	turn, ok := b.enterChange()
	if !ok || turn != nil && !await(turn) && !b.settleChange(turn) {
		return false
	}
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pass()
	}()
	runtime.Gosched() // the relay's goroutines first
	run()
	return true
}

// enterChange lets a change run at once, with no turn to wait for, or puts it into its queue. It is false when that is full.
func (b *budget) enterChange() (turn chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.running < b.workers:
		b.running++
		return nil, true
	case len(b.changes) == maxChanges:
		return nil, false
	}
	turn = make(chan struct{})
	b.changes = append(b.changes, turn)
	return turn, true
}

// settleChange takes a change that waits no longer out of the queue. It is true when the turn has come all the same.
func (b *budget) settleChange(turn chan struct{}) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.changes, turn)
	if i < 0 {
		return true
	}
	b.changes = slices.Delete(b.changes, i, i+1)
	return false
}

// next hands the place of a step that ended to the first who waits.
func (b *budget) next() {
	q := &b.proofs
	for i := len(b.logins) - 1; q.crowd.size == 0 && i >= 0; i-- {
		q = &b.logins[i]
	}
	switch {
	case b.proofs.crowd.size > 0:
	case len(b.changes) > 0 && (q.crowd.size == 0 || !b.changed):
		b.changed = true
		close(b.changes[0])
		b.changes = slices.Delete(b.changes, 0, 1)
		return
	case q.crowd.size == 0:
		b.running--
		return
	default:
		b.changed = false
	}
	c := q.order.Front().Value.(*conn)
	q.remove(c)
	c.wake(granted)
}

func (b *budget) queueOf(c *conn, s step) *queue {
	if s == proofStep {
		return &b.proofs
	}
	return &b.logins[c.rank]
}

// waitAbove is how long a new Login would wait whose puzzle had some bits.
func (b *budget) waitAbove(bits uint8) time.Duration {
	logins := 0
	for _, q := range b.logins[bits:] {
		logins += q.crowd.size
	}
	work := time.Duration(b.proofs.crowd.size)*b.cost[proofStep] + time.Duration(logins)*b.cost[loginStep]
	return work / time.Duration(b.workers)
}

// follow makes puzzles harder or easier, as the wait of those who solve them now demands.
func (b *budget) follow(now time.Time) {
	wait := b.waitAbove(b.difficulty.bits)
	b.difficulty = b.difficulty.next(now, wait)
	b.counters.QueueWait.Store(int64(wait))
	b.counters.PuzzleBits.Store(int64(b.difficulty.bits))
}

// difficulty is how hard the puzzle of Challenge is. It rises fast and falls slowly: a flood that goes on meets it where it was.
type difficulty struct {
	bits, least uint8
	changed     time.Time // when bits changed
	calm        time.Time // since when the wait is short; zero if it isn't
}

// next is the difficulty after a look at the wait.
func (d difficulty) next(now time.Time, wait time.Duration) difficulty {
	if wait > calmWait {
		d.calm = time.Time{}
		if wait > longWait && d.bits < proto.MaxPuzzleBits && now.Sub(d.changed) >= raiseEvery {
			d.bits++
			d.changed = now
		}
		return d
	}
	if d.calm.IsZero() {
		d.calm = now
	}
	// Nobody may have looked for a while: each time that has passed counts.
	for ; d.bits > d.least && now.Sub(d.calm) >= lowerEvery; d.calm = d.calm.Add(lowerEvery) {
		d.bits--
		d.changed = now
	}
	return d
}

// A busyError ends a login: the client is told to come back.
type busyError struct{ seconds uint16 }

func (e *busyError) Error() string { return "busy" }

// newBusy draws a time from a range, so that those who are sent away together don't come back together.
func newBusy(seconds [2]int) error {
	return &busyError{uint16(seconds[0] + rand.IntN(seconds[1]-seconds[0]+1))}
}

// verdict is what a queue says to a connection that waits in it. The mutex of that queue guards it.
type verdict int

const (
	waits verdict = iota
	granted
	sentAway
)

// wake ends the wait of a connection in watch. The caller holds the mutex of the queue, and the connection has set its read deadline before
// it got into the queue, so that this one is the last.
func (c *conn) wake(v verdict) {
	c.verdict = v
	c.net.SetReadDeadline(time.Unix(1, 0))
}

// until is when a wait of some time is over: when a Welcome must be written at the latest, if that is earlier.
func (c *conn) until(most time.Duration) time.Time {
	end := time.Now().Add(most)
	if !c.welcomeBy.IsZero() && c.welcomeBy.Before(end) {
		return c.welcomeBy
	}
	return end
}

// watch reads until the read deadline, which is also how others wake it. Nothing may come from a client that waits: if something does, or
// it goes, that is errGone.
func (c *conn) watch() error {
	var b [1]byte
	if _, err := c.net.Read(b[:]); !isDeadline(err) {
		return errGone
	}
	return nil
}
