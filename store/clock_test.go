package store

import (
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The clock jumps, forwards and back, to before 1970 and to that very moment: nothing is lost, and the log keeps the order in which things were done.
func TestClockJumps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sim.db")
	s := mustOpen(t, path)
	times := []time.Time{
		monday, monday.AddDate(-10, 0, 0), time.UnixMilli(0), time.UnixMilli(-1), time.UnixMilli(1), monday.AddDate(200, 0, 0), tuesday, time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC),
	}
	want := []string{}
	generation := uint64(0)
	for i, now := range times {
		name := string(rune('a' + i))
		a := account(name)
		a.Created, a.Changed = now, now
		if err := s.Add(name, a, testActor); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
		for _, disabled := range []bool{true, false} {
			if err := s.SetDisabled(name, disabled, now, testActor); err != nil {
				t.Fatal(err)
			}
			want = append(want, name)
		}
		got, ok, err := s.Account(name)
		if !ok || err != nil || got.Generation <= generation || got.Verifier != a.Verifier {
			t.Errorf("%s, at %v: %+v, %v, %v", name, now, got, ok, err)
		}
		generation = got.Generation
	}
	s.Close()
	s = mustOpen(t, path)
	if h, err := s.Check(); err != nil || h.Accounts != len(times) {
		t.Errorf("%+v, %v", h, err)
	}
	entries, err := s.Audit(0, maxPage)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name != "" {
			names = append(names, e.Name)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("the log tells of %v", names)
	}
}
