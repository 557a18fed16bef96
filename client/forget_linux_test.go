package client

import (
	"crypto/rand"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"sim/internal/memwalk"
	"sim/proto/ticket"
)

// What HKDF of the standard library leaves of keys that it made or took, until their memory is used again (docs/SECURITY.md).
var library = []string{"the continuity secret", "a nonce key", "an intro key", "a ticket key"}

func noteKeys(n *memwalk.Notes, k *ticket.Keys) {
	n.Note("a nonce key", k.Nonce[:])
	n.Note("an intro key", k.Intro[:])
	n.Note("a ticket key", k.Ticket[:])
}

// After disconnect nobody holds what the next conversation could have continued.
func TestDisconnectIsForgotten(t *testing.T) {
	n := memwalk.New(t)
	var b *board
	memwalk.Apart(func() {
		var alice, bob *user
		b, alice, bob = talking(t)
		n.Note("the continuity secret", alice.recall(bob.self)[:])
	})
	n.Alive(t)
	memwalk.Apart(func() {
		b.users[0].parts(b.users[1])
		b.delivers()
		if b.users[0].open(b.users[1]) || b.users[1].open(b.users[0]) {
			t.Error("the conversation goes on")
		}
	})
	n.Forgotten(t, library...)
	runtime.KeepAlive(b)
}

// After the end of a session, neither its keys are held nor those of its conversations.
func TestSessionIsForgotten(t *testing.T) {
	n := memwalk.New(t)
	var b *board
	memwalk.Apart(func() {
		var alice, bob *user
		b, alice, bob = talking(t)
		n.Note("the continuity secret", alice.recall(bob.self)[:])
		for _, u := range b.users {
			noteKeys(n, u.keys)
			u.line.keys.Clear() // the server's
		}
	})
	n.Alive(t)
	memwalk.Apart(func() {
		for _, u := range b.users {
			u.ends("logged out")
		}
	})
	n.Forgotten(t, library...)
	runtime.KeepAlive(b)
}

// A pipe gives what a test writes, and keeps nothing of it.
type pipe chan []byte

func (p pipe) Read(b []byte) (int, error) {
	next, ok := <-p
	if !ok {
		return 0, io.EOF
	}
	defer clear(next)
	return copy(b, next), nil
}

// A password that came as a line of the input is gone when the login has ended, while the client goes on.
func TestPasswordIsForgotten(t *testing.T) {
	n := memwalk.New(t)
	story(t, func(t *testing.T, s *fakeServer) {
		line := make([]byte, 33)
		for i := range line[:32] {
			line[i] = 'a' + randomByte()%26
		}
		n.Note("the password", line[:32])
		line[32] = '\n'
		memwalk.Apart(func() { s.account("alice", string(line[:32])) })
		in := make(pipe)
		p := s.starts(func(c *Config) { c.In, c.User = in, "alice" })
		in <- line
		p.prints("= logged in as alice")
		in <- []byte("logout\n")
		p.prints("= logged out alice")
		synctest.Wait()
		n.Forgotten(t, "the password")
		close(in)
		p.exits(ExitOK)
	})
}

func randomByte() byte {
	var b [1]byte
	rand.Read(b[:])
	return b[0]
}
