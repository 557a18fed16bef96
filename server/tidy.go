package server

import (
	"sync"
	"time"
)

// tidying gives memory back to the system when many have come in. What a log-in leaves is garbage, several times what a session holds, and the
// runtime collects it when there is as much again of what lives: on a quiet server, minutes later or never.
type tidying struct {
	free func() // immutable

	mu    sync.Mutex
	came  int  // sessions that began or were resumed since memory was given back,
	late  int  // and since the last look
	looks bool // every tidyEvery, until all but a few are in
}

// note counts a session.
func (t *tidying) note() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.came++
	t.late++
	if t.came >= tidyAfter && !t.looks {
		t.looks = true
		t.wait()
	}
}

func (t *tidying) wait() {
	t.late = 0
	time.AfterFunc(tidyEvery, t.look)
}

func (t *tidying) look() {
	if t.due() {
		t.free() // takes a while, and who comes meanwhile does not wait for it
	}
}

// due says whether it is time, or has look called again.
func (t *tidying) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.late > tidyCalm {
		t.wait()
		return false
	}
	t.came, t.looks = 0, false
	return true
}
