package server

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sync"
	"time"

	"sim/proto"
)

// guessing slows those down who guess passwords, and treats every name alike: what it knows of one is in a table of fixed size, in a cell
// that a keyed hash chooses, and it never asks whether a name has an account.
//
//   - Of the Proofs for a name one is evaluated at a time, and after a wrong one none for guessEvery. The others wait in a line (line.go).
//     A right one costs its name nothing: it is no guess, and nobody can tell from the line that it was there.
//   - Wrong passwords, and handshakes that have begun and not ended, make a name's account puzzle harder. Quiet makes it easier again; a
//     right password doesn't, since that would tell that the name is in use.
//   - Wrong passwords of one network, for whatever names, make the puzzle of Challenge harder for it, and very many in all for everybody.
//
// Nobody is ever locked out: puzzles stop where a client still solves them in seconds, and a line is served as long as anybody is in it.
type guessing struct {
	// immutable
	key      [32]byte // of the hashes; made when the server starts
	boot     time.Time
	counters *Counters

	mu       sync.Mutex
	cells    []cell
	lines    map[cellIndex]*line // of cells where somebody waits
	networks []decaying          // failures
	total    decaying            // failures
	homes    homes
}

type cellIndex uint16

// A cell is what is known of a name, and of those that share its cell. Times are since guessing.boot.
type cell struct {
	failures   decaying
	next       time.Duration // no Proof is evaluated before
	inFlight   uint16        // handshakes from Salt to their end: no more than maxRunning
	evaluating bool          // a Proof is
}

// A decaying is a count that halves in a time.
type decaying struct {
	n  float32
	at time.Duration // when n was true
}

func (d *decaying) level(now, half time.Duration) float64 {
	return float64(d.n) * math.Exp2(-float64(now-d.at)/float64(half))
}

func (d *decaying) add(now, half time.Duration) {
	*d = decaying{float32(d.level(now, half)) + 1, now}
}

func (g *guessing) init(counters *Counters) {
	rand.Read(g.key[:])
	g.boot, g.counters = time.Now(), counters
	g.cells = make([]cell, 1<<16)
	g.networks = make([]decaying, networkCells)
	g.lines = make(map[cellIndex]*line)
	g.homes.init()
}

// hash is a keyed hash of a name or a network, which is told by what.
func (g *guessing) hash(what byte, b []byte) uint32 {
	in := append(make([]byte, 0, 96), g.key[:]...)
	sum := sha256.Sum256(append(append(in, what), b...))
	return binary.BigEndian.Uint32(sum[:])
}

func (g *guessing) cellOf(name proto.Name) cellIndex { return cellIndex(g.hash('n', name[:])) }

func (g *guessing) ofNetwork(n network) *decaying {
	return &g.networks[g.hash('p', binary.BigEndian.AppendUint64(nil, uint64(n)))%networkCells]
}

func (g *guessing) now() time.Duration { return time.Since(g.boot) }

// surcharge is how many bits failures add to the puzzle of Challenge: for everybody, and for one network beyond that.
func (g *guessing) surcharge(n network) (all, own uint8) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	return totalSurcharge.bits(g.total.level(now, failureHalf)), networkSurcharge.bits(g.ofNetwork(n).level(now, failureHalf))
}

// A surcharge is the bits for a number of failures: none below from, one from there, and one more with each doubling.
type surcharge struct {
	from float64
	most uint8
}

func (s surcharge) bits(failures float64) uint8 {
	if failures < s.from {
		return 0
	}
	return uint8(min(float64(s.most), 1+math.Floor(math.Log2(failures/s.from))))
}

// accountBits is how hard an account puzzle is, for a number of failures and handshakes in flight.
func accountBits(score float64) uint8 {
	over := score - freeScore
	if over < 0 {
		return 0
	}
	return uint8(min(proto.MaxAccountPuzzleBits, firstAccountBits+bitsEach*math.Floor(over)))
}

// start counts a handshake for a name in, and returns the bits of its account puzzle. It is ended by stop.
func (g *guessing) start(name proto.Name) (at cellIndex, bits uint8) {
	at = g.cellOf(name)
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &g.cells[at]
	bits = accountBits(c.failures.level(g.now(), cellHalf) + float64(c.inFlight))
	c.inFlight++
	return at, bits
}

func (g *guessing) stop(at cellIndex) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cells[at].inFlight--
}

// begin waits for the turn of a connection's Proof; then the caller has it evaluated and calls end. Its errors are errGone and
// a *busyError.
func (g *guessing) begin(c *conn) error {
	c.net.SetReadDeadline(c.until(maxProofWait))
	if g.enter(c) {
		return nil
	}
	return g.settle(c, c.watch())
}

// enter takes the turn, or puts the connection into the cell's line.
func (g *guessing) enter(c *conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	cell, l := &g.cells[c.cell], g.lines[c.cell]
	if l == nil && !cell.evaluating && g.now() >= cell.next {
		cell.evaluating = true
		return true
	}
	if l == nil {
		l = new(line)
		g.lines[c.cell] = l
	}
	g.counters.DelayedProofs.Add(1)
	c.verdict = waits
	if victim := l.add(c, g.homes.known(c.network)); victim != nil {
		victim.wake(sentAway)
	}
	g.serve(c.cell)
	return false
}

// settle is for a connection that was woken, or is gone, or has waited for too long.
func (g *guessing) settle(c *conn, gone error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	verdict := c.verdict
	if verdict == waits {
		g.lines[c.cell].remove(c)
		g.serve(c.cell)
		verdict = sentAway
	}
	switch {
	case gone != nil:
		if verdict == granted {
			g.cells[c.cell].evaluating = false
			g.serve(c.cell)
		}
		return gone
	case verdict == sentAway:
		return newBusy(busyProof)
	}
	return nil
}

// end ends a turn: a Proof was right, or wrong, or, if it is neither, came to no evaluation.
func (g *guessing) end(c *conn, right, wrong bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	cell := &g.cells[c.cell]
	cell.evaluating = false
	switch {
	case wrong:
		cell.next = now + guessEvery
		cell.failures.add(now, cellHalf)
		g.ofNetwork(c.network).add(now, failureHalf)
		g.total.add(now, failureHalf)
	case right:
		g.homes.remember(c.cell, c.network, now)
	}
	g.serve(c.cell)
}

// serve gives a cell's turn to the next in its line, if there is one and it is time, and sees to it that it is called when it is.
// The caller holds mu.
func (g *guessing) serve(at cellIndex) {
	cell, l := &g.cells[at], g.lines[at]
	if l == nil {
		return
	}
	if l.size() > 0 && !cell.evaluating && g.now() >= cell.next {
		cell.evaluating = true
		l.next().wake(granted)
	}
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if l.size() == 0 {
		delete(g.lines, at)
		return
	}
	if !cell.evaluating {
		l.timer = time.AfterFunc(cell.next-g.now(), func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.serve(at)
		})
	}
}

// sweep forgets networks that nobody has logged in from lately.
func (g *guessing) sweep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.homes.sweep(g.now())
}
