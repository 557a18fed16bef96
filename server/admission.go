package server

import "sync"

// stage is how much a connection has shown so far.
type stage int

const (
	silent  stage = iota // nothing
	greeted              // a right mac1: it knows the server's key
	solved               // a right solution: it waits for the public-key work of its Login
	running              // a Login: its handshake runs, up to the first Ping
	proven               // a password; it is logged in
	left                 // it is not counted any more
)

// admission decides who may stay. All connections have a cap, and so has each of three pools of those that are not logged in: the unproven
// ones (silent and greeted), the solved and the running. Who comes into a full pool gets in, and another goes in its place: a random one of
// the network that has most there. So whoever comes with many connections loses mostly its own, and one who comes from elsewhere keeps its place.
type admission struct {
	counters *Counters // immutable

	mu                                           sync.Mutex
	maxConns, maxUnproven, maxSolved, maxRunning int

	all     map[*conn]struct{}
	pools   [proven]crowd // by stage
	stopped bool
}

func (a *admission) init(counters *Counters, maxConns int) {
	a.counters = counters
	a.all = make(map[*conn]struct{})
	a.limit(maxConns)
}

// limit changes the caps for whoever comes; nobody who is here has to go.
func (a *admission) limit(maxConns int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.maxConns = maxConns
	a.maxUnproven = min(defaultMaxUnproven, maxConns)
	a.maxSolved = min(defaultMaxSolved, maxConns)
	a.maxRunning = min(defaultMaxRunning, maxConns)
}

// cap is how many connections there can be.
func (a *admission) cap() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.maxConns
}

// admit counts a connection in, or says that there is no room. The victim, if any, is out and for the caller to close.
func (a *admission) admit(c *conn) (ok bool, victim *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return false, nil
	}
	if len(a.all) >= a.maxConns || a.full(silent) {
		if victim = a.pick(silent); victim == nil {
			victim = a.lowest()
		}
		if victim == nil {
			a.counters.TooMany.Add(1)
			return false, nil
		}
		a.evict(victim)
	}
	a.counters.Accepted.Add(1)
	a.all[c] = struct{}{}
	a.enter(c, silent)
	return true, victim
}

// advance moves a connection to a higher stage, and is false if it was evicted before. A victim is as admit's.
func (a *admission) advance(c *conn, to stage) (ok bool, victim *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.stage == left {
		return false, nil
	}
	a.exit(c)
	if a.full(to) {
		if victim = a.pick(to); victim != nil {
			a.evict(victim)
		}
	}
	a.enter(c, to)
	return true, victim
}

// full says whether somebody has to go before one more comes to a stage. Silent and greeted ones share a pool, so that the move from one
// to the other needs no room.
func (a *admission) full(to stage) bool {
	switch to {
	case silent:
		return a.pools[silent].size+a.pools[greeted].size >= a.maxUnproven
	case solved:
		return a.pools[solved].size >= a.maxSolved
	case running:
		return a.pools[running].size >= a.maxRunning
	}
	return false
}

// pick returns who has to go for one more at a stage, or nil. In the unproven pool it is one of those of which there are more: neither a
// flood of silent connections nor one of right mac1s pushes the others below half of the pool.
func (a *admission) pick(to stage) *conn {
	if to == silent && a.pools[greeted].size > a.pools[silent].size {
		to = greeted
	}
	return a.pools[to].pick()
}

// lowest returns one of the lowest stage that there is: for the cap on all, who is further on counts more than who comes.
func (a *admission) lowest() *conn {
	for to := range a.pools {
		if victim := a.pools[to].pick(); victim != nil {
			return victim
		}
	}
	return nil
}

// leave counts a connection out; for one that was evicted it does nothing.
func (a *admission) leave(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(c)
}

// evict, remove, enter and exit keep the pools. Their callers hold mu.
func (a *admission) evict(c *conn) {
	a.counters.Evicted[c.stage].Add(1)
	a.remove(c)
}

func (a *admission) remove(c *conn) {
	a.exit(c)
	c.stage = left
	delete(a.all, c)
}

func (a *admission) enter(c *conn, to stage) {
	c.stage = to
	if to < proven {
		c.pooled.conn = c
		a.pools[to].add(&c.pooled)
	}
}

func (a *admission) exit(c *conn) {
	if c.stage < proven {
		a.pools[c.stage].remove(&c.pooled)
	}
}

// stop lets nobody in any more, and returns who is not logged in.
func (a *admission) stop() (list []*conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	for i := range a.pools {
		a.pools[i].each(func(c *conn) { list = append(list, c) })
	}
	return list
}

// everybody returns all connections.
func (a *admission) everybody() []*conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*conn, 0, len(a.all))
	for c := range a.all {
		list = append(list, c)
	}
	return list
}
