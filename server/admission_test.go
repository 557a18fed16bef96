package server

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// newAdmission has caps for all, and for each pool.
func newAdmission(maxConns, each int) *admission {
	a := new(admission)
	a.init(new(Counters), maxConns)
	a.maxUnproven, a.maxSolved, a.maxRunning = each, each, each
	return a
}

// from is a connection of a network.
func from(n network) *conn { return &conn{network: n} }

// come lets a connection in and moves it to a stage. It returns who had to go.
func (a *admission) come(t *testing.T, c *conn, to stage) (victims []*conn) {
	t.Helper()
	ok, victim := a.admit(c)
	for s := silent; ok; s++ {
		if victim != nil {
			victims = append(victims, victim)
		}
		if s == to {
			return victims
		}
		ok, victim = a.advance(c, s+1)
	}
	t.Fatalf("a connection is not let in to stage %d", to)
	return nil
}

func TestAdmission(t *testing.T) {
	a := newAdmission(10, 4)
	conns := make([]*conn, 12)
	for i := range conns {
		conns[i] = from(1)
	}
	admit := func(i int) *conn {
		t.Helper()
		ok, victim := a.admit(conns[i])
		if !ok {
			t.Fatalf("%d is not admitted", i)
		}
		return victim
	}
	for i := range 4 {
		if admit(i) != nil {
			t.Fatal("a victim although there is room")
		}
	}
	// Of two silent ones, two greeted ones and a newcomer one of the silent ones goes.
	a.advance(conns[0], greeted)
	a.advance(conns[1], greeted)
	victim := admit(4)
	if victim != conns[2] && victim != conns[3] {
		t.Error("the victim is not a silent one")
	}
	if ok, _ := a.advance(victim, greeted); ok {
		t.Error("a victim goes on")
	}
	a.leave(victim) // a second time: nothing
	// Only those with a right mac1 are left: one of them goes.
	for _, c := range conns[:5] {
		a.advance(c, greeted)
	}
	victim = admit(5)
	if victim == nil || victim == conns[5] {
		t.Error("nobody is evicted")
	}
	// Who is proven is never evicted, and does not count among the others.
	for _, c := range conns[:6] {
		a.advance(c, proven)
	}
	if len(a.all) != 4 || a.pools[silent].size+a.pools[greeted].size != 0 {
		t.Errorf("%d connections", len(a.all))
	}
	for i := 6; i < 10; i++ {
		if admit(i) != nil {
			t.Error("a victim")
		}
	}
	if admit(10) == nil {
		t.Error("no victim")
	}
	for _, c := range conns[6:11] {
		a.advance(c, proven)
	}
	for len(a.all) < 10 {
		a.come(t, from(1), proven)
	}
	if ok, victim := a.admit(conns[11]); ok || victim != nil {
		t.Error("more than all")
	}
	n := a.counters
	if n.Accepted.Load() == 0 || n.TooMany.Load() != 1 || n.Evicted[silent].Load() != 2 || n.Evicted[greeted].Load() != 1 {
		t.Errorf("%d accepted, %d too many, %d and %d evicted", n.Accepted.Load(), n.TooMany.Load(), n.Evicted[silent].Load(), n.Evicted[greeted].Load())
	}
	for _, c := range a.everybody() {
		a.leave(c)
		a.leave(c)
	}
	a.stop()
	if ok, _ := a.admit(new(conn)); ok {
		t.Error("admitted after the end")
	}
	if len(a.all) != 0 {
		t.Errorf("%d are left", len(a.all))
	}
}

// A flood from one network evicts itself in every pool, and nobody else.
func TestFloodOfOneNetworkEvictsItself(t *testing.T) {
	const places = 16
	for to := silent; to <= running; to++ {
		a := newAdmission(1000, places)
		var alices []*conn
		for i := range network(places / 2) {
			alices = append(alices, from(100+i))
			a.come(t, alices[i], to)
		}
		for range 50 * places {
			for _, victim := range a.come(t, from(1), to) {
				if victim.network != 1 {
					t.Fatalf("stage %d: one of network %d had to go", to, victim.network)
				}
			}
		}
		for _, c := range alices {
			if c.stage != to {
				t.Errorf("stage %d: alice is at %d", to, c.stage)
			}
		}
		if n := a.pools[to].size; n != places {
			t.Errorf("stage %d: %d are there", to, n)
		}
	}
}

// Neither silent connections nor right mac1s, from however many networks, push the others below half of the pool.
func TestHalfOfThePool(t *testing.T) {
	const places = 16
	for _, c := range []struct{ alice, flood stage }{{greeted, silent}, {silent, greeted}} {
		a := newAdmission(1000, places)
		var alices []*conn
		for i := range network(places / 2) {
			alices = append(alices, from(10+i))
			a.come(t, alices[i], c.alice)
		}
		for i := range network(50 * places) {
			n := from(1000 + i)
			a.admit(n)
			if n.stage != left { // alice's half is taken, so the flood has one place less while it is silent
				a.advance(n, c.flood)
			}
		}
		here := 0
		for _, c := range alices {
			if c.stage != left {
				here++
			}
		}
		if here < places/2-1 {
			t.Errorf("%d of %d at stage %d are left", here, places/2, c.alice)
		}
	}
}

// The cap on all connections takes the lowest stage first, and a session never.
func TestCapOnAll(t *testing.T) {
	a := newAdmission(4, 4)
	for _, to := range []stage{proven, running, solved, greeted} {
		a.come(t, from(network(to)), to)
	}
	for _, want := range []stage{greeted, solved, running} {
		victims := a.come(t, from(9), proven)
		if len(victims) != 1 || victims[0].network != network(want) {
			t.Fatalf("%d had to go for stage %d", len(victims), want)
		}
	}
	if ok, _ := a.admit(from(9)); ok || a.counters.TooMany.Load() != 1 {
		t.Error("a session had to go, or nobody counted")
	}
	for to := greeted; to <= running; to++ {
		if n := a.counters.Evicted[to].Load(); n != 1 {
			t.Errorf("stage %d: %d evicted", to, n)
		}
	}
}

// Who is evicted is random, of one network and of several that have as many: none is safe and none is chosen.
func TestEvictionIsRandom(t *testing.T) {
	for name, of := range map[string]func(i int) network{
		"of one network": func(int) network { return 1 },
		"of as many":     func(i int) network { return network(i) },
	} {
		counts := make(map[int]int)
		for range 2000 {
			a := newAdmission(100, 4)
			var conns []*conn
			for i := range 4 {
				c := from(of(i))
				a.admit(c)
				conns = append(conns, c)
			}
			_, victim := a.admit(from(9))
			for i, c := range conns {
				if c == victim {
					counts[i]++
				}
			}
		}
		for i := range 4 {
			if counts[i] < 350 { // 500 expected
				t.Errorf("%s: %v", name, counts)
			}
		}
	}
}

func TestNetworks(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 7} }
	for _, same := range [][2]net.Addr{
		{tcp("192.0.2.1"), tcp("192.0.2.254")},
		{tcp("192.0.2.1"), tcp("::ffff:192.0.2.9")},
		{tcp("2001:db8::1"), tcp("2001:db8::ffff:0:0:1")},
		{tcp("127.0.0.1"), tcp("::1")},
		{tcp("127.0.0.1"), &net.UnixAddr{Name: "/run/sim", Net: "unix"}},
		{tcp("127.0.0.1"), tcp("::ffff:127.9.9.9")},
		{tcp("127.0.0.1"), &net.TCPAddr{}},
	} {
		if networkOf(same[0]) != networkOf(same[1]) {
			t.Errorf("%v and %v are two networks", same[0], same[1])
		}
	}
	for _, two := range [][2]string{
		{"192.0.2.1", "192.0.3.1"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"192.0.2.1", "127.0.0.1"}, {"0.0.0.1", "127.0.0.1"}, {"192.0.2.1", "2001:db8::1"}, {"fe80::1", "::1"},
	} {
		if networkOf(tcp(two[0])) == networkOf(tcp(two[1])) {
			t.Errorf("%s and %s are one network", two[0], two[1])
		}
	}
}

// A crowd always picks from the networks that have most, whatever comes and goes.
func TestCrowd(t *testing.T) {
	var w crowd
	here := make(map[*place]bool)
	count := make(map[network]int)
	for range 20_000 {
		if rand.IntN(100) < 52 {
			p := &place{conn: from(network(rand.IntN(12)))}
			here[p] = true
			count[p.conn.network]++
			w.add(p)
		} else {
			for p := range here {
				delete(here, p)
				count[p.conn.network]--
				w.remove(p)
				break
			}
		}
		most := 0
		for _, n := range count {
			most = max(most, n)
		}
		switch c := w.pick(); {
		case w.size != len(here):
			t.Fatalf("%d of %d", w.size, len(here))
		case (c == nil) != (len(here) == 0):
			t.Fatal("nobody is picked")
		case c != nil && count[c.network] != most:
			t.Fatalf("one of %d is picked, where one has %d", count[c.network], most)
		}
	}
}

// brokenListener fails some times, as without file descriptors, and is then closed.
type brokenListener struct {
	mu    sync.Mutex
	fails int
	at    []time.Time
}

func (l *brokenListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = append(l.at, time.Now())
	if len(l.at) > l.fails {
		return nil, net.ErrClosed
	}
	return nil, &net.OpError{Op: "accept", Err: errors.New("too many open files")}
}

func (l *brokenListener) Close() error   { return nil }
func (l *brokenListener) Addr() net.Addr { return nil }

func TestAcceptSurvivesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &brokenListener{fails: 20}
		s, err := newServer(testConfig(newStore(t)), l)
		if err != nil {
			t.Fatal(err)
		}
		s.accept()
		if len(l.at) != 21 {
			t.Fatalf("%d tries", len(l.at))
		}
		for i := 1; i < len(l.at); i++ {
			d := l.at[i].Sub(l.at[i-1])
			if d < acceptBackoffMin || d > acceptBackoffMax || i > 10 && d != acceptBackoffMax {
				t.Errorf("pause %d: %v", i, d)
			}
		}
	})
}
