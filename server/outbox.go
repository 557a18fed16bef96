package server

import (
	"sync"
	"sync/atomic"
	"time"

	"sim/proto"
)

// An outbox holds the frames that wait for one session, encoded and not yet sealed, and writes them.
//
//  1. It is bounded: what waits, what is being written, what is kept and what was promised is outboxSize at most, and poolSize over all sessions.
//  2. Whoever puts something in never blocks, and learns at once when there is no room. Nothing is dropped in silence.
//  3. The session's own answers always find room: its reader claims the room for a frame's largest answer before it handles the frame,
//     and waits with reading until it has it. While it waits, nobody else gets room; and others leave a reserve free at any time.
//  4. What must be told later is paid for now: a Gone has its room from the moment when it can become due.
//  5. First in, first out. Records are sealed in the order in which they are written, by the one who writes: there is one at a time.
//  6. Whatever waits is sealed together and written with one write. An idle outbox holds no buffer, and nobody runs for it: see writing.go.
//  7. A socket that takes nothing for stallTime ends the session, and so does one that takes the last frames too slowly (flushTime).
//  8. After finish nothing gets in, what waits is written, and the frames that finish came with are the last.
//  9. Of a session that can be resumed, what was written is kept until the client has seen it, and written again on the next connection.
//     While there is no connection, what gets in waits.
type outbox struct {
	pool *pool // immutable

	mu       sync.Mutex
	waiting  *buffer   // whole frames; nil if there are none
	writing  bool      // somebody writes: has taken some, and not written all of them
	due      bool      // somebody who has put something in will come to write it
	link     *link     // the connection to write to; nil while there is none that can be written to
	held     int       // bytes of waiting, of what is being written, of kept, and of claims and promises
	claimed  int       // what is left of the owner's claim
	claiming bool      // the owner waits for room
	unlinked bool      // there is no connection
	closed   bool      // by finish or abort
	last     []byte    // frames that end the connection; nil after abort
	flushBy  time.Time // when the last frames must be written
	kept     kept
	handled  handled
	wake     chan struct{} // who waits for the end of the writing
	room     chan struct{} // the owner, who waits for room
}

// pool counts the bytes of all outboxes.
type pool struct {
	size, reserve int64 // immutable
	held          atomic.Int64
}

// take takes n bytes and says whether there were as many; reserve is what it must leave.
func (p *pool) take(n int, reserve int64) bool {
	for {
		held := p.held.Load()
		if held+int64(n) > p.size-reserve {
			return false
		}
		if p.held.CompareAndSwap(held, held+int64(n)) {
			return true
		}
	}
}

func (p *pool) give(n int) { p.held.Add(-int64(n)) }

func newOutbox(p *pool) *outbox {
	return &outbox{pool: p, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// signal wakes the one goroutine that waits on c, now or when it comes to wait.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take takes n bytes of room for somebody else than the owner. The caller holds mu.
func (o *outbox) take(n int) bool {
	reserve := outboxReserve
	if o.kept.wanted {
		reserve = keptReserve
	}
	if o.closed || o.claiming || o.held+n > outboxSize-outboxLast-reserve || !o.pool.take(n, o.pool.reserve) {
		return false
	}
	o.held += n
	return true
}

// promise takes room for a frame of n bytes that becomes due later: see keep and release.
func (o *outbox) promise(n int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.take(n)
}

// offer appends a frame of others than the owner, or says that there is no room. Somebody else writes it.
func (o *outbox) offer(frame []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.take(len(frame)) {
		return false
	}
	o.put(frame)
	o.start()
	return true
}

// offerRelayed appends a Relayed frame, if the way that it takes is open. When it is due the caller has to flush, soon.
func (o *outbox) offerRelayed(w *way, r proto.Relayed) (due bool, reason proto.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !w.open {
		return false, proto.GoneAway
	}
	if !o.take(proto.RelayedFrameSize(len(r.Message))) {
		return false, proto.Full
	}
	b := o.space()
	b.bytes = proto.AppendRelayed(b.bytes, r)
	due = !o.due && !o.writing
	o.due = o.due || due
	return due, 0
}

// keep appends a promised frame. After the end it does nothing.
func (o *outbox) keep(frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.put(frame)
		o.start()
	}
}

// farewell is keep for the Gone at the end of a way, which is closed before.
func (o *outbox) farewell(w *way, gone []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.open = false
	if !o.closed {
		o.put(gone)
		o.start()
	}
}

// shut closes a way to this outbox.
func (o *outbox) shut(w *way) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.open = false
}

// release gives promised room back. After the end it does nothing: finish has given back everything.
func (o *outbox) release(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.give(n)
	}
}

// put appends a frame whose room is taken. The caller holds mu.
func (o *outbox) put(frame []byte) {
	b := o.space()
	b.bytes = append(b.bytes, frame...)
}

// space is where the next frame is appended. The caller holds mu.
func (o *outbox) space() *buffer {
	if o.waiting == nil {
		o.waiting = takeBuffer()
	}
	return o.waiting
}

// give gives room back. The caller holds mu.
func (o *outbox) give(n int) {
	if n > 0 {
		o.held -= n
		o.pool.give(n)
	}
	if o.claiming {
		signal(o.room)
	}
}

// tryClaim takes room for an answer of n bytes if there is some. Only the owner's reader calls it.
func (o *outbox) tryClaim(n int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.closed && !o.unlinked && o.fits(n) && o.takeClaim(n)
}

func (o *outbox) fits(n int) bool { return o.held+n <= outboxSize-outboxLast }

func (o *outbox) takeClaim(n int) bool {
	if !o.pool.take(n, 0) {
		return false
	}
	o.held += n
	o.claimed = n
	return true
}

// claim waits until there is room for an answer of n bytes and takes it. It is false when the session or its connection ends first, and where
// waiting is vain: only a Seen could make room, and nobody but the caller would read it. Only the owner's reader calls it, and has flushed
// before, since others may wait for what it was to write.
func (o *outbox) claim(n int) bool {
	o.mu.Lock()
	defer func() {
		o.claiming = false
		o.mu.Unlock()
	}()
	for {
		fits := o.fits(n)
		vain := !fits && o.kept.wanted && o.waiting == nil && !o.writing
		if o.closed || o.unlinked || vain {
			return false
		}
		o.claiming = true
		if fits && o.takeClaim(n) {
			return true
		}
		o.mu.Unlock()
		if fits {
			// The room is with other sessions, which don't know who waits for it.
			retry := time.NewTimer(poolRetry)
			select {
			case <-o.room:
			case <-retry.C:
			}
			retry.Stop()
		} else {
			<-o.room
		}
		o.mu.Lock()
	}
}

// await waits for c to be closed. It is false when the session or its connection ends first, and after a time. Only the owner's reader calls
// it.
func (o *outbox) await(c <-chan struct{}, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		o.mu.Lock()
		over := o.closed || o.unlinked
		o.mu.Unlock()
		if over {
			return false
		}
		select {
		case <-c:
			return true
		case <-timer.C:
			return false
		case <-o.room: // the end, or room for which nobody waits
		}
	}
}

// answer appends a frame, or a few for one record, within the owner's claim.
func (o *outbox) answer(frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if len(frame) > o.claimed {
		panic("server: an answer larger than its claim")
	}
	o.claimed -= len(frame)
	o.put(frame)
}

// unclaim gives back what is left of the claim for an answer.
func (o *outbox) unclaim() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.claimed; n > 0 && !o.closed {
		o.claimed = 0
		o.give(n)
	}
}

// keepWritten begins to keep what is written, and to count what is handled.
func (o *outbox) keepWritten() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept.wanted = true
}

// seen takes a Seen of the client, and is false if it goes back, or is ahead of what was sent.
func (o *outbox) seen(number uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	bytes, ok := o.kept.drop(number)
	o.give(bytes)
	return ok
}

// unlink ends the writing and an owner's claim: the connection is lost.
func (o *outbox) unlink() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unlinked = true
	signal(o.wake)
	signal(o.room)
}

// detach drops the answers that concern nothing but the lost connection, which nobody reads or writes any more. What stays has buffers of its
// own size: there may be many who wait, and for long.
func (o *outbox) detach() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept.trim()
	if o.waiting == nil {
		return
	}
	numbered := 0
	for rest := o.waiting.bytes; len(rest) > 0; {
		n := frameSize(rest)
		if proto.Type(rest[0]).Numbered() {
			numbered += copy(o.waiting.bytes[numbered:], rest[:n])
		}
		rest = rest[n:]
	}
	o.give(len(o.waiting.bytes) - numbered)
	o.waiting.bytes = o.waiting.bytes[:numbered]
	o.waiting = o.waiting.trim()
}

// resume begins with a new connection, whose client has seen the frames up to a number; false if it can't have. It returns the number of the
// last of the client's frames that was handled, which the client is told of.
func (o *outbox) resume(seen uint64) (handled uint64, ok bool) {
	if !o.seen(seen) {
		return 0, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unlinked, o.kept.again = false, true
	o.handled.told, o.handled.bytes = o.handled.number, 0
	return o.handled.number, true
}

// finish lets nothing more in; last, which ends with a Close, follows what waits. Promises and claims are off.
func (o *outbox) finish(now time.Time, last []byte) {
	if len(last) > outboxLast {
		panic("server: last words of many bytes")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.closed, o.last, o.flushBy = true, last, now.Add(flushTime)
	signal(o.wake)
	signal(o.room)
}

// abort lets nothing more in and forgets what waits: the connection is gone.
func (o *outbox) abort() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.last, o.kept.again = true, nil, false
	o.forget()
	signal(o.wake)
	signal(o.room)
}

// forget drops what waits. The caller holds mu.
func (o *outbox) forget() {
	if o.waiting != nil {
		o.waiting.free()
		o.waiting = nil
	}
}

// drain gives back all room, when nobody writes any more, and lets nothing in.
func (o *outbox) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.last = true, nil
	o.pool.give(o.held)
	o.held = 0
	o.forget()
	o.kept.forget()
}
