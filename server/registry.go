package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"sim/proto"
)

// registry knows who is logged in: one session a name at most; and beside them who is to choose a password, which nobody is told of.
type registry struct {
	mu       sync.Mutex
	sessions map[proto.Name]*session
	byID     map[[16]byte]*session // of them, those that can be resumed
	choosing map[proto.Name][]*session
	sorted   []proto.Name // of sessions
	watchers map[proto.Name]map[*session]struct{}
	stopped  bool

	// Whose state changed since they were told; changes wakes tellChanges.
	untold  map[*session]struct{}
	changes chan struct{}

	// Turns: Welcomes that were written and are not listed yet, and when the next replacement of a name's session may be.
	pending     map[proto.Name]int
	nextReplace map[proto.Name]time.Time
}

func (g *registry) init() {
	g.sessions = make(map[proto.Name]*session)
	g.byID = make(map[[16]byte]*session)
	g.choosing = make(map[proto.Name][]*session)
	g.watchers = make(map[proto.Name]map[*session]struct{})
	g.untold = make(map[*session]struct{})
	g.changes = make(chan struct{}, 1)
	g.pending = make(map[proto.Name]int)
	g.nextReplace = make(map[proto.Name]time.Time)
}

// newTag returns 8 random bytes, never all zeros: that would mean whoever has the name.
func newTag() (t proto.Tag) {
	for t == (proto.Tag{}) {
		rand.Read(t[:])
	}
	return t
}

// turn says how long a Welcome for a name must wait; zero takes the turn, which turnOver gives back. Only what replaces a session waits, and
// a login that is about to be listed counts as one.
func (g *registry) turn(name proto.Name, now time.Time) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions[name] != nil || g.pending[name] > 0 {
		if next := g.nextReplace[name]; now.Before(next) {
			return next.Sub(now)
		}
		g.nextReplace[name] = now.Add(replaceTime)
	}
	g.pending[name]++
	return 0
}

func (g *registry) turnOver(name proto.Name) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pending[name]--; g.pending[name] == 0 {
		delete(g.pending, name)
	}
}

// sweep forgets the times of replacements that have passed.
func (g *registry) sweep(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, next := range g.nextReplace {
		if !now.Before(next) {
			delete(g.nextReplace, name)
		}
	}
}

// list makes a session the one of its name. The one that it replaces, if any, is off the list, and the caller is to stop it.
// It is false when the server stops.
func (g *registry) list(s *session, now time.Time) (replaced *session, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return nil, false
	}
	if old := g.sessions[s.name]; old != nil {
		if old.mark(endReplaced) {
			replaced = old
		}
		g.drop(old, old.ended.Load().gone)
		g.nextReplace[s.name] = now.Add(replaceTime)
	}
	g.sessions[s.name] = s
	if s.seens {
		g.byID[s.keys.ID] = s
	}
	i, _ := g.find(s.name)
	g.sorted = slices.Insert(g.sorted, i, s.name)
	s.listed = true
	s.contacts = make(map[*session]*way)
	g.change(s.name)
	return replaced, true
}

// choose keeps a session that is to choose a password. It is false when there are too many of that name, and when the server stops.
func (g *registry) choose(s *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped || len(g.choosing[s.name]) >= maxChoosing {
		return false
	}
	g.choosing[s.name] = append(g.choosing[s.name], s)
	return true
}

// of returns all sessions of a name.
func (g *registry) of(name proto.Name) []*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := slices.Clone(g.choosing[name])
	if s := g.sessions[name]; s != nil {
		all = append(all, s)
	}
	return all
}

// resumable returns the session of an id, if it can be resumed.
func (g *registry) resumable(id [16]byte) *session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.byID[id]
}

// online says whether a name is logged in.
func (g *registry) online(name proto.Name) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sessions[name] != nil
}

// unlist takes a session off the list and tells those whom it exchanged Relays with. A second time it does nothing.
func (g *registry) unlist(s *session, reason proto.Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.listed {
		g.drop(s, reason)
	}
	if i := slices.Index(g.choosing[s.name], s); i >= 0 {
		g.choosing[s.name] = slices.Delete(g.choosing[s.name], i, i+1)
		if len(g.choosing[s.name]) == 0 {
			delete(g.choosing, s.name)
		}
		s.keys.Clear()
	}
}

// drop is unlist with mu held.
func (g *registry) drop(s *session, reason proto.Reason) {
	s.listed = false
	delete(g.sessions, s.name)
	delete(g.byID, s.keys.ID)
	i, _ := g.find(s.name)
	g.sorted = slices.Delete(g.sorted, i, i+1)

	gone := proto.AppendGone(make([]byte, 0, goneFrameSize), proto.Gone{Name: s.name, Tag: s.tag, Reason: reason})
	for other, w := range s.contacts {
		if other == s {
			s.out.shut(w)
			continue
		}
		s.out.shut(other.contacts[s])
		delete(other.contacts, s)
		other.out.farewell(w, gone)
	}
	s.contacts = nil
	g.unwatch(s)
	s.keys.Clear()
	g.change(s.name)
}

// find returns a name's place in sorted, or where it belongs.
func (g *registry) find(name proto.Name) (int, bool) {
	return slices.BinarySearchFunc(g.sorted, name, proto.Name.Compare)
}

// page returns the names that a List asks for.
func (g *registry) page(l proto.List) (more bool, names []proto.Name) {
	g.mu.Lock()
	defer g.mu.Unlock()
	prefix := []byte(l.Prefix.String())
	from, _ := g.find(proto.Name(l.Prefix))
	if l.After != (proto.Prefix{}) {
		after, found := g.find(proto.Name(l.After))
		if found {
			after++
		}
		from = max(from, after)
	}
	to := from
	for ; to < len(g.sorted) && bytes.HasPrefix(g.sorted[to][:], prefix); to++ {
		if to-from == proto.MaxUsersPage {
			more = true
			break
		}
	}
	return more, slices.Clone(g.sorted[from:to])
}

// watch replaces what a session watches and answers with the state of all names.
func (g *registry) watch(s *session, names []proto.Name) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !s.listed {
		return
	}
	g.unwatch(s)
	if len(names) == 0 {
		return
	}
	s.watched = make(map[proto.Name]bool, len(names))
	entries := make([]proto.Presence, 0, len(names))
	for _, name := range names {
		online := g.sessions[name] != nil
		s.watched[name] = online
		if g.watchers[name] == nil {
			g.watchers[name] = make(map[*session]struct{})
		}
		g.watchers[name][s] = struct{}{}
		entries = append(entries, proto.Presence{Name: name, Online: online})
	}
	// Under the lock, so that no later change gets in before it.
	s.out.answer(proto.AppendPresence(make([]byte, 0, proto.FrameHeaderSize+len(entries)*presenceEntry), entries))
}

// unwatch forgets what a session watches. The caller holds mu.
func (g *registry) unwatch(s *session) {
	for name := range s.watched {
		delete(g.watchers[name], s)
		if len(g.watchers[name]) == 0 {
			delete(g.watchers, name)
		}
	}
	s.watched, s.changed = nil, nil
	delete(g.untold, s)
}

// change notes for all who watch a name that it may have come or gone. The caller holds mu.
func (g *registry) change(name proto.Name) {
	for s := range g.watchers[name] {
		if s.changed == nil {
			s.changed = make(map[proto.Name]struct{})
		}
		s.changed[name] = struct{}{}
		g.untold[s] = struct{}{}
	}
	if len(g.untold) > 0 {
		signal(g.changes)
	}
}

// tellChanges tells changes to those who watch, a second after the first of them.
func (g *registry) tellChanges(ctx context.Context) {
	for {
		select {
		case <-g.changes:
		case <-ctx.Done():
			return
		}
		timer := time.NewTimer(presenceTime)
		select {
		case <-timer.C:
			g.tell()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// tell tells everybody what has changed for them. Who has no room is told later, and then what is true then.
func (g *registry) tell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.untold {
		var entries []proto.Presence
		for name := range s.changed {
			if online := g.sessions[name] != nil; online != s.watched[name] {
				entries = append(entries, proto.Presence{Name: name, Online: online})
			}
		}
		if len(entries) > 0 && !s.out.offer(proto.AppendPresence(nil, entries)) {
			continue
		}
		for _, p := range entries {
			s.watched[p.Name] = p.Online
		}
		s.changed = nil
		delete(g.untold, s)
	}
	if len(g.untold) > 0 {
		signal(g.changes)
	}
}

// stop lists nobody any more and empties the list, of which it returns those whom the caller is to stop. All learn that the server stops,
// and nobody that the others are gone.
func (g *registry) stop() (list []*session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	for _, s := range g.sessions {
		if s.mark(endStopping) {
			list = append(list, s)
		}
		for _, w := range s.contacts {
			w.to.out.shut(w)
		}
		s.contacts = nil
	}
	for _, s := range g.sessions {
		g.drop(s, proto.GoneLost)
	}
	for _, choosing := range g.choosing {
		for _, s := range choosing {
			if s.mark(endStopping) {
				list = append(list, s)
			}
			s.keys.Clear()
		}
	}
	clear(g.choosing)
	return list
}
