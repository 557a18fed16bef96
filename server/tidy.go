package server

// tidying says when memory is to be given back to the system: when many have come in. What a log-in leaves is garbage, several times what a
// session holds, and the runtime collects it when there is as much again of what lives: on a quiet server, minutes later or never.
type tidying struct {
	seen  uint64 // sessions that had begun or were resumed, at the last look
	freed uint64 // and when memory was given back
}

// look is called every tidyEvery with the number of sessions that have begun or were resumed. It says whether it is time.
func (t *tidying) look(sessions uint64) bool {
	calm := sessions-t.seen <= tidyCalm
	t.seen = sessions
	if !calm || sessions-t.freed < tidyAfter {
		return false
	}
	t.freed = sessions
	return true
}
