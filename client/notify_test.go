package client

import (
	"strings"
	"testing"
	"time"
)

// The bell rings with a message, at a terminal and nowhere else, and not for each of a flood.
func TestBell(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		at := s.sits(nil)
		at.meetsAt("alice")
		silent := s.sits(nil, func(c *Config) { c.NoBell = true })
		silent.meetsAt("carol")
		bob := s.comes("bob")
		for range 2 {
			bob.types("send alice one", "send alice two", "send carol one")
			if n := strings.Count(at.screen(), "\a"); n != 1 {
				t.Errorf("the bell rings %d times for two messages at once", n)
			}
			if strings.Contains(silent.screen(), "\a") {
				t.Error("the bell rings though it must not")
			}
			time.Sleep(notifyEvery)
		}
		piped := s.comes("alice")
		bob.types("send alice three")
		piped.prints("< bob: three")
	})
}

// A flood of senders is remembered up to a bound, and what is old makes room.
func TestNotifierIsBounded(t *testing.T) {
	n := newNotifier("", true)
	now := time.Unix(1_800_000_000, 0)
	for i := range maxNotified {
		if !n.due(now, nameOf(i)) {
			t.Fatalf("the %dth is not due", i)
		}
	}
	if n.due(now, nameOf(maxNotified)) || n.due(now.Add(notifyEvery-1), nameOf(1)) {
		t.Error("the bounds are not kept")
	}
	if !n.due(now.Add(notifyEvery), nameOf(maxNotified)) || len(n.last) != 1 {
		t.Errorf("%d are remembered", len(n.last))
	}
}
