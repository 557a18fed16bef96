package server

import (
	"testing"
	"time"

	"sim/internal/memwalk"
)

// After a log-out nothing of the server's holds a key of the session, while it goes on serving.
func TestSessionIsForgotten(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	n := memwalk.New(t)
	keys := []string{"the nonce key", "the intro key", "the ticket key", "the resumption secret"}
	bob := w.enter("bob")
	memwalk.Apart(func() {
		alice := w.enter("alice")
		g := &w.server.registry
		g.mu.Lock()
		s := g.sessions[nameOf(t, "alice")].keys
		for i, key := range []*[32]byte{&s.Tickets.Nonce, &s.Tickets.Intro, &s.Tickets.Ticket, &s.Resumption} {
			n.Note(keys[i], key[:])
		}
		g.mu.Unlock()
		n.Alive(t)
		alice.logout()
		alice.session.Clear()
		alice.session.Send.Clear()
		alice.session.Receive.Clear()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if len(w.server.admission.everybody()) == 1 {
				return // bob
			}
		}
		t.Error("alice's connection does not end")
	})
	n.Forgotten(t, keys...)
	bob.ping()
}
