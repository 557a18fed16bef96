package server

import (
	"errors"
	"net"
	"os"
	"slices"
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
//  5. First in, first out. Records are sealed in the order in which they are written, by the goroutine that writes.
//  6. Whatever waits is sealed together and written with one write. An idle outbox holds no buffer.
//  7. A socket that takes nothing for stallTime ends the session, and so does one that takes the last frames too slowly (flushTime).
//  8. After finish nothing gets in, what waits is written, and the frames that finish came with are the last.
//  9. Of a session that can be resumed, what was written is kept until the client has seen it, and written again on the next connection.
//     While there is no connection, what gets in waits.
type outbox struct {
	pool *pool // immutable

	mu       sync.Mutex
	waiting  []byte    // whole frames
	writing  bool      // the writer has taken some, and not written all of them
	held     int       // bytes of waiting, of what is being written, of kept, and of claims and promises
	claimed  int       // what is left of the owner's claim
	claiming bool      // the owner waits for room
	unlinked bool      // there is no connection
	closed   bool      // by finish or abort
	last     []byte    // frames that end the connection; nil after abort
	flushBy  time.Time // when the last frames must be written
	kept     kept
	handled  handled
	wake     chan struct{}
	room     chan struct{}
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

// offer appends a frame of others than the owner, or says that there is no room.
func (o *outbox) offer(frame []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.take(len(frame)) {
		return false
	}
	o.put(frame)
	return true
}

// offerRelayed is offer for a Relayed frame, which is encoded in its place.
func (o *outbox) offerRelayed(r proto.Relayed) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := proto.RelayedFrameSize(len(r.Message))
	if !o.take(size) {
		return false
	}
	o.waiting = proto.AppendRelayed(slices.Grow(o.waiting, size), r)
	signal(o.wake)
	return true
}

// keep appends a promised frame. After the end it does nothing.
func (o *outbox) keep(frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.put(frame)
	}
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
	o.waiting = append(o.waiting, frame...)
	signal(o.wake)
}

// give gives room back. The caller holds mu.
func (o *outbox) give(n int) {
	o.held -= n
	o.pool.give(n)
	if o.claiming {
		signal(o.room)
	}
}

// claim waits until there is room for an answer of n bytes and takes it. It is false when the session or its connection ends first, and where
// waiting is vain: only a Seen could make room, and nobody but the caller would read it. Only the owner's reader calls it.
func (o *outbox) claim(n int) bool {
	o.mu.Lock()
	defer func() {
		o.claiming = false
		o.mu.Unlock()
	}()
	for {
		fits := o.held+n <= outboxSize-outboxLast
		vain := !fits && o.kept.wanted && len(o.waiting) == 0 && !o.writing
		if o.closed || o.unlinked || vain {
			return false
		}
		o.claiming = true
		if fits && o.pool.take(n, 0) {
			o.held += n
			o.claimed = n
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

// settle notes that a frame was handled, of that many bytes if it is a numbered one, and gives back what is left of the claim for its answer.
func (o *outbox) settle(numbered int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.claimed; n > 0 && !o.closed {
		o.claimed = 0
		o.give(n)
	}
	if numbered > 0 && o.kept.wanted {
		o.handled.add(numbered)
		if o.handled.due() {
			signal(o.wake)
		}
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

// detach drops the answers that concern nothing but the lost connection, which nobody reads or writes any more.
func (o *outbox) detach() {
	o.mu.Lock()
	defer o.mu.Unlock()
	var numbered []byte
	for rest := o.waiting; len(rest) > 0; {
		n := frameSize(rest)
		if proto.Type(rest[0]).Numbered() {
			numbered = append(numbered, rest[:n]...)
		}
		rest = rest[n:]
	}
	o.give(len(o.waiting) - len(numbered))
	o.waiting = numbered
}

// link begins with a new connection, whose client has seen the frames up to a number; false if it can't have. It returns the number of the
// last of the client's frames that was handled, which the client is told of.
func (o *outbox) link(seen uint64) (handled uint64, ok bool) {
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
	o.closed, o.last, o.waiting, o.kept.again = true, nil, nil, false
	signal(o.wake)
	signal(o.room)
}

// A batch is what the writer writes at once.
type batch struct {
	frames  []byte
	passing int  // bytes of them that hold room until they are written, and are not kept
	last    bool // their last is the connection's
}

// next waits for frames. ok is false when there are none any more.
func (o *outbox) next() (b batch, ok bool) {
	for {
		o.mu.Lock()
		if !o.unlinked {
			b = o.gather()
		}
		over := o.unlinked || o.closed
		o.mu.Unlock()
		if len(b.frames) > 0 || over {
			return b, len(b.frames) > 0
		}
		<-o.wake
	}
}

// gather takes all that is to be written now. The caller holds mu.
func (o *outbox) gather() (b batch) {
	b.frames, o.waiting = o.waiting, nil
	b.passing = len(b.frames)
	if o.kept.wanted {
		again := o.kept.repeat()
		b.passing = o.kept.add(b.frames)
		if len(again) > 0 {
			b.frames = append(again, b.frames...)
		}
		if !o.closed && (len(b.frames) > 0 || o.handled.due()) {
			b.frames = o.handled.tell(b.frames) // beyond the room: one frame
		}
	}
	if o.closed {
		b.frames = append(b.frames, o.last...)
		b.last = len(o.last) > 0
		o.last = nil
	}
	o.writing = len(b.frames) > 0
	return b
}

// written gives back the room of a batch that nobody needs any more.
func (o *outbox) written(passing int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	o.give(passing)
}

// drain gives back all room, when nobody writes any more, and lets nothing in.
func (o *outbox) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.last = true, nil
	o.pool.give(o.held)
	o.held, o.waiting = 0, nil
	o.kept = kept{}
}

// errStalled is returned when a socket took nothing for stallTime, or not all of the last frames in flushTime.
var errStalled = errors.New("stalled")

var sealedBuffers = sync.Pool{New: func() any { return new([]byte) }}

// run writes until the end of the session or of the connection.
func (o *outbox) run(conn net.Conn, sender *proto.Sender) error {
	for {
		b, ok := o.next()
		if !ok {
			return nil
		}
		buffer := sealedBuffers.Get().(*[]byte)
		sealed := sealBatch((*buffer)[:0], sender, b.frames, b.last, time.Now())
		err := o.write(conn, sealed)
		if cap(sealed) <= sealedKeep {
			*buffer = sealed
			sealedBuffers.Put(buffer)
		}
		o.written(b.passing)
		if err != nil || b.last {
			return err
		}
	}
}

// sealBatch seals frames into as few records as their order allows.
func sealBatch(dst []byte, sender *proto.Sender, frames []byte, last bool, now time.Time) []byte {
	for len(frames) > 0 {
		n := 0
		for n < len(frames) {
			size := frameSize(frames[n:])
			if n+size > proto.MaxFrames {
				break
			}
			n += size
		}
		if n == len(frames) && last {
			return sender.SealLast(dst, frames)
		}
		dst = sender.Seal(dst, frames[:n], now)
		frames = frames[n:]
	}
	return dst
}

// write writes all of b in one Write if the socket takes it. It looks every stallCheck whether anything moved.
func (o *outbox) write(conn net.Conn, b []byte) error {
	moved := time.Now()
	for {
		limit := time.Now().Add(stallCheck)
		if by := o.flushDeadline(); !by.IsZero() && by.Before(limit) {
			limit = by
		}
		conn.SetWriteDeadline(limit)
		n, err := conn.Write(b)
		b = b[n:]
		if err == nil {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		now := time.Now()
		if n > 0 {
			moved = now
		}
		if by := o.flushDeadline(); now.Sub(moved) >= stallTime || !by.IsZero() && !now.Before(by) {
			return errStalled
		}
	}
}

// flushDeadline is when the last frames must be written; the zero time before the end.
func (o *outbox) flushDeadline() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flushBy
}
