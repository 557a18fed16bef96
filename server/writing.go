package server

import (
	"errors"
	"os"
	"time"

	"sim/internal/forget"
	"sim/proto"
)

// How what waits in an outbox gets to the socket. Whoever has put something in comes back to flush when it has done the rest of what it read:
// if nobody writes, it seals all that waits and writes it there and then, as far as the socket takes it at once. What the socket does not take,
// a goroutine writes that is started for it, and ends when nothing waits any more: nobody waits for another's socket. Others who can't write,
// since they hold a lock, start a goroutine that flushes for them.

// A batch is what is sealed and written at once.
type batch struct {
	frames  *buffer // nil for none
	passing int     // bytes of them that hold room until they are written, and are not kept
	small   bool    // in records of repeatedRecords
	last    bool    // their last is the connection's
}

// open lets what waits be written to a connection.
func (o *outbox) open(l *link) {
	o.mu.Lock()
	o.link = l
	o.mu.Unlock()
	o.flush(time.Now())
}

// flush writes what waits, unless somebody does already. It never waits.
func (o *outbox) flush(now time.Time) {
	o.mu.Lock()
	o.due = false
	l := o.begin()
	o.mu.Unlock()
	if l != nil {
		l.writeNow(now)
	}
}

// flushOwn is flush for the owner's reader, which has handled some numbered frames since the last time.
func (o *outbox) flushOwn(now time.Time, frames, bytes int) {
	o.mu.Lock()
	if frames > 0 && o.kept.wanted {
		o.handled.add(frames, bytes)
	}
	l := o.begin()
	o.mu.Unlock()
	if l != nil {
		l.writeNow(now)
	}
}

// start has a goroutine write what waits, unless somebody writes or is about to. The caller holds mu.
func (o *outbox) start() {
	if o.due {
		return
	}
	if l := o.begin(); l != nil {
		l.session.server.running.Go(func() { forget.Do(func() { l.writeNow(time.Now()) }) })
	}
}

// begin makes the caller the one who writes, and returns where to; nil where there is nothing to do. The caller holds mu.
func (o *outbox) begin() *link {
	if o.writing || o.link == nil || o.unlinked || !o.pending() {
		return nil
	}
	o.writing = true
	return o.link
}

// pending says whether there is something to be written.
func (o *outbox) pending() bool {
	return o.waiting != nil || len(o.last) > 0 || o.kept.wanted && (o.kept.again && o.kept.bytes != nil || !o.closed && o.handled.due())
}

// next takes what the one who writes is to write next. If there is nothing, nobody writes any more.
func (o *outbox) next() (b batch, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.unlinked {
		b = o.gather()
	}
	o.writing = b.frames != nil
	if !o.writing {
		signal(o.wake)
		if o.claiming {
			signal(o.room)
		}
	}
	return b, o.writing
}

// gather takes all that is to be written now. The caller holds mu.
func (o *outbox) gather() (b batch) {
	if !o.pending() {
		return b
	}
	b.frames, o.waiting = o.waiting, nil
	if b.frames == nil {
		b.frames = takeBuffer()
	}
	b.passing = len(b.frames.bytes)
	if o.kept.wanted {
		b.small = o.kept.again
		again := o.kept.repeat()
		b.passing = o.kept.add(b.frames.bytes)
		if len(again) > 0 {
			b.frames.bytes = append(again, b.frames.bytes...)
		}
		if !o.closed {
			b.frames.bytes = o.handled.tell(b.frames.bytes) // beyond the room: one frame
		}
	}
	if o.closed {
		b.frames.bytes = append(b.frames.bytes, o.last...)
		b.last = len(o.last) > 0
		o.last = nil
	}
	return b
}

// written gives back the room of a batch that nobody needs any more.
func (o *outbox) written(passing int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.give(passing)
}

// leave is for the end of a connection. It makes the caller the one who writes if something is left to be; over says that nobody writes to the
// connection any more, nor will.
func (o *outbox) leave() (begun, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	begun = o.begin() != nil
	over = !o.writing && (o.closed || o.unlinked)
	if over {
		o.link = nil
	}
	return begun, over
}

// errStalled is returned when a socket took nothing for stallTime, or not all of the last frames in flushTime.
var errStalled = errors.New("stalled")

// writeNow writes without waiting. The caller has begun.
func (l *link) writeNow(now time.Time) {
	out := l.session.out
	for range mostInPlace {
		b, ok := out.next()
		if !ok {
			return
		}
		sealed := l.seal(b, now)
		n, err := l.socket.tryWrite(sealed.bytes)
		if err != nil || n < len(sealed.bytes) {
			l.startWriter(b, sealed, n)
			return
		}
		sealed.free()
		out.written(b.passing)
	}
	l.startWriter(batch{}, nil, 0)
}

// startWriter starts a goroutine that writes what is left of a batch, if there is one, and then all that waits. The caller has begun.
func (l *link) startWriter(b batch, sealed *buffer, from int) {
	l.session.server.running.Go(func() {
		lot := l.lot
		lot.hold(l)
		defer lot.letGo(l)
		forget.Do(func() {
			if sealed != nil {
				l.finish(b, sealed, from)
			}
			l.writeAll()
		})
	})
}

// writeAll writes until nothing waits. The caller has begun.
func (l *link) writeAll() {
	for {
		b, ok := l.session.out.next()
		if !ok {
			return
		}
		l.finish(b, l.seal(b, time.Now()), 0)
	}
}

// finish writes what is left of a batch, and waits for the socket. When it can't, the link is over.
func (l *link) finish(b batch, sealed *buffer, from int) {
	err := l.write(sealed.bytes[from:])
	sealed.free()
	l.session.out.written(b.passing)
	switch {
	case errors.Is(err, errStalled):
		l.over(endStalled)
	case err != nil:
		l.over(endCutOff)
	}
}

// seal seals a batch, and is done with its frames.
func (l *link) seal(b batch, now time.Time) *buffer {
	sealed, most := takeBuffer(), proto.MaxFrames
	if b.small {
		most = repeatedRecords
	}
	sealed.bytes = sealBatch(sealed.bytes, l.send, b.frames.bytes, most, b.last, now)
	b.frames.free()
	return sealed
}

// sealBatch seals frames into as few records as their order allows, with at most most bytes of frames, or one frame, in each.
func sealBatch(dst []byte, sender *proto.Sender, frames []byte, most int, last bool, now time.Time) []byte {
	for len(frames) > 0 {
		n := 0
		for n < len(frames) {
			size := frameSize(frames[n:])
			if n > 0 && n+size > most {
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

// write writes all of b, in one Write if the socket takes it. It looks every stallCheck whether anything moved.
func (l *link) write(b []byte) error {
	conn, out := l.conn.net, l.session.out
	defer conn.SetWriteDeadline(time.Time{}) // or who writes without waiting would be told that it has passed
	moved := time.Now()
	for {
		limit := time.Now().Add(stallCheck)
		if by := out.flushDeadline(); !by.IsZero() && by.Before(limit) {
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
		if by := out.flushDeadline(); now.Sub(moved) >= stallTime || !by.IsZero() && !now.Before(by) {
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
