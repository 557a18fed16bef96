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
	prepared := make([]Conversation, runs+1)
	for i := range prepared {
		prepared[i] = *ca
		prepared[i].Prepare()
	}
	if sealing = testing.AllocsPerRun(runs, func() { prepared[0].Seal(KindText, text); prepared = prepared[1:] }); sealing != 4 {
		t.Errorf("%v allocations for a text sealed whose key was there; there were 4", sealing)
	}
}
