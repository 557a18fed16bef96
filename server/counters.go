package server

import (
	"sync/atomic"

	"sim/proto"
)

// Counters tell what became of connections and log-ins since the start. Nothing in them is about one name or address.
type Counters struct {
	AcceptErrors atomic.Uint64         // mostly for want of file descriptors
	TooMany      atomic.Uint64         // connections that were not let in: all places were taken, and nobody could be evicted
	Accepted     atomic.Uint64         // those that were let in
	Evicted      [proven]atomic.Uint64 // of them, by what they had shown: silent, greeted, solved, running

	// Each connection that was let in and has no login under way has ended it in one of these.
	Unfinished     atomic.Uint64 // too slow, cut off, or evicted
	BadHellos      atomic.Uint64 // no right mac1: something else than a client that has the address
	OtherVersions  atomic.Uint64 // a client of versions that this server does not speak
	WrongSolutions atomic.Uint64 // and other bytes in the place of Solution
	BadLogins      atomic.Uint64 // behind a right solution: a Login that is malformed or does not open
	BadProofs      atomic.Uint64 // a Proof that is malformed, or has a wrong account solution
	BusyLogins     atomic.Uint64 // sent away from the queue for public-key work
	BusyProofs     atomic.Uint64 // sent away from the line at a name
	Refused        atomic.Uint64 // wrong password or unknown name
	Succeeded      atomic.Uint64 // right password
	Resumed        atomic.Uint64 // the secret of a session that goes on
	NotResumed     atomic.Uint64 // no such session, or not its secret

	Relays         atomic.Uint64                     // peer messages that a receiver's queue took
	RelayedBytes   atomic.Uint64                     // of them, as their senders sealed them
	Undeliverables [proto.GoneAway + 1]atomic.Uint64 // those that went back, by reason: offline, full, gone

	DelayedProofs atomic.Uint64 // that had to wait for their turn at a name
	PuzzleBits    atomic.Int64  // how hard the puzzle is now, without what failures add
	QueueWait     atomic.Int64  // nanoseconds that a new Login would wait
}
