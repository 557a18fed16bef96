package server

import (
	"testing"
	"time"

	"sim/internal/memwalk"
	"sim/proto"
)

// noteKeys notes what a session has of keys.
func (w *world) noteKeys(n *memwalk.Notes, name, when string) (keys []string) {
	s := w.sessionOf(name)
	w.server.registry.mu.Lock()
	defer w.server.registry.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	tickets := &s.keys.Tickets
	noted := map[string]*[32]byte{"nonce key": &tickets.Nonce, "intro key": &tickets.Intro, "ticket key": &tickets.Ticket, "resumption secret": &s.keys.Resumption}
	if s.resumption != nil {
		newest, before := secretsOf(s.resumption)
		noted["resumption secret"] = newest
		if *before != [32]byte{} {
			noted["resumption secret before"] = before
		}
	}
	for key, bytes := range noted {
		keys = append(keys, "the "+key+" "+when)
		n.Note("the "+key+" "+when, bytes[:])
	}
	return keys
}

// forgetSession is the client's end of a session.
func (c *client) forgetSession() {
	c.conn.Close()
	c.session.Clear()
	c.session.Send.Clear()
	c.session.Receive.Clear()
	if c.counts != nil {
		c.counts.resumption.Clear()
	}
}

// After a log-out, and when a session was not resumed, nothing of the server's holds a key of it, while it goes on serving.
func TestSessionIsForgotten(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	n := memwalk.New(t)
	var keys []string
	bob := w.enter("bob")
	memwalk.Apart(func() {
		alice := w.enter("alice")
		keys = w.noteKeys(n, "alice", "of alice")

		carol := w.stay("carol")
		keys = append(keys, w.noteKeys(n, "carol", "at first")...)
		for i := range 2 {
			b := w.comes(carol, carol.counts.resumption, carol.counts.handled)
			b.greets()
			b.asks()
			if err := b.hears(); err != nil {
				t.Error(err)
			}
			if i == 0 { // both secrets are there
				keys = append(keys, w.noteKeys(n, "carol", "in between")...)
			}
			carol.session.Send.Clear()
			carol.session.Receive.Clear()
			carol.conn.Close()
			b.goesOn()
			carol.until(proto.TypePong)
		}
		keys = append(keys, w.noteKeys(n, "carol", "at last")...)
		n.Alive(t)

		alice.logout()
		alice.forgetSession()
		carol.forgetSession()
		for !w.isDetached("carol") {
			bob.ping()
		}
		w.sessionOf("carol").expire()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if len(w.server.admission.everybody()) == 1 {
				return // bob
			}
		}
		t.Error("a connection does not end")
	})
	n.Forgotten(t, keys...)
	bob.ping()
}
