package server

import "testing"

// Memory is given back once, when a herd has come in, and not while it comes or for a few.
func TestTidying(t *testing.T) {
	var tidying tidying
	sessions := uint64(0)
	for i, step := range []struct {
		come uint64
		time bool
	}{
		{0, false},
		{tidyAfter - 1, false},
		{0, false}, // too few
		{1, true},
		{0, false},              // it was done
		{10 * tidyAfter, false}, // they come
		{tidyCalm + 1, false},   // and come
		{tidyCalm, true},        // all but a few are in
		{tidyCalm, false},       // who comes now and then
		{tidyAfter, false},      // another herd
		{0, true},
	} {
		sessions += step.come
		if got := tidying.look(sessions); got != step.time {
			t.Errorf("step %d: %v", i, got)
		}
	}
}
