package server

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
	"sim/store"
)

// The ways in which a connection is lost, as alice is about to send frames.
var cuts = []struct {
	name string
	send func(k *talk, frames []byte)
}{
	{"it is not", func(k *talk, frames []byte) { k.alice.trySend(frames) }},
	{"before the record", func(k *talk, frames []byte) {
		k.alice.conn.Close()
		k.alice.trySend(frames)
	}},
	{"in the middle of the record", func(k *talk, frames []byte) {
		k.alice.conn = &halfConn{k.alice.conn, func(n int) int { return n / 2 }}
		k.alice.trySend(frames)
	}},
	{"in the record's length", func(k *talk, frames []byte) {
		k.alice.conn = &halfConn{k.alice.conn, func(int) int { return 1 }}
		k.alice.trySend(frames)
	}},
	{"behind the record", func(k *talk, frames []byte) {
		k.alice.trySend(frames)
		k.alice.conn.Close()
	}},
	{"when all was handled", func(k *talk, frames []byte) {
		k.alice.trySend(frames)
		synctest.Wait()
		k.alice.conn.Close()
	}},
	{"in the middle of an answer", func(k *talk, frames []byte) {
		k.alice.trySend(frames)
		io.ReadFull(k.alice.conn, make([]byte, 100))
		k.alice.conn.Close()
	}},
	{"behind some answers", func(k *talk, frames []byte) {
		k.alice.trySend(frames)
		k.catchUp()
		k.alice.conn.Close()
	}},
	{"half of it: no bytes, and no end", func(k *talk, frames []byte) { k.alice.trySend(frames) }},
	{"half of it, and what is on its way comes late", func(k *talk, frames []byte) {
		late := k.alice.conn
		sealed := k.alice.session.Send.Seal(nil, k.alice.counts.say(frames), time.Now())
		go func() { // until alice is back
			time.Sleep(time.Nanosecond)
			late.Write(sealed)
		}()
	}},
}

// A talk is alice and bob, who say what they say to each other in order, while alice's connection is lost all the time.
type talk struct {
	w          *world
	alice, bob *client

	mu      sync.Mutex
	toBob   []string
	toAlice []string
	answers []string
}

func (k *talk) heard(f proto.Frame) {
	switch f.Type {
	case proto.TypeRelayed:
		r, _ := proto.ParseRelayed(f.Body)
		k.toAlice = append(k.toAlice, string(r.Message))
	case proto.TypePong:
	default:
		k.answers = append(k.answers, fmt.Sprintf("%v %x", f.Type, f.Body))
	}
}

// bobReads notes what comes to bob.
func (k *talk) bobReads() {
	for {
		f, err := k.bob.read()
		if err != nil {
			return
		}
		if f.Type == proto.TypeRelayed {
			r, _ := proto.ParseRelayed(f.Body)
			k.mu.Lock()
			k.toBob = append(k.toBob, string(r.Message))
			k.mu.Unlock()
		}
	}
}

// Whatever becomes of connections: nothing is missing, nothing comes twice, and all is in order.
func TestNothingIsLost(t *testing.T) {
	const rounds = 40
	for i, cut := range append(cuts, cuts[0]) {
		name, way := cut.name, func(*rand.Rand) func(*talk, []byte) { return cut.send }
		if i == len(cuts) {
			name, way = "any", func(r *rand.Rand) func(*talk, []byte) { return cuts[r.IntN(len(cuts))].send }
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(i), 5))
				w := newPipeWorld(t, []string{"alice", "bob"})
				k := &talk{w: w, alice: w.stay("alice"), bob: w.enter("bob")}
				go k.bobReads()
				var toBob, toAlice, answers []string
				for n := range rounds {
					size := 1 + random.IntN(1<<random.IntN(13))
					text := fmt.Sprint(n, strings.Repeat(".", size))
					k.bob.relay(uint32(n), "alice", proto.Tag{}, text)
					toAlice = append(toAlice, text)
					frames := relayFrame(t, uint32(n), "bob", proto.Tag{}, text)
					toBob = append(toBob, text)
					if n%3 == 0 {
						frames = append(frames, relayFrame(t, uint32(n), "carol", proto.Tag{}, "are you there?")...)
						answers = append(answers, fmt.Sprintf("Undeliverable %x", proto.AppendUndeliverable(nil, uint32(n), proto.Offline)[proto.FrameHeaderSize:]))
					}
					if n%5 == 0 {
						frames = append(frames, proto.AppendList(nil, proto.List{})...)
						answers = append(answers, fmt.Sprintf("Users %x", proto.AppendUsers(nil, false, []proto.Name{k.alice.name, k.bob.name})[proto.FrameHeaderSize:]))
					}
					way(random)(k, frames)
					if cut.name != cuts[0].name || i == len(cuts) {
						w.comeBack(k.alice)
					}
					if random.IntN(2) == 0 {
						k.catchUp()
					}
				}
				synctest.Wait() // bob's last word is on its way
				k.catchUp()
				synctest.Wait()
				k.mu.Lock()
				defer k.mu.Unlock()
				for what, pair := range map[string][2][]string{"bob": {k.toBob, toBob}, "alice": {k.toAlice, toAlice}, "answers": {k.answers, answers}} {
					if got, want := strings.Join(pair[0], " "), strings.Join(pair[1], " "); got != want {
						t.Errorf("%s:\n%s\n%s", what, got, want)
					}
				}
				if n := w.sessionOf("alice").out.kept.sent; n != uint64(len(toAlice)+len(answers)) {
					t.Errorf("%d frames were sent", n)
				}
				w.stop()
			})
		})
	}
}

// catchUp reads what has come to alice.
func (k *talk) catchUp() {
	k.alice.send(proto.AppendPing(nil, [8]byte{'n', 'o', 'w'}))
	for {
		f, err := k.alice.read()
		if err != nil {
			k.alice.t.Fatalf("alice catches up: %v", err)
		}
		if f.Type == proto.TypePong && string(f.Body[:3]) == "now" {
			return
		}
		k.heard(f)
	}
}

// half-dead: no bytes, and nothing that says so.
func TestHalfDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		alice, bob := w.stay("alice"), w.enter("bob")
		time.Sleep(idleTime - time.Millisecond)
		synctest.Wait()
		if w.isDetached("alice") {
			t.Error("lost too early")
		}
		alice.ping()
		bob.ping()
		time.Sleep(idleTime - time.Second)
		bob.ping()
		time.Sleep(time.Second)
		synctest.Wait()
		if !w.isDetached("alice") {
			t.Error("not lost")
		}
		alice.expectEnd() // and no Close
		if !w.isOnline(bob, "alice") {
			t.Error("not listed")
		}
		bob.relay(1, "alice", proto.Tag{}, "are you there?")
		bob.ping()
		time.Sleep(detachedTime / 2)
		bob.ping()
		time.Sleep(detachedTime/2 - time.Second)
		w.comeBack(alice)
		alice.until(proto.TypePong)
		bob.ping()
		time.Sleep(detachedTime / 2)
		alice.ping()
		bob.ping()
		time.Sleep(detachedTime / 2)
		alice.relay(1, "bob", proto.Tag{}, "yes")
		bob.expectRelayed("alice", "yes")
	})
}

// The server holds on to a lost session for two minutes, whatever comes for it, and then says that it is gone.
func TestNotResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		alice, bob := w.stay("alice"), w.enter("bob")
		alice.relay(1, "bob", proto.Tag{}, "hello")
		tag := bob.expectRelayed("alice", "hello")
		alice.conn.Close()
		synctest.Wait()
		newest, before := secretsOf(w.sessionOf("alice").resumption)
		b := w.comes(alice, alice.counts.resumption, 0)
		b.greets()
		b.asks()
		b.conn.Close() // Resumed is not read: the server has two secrets
		synctest.Wait()
		if *newest == [32]byte{} || *before == [32]byte{} {
			t.Error("there are no secrets")
		}
		lost := time.Now()
		time.Sleep(time.Minute)
		bob.relay(1, "alice", tag, "hello")
		bob.ping()
		bob.expectGone("alice", tag, proto.GoneLost)
		if d := time.Since(lost); d != detachedTime {
			t.Errorf("gone after %v", d)
		}
		if w.isOnline(bob, "alice") {
			t.Error("still listed")
		}
		synctest.Wait()
		if n := w.server.pool.held.Load(); n != 0 {
			t.Errorf("%d bytes are held", n)
		}
		if *newest != [32]byte{} || *before != [32]byte{} {
			t.Error("the secrets are still there")
		}
		w.isRefused(alice)
	})
}

// The server thinks that the old connection lives: its reader and its writer are in the middle of something.
func TestTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		alice, bob := w.stay("alice"), w.enter("bob")
		old := alice.conn
		sent := fill(t, bob, "alice") // the writer writes, and nobody reads
		var frames []byte
		for range 5 { // the answers to the first find room, and the reader waits with the others
			frames = append(frames, proto.AppendList(nil, proto.List{Prefix: proto.Prefix(bob.name)})...)
			frames = append(frames, proto.AppendWatch(nil, []proto.Name{bob.name})...)
		}
		names := make([]proto.Name, 200)
		for i := range names {
			names[i] = nameOf(t, fmt.Sprintf("u%d", i))
		}
		defer w.leave(w.strangers(names))
		for range 4 {
			frames = append(frames, proto.AppendList(nil, proto.List{})...)
		}
		alice.send(frames)
		synctest.Wait()
		if s := w.sessionOf("alice"); !s.out.claiming || !s.out.writing {
			t.Fatal("the reader does not wait, or the writer does not write")
		}
		w.comeBack(alice)
		if b, err := io.ReadAll(old); len(b) != 0 || err != nil {
			t.Errorf("%d bytes on the old connection, %v", len(b), err)
		}
		users, relayed := 0, 0
		for users < 9 || relayed < sent {
			f, err := alice.read()
			if err != nil { // four Lists at once are too many for a client that says late what it has seen
				w.comeBack(alice)
				continue
			}
			switch f.Type {
			case proto.TypeUsers:
				users++
			case proto.TypeRelayed:
				relayed++
			}
			alice.trySend(proto.AppendSeen(nil, alice.counts.handled))
		}
		alice.ping()
		if users != 9 || relayed != sent {
			t.Errorf("%d Users, %d Relayed", users, relayed)
		}
	})
}

// Resumed is lost, or what alice says next: she comes back with the secret that she has.
func TestLostInTheMiddleOfComingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		alice, bob := w.stay("alice"), w.enter("bob")
		come := func() *comeback {
			b := w.comes(alice, alice.counts.resumption, alice.counts.handled)
			b.greets()
			b.asks()
			return b
		}
		for i := range 3 {
			bob.relay(uint32(i), "alice", proto.Tag{}, fmt.Sprint("lost ", i))
			synctest.Wait()
			come().conn.Close() // Resumed is not read
			time.Sleep(time.Second)
			b := come()
			if err := b.hears(); err != nil {
				t.Fatal(err)
			}
			b.conn.Close() // with the newest secret, of which the server does not know whether it has come
			time.Sleep(time.Second)
		}
		w.comeBack(alice)
		for i := range 3 {
			alice.expectRelayed("bob", fmt.Sprint("lost ", i))
		}
		alice.expect(proto.TypePong)
		alice.ping()
	})
}

// What was an answer to the connection that was lost has no place on the next one.
func TestPongsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		alice := w.stay("alice")
		for range 3 {
			alice.send(proto.AppendPing(nil, [8]byte{}))
			synctest.Wait() // the first Pong is being written, and the others wait
		}
		w.comeBack(alice)
		if got := alice.expect(proto.TypePong); string(got[:4]) != "back" {
			t.Errorf("Pong %x", got)
		}
		alice.ping()
	})
}

// Once the newest secret has shown itself, the one before is of no use; and another's never is. The session does not notice.
func TestAnotherSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "mallory"})
		alice, mallory := w.stay("alice"), w.stay("mallory")
		before := *alice.counts.resumption
		stolen := *mallory.counts.resumption
		stolen.ID = before.ID
		unknown := before
		unknown.ID[0] ^= 1
		w.comeBack(alice)
		alice.until(proto.TypePong)
		for name, r := range map[string]*proto.Resumption{"the one before": &before, "another's": &stolen, "of no session": &unknown} {
			b := w.comes(nil, r, 0)
			b.greets()
			b.asks()
			if err := b.hears(); !errors.Is(err, proto.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := b.conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s: %v behind the refusal", name, err)
			}
			b.conn.Close()
			alice.ping()
		}
		if n := w.server.Counters(); n.Resumed.Load() != 1 || n.NotResumed.Load() != 3 {
			t.Errorf("%d resumed, %d not", n.Resumed.Load(), n.NotResumed.Load())
		}
	})
}

// Two attempts at once: the one with the newer Challenge has the session in the end, whichever Login comes first.
func TestTwoAttempts(t *testing.T) {
	for _, olderFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newPipeWorld(t, []string{"alice"})
			alice := w.stay("alice")
			copied := *alice.counts.resumption
			older := w.comes(alice, &copied, alice.counts.handled)
			older.greets()
			time.Sleep(time.Second)
			newer := w.comes(alice, alice.counts.resumption, alice.counts.handled)
			newer.greets()
			if olderFirst {
				older.asks()
				synctest.Wait()
				newer.asks()
				if err := newer.hears(); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadAll(older.conn); err != nil { // Resumed at most
					t.Error(err)
				}
			} else {
				newer.asks()
				if err := newer.hears(); err != nil {
					t.Fatal(err)
				}
				older.asks()
				if err := older.hears(); !errors.Is(err, proto.ErrRefused) {
					t.Errorf("the older one: %v", err)
				}
			}
			newer.goesOn()
			alice.until(proto.TypePong)
			alice.ping()
			w.comeBack(alice)
			alice.until(proto.TypePong)
		})
	}
	// On TCP, all at the same moment.
	w := newWorld(t, []string{"alice"})
	alice := w.stay("alice")
	var many sync.WaitGroup
	for range 8 {
		copied := *alice.counts.resumption
		b := w.comes(alice, &copied, 0)
		b.greets()
		many.Go(func() {
			b.asks()
			b.hears()
			b.conn.Close()
		})
	}
	many.Wait()
	w.comeBack(alice)
	alice.until(proto.TypePong)
	alice.ping()
}

// A session that was lost is over for other reasons too, and then at once.
func TestEndsWhileDetached(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(w *world)
		reason proto.Reason
	}{
		"replaced": {func(w *world) { w.enter("alice") }, proto.GoneReplaced},
		"removed": {func(w *world) {
			local := &localAccounts{store: w.store, directory: NewDirectory(w.store), by: store.OnFile(), server: w.server}
			if err := local.Remove(nameOf(w.t, "alice")); err != nil {
				w.t.Error(err)
			}
		}, proto.GoneLost},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, []string{"alice", "bob"})
			alice, bob := w.stay("alice"), w.enter("bob")
			alice.relay(1, "bob", proto.Tag{}, "hello")
			tag := bob.expectRelayed("alice", "hello")
			s := w.sessionOf("alice")
			alice.conn.Close()
			for !w.isDetached("alice") {
				bob.ping()
			}
			bob.relay(1, "alice", tag, "hello")
			bob.ping()
			c.end(w)
			bob.expectGone("alice", tag, c.reason)
			s.mu.Lock()
			if s.expiry != nil || s.resumption != nil {
				t.Error("it can still be resumed")
			}
			s.mu.Unlock()
			w.isRefused(alice)
			bob.ping()
		})
	}
	t.Run("stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newPipeWorld(t, []string{"alice"})
			w.stay("alice").conn.Close()
			synctest.Wait()
			if !w.isDetached("alice") {
				t.Fatal("not detached")
			}
			start := time.Now()
			w.stop()
			if d := time.Since(start); d != 0 {
				t.Errorf("stopped after %v", d)
			}
		})
	})
}

// Whoever takes leave, or breaks the protocol, has no session any more.
func TestEndsThatAreNotLosses(t *testing.T) {
	for name, end := range map[string]func(alice *client){
		"logged out": func(alice *client) { alice.logout() },
		"closed": func(alice *client) {
			alice.send(proto.AppendClose(nil, proto.CloseDone))
			alice.expectClose(proto.CloseDone)
		},
		"a record too many": func(alice *client) { alice.conn.Write(make([]byte, 530)); alice.expectClose(proto.CloseProtocol) },
		"three guesses": func(alice *client) {
			for range maxWrongPasswords {
				alice.changePassword("a guess", "new password")
			}
			alice.expectClose(proto.CloseProtocol)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, []string{"alice", "bob"})
			alice, bob := w.stay("alice"), w.enter("bob")
			end(alice)
			if w.isOnline(bob, "alice") {
				t.Error("still listed")
			}
			w.isRefused(alice)
		})
	}
}

// The session in which its own user changed the password goes on, and so does a change in which the connection is lost.
func TestPasswordChangeIsNoEnd(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.stay("alice")
	if err := alice.changePassword(passwordOf("alice"), "another"); err != nil {
		t.Fatal(err)
	}
	w.comeBack(alice)
	alice.until(proto.TypePong)
	p := proto.NewPasswordClient(alice.session)
	alice.send(p.Begin(nil))
	body := append([]byte(nil), alice.expect(proto.TypePasswordSalt)...)
	w.comeBack(alice)
	alice.until(proto.TypePong)
	salt, _ := proto.ParsePasswordSalt(body)
	frame, err := p.Set(nil, body, fakeArgon2("another", salt), fakeArgon2("a third", salt))
	if err != nil {
		t.Fatal(err)
	}
	alice.send(frame)
	if err := p.Done(alice.expect(proto.TypeDone)); err != nil {
		t.Error(err)
	}
	w.comeBack(alice)
	alice.until(proto.TypePong)
	alice.ping()
}

// A client that says it has seen what was not sent, or takes back what it has said, breaks the protocol.
func TestWrongSeen(t *testing.T) {
	for name, c := range map[string]struct {
		seen  uint64
		alike bool // it is none
	}{"ahead": {4, false}, "back": {1, false}, "far ahead": {1 << 63, false}, "the same": {2, true}, "all": {3, true}} {
		for _, resumed := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", resumed: ", resumed), func(t *testing.T) {
				w := newWorld(t, []string{"alice", "bob"})
				alice, bob := w.stay("alice"), w.enter("bob")
				bob.relay(1, "alice", proto.Tag{}, "hello")
				alice.expectRelayed("bob", "hello")
				alice.list("", "")
				alice.send(proto.AppendSeen(nil, 2))
				alice.list("", "") // which is the third, and has not said that it was seen
				alice.ping()
				alice.counts.handled = c.seen
				switch {
				case resumed && c.alike:
					w.comeBack(alice)
					alice.until(proto.TypePong)
				case resumed:
					w.isRefused(alice)
					bob.until(proto.TypeGone)
				default:
					alice.send(proto.AppendSeen(nil, c.seen))
					if !c.alike {
						alice.expectClose(proto.CloseProtocol)
						bob.until(proto.TypeGone)
						w.isRefused(alice)
					}
				}
				if c.alike {
					alice.ping()
				} else if w.isOnline(bob, "alice") {
					t.Error("the session goes on")
				}
			})
		}
	}
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice") // who did not say that she would
	alice.send(proto.AppendSeen(nil, 0))
	alice.expectClose(proto.CloseProtocol)
}
