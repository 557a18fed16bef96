package server

import "sync/atomic"

// Counters tell what became of connections and log-ins since the start. Nothing in them is about one name or address.
type Counters struct {
	Accepted     atomic.Uint64         // connections that were let in
	TooMany      atomic.Uint64         // that were not: all places were taken, and nobody could be evicted
	AcceptErrors atomic.Uint64         // mostly for want of file descriptors
	Evicted      [proven]atomic.Uint64 // by what they had shown: silent, greeted, solved, running

	BadHellos      atomic.Uint64 // no right mac1: something else than a client that has the address
	OtherVersions  atomic.Uint64 // clients of versions that this server does not speak
	WrongSolutions atomic.Uint64 // and other bytes in the place of Solution
	BadLogins      atomic.Uint64 // behind a right solution: a Login that is malformed or does not open
	BadProofs      atomic.Uint64 // a Proof that is malformed, or has a wrong account solution

	BusyLogins    atomic.Uint64 // sent away from the queue for public-key work
	BusyProofs    atomic.Uint64 // sent away from the line at a name
	DelayedProofs atomic.Uint64 // that had to wait for their turn at a name
	Refused       atomic.Uint64 // wrong passwords and unknown names
	Succeeded     atomic.Uint64 // right passwords

	PuzzleBits atomic.Int64 // how hard the puzzle is now, without what one network's failures add
	QueueWait  atomic.Int64 // nanoseconds that a new Login would wait
}
