package client

import (
	"maps"
	"slices"
	"time"

	"sim/proto"
)

// Who of the people that matter to this user is logged in: Watch and Presence, docs/PROTOCOL.md, section 6. A client that follows watches
// the people whom its user talks to; any client watches whom the user asked it to.

// presence: somebody who is watched is online, or is not.
type presence struct {
	who    proto.Name
	online bool
}

// A watching is what a session knows of the people it watches.
type watching struct {
	follows bool                // the people who are talked to are watched, too
	asked   map[proto.Name]bool // by the user
	target  proto.Name          // whom typed lines go to, if anybody

	stale bool      // whom to watch may have changed since the last Watch
	sent  time.Time // the last Watch
	known map[proto.Name]*seen
}

// seen is somebody in the last Watch.
type seen struct {
	online, told bool      // told: of the server's
	parted       time.Time // when it was told that their session ended
}

func newWatching() watching {
	return watching{asked: make(map[proto.Name]bool), known: make(map[proto.Name]*seen)}
}

// watch watches somebody until unwatch or log-out, and tells what is known already. False means that too many are watched.
func (s *session) watch(name proto.Name) bool {
	w := &s.watching
	if len(w.asked) >= maxWatched && !w.asked[name] {
		return false
	}
	w.asked[name] = true
	s.rewatch()
	if k := w.known[name]; k != nil && k.told {
		s.tell(presence{name, k.online})
	}
	return true
}

func (s *session) unwatch(name proto.Name) {
	delete(s.watching.asked, name)
	s.watching.stale = true
}

// talkTo says whom typed lines go to; the zero name for nobody.
func (s *session) talkTo(name proto.Name) {
	w := &s.watching
	w.target = name
	s.rewatch()
	if k := w.known[name]; k != nil && k.told && !k.online {
		s.tell(presence{name, false})
	}
}

// watched returns whom the user asked to watch, ascending.
func (s *session) watched() []proto.Name {
	return slices.SortedFunc(maps.Keys(s.watching.asked), proto.Name.Compare)
}

// rewatch says that whom to watch may have changed.
func (s *session) rewatch() {
	w := &s.watching
	w.stale = w.stale || w.follows || len(w.asked) > 0
}

// tickWatch sends a Watch where another than the last is due: at once, but at most one in watchEvery.
func (s *session) tickWatch(now time.Time) {
	w := &s.watching
	if !w.stale || now.Before(w.sent.Add(watchEvery)) {
		return
	}
	w.stale = false
	names := s.toWatch()
	if len(names) == len(w.known) && !slices.ContainsFunc(names, func(n proto.Name) bool { return w.known[n] == nil }) {
		return
	}
	known := make(map[proto.Name]*seen, len(names))
	for _, name := range names {
		if known[name] = w.known[name]; known[name] == nil {
			known[name] = new(seen)
		}
	}
	w.known, w.sent = known, now
	s.frame(proto.AppendWatch(nil, names))
}

// toWatch returns whom to watch, ascending: who was asked for, the target, those in a conversation, and those of an earlier one, up to as many
// as a Watch holds.
func (s *session) toWatch() []proto.Name {
	w := &s.watching
	set := maps.Clone(w.asked)
	add := func(name proto.Name) {
		if len(set) < maxWatched {
			set[name] = true
		}
	}
	if w.follows {
		if w.target != (proto.Name{}) {
			add(w.target)
		}
		for _, p := range s.sorted() {
			if p.talk != nil {
				add(p.name)
			}
		}
		for _, name := range slices.SortedFunc(maps.Keys(s.trusts), proto.Name.Compare) {
			add(name)
		}
	}
	return slices.SortedFunc(maps.Keys(set), proto.Name.Compare)
}

// takePresence takes what the server says of those in a Watch. What it says of others belongs to a Watch before the last.
func (s *session) takePresence(now time.Time, entries []proto.Presence) {
	w := &s.watching
	for _, e := range entries {
		k := w.known[e.Name]
		if k == nil || k.told && k.online == e.Online {
			continue
		}
		first := !k.told
		k.told, k.online = true, e.Online
		switch p := s.peers[e.Name]; {
		case p != nil && p.talk != nil: // the conversation tells it: its messages, and its end
		case !e.Online && now.Sub(k.parted) < partedFor: // that was told already
		case first && !w.asked[e.Name] && w.target != e.Name: // somebody of an earlier conversation: only changes are news
		case w.stale && !slices.Contains(s.toWatch(), e.Name): // a Watch without them is on its way
		default:
			s.tell(presence{e.Name, e.Online})
		}
	}
}

// partedAt notes that the end of somebody's session was told: that they are offline is no news then.
func (s *session) partedAt(now time.Time, name proto.Name) {
	if k := s.watching.known[name]; k != nil {
		k.parted = now
	}
}
