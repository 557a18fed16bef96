package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// numbered makes a frame of a size (at least 11) that carries a number. Nobody looks at its type here.
func numbered(number uint64, size int) []byte {
	b := append([]byte{byte(proto.TypeRelayed)}, byte((size-3)>>8), byte(size-3))
	b = binary.BigEndian.AppendUint64(b, number)
	return append(b, make([]byte, size-11)...)
}

// cut takes frames apart.
func cut(t *testing.T, b []byte) (frames [][]byte) {
	for len(b) > 0 {
		n := 3 + int(binary.BigEndian.Uint16(b[1:]))
		frames = append(frames, b[:n])
		b = b[n:]
	}
	return frames
}

// Whatever is done with an outbox, in whatever order: it is bounded, exact about what it holds, and first in, first out.
func TestOutboxProperties(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := &pool{size: 1 << 20, reserve: 1 << 16}
		o := newOutbox(p)
		var next, expected uint64 // numbers of frames put in and taken out
		promised, writing := 0, 0
		check := func() {
			t.Helper()
			if o.held < 0 || o.held > outboxSize {
				t.Fatalf("seed %d: %d bytes are held", seed, o.held)
			}
			if want := o.waiting.size() + writing + promised*goneFrameSize; o.held != want {
				t.Fatalf("seed %d: %d bytes are held, and there are %d", seed, o.held, want)
			}
			if p.held.Load() != int64(o.held) {
				t.Fatalf("seed %d: the pool counts %d, the outbox %d", seed, p.held.Load(), o.held)
			}
		}
		for range 1000 {
			switch random.IntN(6) {
			case 0, 1: // others offer
				size := 11 + random.IntN(proto.MaxPeerMessage)
				before := o.held
				if o.offer(numbered(next, size)) {
					next++
				} else if before+size <= outboxSize-outboxReserve-outboxLast {
					t.Fatalf("seed %d: %d bytes were refused although only %d were held", seed, size, before)
				}
				if o.held > max(before, outboxSize-outboxReserve-outboxLast) {
					t.Fatalf("seed %d: others took of the reserve", seed)
				}
			case 2: // the owner answers
				size := 11 + random.IntN(400)
				if o.held+500 <= outboxSize-outboxLast { // otherwise it would wait
					if !o.claim(500) {
						t.Fatal("no claim")
					}
					o.answer(numbered(next, size))
					next++
					o.unclaim()
				}
			case 3: // a contact comes
				if o.promise(goneFrameSize) {
					promised++
				}
			case 4: // and goes
				if promised > 0 {
					promised--
					if random.IntN(2) == 0 {
						o.release(goneFrameSize)
					} else {
						o.keep(numbered(next, goneFrameSize))
						next++
					}
				}
			case 5: // the writer writes
				if o.waiting != nil {
					b, ok := o.next()
					if b.last || !ok {
						t.Fatal("the end")
					}
					batch := b.frames.bytes
					writing = len(batch)
					check()
					for _, f := range cut(t, batch) {
						if got := binary.BigEndian.Uint64(f[3:]); got != expected {
							t.Fatalf("seed %d: frame %d comes in the place of %d", seed, got, expected)
						}
						expected++
					}
					o.written(len(batch))
					writing = 0
				}
			}
			check()
		}
		o.finish(time.Now(), numbered(next, 11))
		if o.offer(numbered(99, 11)) || o.promise(1) || o.claim(1) {
			t.Fatal("something gets in after the end")
		}
		o.keep(numbered(99, goneFrameSize))
		b, ok := o.next()
		if !b.last || !ok {
			t.Fatal("the last frames don't come")
		}
		for _, f := range cut(t, b.frames.bytes) {
			if got := binary.BigEndian.Uint64(f[3:]); got != expected {
				t.Fatalf("seed %d: frame %d comes in the place of %d", seed, got, expected)
			}
			expected++
		}
		if expected != next+1 {
			t.Fatalf("seed %d: %d frames of %d came out", seed, expected, next+1)
		}
		o.drain()
		if o.offer(numbered(99, 11)) {
			t.Fatal("something gets in after the writer has ended")
		}
		if p.held.Load() != 0 {
			t.Fatalf("seed %d: %d bytes are left in the pool", seed, p.held.Load())
		}
	}
}

// pair returns both ends' halves of a session.
func pair(t testing.TB) (server, client *proto.Session) {
	t.Helper()
	w := newMemoryLogin(t)
	return w.login(t, "alice")
}

// countingConn counts writes and keeps what was written.
type countingConn struct {
	net.Conn
	writes int
	bytes.Buffer
}

func (c *countingConn) Write(b []byte) (int, error)      { c.writes++; return c.Buffer.Write(b) }
func (c *countingConn) Read(b []byte) (int, error)       { return c.Buffer.Read(b) }
func (c *countingConn) SetWriteDeadline(time.Time) error { return nil }
func (c *countingConn) Close() error                     { return nil }

// size is how many bytes wait.
func (b *buffer) size() int {
	if b == nil {
		return 0
	}
	return len(b.bytes)
}

// linked makes a link for an outbox that nobody reads from.
func linked(t testing.TB, o *outbox, c net.Conn, keys *proto.Session) *link {
	m := &Server{log: ordinary.logger(), pool: o.pool}
	m.registry.init()
	s := &session{server: m, out: o, keys: keys}
	s.link = newLink(s, &conn{server: m, net: c}, keys.Send, keys.Receive, time.Now())
	return s.link
}

func TestWaitingFramesAreOneWrite(t *testing.T) {
	server, client := pair(t)
	o := newOutbox(&pool{size: 1 << 20})
	conn := new(countingConn)
	for range 20 {
		o.offer(proto.AppendUndeliverable(nil, 1, proto.Offline))
	}
	o.offer(proto.AppendRelayed(nil, proto.Relayed{From: proto.Name{'b'}, Tag: proto.Tag{1}, Message: make([]byte, 10240)}))
	o.offer(proto.AppendRelayed(nil, proto.Relayed{From: proto.Name{'b'}, Tag: proto.Tag{1}, Message: make([]byte, 10240)}))
	o.finish(time.Now(), proto.AppendClose(nil, proto.CloseDone))
	l := linked(t, o, conn, server)
	o.open(l)
	l.rest()
	records, frames := 0, 0
	for conn.Len() > 0 {
		body, err := readBody(conn)
		if err != nil {
			t.Fatal(err)
		}
		list, err := client.Receive.Open(body)
		if err != nil {
			t.Fatal(err)
		}
		records++
		for {
			if _, ok := list.Next(); !ok {
				break
			}
			frames++
		}
	}
	if records != 2 || frames != 23 {
		t.Errorf("%d records, %d frames", records, frames)
	}
}

// Frames that fill a record to the last byte, and one byte more.
func TestSealBatchBounds(t *testing.T) {
	for _, c := range []struct{ first, second, records int }{
		{proto.MaxFrames - 11, 11, 1},
		{proto.MaxFrames - 10, 11, 2},
		{proto.MaxFrames, 11, 2},
	} {
		server, _ := pair(t)
		batch := append(numbered(1, c.first), numbered(2, c.second)...)
		sealed := sealBatch(nil, server.Send, batch, proto.MaxFrames, false, time.Now())
		records := 0
		for len(sealed) > 0 {
			sealed = sealed[2+int(binary.BigEndian.Uint16(sealed)):]
			records++
		}
		if records != c.records {
			t.Errorf("%d and %d bytes: %d records", c.first, c.second, records)
		}
	}
}

// What goes out again on a new connection goes in small records, so that something is saved when that one doesn't last either.
func TestRepeatedInSmallRecords(t *testing.T) {
	server, _ := pair(t)
	o := newOutbox(&pool{size: 1 << 20})
	o.keepWritten()
	l := linked(t, o, nil, server)
	write := func() (records int) {
		b, _ := o.next()
		for sealed := bytes.NewReader(l.seal(b, time.Now()).bytes); sealed.Len() > 0; records++ {
			if _, err := readBody(sealed); err != nil {
				t.Fatal(err)
			}
		}
		return records
	}
	for i := range 8 {
		o.offer(numbered(uint64(i), repeatedRecords/2))
	}
	if n := write(); n != 1 {
		t.Errorf("%d records at first", n)
	}
	o.unlink()
	if _, ok := o.resume(0); !ok {
		t.Fatal("it can't be resumed")
	}
	if n := write(); n != 4 {
		t.Errorf("%d records when they go out again", n)
	}
}

// The owner's claim comes before others' offers: while it waits, they get nothing.
func TestClaimIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(&pool{size: 1 << 20})
		for o.offer(numbered(0, 1000)) {
		}
		claimed := make(chan bool)
		go func() { claimed <- o.claim(proto.MaxUsersFrame) }()
		synctest.Wait()
		b, _ := o.next()
		// Half of it is written; others come at once.
		o.written(2000)
		synctest.Wait()
		if o.offer(numbered(0, 1000)) || o.promise(goneFrameSize) {
			t.Error("others get the room that the owner waits for")
		}
		o.written(b.frames.size() - 2000)
		if !<-claimed {
			t.Error("no claim")
		}
		if !o.offer(numbered(0, 1000)) {
			t.Error("others get nothing after it")
		}
		o.abort()
		o.drain()
	})
}

func TestClaimEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(&pool{size: 1 << 20})
		for o.offer(numbered(0, 1000)) {
		}
		claimed := make(chan bool)
		go func() { claimed <- o.claim(proto.MaxUsersFrame) }()
		synctest.Wait()
		o.finish(time.Now(), proto.AppendClose(nil, 0))
		if <-claimed {
			t.Error("a claim after the end")
		}
	})
}

// All sessions together have a bound; an answer waits for others to give room back.
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{size: 40_000, reserve: 10_000}
		a, b := newOutbox(p), newOutbox(p)
		sent := 0
		for a.offer(numbered(0, 5000)) {
			sent++
		}
		if sent != 6 {
			t.Errorf("%d frames went in", sent)
		}
		if b.offer(numbered(0, 5000)) {
			t.Error("another session gets more than there is")
		}
		if !b.claim(9000) { // of what Relays leave
			t.Error("no claim")
		}
		claimed := make(chan bool)
		go func() { claimed <- a.claim(9000) }()
		time.Sleep(10 * poolRetry)
		select {
		case <-claimed:
			t.Error("a claim without room")
		default:
		}
		b.unclaim()
		if !<-claimed {
			t.Error("no claim when there is room")
		}
		a.abort()
		a.drain()
		b.drain()
		if p.held.Load() != 0 {
			t.Errorf("%d bytes are left", p.held.Load())
		}
	})
}

// brokenConn takes some bytes and then fails.
type brokenConn struct {
	countingConn
	err error
}

func (c *brokenConn) Write(b []byte) (int, error) { return 0, c.err }

func TestBrokenConn(t *testing.T) {
	server, _ := pair(t)
	p := &pool{size: 1 << 20}
	o := newOutbox(p)
	o.offer(numbered(1, 100))
	o.promise(goneFrameSize)
	broken := errors.New("broken")
	l := linked(t, o, &brokenConn{err: broken}, server)
	o.open(l)
	l.rest()
	if o.held != goneFrameSize || l.session.ended.Load() != endCutOff {
		t.Errorf("%d bytes are held, ended %v", o.held, l.session.ended.Load())
	}
	o.drain()
	if o.offer(numbered(2, 100)) || o.promise(goneFrameSize) || o.claim(1) {
		t.Error("something gets in although nobody writes any more")
	}
	if p.held.Load() != 0 {
		t.Errorf("%d bytes are left", p.held.Load())
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestAnswersKeepToTheirClaim(t *testing.T) {
	o := newOutbox(&pool{size: 1 << 20})
	o.claim(100)
	o.answer(numbered(1, 60))
	if !panics(func() { o.answer(numbered(2, 41)) }) {
		t.Error("an answer took more than was claimed")
	}
	if !panics(func() { o.finish(time.Now(), numbered(3, outboxLast+1)) }) {
		t.Error("the last frames took more than is kept for them")
	}
}
