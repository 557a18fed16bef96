package server

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
	"sim/store"
)

// What an admin does to accounts, and what it does to their sessions: docs/PROTOCOL.md, sections 9 and 9.1.

const aCode = "0000-0000-0000-0000-0000" // what a code looks like is nothing to the server

// invite gives a name a code, whether it has an account or not.
func (w *world) invite(name string, expires time.Time) {
	w.t.Helper()
	v := verifierOf(w.t, w.store, name, aCode)
	_, err := w.store.SetVerifier(name, 0, v, true, expires, time.Now(), store.OnFile())
	if errors.Is(err, store.ErrNoAccount) {
		err = w.store.Add(name, store.Account{Verifier: *v, Code: true, Expires: expires}, store.OnFile())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// enrol logs somebody in with the code.
func (w *world) enrol(name string) *client {
	w.t.Helper()
	c, err := w.try(name, aCode)
	if err != nil {
		w.t.Fatal(err)
	}
	// With the Pong, and not in a record behind it.
	if f, ok := c.frames.Next(); !ok || f.Type != proto.TypeNotice || f.Body[0] != proto.NoticePassword {
		w.t.Fatalf("%v %x in the place of Notice(2)", f.Type, f.Body)
	}
	return c
}

func TestCodeLetsChooseAPassword(t *testing.T) {
	w := newWorld(t, []string{"bob"})
	w.invite("alice", time.Now().Add(time.Hour))
	bob, alice := w.enter("bob"), w.enrol("alice")
	alice.ping() // and Notice is said once
	if _, names := bob.list("", ""); !slices.Equal(names, []string{"bob"}) {
		t.Errorf("online: %v", names)
	}
	bob.relay(1, "alice", proto.Tag{}, "are you there?")
	bob.expectUndeliverable(1, proto.Offline)
	if err := alice.changePassword("not the code", "my own"); !errors.Is(err, proto.ErrRefused) {
		t.Errorf("with another code: %v", err)
	}
	if err := alice.changePassword(aCode, "my own"); err != nil {
		t.Fatal(err)
	}
	alice.expectClose(proto.CloseDone)

	if _, err := w.try("alice", aCode); !errors.Is(err, proto.ErrRefused) {
		t.Errorf("the code again: %v", err)
	}
	alice, err := w.try("alice", "my own")
	if err != nil {
		t.Fatal(err)
	}
	if _, names := alice.list("", ""); !slices.Equal(names, []string{"alice", "bob"}) {
		t.Errorf("online: %v", names)
	}
	entries, err := w.store.Audit(0, 10)
	if last := entries[len(entries)-1]; err != nil || last.Act != store.PasswordSet || last.Actor != store.TheUser || last.Name != "alice" {
		t.Errorf("%+v, %v", last, err)
	}
}

// Before a password is chosen there is nothing else to be done.
func TestChoosingTakesNothingElse(t *testing.T) {
	for name, frame := range map[string]func(c *client) []byte{
		"List":         func(*client) []byte { return proto.AppendList(nil, proto.List{}) },
		"Watch":        func(c *client) []byte { return proto.AppendWatch(nil, []proto.Name{nameOf(c.t, "bob")}) },
		"Relay":        func(c *client) []byte { return relayFrame(c.t, 1, "bob", proto.Tag{}, "hello") },
		"Intro":        func(*client) []byte { return append([]byte{byte(proto.TypeIntro), 0, 211}, make([]byte, 211)...) },
		"a first List": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, []string{"bob"})
			w.invite("alice", time.Time{})
			bob, alice := w.enter("bob"), w.enrol("alice")
			if frame == nil { // in the record of the first Ping
				n := w.newcomer("alice", aCode)
				if err := n.advance(0, len(steps)-1); err != nil {
					t.Fatal(err)
				}
				alice = &client{t: t, name: alice.name, conn: n.conn, session: n.session}
				alice.send(proto.AppendList(proto.AppendPing(nil, [8]byte{}), proto.List{}))
				alice.expect(proto.TypePong)
				alice.expect(proto.TypeNotice)
			} else {
				alice.send(frame(alice))
			}
			alice.expectClose(proto.CloseProtocol)
			bob.ping()
		})
	}
	w := newWorld(t, nil)
	w.invite("alice", time.Time{})
	w.enrol("alice").logout()
	alice := w.enrol("alice")
	alice.send(proto.AppendClose(nil, proto.CloseDone))
	alice.expectClose(proto.CloseDone)
}

// A code takes nobody's place, keeps nobody waiting, and lets in a few at once.
func TestCodeEndsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		alice := w.enter("alice")
		w.invite("alice", time.Time{}) // by somebody who does not tell the server
		start := time.Now()
		var choosing []*client
		for range maxChoosing {
			choosing = append(choosing, w.enrol("alice"))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("they waited %v", d)
		}
		alice.ping()
		if _, err := w.try("alice", aCode); err == nil {
			t.Error("one more is let in")
		}
		choosing[0].logout()
		choosing[0] = w.enrol("alice")

		// The first to choose ends what else the code has let in, and whoever had proved the password before.
		if err := choosing[1].changePassword(aCode, "my own"); err != nil {
			t.Fatal(err)
		}
		choosing[1].expectClose(proto.CloseDone)
		choosing[0].expectClose(proto.CloseRemoved)
		choosing[2].expectClose(proto.CloseRemoved)
		alice.expectClose(proto.CloseRemoved)
	})
}

func TestChoosingEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, nil)
		w.invite("alice", time.Time{})
		alice := w.enrol("alice")
		start := time.Now()
		for time.Since(start) < choosingTime-time.Minute {
			time.Sleep(time.Minute)
			alice.ping()
		}
		alice.expectClose(proto.CloseIdle)
		if d := time.Since(start); d != choosingTime {
			t.Errorf("ended after %v", d)
		}
		// So does one who says nothing, and sooner.
		alice = w.enrol("alice")
		start = time.Now()
		alice.expectClose(proto.CloseIdle)
		if d := time.Since(start); d != idleTime {
			t.Errorf("ended after %v", d)
		}
	})
}

func TestChoosingWhenTheServerStops(t *testing.T) {
	w := newWorld(t, nil)
	w.invite("alice", time.Time{})
	alice := w.enrol("alice")
	stopped := make(chan struct{})
	go func() {
		w.stop()
		close(stopped)
	}()
	alice.expect(proto.TypeNotice)
	alice.expectClose(proto.CloseStopping)
	alice.conn.Close()
	<-stopped
}

// Who may not log in is refused as with a wrong password.
func TestWhoMayNotLogIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		refused := func(name, password string) {
			t.Helper()
			if _, err := w.try(name, password); !errors.Is(err, proto.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		disable := func(name string, disabled bool) {
			t.Helper()
			if err := w.store.SetDisabled(name, disabled, time.Now(), store.OnFile()); err != nil {
				t.Fatal(err)
			}
		}
		disable("alice", true)
		refused("alice", passwordOf("alice"))
		disable("alice", false)
		w.enter("alice").logout()

		expires := time.Now().Add(time.Hour)
		w.invite("bob", expires)
		refused("bob", passwordOf("bob"))
		disable("bob", true)
		refused("bob", aCode)
		disable("bob", false)
		time.Sleep(time.Until(expires) - time.Millisecond)
		w.enrol("bob").logout()
		time.Sleep(time.Millisecond)
		refused("bob", aCode)
		if err := w.store.Remove("bob", time.Now(), store.OnFile()); err != nil {
			t.Fatal(err)
		}
		refused("bob", aCode)
	})
}

// Whatever an admin does to an account between a proof and the listing of its session, or after: no session of the account that was is left.
func TestNoSessionOutlivesItsAccount(t *testing.T) {
	changes := map[string]func(w *world) error{
		"removed": func(w *world) error { return w.store.Remove("alice", time.Now(), store.OnFile()) },
		"removed and added": func(w *world) error {
			err := w.store.Remove("alice", time.Now(), store.OnFile())
			addAccounts(w.t, w.store, "alice")
			return err
		},
		"disabled": func(w *world) error { return w.store.SetDisabled("alice", true, time.Now(), store.OnFile()) },
		"disabled and enabled": func(w *world) error {
			return errors.Join(w.store.SetDisabled("alice", true, time.Now(), store.OnFile()), w.store.SetDisabled("alice", false, time.Now(), store.OnFile()))
		},
		"reset":      func(w *world) error { w.invite("alice", time.Time{}); return nil },
		"unreadable": func(w *world) error { return w.store.Close() },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			if name != "unreadable" {
				w := newWorld(t, []string{"alice", "bob"})
				bob, alice := w.enter("bob"), w.enter("alice")
				alice.relay(1, "bob", proto.Tag{}, "hello")
				tag := bob.expectRelayed("alice", "hello")
				if err := change(w); err != nil {
					t.Fatal(err)
				}
				w.server.recheck(nameOf(t, "alice"))
				w.server.recheck(nameOf(t, "bob"))
				alice.expectClose(proto.CloseRemoved)
				bob.expectGone("alice", tag, proto.GoneLost)
				bob.ping()
			}
			// The admin looks for sessions, and there is none yet.
			w := newWorld(t, []string{"alice"})
			n := w.newcomer("alice", passwordOf("alice"))
			if err := n.advance(0, len(steps)-1); err != nil {
				t.Fatal(err)
			}
			if err := change(w); err != nil {
				t.Fatal(err)
			}
			w.server.recheck(nameOf(t, "alice"))
			if err := n.advance(len(steps)-1, len(steps)); err != nil {
				t.Fatal(err)
			}
			late := &client{t: t, name: nameOf(t, "alice"), conn: n.conn, session: n.session}
			late.expectClose(proto.CloseRemoved)
		})
	}
}

// The user's own change is no admin's: the session in which it was made goes on, whoever looks.
func TestOwnChangeKeepsTheSession(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	for range 2 {
		if err := alice.changePassword(passwordOf("alice"), passwordOf("alice")); err != nil {
			t.Fatal(err)
		}
		w.server.recheck(alice.name)
		alice.ping()
	}
}

// A change that began before an admin's is refused: the account is another one by now.
func TestChangeOfAnAccountThatWasChanged(t *testing.T) {
	for name, change := range map[string]func(w *world) error{
		"removed": func(w *world) error { return w.store.Remove("alice", time.Now(), store.OnFile()) },
		"reset":   func(w *world) error { w.invite("alice", time.Time{}); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, []string{"alice"})
			alice := w.enter("alice")
			p := proto.NewPasswordClient(alice.session)
			alice.send(p.Begin(nil))
			body := slices.Clone(alice.expect(proto.TypePasswordSalt))
			salt, _ := proto.ParsePasswordSalt(body)
			frame, err := p.Set(nil, body, fakeArgon2(passwordOf("alice"), salt), fakeArgon2("new", salt))
			if err != nil {
				t.Fatal(err)
			}
			if err := change(w); err != nil {
				t.Fatal(err)
			}
			before, _, _ := w.store.Account("alice")
			alice.send(frame)
			if err := p.Done(alice.expect(proto.TypeDone)); !errors.Is(err, proto.ErrRefused) {
				t.Errorf("%v", err)
			}
			if after, _, _ := w.store.Account("alice"); after != before {
				t.Error("it was changed all the same")
			}
		})
	}
}
