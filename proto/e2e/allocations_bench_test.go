//go:build !race

package e2e

import (
	"bytes"
	"testing"
)

// Not under the race detector, which makes allocations of its own.

// Counts are exact. Whoever makes a text allocate less lowers the numbers here; nobody raises them without a reason.
func TestTextAllocations(t *testing.T) {
	ca, cb := ratchets(t)
	text := bytes.Repeat([]byte{'a'}, 256)
	const runs = 100
	var texts [][]byte
	for range runs + 1 { // AllocsPerRun makes one more, to warm up
		_, msg, err := ca.Seal(KindText, text)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, msg)
	}
	sealing := testing.AllocsPerRun(runs, func() { ca.Seal(KindText, text) })
	opening := testing.AllocsPerRun(runs, func() {
		if _, err := cb.Open(texts[0]); err != nil {
			t.Fatal(err)
		}
		texts = texts[1:]
	})
	if sealing != 12 || opening != 13 {
		t.Errorf("%v allocations for a text sealed, and %v for one opened; there were 12 and 13", sealing, opening)
	}

	// And where the keys are there.
	type pair struct{ from, to Conversation }
	pairs := make([]pair, runs+1)
	for i := range pairs {
		pairs[i] = pair{*ca, *cb}
		pairs[i].from.Prepare()
		pairs[i].to.Prepare()
		pairs[i].to.opened, pairs[i].to.opening = ca.sealed, pairs[i].from.sending // as if all before had been opened
	}
	all := pairs
	sealing = testing.AllocsPerRun(runs, func() {
		if _, _, err := all[0].from.Seal(KindText, text); err != nil {
			t.Fatal(err)
		}
		all = all[1:]
	})
	_, next, err := ca.Seal(KindText, text)
	if err != nil {
		t.Fatal(err)
	}
	all = pairs
	opening = testing.AllocsPerRun(runs, func() {
		if _, err := all[0].to.Open(next); err != nil {
			t.Fatal(err)
		}
		all = all[1:]
	})
	if sealing != 4 || opening != 5 {
		t.Errorf("%v allocations for a text sealed whose key was there, and %v for one opened; there were 4 and 5", sealing, opening)
	}
}
