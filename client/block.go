package client

import (
	"maps"
	"slices"
	"time"

	"sim/proto"
)

// Blocked people's Wants go unanswered, so that no conversation of theirs comes about. It lasts until log-out.

// block ends the conversation with somebody and takes no other of theirs. False means that too many are blocked.
func (s *session) block(now time.Time, name proto.Name) bool {
	if len(s.blocked) >= maxBlocked && !s.blocked[name] {
		return false
	}
	s.blocked[name] = true
	s.disconnect(now, name)
	return true
}

func (s *session) unblock(name proto.Name) { delete(s.blocked, name) }

// blockedNames returns who is blocked, ascending.
func (s *session) blockedNames() []proto.Name {
	return slices.SortedFunc(maps.Keys(s.blocked), proto.Name.Compare)
}
