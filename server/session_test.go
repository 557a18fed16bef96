package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

func TestEveryClientFrameHasATurn(t *testing.T) {
	var got []string
	for typ := proto.TypePadding; typ <= proto.TypeSeen; typ++ {
		if int(typ) < len(turns) && turns[typ].handle != nil {
			got = append(got, typ.String())
		}
	}
	want := "Ping List Watch Relay Intro PasswordBegin PasswordSet Logout Rekey Close Seen"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s", s)
	}
}

// strangers lists sessions that nobody serves.
func (w *world) strangers(names []proto.Name) (list []*session) {
	for _, name := range names {
		s := newSession(w.server, &proto.Session{Name: name})
		w.server.registry.list(s, time.Now())
		list = append(list, s)
	}
	return list
}

// leave takes strangers off the list again.
func (w *world) leave(list []*session) {
	for _, s := range list {
		w.server.registry.unlist(s, proto.GoneLost)
		s.out.abort()
		s.out.drain()
	}
}

func (c *client) list(prefix, after string) (more bool, names []string) {
	c.t.Helper()
	p, err1 := proto.ParsePrefix(prefix)
	a, err2 := proto.ParsePrefix(after)
	if err1 != nil || err2 != nil {
		c.t.Fatal(err1, err2)
	}
	c.send(proto.AppendList(nil, proto.List{Prefix: p, After: a}))
	more, list, ok := proto.ParseUsers(c.expect(proto.TypeUsers))
	if !ok {
		c.t.Fatal("a malformed Users")
	}
	for _, n := range list {
		names = append(names, n.String())
	}
	return more, names
}

func TestListPages(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	want := []string{"alice"}
	var names []proto.Name
	for i := range 1200 {
		name := fmt.Sprintf("%c%d", 'a'+i%26, i*7919)
		want = append(want, name)
		names = append(names, nameOf(t, name))
	}
	defer w.leave(w.strangers(names))
	slices.Sort(want)

	for _, prefix := range []string{"", "a", "m1", "alice", "z", "zz"} {
		var all []string
		more, after, pages := true, "", 0
		for more {
			var page []string
			more, page = alice.list(prefix, after)
			if more && len(page) != proto.MaxUsersPage {
				t.Errorf("a page of %d names with others to come", len(page))
			}
			all = append(all, page...)
			if len(page) > 0 {
				after = page[len(page)-1]
			}
			pages++
		}
		filtered := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return !strings.HasPrefix(s, prefix) })
		if !slices.Equal(all, filtered) {
			t.Errorf("%q: %d names, not %d", prefix, len(all), len(filtered))
		}
		if wantPages := max(1, (len(filtered)+proto.MaxUsersPage-1)/proto.MaxUsersPage); pages != wantPages {
			t.Errorf("%q: %d pages", prefix, pages)
		}
	}
	// After a name that is not there, and with one before the prefix.
	if _, page := alice.list("", "alicf"); page[0] != want[slices.Index(want, "alice")+1] {
		t.Errorf("%v comes after alicf", page[0])
	}
	if _, page := alice.list("b", "a"); !strings.HasPrefix(page[0], "b") {
		t.Errorf("%v begins with b", page[0])
	}
	if _, page := alice.list("a", "b"); len(page) != 0 {
		t.Errorf("%v come after b and begin with a", page)
	}
	alice.ping()
}

// A page that is exactly full says that there are no others.
func TestListFullPage(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	var names []proto.Name
	for i := range proto.MaxUsersPage - 1 {
		names = append(names, nameOf(t, fmt.Sprintf("u%d", i)))
	}
	list := w.strangers(names)
	if more, page := alice.list("", ""); more || len(page) != proto.MaxUsersPage {
		t.Errorf("%d names, more %v", len(page), more)
	}
	list = append(list, w.strangers([]proto.Name{nameOf(t, "zoe")})...)
	if more, page := alice.list("", ""); !more || len(page) != proto.MaxUsersPage {
		t.Errorf("%d names, more %v", len(page), more)
	}
	w.leave(list)
}

func (c *client) expectPresence(want string) {
	c.t.Helper()
	entries, ok := proto.ParsePresence(c.expect(proto.TypePresence))
	var got []string
	for _, p := range entries {
		got = append(got, fmt.Sprintf("%s=%v", p.Name, p.Online))
	}
	slices.Sort(got)
	if !ok || strings.Join(got, " ") != want {
		c.t.Errorf("%s was told %v, %v", c.name, got, ok)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob", "carol"})
		alice := w.enter("alice")
		watch := func(names ...string) []byte {
			var list []proto.Name
			for _, n := range names {
				list = append(list, nameOf(t, n))
			}
			return proto.AppendWatch(nil, list)
		}
		alice.send(watch("alice", "bob", "carol", "nobody"))
		alice.expectPresence("alice=true bob=false carol=false nobody=false")

		start := time.Now()
		bob := w.enter("bob")
		time.Sleep(presenceTime / 2)
		w.enter("carol") // within the same second
		alice.expectPresence("bob=true carol=true")
		if d := time.Since(start); d != presenceTime {
			t.Errorf("told after %v", d)
		}
		// Who goes and is back within the second has not changed; a replacement is no change either.
		go bob.logout()
		synctest.Wait()
		bob = w.enter("bob")
		time.Sleep(2 * presenceTime)
		go bob.expectClose(proto.CloseReplaced)
		bob = w.enter("bob")
		time.Sleep(2 * presenceTime)
		alice.ping() // and nothing before it
		// Another Watch replaces the first.
		alice.send(watch("carol"))
		alice.expectPresence("carol=true")
		bob.logout()
		time.Sleep(2 * presenceTime)
		alice.ping()
		// To watch nobody is answered with nothing.
		alice.send(watch())
		alice.ping()
		if n := len(w.server.registry.watchers); n != 0 {
			t.Errorf("%d are watched", n)
		}
		// The largest Watch.
		var many []string
		for i := range proto.MaxWatched {
			many = append(many, fmt.Sprintf("w%d", i))
		}
		alice.send(watch(many...))
		if entries, ok := proto.ParsePresence(alice.expect(proto.TypePresence)); !ok || len(entries) != proto.MaxWatched {
			t.Errorf("%d entries", len(entries))
		}
	})
}

// What a watcher without room is told, it is told later: nothing is lost.
func TestPresenceWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob", "carol", "dave"})
		alice, bob := w.enter("alice"), w.enter("bob")
		alice.send(proto.AppendWatch(nil, []proto.Name{nameOf(t, "carol"), nameOf(t, "dave")}))
		alice.expectPresence("carol=false dave=false")
		sent := 0
		for size := proto.MaxPeerMessage; size > 0; size /= 2 { // to the last bytes
			sent += fillWith(t, bob, "alice", size)
		}
		w.enter("carol")
		w.enter("dave")
		time.Sleep(3 * presenceTime)
		for range sent { // alice had stopped reading
			alice.expect(proto.TypeRelayed)
		}
		alice.expectPresence("carol=true dave=true")
	})
}

// fill sends Relays to somebody who does not read until the server says full. It returns how many went in.
func fill(t *testing.T, from *client, to string) (sent int) {
	t.Helper()
	return fillWith(t, from, to, proto.MaxPeerMessage)
}

func fillWith(t *testing.T, from *client, to string, size int) (sent int) {
	t.Helper()
	message := strings.Repeat("x", size)
	for {
		from.relay(uint32(sent), to, proto.Tag{}, message)
		from.send(proto.AppendPing(nil, [8]byte{}))
		f, err := from.read()
		if err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case proto.TypePong:
			sent++
		case proto.TypeUndeliverable:
			if ref, reason, _ := proto.ParseUndeliverable(f.Body); reason != proto.Full || ref != uint32(sent) {
				t.Fatalf("Undeliverable(%d, %d)", ref, reason)
			}
			from.expect(proto.TypePong)
			return sent
		default:
			t.Fatalf("%v", f.Type)
		}
	}
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		alice := w.enter("alice")
		for range 5 {
			time.Sleep(idleTime - time.Millisecond)
			alice.ping()
		}
		heard := time.Now()
		// Half a record is no sign of life.
		time.Sleep(idleTime / 2)
		alice.conn.Write(alice.session.Send.Seal(nil, proto.AppendPing(nil, [8]byte{}), time.Now())[:100])
		alice.expectClose(proto.CloseIdle)
		if d := time.Since(heard); d != idleTime {
			t.Errorf("ended after %v", d)
		}
	})
}

func TestLogout(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob"})
	alice, bob := w.enter("alice"), w.enter("bob")
	alice.send(append(proto.AppendLogout(nil), proto.AppendPing(nil, [8]byte{})...)) // the Ping comes too late
	alice.expect(proto.TypeLoggedOut)
	// With LoggedOut the name is free.
	if _, names := bob.list("", ""); !slices.Equal(names, []string{"bob"}) {
		t.Errorf("%v", names)
	}
	alice.expectClose(proto.CloseDone)
	w.enter("alice").ping()
}

func TestClientCloses(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	alice.send(proto.AppendClose(nil, proto.CloseDone))
	alice.expectClose(proto.CloseDone)
}

func TestStopping(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	waiting := w.dial()
	var everybody []*client
	for _, name := range []string{"alice", "bob", "carol"} {
		everybody = append(everybody, w.enter(name))
	}
	everybody[0].relay(1, "bob", proto.Tag{}, "before the end")
	everybody[0].ping()
	stopped := make(chan struct{})
	go func() {
		w.stop()
		close(stopped)
	}()
	everybody[1].expectRelayed("alice", "before the end")
	for _, c := range everybody {
		if code := c.expect(proto.TypeNotice)[0]; code != proto.NoticeStopping {
			t.Errorf("Notice(%d)", code)
		}
		c.expectClose(proto.CloseStopping)
		c.conn.Close()
	}
	if _, err := io.ReadAll(waiting); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	<-stopped
}

// Those who are not logged in hold nothing up.
func TestStoppingInTheMiddleOfLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		for i := range steps {
			n := w.newcomer("alice", passwordOf("alice"))
			if err := n.advance(0, i); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		w.stop()
		if d := time.Since(start); d != 0 {
			t.Errorf("stopped after %v", d)
		}
	})
}

// Those who don't read hold the end up for flushTime and no longer.
func TestStoppingWithAFrozenReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice", "bob"})
		w.enter("alice")
		fill(t, w.enter("bob"), "alice")
		start := time.Now()
		w.stop()
		if d := time.Since(start); d != flushTime {
			t.Errorf("stopped after %v", d)
		}
	})
}

func TestRekey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPipeWorld(t, []string{"alice"})
		alice := w.enter("alice")
		rekeys := 0
		for range 3 * 120 {
			time.Sleep(30 * time.Second)
			alice.send(proto.AppendPing(nil, [8]byte{}))
			alice.expect(proto.TypePong)
			if f, ok := alice.frames.Next(); ok {
				if f.Type != proto.TypeRekey {
					t.Fatalf("%v after Pong", f.Type)
				}
				rekeys++
			}
		}
		if rekeys < 2 {
			t.Errorf("%d rekeys in three hours", rekeys)
		}
		alice.logout()
	})
}

func TestGarbageEndsOnlyItsSession(t *testing.T) {
	frame := func(typ proto.Type, body ...byte) []byte {
		return append([]byte{byte(typ), byte(len(body) >> 8), byte(len(body))}, body...)
	}
	zeros := func(n int) []byte { return make([]byte, n) }
	bad := append([]byte("Bob"), zeros(29)...)
	for name, frames := range map[string][]byte{
		"no frame":              frame(proto.TypePadding),
		"an unknown type":       frame(0x17),
		"a high type":           frame(0xff, 1, 2, 3),
		"a server's frame":      proto.AppendPong(nil, zeros(8)),
		"a frame cut off":       {byte(proto.TypeRelay), 2, 88, 1, 2},
		"a Ping of 7 bytes":     frame(proto.TypePing, zeros(7)...),
		"an empty Relay":        frame(proto.TypeRelay, zeros(44)...),
		"a Relay to no name":    frame(proto.TypeRelay, zeros(50)...),
		"a Relay to a bad name": frame(proto.TypeRelay, slices.Concat(zeros(4), bad, zeros(20))...),
		"a List of a bad name":  frame(proto.TypeList, slices.Concat(bad, zeros(32))...),
		"a Watch of a bad name": frame(proto.TypeWatch, bad...),
		"an Intro of zeros":     frame(proto.TypeIntro, zeros(211)...),
		"an Intro to no name":   frame(proto.TypeIntro, slices.Concat(zeros(64), []byte{1, 1, 1}, zeros(144))...),
		"a PasswordSet first":   frame(proto.TypePasswordSet, zeros(336)...),
		"an A of zero":          frame(proto.TypePasswordBegin, zeros(256)...),
		"a Rekey in the middle": slices.Concat(frame(proto.TypeRekey), proto.AppendPing(nil, [8]byte{})),
		"after the Close":       slices.Concat(proto.AppendClose(nil, 0), proto.AppendPing(nil, [8]byte{})),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, []string{"mallory", "bob"})
			bob, mallory := w.enter("bob"), w.enter("mallory")
			mallory.relay(1, "bob", proto.Tag{}, "hello")
			tag := bob.expectRelayed("mallory", "hello")
			mallory.send(frames)
			mallory.expectClose(proto.CloseProtocol)
			bob.expectGone("mallory", tag, proto.GoneLost)
			bob.ping()
		})
	}
	for name, record := range map[string]func(c *client) []byte{
		"random bytes":        func(*client) []byte { return bytes.Repeat([]byte{2, 16, 7}, 200) },
		"a length of zero":    func(*client) []byte { return []byte{0, 0} },
		"a flipped bit":       func(c *client) []byte { b := seal(c); b[99] ^= 1; return b },
		"a record twice":      func(c *client) []byte { b := seal(c); return append(b, b...) },
		"a record left out":   func(c *client) []byte { seal(c); return seal(c) },
		"a byte too many":     func(c *client) []byte { return append(seal(c), seal(c)[1:]...) },
		"a reflected record":  func(c *client) []byte { return reflected(c) },
		"a cut-off":           nil,
		"half a record, then": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, []string{"mallory", "bob"})
			bob, mallory := w.enter("bob"), w.enter("mallory")
			mallory.relay(1, "bob", proto.Tag{}, "hello")
			tag := bob.expectRelayed("mallory", "hello")
			switch {
			case record != nil:
				mallory.conn.Write(record(mallory))
			case name == "half a record, then":
				mallory.conn.Write(seal(mallory)[:200])
			}
			if record == nil {
				mallory.conn.Close()
			} else {
				for {
					f, err := mallory.read()
					if err != nil {
						t.Fatal("no Close")
					}
					if f.Type == proto.TypeClose {
						if proto.Reason(f.Body[0]) != proto.CloseProtocol {
							t.Errorf("Close(%d)", f.Body[0])
						}
						break
					}
				}
			}
			bob.expectGone("mallory", tag, proto.GoneLost)
			bob.ping()
		})
	}
}

func seal(c *client) []byte {
	return c.session.Send.Seal(nil, proto.AppendPing(nil, [8]byte{}), time.Now())
}

// reflected gets a record of the server and sends it back.
func reflected(c *client) []byte {
	c.send(proto.AppendPing(nil, [8]byte{}))
	body, err := readBody(c.conn)
	if err != nil {
		c.t.Fatal(err)
	}
	b := append([]byte{byte(len(body) >> 8), byte(len(body))}, body...)
	if c.frames, err = c.session.Receive.Open(body); err != nil {
		c.t.Fatal(err)
	}
	return b
}

// changePassword runs a change and returns what Done said.
func (c *client) changePassword(old, fresh string) error {
	c.t.Helper()
	p := proto.NewPasswordClient(c.session)
	c.send(p.Begin(nil))
	body := slices.Clone(c.expect(proto.TypePasswordSalt))
	salt, _ := proto.ParsePasswordSalt(body)
	frame, err := p.Set(nil, body, fakeArgon2(old, salt), fakeArgon2(fresh, salt))
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(frame)
	return p.Done(c.expect(proto.TypeDone))
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	if err := alice.changePassword("wrong", "a new one"); !errors.Is(err, proto.ErrRefused) {
		t.Errorf("with a wrong password: %v", err)
	}
	if err := alice.changePassword(passwordOf("alice"), "a new one"); err != nil {
		t.Error(err)
	}
	alice.ping() // the session goes on
	alice.logout()
	if _, err := w.try("alice", passwordOf("alice")); !errors.Is(err, proto.ErrRefused) {
		t.Errorf("the old password: %v", err)
	}
	alice, err := w.try("alice", "a new one")
	if err != nil {
		t.Fatal(err)
	}
	if a, _, _ := w.store.Account("alice"); time.Since(a.Changed).Abs() > time.Minute {
		t.Errorf("changed at %v", a.Changed)
	}
	// The third wrong one ends the session.
	for i := range maxWrongPasswords {
		alice.ping()
		if err := alice.changePassword(fmt.Sprint(i), "mine now"); !errors.Is(err, proto.ErrRefused) {
			t.Errorf("guess %d: %v", i, err)
		}
	}
	alice.expectClose(proto.CloseProtocol)
}

func TestPasswordFramesOutOfTurn(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	p := proto.NewPasswordClient(alice.session)
	alice.send(p.Begin(nil))
	alice.expect(proto.TypePasswordSalt)
	alice.send(p.Begin(nil))
	alice.expectClose(proto.CloseProtocol)
}

// An account that is gone takes no password; what the disk does not take is said to be not saved, and the old one stands.
func TestPasswordNotSaved(t *testing.T) {
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
	w.store.Close() // no change can be saved any more
	alice.send(frame)
	if err := p.Done(alice.expect(proto.TypeDone)); !errors.Is(err, proto.ErrNotSaved) {
		t.Errorf("%v", err)
	}
	alice.ping()
	// Nor can the old verifier be read.
	p = proto.NewPasswordClient(alice.session)
	alice.send(p.Begin(nil))
	if err := p.Done(alice.expect(proto.TypeDone)); !errors.Is(err, proto.ErrNotSaved) {
		t.Errorf("%v", err)
	}
	alice.ping()
}

func TestListAndUnlist(t *testing.T) {
	g := new(registry)
	g.init()
	alice, now := nameOf(t, "alice"), time.Now()
	member := func() *session {
		return &session{name: alice, tag: newTag(), out: newOutbox(&pool{size: 1 << 20}), keys: new(proto.Session)}
	}
	first, second := member(), member()
	g.turn(alice, now)
	g.list(first, now)
	g.turnOver(alice)
	g.turn(alice, now)
	late := now.Add(9 * time.Second) // its Ping took long: the ten seconds are from now on
	if replaced, ok := g.list(second, late); replaced != first || !ok {
		t.Error("the first was not replaced")
	}
	g.turnOver(alice)
	if wait := g.turn(alice, late.Add(time.Second)); wait != replaceTime-time.Second {
		t.Errorf("the next waits %v", wait)
	}
	// The end of one that was replaced does not touch the one in its place.
	g.unlist(first, proto.GoneLost)
	if g.sessions[alice] != second || len(g.sorted) != 1 {
		t.Error("the second is not listed any more")
	}
	// One that ended by itself a moment before is not replaced, and its own reason counts.
	second.mark(endLogout)
	third := member()
	if replaced, ok := g.list(third, late); replaced != nil || !ok || g.sessions[alice] != third {
		t.Error("what has ended was replaced")
	}
	g.stop()
	if _, ok := g.list(member(), late); ok || len(g.sessions) != 0 {
		t.Error("listed although the server stops")
	}
	if third.ended.Load() != endStopping {
		t.Error("not told that the server stops")
	}
}

// What two sessions take to meet is given back when they don't.
func TestMeet(t *testing.T) {
	p := &pool{size: 1 << 20}
	member := func() *session { return &session{out: newOutbox(p), contacts: make(map[*session]*way)} }
	a, b := member(), member()
	if meet(a, b) == nil || a.out.held != goneFrameSize || b.out.held != goneFrameSize {
		t.Error("they don't meet")
	}
	part(a, b)
	if meet(a, a) == nil || a.out.held != goneFrameSize {
		t.Errorf("%d bytes are held for oneself", a.out.held)
	}
	part(a, a)
	for b.out.offer(numbered(0, 44)) {
	}
	if meet(a, b) != nil || len(a.contacts)+len(b.contacts)+a.out.held != 0 {
		t.Error("they meet although one has no room")
	}
	if meet(b, a) != nil || a.out.held != 0 {
		t.Error("they meet although one has no room")
	}
}

// Who was replaced a moment ago, and is not stopped yet, gets nothing done.
func TestUnlistedGetsNothingDone(t *testing.T) {
	g := new(registry)
	g.init()
	bob := &session{name: nameOf(t, "bob"), tag: newTag(), out: newOutbox(&pool{size: 1 << 20}), keys: new(proto.Session)}
	g.list(bob, time.Now())
	alice := &session{name: nameOf(t, "alice"), out: newOutbox(&pool{size: 1 << 20}), keys: new(proto.Session)}
	if _, _, got := g.relay(alice, bob.name, proto.Tag{}, proto.Relayed{Message: []byte{1}}); got != proto.GoneAway {
		t.Errorf("Relay: %d", got)
	}
	if _, _, ok := g.ticketKeys(alice, bob.name); ok {
		t.Error("a ticket")
	}
	g.watch(alice, []proto.Name{bob.name})
	if len(g.watchers) != 0 {
		t.Error("it watches")
	}
}

// lookingConn looks when it is woken at the end.
type lookingConn struct {
	deafConn
	look func()
}

func (c lookingConn) SetReadDeadline(time.Time) error { c.look(); return nil }

// The end: off the list before the client can learn of it, and for the first reason that there was.
func TestEndInOrder(t *testing.T) {
	m := newMemoryLogin(t)
	keys, _ := m.login(t, "alice")
	g := &m.server.registry
	looked := 0
	c := &conn{server: m.server}
	c.net = lookingConn{look: func() {
		looked++
		if _, names := g.page(proto.List{}); len(names) != 0 {
			t.Error("still listed when the end is under way")
		}
	}}
	s := newSession(m.server, keys)
	s.link = newLink(s, c, keys.Send, keys.Receive, time.Now())
	g.list(s, time.Now())
	s.end(endIdle)
	s.end(endReplaced)
	if s.ended.Load() != endIdle || looked != 1 {
		t.Errorf("ended %d times, because %s", looked, s.ended.Load().reason)
	}
	s.out.drain()
}

// When a session has ended, its keys are gone.
func TestKeysAreCleared(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	alice := w.enter("alice")
	w.server.registry.mu.Lock()
	s := w.server.registry.sessions[alice.name]
	w.server.registry.mu.Unlock()
	alice.logout()
	w.stop()
	if s.keys.Tickets != (proto.Session{}).Tickets || s.keys.Resumption != [32]byte{} {
		t.Error("keys are left")
	}
	for name, use := range map[string]func(){
		"Send":    func() { s.keys.Send.Seal(nil, []byte{1, 0, 0}, time.Now()) },
		"Receive": func() { s.keys.Receive.Open(make([]byte, 528)) },
	} {
		if !panics(use) {
			t.Errorf("%s still has its key", name)
		}
	}
}
