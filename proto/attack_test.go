package proto

import (
	"fmt"
	"runtime"
	"testing"

	"sim/proto/puzzle"
)

// CVE-2016-0798: the way of unknown names left some memory behind each time, so that asking was an attack. Here a thousandth name leaves
// no more than the first.
func TestUnknownNamesLeaveNothing(t *testing.T) {
	w := timedWorld(t)
	ask := func(from, to int) (heap uint64) {
		for i := from; i < to; i++ {
			v := w.visitor(t, fmt.Sprintf("nobody-%d", i))
			if _, _, err := v.server.Handle(w.now, v.login); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				v.server.Clear() // half of them are given up, as when the connection ends
			}
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const names = 200
	before := ask(0, names)
	if after := ask(names, 2*names); after > before+names*128 {
		t.Errorf("%d bytes a name", (after-before)/names)
	}
}

// The solution of a login is bound to that login alone, and a connection takes one: TecharoHQ/anubis#1002 took one solution for many.
func TestSolutionIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	at, _ := w.stages(t, w.config)
	s := cloneServer(at[atSolution].server)
	if _, _, err := s.Handle(w.now, at[atSolution].body); err != nil {
		t.Fatal(err)
	}
	out, session, err := s.Handle(w.now, at[atSolution].body)
	endsUnsaid(t, "a second time", out, session, err)

	// And on another connection in the same epoch, by the same client, even for the same Login.
	s = NewLoginServer(w.config, w.now)
	if _, _, err := s.Handle(w.now, at[atHello].body); err != nil {
		t.Fatal(err)
	}
	binding := [32]byte(at[atSolution].body[1:])
	if s.puzzle.Verify(&binding, (*[puzzle.SolutionSize]byte)(at[atSolution].body[33:])) {
		t.Error("one seed for two connections")
	}
}
