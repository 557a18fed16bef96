package server

import (
	"math/rand/v2"
	"sync"
)

// stage is how much a connection has shown so far.
type stage int

const (
	silent  stage = iota // nothing
	greeted              // a right mac1: it knows the server's key
	proven               // a password; it is, or is about to be, logged in
	left                 // it is not counted any more
)

// admission decides who may stay: all connections have a cap, and so have those that are not logged in. A new connection is always let in
// while there is one of the latter to evict in its place. Who is evicted is random, so that whoever comes with many connections loses most
// of them; those that have shown a right mac1 are spared until there are no others.
type admission struct {
	mu sync.Mutex

	maxConns, maxUnproven int

	all      map[*conn]struct{}
	unproven [2][]*conn // silent and greeted ones, in no order
	stopped  bool
}

func (a *admission) init(maxConns, maxUnproven int) {
	a.all = make(map[*conn]struct{})
	a.limit(maxConns, maxUnproven)
}

// limit changes the caps for whoever comes; nobody who is here has to go.
func (a *admission) limit(maxConns, maxUnproven int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.maxConns, a.maxUnproven = maxConns, maxUnproven
}

// admit counts a connection in, or says that there is no room. The victim, if any, is out and for the caller to close.
func (a *admission) admit(c *conn) (ok bool, victim *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return false, nil
	}
	unproven := len(a.unproven[silent]) + len(a.unproven[greeted])
	if len(a.all) >= a.maxConns || unproven >= a.maxUnproven {
		if victim = a.pick(); victim == nil {
			return false, nil
		}
		a.remove(victim)
	}
	a.all[c] = struct{}{}
	a.enter(c, silent)
	return true, victim
}

// pick returns a random connection of the lowest stage that has any, or nil.
func (a *admission) pick() *conn {
	for _, list := range a.unproven {
		if len(list) > 0 {
			return list[rand.IntN(len(list))]
		}
	}
	return nil
}

// advance moves a connection to a higher stage, and is false if it was evicted before.
func (a *admission) advance(c *conn, to stage) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.stage == left {
		return false
	}
	a.exit(c)
	a.enter(c, to)
	return true
}

// leave counts a connection out; for one that was evicted it does nothing.
func (a *admission) leave(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(c)
}

// remove, enter and exit keep the lists. Their callers hold mu.
func (a *admission) remove(c *conn) {
	a.exit(c)
	c.stage = left
	delete(a.all, c)
}

func (a *admission) enter(c *conn, to stage) {
	c.stage = to
	if to < proven {
		c.place = len(a.unproven[to])
		a.unproven[to] = append(a.unproven[to], c)
	}
}

func (a *admission) exit(c *conn) {
	if c.stage >= proven {
		return
	}
	list := a.unproven[c.stage]
	end := len(list) - 1
	list[c.place] = list[end]
	list[c.place].place = c.place
	list[end] = nil
	a.unproven[c.stage] = list[:end]
}

// stop lets nobody in any more, and returns who is not logged in.
func (a *admission) stop() []*conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	return append(append([]*conn(nil), a.unproven[silent]...), a.unproven[greeted]...)
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
