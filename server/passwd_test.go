package server

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// beginPassword sends a PasswordBegin.
func (c *client) beginPassword() *proto.PasswordClient {
	c.t.Helper()
	p := proto.NewPasswordClient(c.session)
	c.send(p.Begin(nil))
	return p
}

// setPassword sends the PasswordSet that answers a PasswordSalt.
func (c *client) setPassword(p *proto.PasswordClient, body []byte, old, fresh string) {
	c.t.Helper()
	salt, _ := proto.ParsePasswordSalt(body)
	frame, err := p.Set(nil, body, fakeArgon2(old, salt), fakeArgon2(fresh, salt))
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(frame)
}

func (c *client) expectNotSaved(p *proto.PasswordClient) {
	c.t.Helper()
	if err := p.Done(c.expect(proto.TypeDone)); !errors.Is(err, proto.ErrNotSaved) {
		c.t.Errorf("Done says %v", err)
	}
}

// A change of password has its place in the budget: while others have all workers it waits, each of its steps, and not for ever. Who waits
// gets messages meanwhile.
func TestPasswordWaitsForTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		alice, bob := w.enter("alice"), w.enter("bob")

		release := w.server.budget.occupy(t)
		p, begin := alice.beginPassword(), time.Now()
		bob.relay(1, "alice", proto.Tag{}, "hello")
		alice.expectRelayed("bob", "hello")
		alice.expectNotSaved(p)
		if d := time.Since(begin); d != maxChangeWait {
			t.Errorf("PasswordBegin was answered after %v", d)
		}
		p = alice.beginPassword()
		time.Sleep(maxChangeWait / 2)
		release()
		body := slices.Clone(alice.expect(proto.TypePasswordSalt))

		release = w.server.budget.occupy(t)
		alice.setPassword(p, body, passwordOf("alice"), "new")
		alice.expectNotSaved(p)
		release()
		if err := alice.changePassword(passwordOf("alice"), "new"); err != nil {
			t.Error(err)
		}
	})
}

// A session that waits for the budget ends when it is to end, and its connection is lost when it is.
func TestPasswordWaitIsInterrupted(t *testing.T) {
	for name, interrupt := range map[string]func(w *world, alice *client){
		"stop":     func(w *world, _ *client) { w.server.registry.stop()[0].stop() },
		"an admin": func(w *world, alice *client) { w.server.registry.of(alice.name)[0].end(endRemoved) },
		"lost":     func(w *world, alice *client) { w.server.registry.of(alice.name)[0].link.lose("a test") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipeWorld(t, []string{"alice"})
				alice := w.stay("alice")
				s := w.server.registry.of(alice.name)[0]
				release := w.server.budget.occupy(t)
				alice.beginPassword()
				synctest.Wait()
				begin, link := time.Now(), s.link
				go func() { // as a client does
					for err := error(nil); err == nil; {
						_, err = alice.read()
					}
					alice.conn.Close()
				}()
				go interrupt(w, alice)
				<-link.ended
				if d := time.Since(begin); d != 0 {
					t.Errorf("over after %v", d)
				}
				release()
			})
		})
	}
}

// So many wait, and no more.
func TestPasswordQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1)
		release := b.occupy(t)
		var everybody sync.WaitGroup
		for range maxChanges {
			everybody.Go(func() {
				if !b.change(func(turn <-chan struct{}) bool { <-turn; return true }, func() {}) {
					t.Error("one of those who may wait was sent away")
				}
			})
		}
		synctest.Wait()
		if b.change(func(<-chan struct{}) bool { t.Error("one more waits"); return false }, func() { t.Error("one more ran") }) {
			t.Error("one more was let in")
		}
		release()
		everybody.Wait()
		if b.running != 0 {
			t.Errorf("%d places are lost", b.running)
		}
	})
}

// Who gives up in the moment in which the turn comes has it.
func TestPasswordTurnAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1)
		release := b.occupy(t)
		ran := false
		if !b.change(func(turn <-chan struct{}) bool { release(); <-turn; return false }, func() { ran = true }) || !ran || b.running != 0 {
			t.Errorf("it ran: %v; places taken: %d", ran, b.running)
		}
	})
}

// Proofs come first; behind them Logins and changes of password take turns, whichever of them come in numbers.
func TestPasswordsAndLoginsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1)
		release := b.occupy(t)
		var order []string
		var everybody sync.WaitGroup
		for range 3 {
			everybody.Go(func() {
				b.change(func(turn <-chan struct{}) bool { <-turn; return true }, func() { order = append(order, "change") })
			})
			for name, s := range map[string]step{"Login": loginStep, "Proof": proofStep} {
				c, _ := parked(t, 1)
				everybody.Go(func() { b.do(c, s, func() { order = append(order, name) }) })
			}
		}
		c, _ := parked(t, 1)
		everybody.Go(func() { b.do(c, loginStep, func() { order = append(order, "Login") }) })
		synctest.Wait()
		release()
		everybody.Wait()
		if want := []string{"Proof", "Proof", "Proof", "change", "Login", "change", "Login", "change", "Login", "Login"}; !slices.Equal(order, want) {
			t.Errorf("%q", order)
		}
	})
}
