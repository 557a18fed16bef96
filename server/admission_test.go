package server

import (
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAdmission(t *testing.T) {
	a := new(admission)
	a.init(10, 4)
	conns := make([]*conn, 12)
	for i := range conns {
		conns[i] = new(conn)
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
	// Of four silent ones and a newcomer one of the four goes.
	a.advance(conns[0], greeted)
	a.advance(conns[1], greeted)
	victim := admit(4)
	if victim != conns[2] && victim != conns[3] {
		t.Error("the victim is not a silent one")
	}
	if a.advance(victim, greeted) {
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
	if len(a.all) != 4 || len(a.unproven[silent])+len(a.unproven[greeted]) != 0 {
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
		c := new(conn)
		a.admit(c)
		a.advance(c, proven)
	}
	if ok, victim := a.admit(conns[11]); ok || victim != nil {
		t.Error("more than all")
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

// Who is evicted is random: with many connections of one kind, none is safe and none is chosen.
func TestEvictionIsRandom(t *testing.T) {
	counts := make(map[int]int)
	for range 2000 {
		a := new(admission)
		a.init(100, 4)
		var conns []*conn
		for range 4 {
			c := new(conn)
			a.admit(c)
			conns = append(conns, c)
		}
		_, victim := a.admit(new(conn))
		for i, c := range conns {
			if c == victim {
				counts[i]++
			}
		}
	}
	for i := range 4 {
		if counts[i] < 350 { // 500 expected
			t.Errorf("%v", counts)
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
