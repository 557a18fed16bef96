package server

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// A logged is what servers have written to their logs.
type logged struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// ordinary is what the servers of all tests log that don't ask for identities. TestMain looks at it.
var ordinary logged

// identities is what has no place in an ordinary log: the people of these tests, their passwords and texts, addresses.
var identities = regexp.MustCompile(`\b(alice|bob|carol|dave|erin|mallory|user\d+|name\d+)\b|password'?s?=|'s password|hello|127\.0\.0\.1|\[::1\]|\d+\.\d+\.\d+\.\d+:\d+`)

func TestHealth(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	alice.relay(1, "bob", proto.Tag{}, "hello")
	bob.expectRelayed("alice", "hello")
	alice.relay(2, "carol", proto.Tag{}, "hello?")
	alice.expectUndeliverable(2, proto.Offline)
	silentOne := w.dial()
	defer silentOne.Close()
	for w.server.Health().Connections[silent] == 0 {
		alice.ping()
	}

	h := w.server.Health()
	if h.Sessions != 2 || h.Connections != [...]int{silent: 1, proven: 2} || h.MaxConns == 0 || h.PuzzleBits == 0 || h.Goroutines == 0 || h.Memory == 0 {
		t.Errorf("%+v", h)
	}
	n := w.server.Counters()
	if n.Relays.Load() != 1 || n.RelayedBytes.Load() != uint64(len("hello")) || n.Undeliverables[proto.Offline].Load() != 1 {
		t.Errorf("%d relays of %d bytes, %d came back", n.Relays.Load(), n.RelayedBytes.Load(), n.Undeliverables[proto.Offline].Load())
	}
}

// The health line comes by itself.
func TestHealthLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		newPipeWorld(t, nil, func(s *Server) { s.log = log.logger() })
		time.Sleep(healthEvery - time.Second)
		synctest.Wait()
		if strings.Contains(log.String(), "msg=health") {
			t.Error("too early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), "msg=health sessions=0 detached=0 connections=0"); n != 1 {
			t.Errorf("%d lines in\n%s", n, log.String())
		}
	})
}

// tellAll has something happen of most that is logged.
func tellAll(t *testing.T, w *world) {
	t.Helper()
	alice := w.enter("alice")
	if _, err := w.try("alice", "a guess"); err == nil {
		t.Error("a guess was right")
	}
	if _, err := w.try("nobody", "a guess"); err == nil {
		t.Error("nobody is there")
	}
	w.dial().Close()
	alice.relay(1, "bob", proto.Tag{}, "hello")
	alice.expectUndeliverable(1, proto.Offline)
	w.enter("bob").logout()
	alice.logout()
	w.server.LogHealth()
	w.stop()
}

// The log says what happens and not to whom, unless the operator wants that; and passwords and texts never.
func TestIdentitiesInTheLog(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		var log logged
		w := newWorld(t, []string{"alice", "bob"}, func(s *Server) { s.log, s.identities = log.logger(), wanted })
		tellAll(t, w)
		said := log.String()
		for _, line := range []string{"session began", "session ended", "login ended", "msg=health", "reason=log-out"} {
			if !strings.Contains(said, line) {
				t.Errorf("%q is missing in\n%s", line, said)
			}
		}
		if !wanted && identities.MatchString(said) {
			t.Errorf("it has %q:\n%s", identities.FindString(said), said)
		}
		for _, who := range []string{`msg="session began" user=alice address=127.0.0.1:`, `level=INFO msg="login ended" reason="wrong name or password" user=nobody address=127.0.0.1:`, `msg="session ended" reason=log-out user=bob address=127.0.0.1:`} {
			if wanted && !strings.Contains(said, who) {
				t.Errorf("%q is missing in\n%s", who, said)
			}
		}
		for _, secret := range []string{"a guess", passwordOf("alice"), "hello"} {
			if strings.Contains(said, secret) {
				t.Errorf("it has %q:\n%s", secret, said)
			}
		}
	}
}

// A session that ends while it has no connection has a user and no address.
func TestIdentityOfADetachedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		w := newPipeWorld(t, []string{"alice"}, func(s *Server) { s.log, s.identities = log.logger(), true })
		w.stay("alice").conn.Close()
		time.Sleep(detachedTime + time.Second)
		if line := "msg=\"session ended\" reason=\"not resumed\" user=alice\n"; !strings.Contains(log.String(), line) {
			t.Errorf("%q is missing in\n%s", line, log.String())
		}
	})
}
