package server

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Memory is given back once, when a herd has come in, and not while it comes or for a few.
func TestTidying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var freed atomic.Int32
		tidying := tidying{free: func() { freed.Add(1) }}
		for i, step := range []struct {
			come  int
			freed int32
		}{
			{tidyAfter - 1, 0},
			{0, 0}, // too few
			{1, 1},
			{0, 1},              // it was done
			{10 * tidyAfter, 1}, // another herd
			{0, 2},              // is in
			{tidyCalm, 2},       // who comes now and then
		} {
			for range step.come {
				tidying.note()
			}
			time.Sleep(tidyEvery)
			synctest.Wait()
			if freed := freed.Load(); freed != step.freed {
				t.Errorf("step %d: memory was given back %d times", i, freed)
			}
		}

		for range tidyAfter {
			tidying.note()
		}
		for range 5 { // they go on coming
			for range tidyCalm + 1 {
				tidying.note()
			}
			time.Sleep(tidyEvery)
			synctest.Wait()
		}
		if freed.Load() != 2 {
			t.Error("memory was given back while they came")
		}
		for range tidyCalm {
			tidying.note()
		}
		time.Sleep(tidyEvery)
		synctest.Wait()
		if freed.Load() != 3 {
			t.Error("it was not when all but a few were in")
		}
	})
}

// Who comes while memory is given back does not wait for that.
func TestNobodyWaitsForTidying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		going := make(chan struct{})
		tidying := tidying{free: func() { <-going }}
		for range tidyAfter {
			tidying.note()
		}
		time.Sleep(tidyEvery)
		synctest.Wait()
		if !tidying.mu.TryLock() {
			t.Error("somebody would wait")
		} else {
			tidying.mu.Unlock()
		}
		close(going)
	})
}

// Who logs in is counted.
func TestTidyingCounts(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	w.enter("alice")
	tidying := &w.server.tidying
	tidying.mu.Lock()
	defer tidying.mu.Unlock()
	if tidying.came != 1 || tidying.free == nil {
		t.Errorf("%d sessions are counted", tidying.came)
	}
}
