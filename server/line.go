package server

import (
	"slices"
	"time"
)

// A line is the Proofs that wait for their turn at a name. Networks take turns, so that many connections of one have no more than one
// connection of another. Networks that somebody has logged in from lately (homes) have a queue of their own, which gets every other turn:
// a guesser with thousands of networks does not keep those out that people use.
type line struct {
	queues [2]lineQueue // of other networks, and of homes
	last   int          // the queue that had the last turn
	timer  *time.Timer  // for the next turn; nil when none is due
}

// A lineQueue has at most maxLine connections: no more have their turn before they must be sent away.
type lineQueue struct {
	waiting []*conn   // the oldest first
	turns   []network // of those who wait, each once, in the order of their turns
}

func (l *line) size() int { return len(l.queues[0].waiting) + len(l.queues[1].waiting) }

// add puts a connection into the line. Of a full queue a random one of the network that has most there has to go: it is out, and for the
// caller to wake.
func (l *line) add(c *conn, home bool) (victim *conn) {
	q := &l.queues[0]
	if home {
		q = &l.queues[1]
	}
	if len(q.waiting) == maxLine {
		victim = q.fullest()
		q.remove(victim)
	}
	q.waiting = append(q.waiting, c)
	if !slices.Contains(q.turns, c.network) {
		q.turns = append(q.turns, c.network)
	}
	return victim
}

// next takes out whose turn it is. The line is not empty.
func (l *line) next() *conn {
	l.last ^= 1
	if len(l.queues[l.last].waiting) == 0 {
		l.last ^= 1
	}
	q := &l.queues[l.last]
	n := q.turns[0]
	c := q.waiting[slices.IndexFunc(q.waiting, func(c *conn) bool { return c.network == n })]
	q.remove(c)
	if len(q.turns) > 0 && q.turns[0] == n { // it has more
		q.turns = append(q.turns[1:], n)
	}
	return c
}

// remove takes out a connection that goes, or is sent away.
func (l *line) remove(c *conn) {
	for i := range l.queues {
		l.queues[i].remove(c)
	}
}

func (q *lineQueue) remove(c *conn) {
	i := slices.Index(q.waiting, c)
	if i < 0 {
		return
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	if !slices.ContainsFunc(q.waiting, func(other *conn) bool { return other.network == c.network }) {
		q.turns = slices.DeleteFunc(q.turns, func(n network) bool { return n == c.network })
	}
}

// fullest returns a random connection of the network that has most, of several such networks of a random one.
func (q *lineQueue) fullest() *conn {
	var w crowd
	places := make([]place, len(q.waiting))
	for i, c := range q.waiting {
		places[i].conn = c
		w.add(&places[i])
	}
	return w.pick()
}

// homes are the networks that somebody has logged in from lately.
//
// They belong to no name: a network that is one is one at every name, real or not. Were they kept for each name, somebody in such a network
// could ask, with Proofs from two others beside it, whether it gets every other turn, and so whether the name is in use there. For the same
// reason an invented name's line works as any other's. What a guesser can do is become a user of the server and log in: so each name
// has few homes, the newest in place of the oldest, and a guesser gets no more of them than that.
type homes struct {
	sets  [][homesEach]home // a name's set is chosen by its cell
	count map[network]int   // entries; no more than the sets hold
}

type home struct {
	network network
	until   time.Duration // zero for none
}

func (h *homes) init() {
	h.sets = make([][homesEach]home, homeSets)
	h.count = make(map[network]int)
}

func (h *homes) known(n network) bool { return h.count[n] > 0 }

// remember notes that a name was logged in from a network.
func (h *homes) remember(at cellIndex, n network, now time.Duration) {
	set := &h.sets[int(at)%homeSets]
	oldest := 0
	for i := range set {
		if set[i].until != 0 && set[i].network == n {
			set[i].until = now + homeTime
			return
		}
		if set[i].until < set[oldest].until {
			oldest = i
		}
	}
	h.forget(&set[oldest])
	set[oldest] = home{n, now + homeTime}
	h.count[n]++
}

func (h *homes) forget(e *home) {
	if e.until == 0 {
		return
	}
	if h.count[e.network]--; h.count[e.network] == 0 {
		delete(h.count, e.network)
	}
	*e = home{}
}

func (h *homes) sweep(now time.Duration) {
	for i := range h.sets {
		for j := range h.sets[i] {
			if e := &h.sets[i][j]; e.until != 0 && now >= e.until {
				h.forget(e)
			}
		}
	}
}
