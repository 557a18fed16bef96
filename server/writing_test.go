package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sim/proto"
)

// Alice sends a byte at a time, and several records at once, cut anywhere: the server is told once of each arrival, and misses none.
func TestTrickle(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	alice, bob, carol := w.enter("alice"), w.enter("bob"), w.enter("carol")
	for i, cut := range []int{1, 2, 3, 527, 529, 530, 531, 1059} {
		var sealed []byte
		for n := range 3 {
			sealed = alice.session.Send.Seal(sealed, relayFrame(t, uint32(n), "bob", proto.Tag{}, fmt.Sprint(i, n)), time.Now())
		}
		for len(sealed) > 0 {
			n := min(cut, len(sealed))
			if _, err := alice.conn.Write(sealed[:n]); err != nil {
				t.Fatal(err)
			}
			sealed = sealed[n:]
			if len(sealed)%100 == 0 {
				carol.ping() // so that the server has come to wait for the rest
			}
		}
		for n := range 3 {
			bob.expectRelayed("alice", fmt.Sprint(i, n))
		}
	}
}

// Who waits with nothing holds no memory; who waits for the rest of a record holds no more than that record, however it came.
func TestIntakeMemory(t *testing.T) {
	record := append([]byte{0x10, 0x10}, bytes.Repeat([]byte{9}, 4096+16)...)
	var in intake
	read := func(b []byte) {
		for len(b) > 0 {
			n := copy(in.room(), b)
			if n == 0 {
				t.Fatal("no room")
			}
			in.put(n)
			b = b[n:]
		}
	}
	holds := func(when string, want int) {
		t.Helper()
		if in.rest(); len(in.memory) != want {
			t.Errorf("%s: %d bytes are held, not %d", when, len(in.memory), want)
		}
	}
	for _, cut := range []int{1, 2, 3, readBuffer - 1, readBuffer, readBuffer + 1, 4000} {
		holds("before", 0)
		read(record[:cut])
		if want := len(record); cut == 1 {
			holds("with a byte", readBuffer)
		} else {
			holds(fmt.Sprint("with ", cut), want)
		}
		read(slices.Concat(record[cut:], record[:7]))
		if !bytes.Equal(in.bytes()[:len(record)], record) {
			t.Fatalf("cut at %d: another record", cut)
		}
		in.drop(len(record))
		holds("with the next", len(record))
		in.drop(7)
		read(nil)
		in.free()
	}
	holds("at the end", 0)

	// So does who was, and came to the end of a record; and who has much to say is read as much of at once, as before.
	read(record[:4000])
	holds("with 4000 again", len(record))
	read(record[4000:])
	in.drop(len(record))
	if n := len(in.room()); n != readSize {
		t.Errorf("after what filled the room, there is room for %d bytes", n)
	}
	holds("after the record", 0)
}

// Bob does not read. What alice sends him waits with a goroutine of its own, and what she sends carol meanwhile is not held up.
func TestFrozenReceiverHoldsNobodyUp(t *testing.T) {
	w := newWorld(t, []string{"alice", "bob", "carol"})
	alice, bob, carol := w.enter("alice"), w.enter("bob"), w.enter("carol")
	sent := fill(t, alice, "bob") // his socket, and then his queue
	o := w.sessionOf("bob").out
	o.mu.Lock()
	if !o.writing {
		t.Error("nobody writes to bob")
	}
	o.mu.Unlock()
	for i := range 50 {
		text := fmt.Sprint("hello ", i)
		alice.relay(uint32(i), "carol", proto.Tag{}, text)
		carol.expectRelayed("alice", text)
		carol.relay(uint32(i), "bob", proto.Tag{}, strings.Repeat("y", proto.MaxPeerMessage))
		carol.expectUndeliverable(uint32(i), proto.Full)
	}
	for range sent {
		bob.expectRelayed("alice", strings.Repeat("x", proto.MaxPeerMessage))
	}
	bob.ping()
	// When he has read all, nobody runs for him any more.
	for o.busy() {
		bob.ping()
	}
}

// plainOf returns the connection of somebody who is logged in, as Go's poller has it.
func (w *world) plainOf(name string) *net.TCPConn {
	l := w.linkOf(name)
	l.lot.hold(l)
	defer l.lot.letGo(l)
	if bare, ok := l.conn.net.(interface{ plain() (*net.TCPConn, error) }); ok {
		plain, err := bare.plain()
		if err != nil {
			w.t.Fatal(err)
		}
		return plain
	}
	return l.conn.net.(*net.TCPConn)
}

// Bob reads now and then, so that his socket takes all, a part, or nothing: who writes in place and who is started for the rest take turns,
// and each sender's texts come in order, with none missing.
func TestOrderBetweenWriters(t *testing.T) {
	const senders, texts = 3, 200
	names := []string{"bob"}
	for i := range senders {
		names = append(names, fmt.Sprint("m", i))
	}
	w := newWorld(t, names)
	bob := w.enter("bob")
	if err := w.plainOf("bob").SetWriteBuffer(4096); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range senders {
		m := w.enter(fmt.Sprint("m", i))
		all.Go(func() {
			for n := 0; n < texts; {
				m.relay(uint32(n), "bob", proto.Tag{}, string(binary.BigEndian.AppendUint32(nil, uint32(n)))+strings.Repeat("z", n*37%5000))
				m.send(proto.AppendPing(nil, [8]byte{}))
				f, err := m.read()
				if err != nil {
					t.Error(err)
					return
				}
				if f.Type == proto.TypePong {
					n++
				} else { // full: once more
					m.expect(proto.TypePong)
				}
			}
		})
	}
	next := map[proto.Name]uint32{}
	for range senders * texts {
		r, ok := proto.ParseRelayed(bob.expect(proto.TypeRelayed))
		if got := binary.BigEndian.Uint32(r.Message); !ok || got != next[r.From] {
			t.Fatalf("%s: text %d in the place of %d", r.From, got, next[r.From])
		}
		next[r.From]++
	}
	all.Wait()
	bob.ping()
}

// halfSocket takes some bytes of each write that does not wait, or none.
type halfSocket struct {
	socket
	takes func(n int) int
	conn  net.Conn
}

func (s *halfSocket) tryWrite(b []byte) (int, error) {
	part := b[:s.takes(len(b))]
	if len(part) == 0 {
		return 0, syscall.EAGAIN
	}
	n, err := s.conn.Write(part)
	if err == nil && n < len(b) {
		err = syscall.EAGAIN
	}
	return n, err
}

// However much a socket takes at once, what comes out are the records in their order, and all room is given back.
func TestSocketTakesAPart(t *testing.T) {
	for name, takes := range map[string]func(n int) int{
		"all":              func(n int) int { return n },
		"all but one byte": func(n int) int { return n - 1 },
		"a byte":           func(int) int { return 1 },
		"nothing":          func(int) int { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			server, client := pair(t)
			p := &pool{size: 1 << 20}
			o := newOutbox(p)
			near, far := net.Pipe()
			l := linked(t, o, near, server)
			l.socket = &halfSocket{l.socket, takes, near}
			read := make(chan error)
			go func() {
				for next := uint64(0); next < 300; {
					body, err := readBody(far)
					if err != nil {
						read <- err
						return
					}
					frames, err := client.Receive.Open(body)
					if err != nil {
						read <- err
						return
					}
					for f, ok := frames.Next(); ok; f, ok = frames.Next() {
						if got := binary.BigEndian.Uint64(f.Body); got != next {
							read <- fmt.Errorf("frame %d in the place of %d", got, next)
							return
						}
						next++
					}
				}
				read <- nil
			}()
			o.open(l)
			for n := uint64(0); n < 300; {
				frame := numbered(n, 300)
				switch {
				case !o.offer(frame):
					o.flush(time.Now())
				case n%3 == 0:
					o.flush(time.Now())
					fallthrough
				default:
					n++
				}
			}
			if err := <-read; err != nil {
				t.Fatal(err)
			}
			for o.busy() {
				runtime.Gosched()
			}
			if o.held != 0 || p.held.Load() != 0 {
				t.Errorf("%d bytes are held", o.held)
			}
			o.unlink()
			l.rest()
		})
	}
}

// A buffer that was given back shows nothing of what another session has in it.
func TestBuffersAreNotShared(t *testing.T) {
	a := takeBuffer()
	a.bytes = append(a.bytes, bytes.Repeat([]byte{7}, 5000)...)
	trimmed := a.trim()
	b := takeBuffer()
	b.bytes = append(b.bytes, make([]byte, 5000)...)
	if !bytes.Equal(trimmed.bytes, bytes.Repeat([]byte{7}, 5000)) || cap(trimmed.bytes) != 5000 {
		t.Errorf("%d bytes of room, or another's", cap(trimmed.bytes))
	}
}

func (o *outbox) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writing || o.waiting != nil
}

// A way that was taken before is closed at the end of either of the two who know it: nothing goes over it any more, and nothing comes after Gone.
func TestWaysEnd(t *testing.T) {
	for name, who := range map[string]int{"of the sender": 0, "of the receiver": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			list := w.strangers([]proto.Name{nameOf(t, "alice"), nameOf(t, "bob")})
			defer w.leave(list)
			alice, bob := list[0], list[1]
			r := proto.Relay{To: bob.name, Tag: bob.tag, Message: []byte("hello")}
			for range 2 {
				if reason := alice.send(r); reason != 0 {
					t.Fatal(reason)
				}
			}
			w.server.registry.unlist(list[who], proto.GoneLost)
			before := bob.out.waiting.size()
			if reason := alice.send(r); reason != proto.GoneAway || bob.out.waiting.size() != before {
				t.Errorf("%d, and %d bytes more", reason, bob.out.waiting.size()-before)
			}
		})
	}
}

// One record for more receivers than a reader keeps in mind at once.
func TestManyReceivers(t *testing.T) {
	names := []string{"alice"}
	for i := range maxTouched + 2 {
		names = append(names, fmt.Sprint("m", i))
	}
	w := newWorld(t, names)
	alice := w.enter("alice")
	var others []*client
	var frames []byte
	for i, name := range names[1:] {
		others = append(others, w.enter(name))
		frames = append(frames, relayFrame(t, uint32(i), name, proto.Tag{}, "hello")...)
	}
	alice.send(frames)
	for _, c := range others {
		c.expectRelayed("alice", "hello")
	}
}
