package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
	"sim/store"
)

// However TCP cuts a stream, the server reads the same messages, records and frames from it, gives the same answers and ends for the same
// reason: in the login, in the session, and at any point of the stream if a byte of it was changed or it breaks off.

// A slicedConn is the network of one connection, and alice at its other end, who says her next message when the answer to the last has
// come. The server gets what she says in slices.
type slicedConn struct {
	net.Conn
	slices func() int // the size of the next; the server may ask for less
	bend   func(at int, b []byte) []byte

	alice *newcomer
	step  int    // the next of steps
	said  int    // bytes of alice's so far
	due   []byte // of them, what the server has not read

	mu      sync.Mutex
	written []byte   // by the server, and not yet read by alice
	heard   []string // what alice has read
	past    bool     // a read deadline that is over
	closed  bool
}

func (c *slicedConn) Read(b []byte) (int, error) {
	if len(c.due) == 0 {
		synctest.Wait() // the writer has written what waits
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.past:
		return 0, os.ErrDeadlineExceeded
	}
	if len(c.due) == 0 && !c.speak() {
		return 0, io.EOF
	}
	n := copy(b, c.due[:min(len(c.due), c.slices())])
	c.due = c.due[n:]
	return n, nil
}

// speak is alice's next message, if it is her turn.
func (c *slicedConn) speak() bool {
	n := c.alice
	if c.step > 0 && c.step < 4 {
		body, rest, ok := cutBody(c.written)
		if !ok {
			return false
		}
		c.written = rest
		c.heard = append(c.heard, fmt.Sprintf("%#x, %d bytes", body[0], len(body)))
		if steps[c.step-1].read(n, body) != nil {
			c.step = 5
		}
	}
	var b []byte
	var err error
	switch {
	case c.step < 3:
		b, err = steps[c.step].write(n)
	case c.step == 3:
		b = c.records()
	default:
		return false
	}
	if err != nil {
		n.t.Fatal(err)
	}
	c.step++
	at := c.said
	c.said += len(b)
	c.due = c.bend(at, b)
	return len(c.due) > 0
}

// records is all that alice says in her session.
func (c *slicedConn) records() (all []byte) {
	t := c.alice.t
	message := string(bytes.Repeat([]byte{'m'}, 9000))
	for _, frames := range [][]byte{
		proto.AppendPing(nil, [8]byte{'h', 'e', 'l', 'l', 'o'}),
		slices.Concat(proto.AppendList(nil, proto.List{}), proto.AppendPing(nil, [8]byte{1})),
		relayFrame(t, 1, "bob", proto.Tag{}, "hello bob"),
		append(relayFrame(t, 2, "bob", proto.Tag{7}, message), proto.AppendPing(nil, [8]byte{2})...),
		append(proto.AppendPing(nil, [8]byte{3}), proto.AppendLogout(nil)...),
	} {
		all = c.alice.session.Send.Seal(all, frames, time.Now())
	}
	return all
}

// hear reads what the server has written in the session.
func (c *slicedConn) hear() {
	for c.alice.session != nil {
		body, rest, ok := cutBody(c.written)
		if !ok {
			break
		}
		c.written = rest
		frames, err := c.alice.session.Receive.Open(body)
		if err != nil {
			c.alice.t.Fatalf("alice takes no such record: %v", err)
		}
		for f, ok := frames.Next(); ok; f, ok = frames.Next() {
			c.heard = append(c.heard, fmt.Sprintf("%v %x", f.Type, f.Body))
		}
	}
	c.heard = append(c.heard, fmt.Sprintf("and %d bytes", len(c.written)))
}

// cutBody cuts a length and its body off.
func cutBody(b []byte) (body, rest []byte, ok bool) {
	if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
		return nil, b, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n], b[n:], true
}

func (c *slicedConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	c.written = append(c.written, b...)
	return len(b), nil
}

func (c *slicedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.past = !t.IsZero() && t.Before(time.Now())
	return nil
}

func (c *slicedConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *slicedConn) SetWriteDeadline(time.Time) error { return nil }

func (c *slicedConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// reasons notes the reasons that a server logs.
type reasons struct {
	slog.Handler
	all *[]string
}

func (r reasons) Enabled(context.Context, slog.Level) bool { return true }
func (r reasons) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		*r.all = append(*r.all, record.Message+": "+a.Value.String())
		return true
	})
	return nil
}

// sliced is what comes of a connection: what alice hears, and why it ends.
func sliced(t *testing.T, st *store.Store, next func() int, bend func(at int, b []byte) []byte) (outcome []string) {
	synctest.Test(t, func(t *testing.T) {
		config := testConfig(st)
		var ended []string
		config.Log = slog.New(reasons{slog.DiscardHandler, &ended})
		s, err := newServer(config, &pipeListener{})
		if err != nil {
			t.Fatal(err)
		}
		s.budget.difficulty = difficulty{} // has one solution: whether a bent one is right is no matter of luck
		login, err := proto.NewLoginClient(s.key, nameOf(t, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		network := &slicedConn{slices: next, bend: bend, alice: &newcomer{t: t, login: login, password: passwordOf("alice")}}
		c := &conn{server: s, net: network, accepted: time.Now()}
		s.admission.admit(c)
		c.serve()
		s.running.Wait()
		network.hear()
		outcome = append(network.heard, ended...)
		if n := len(s.registry.sessions); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
	return outcome
}

func FuzzSlicing(f *testing.F) {
	st := newStore(f, "alice", "bob")
	whole := func() int { return 1 << 20 }
	untouched := func(_ int, b []byte) []byte { return b }
	f.Add([]byte{0}, uint16(0), byte(0), uint16(0))
	f.Add([]byte{1, 0}, uint16(0), byte(0), uint16(0))
	f.Add([]byte{255, 0, 3}, uint16(0), byte(0), uint16(0))
	for at, end := range map[uint16]uint16{
		0: 0, 1: 0, 2: 0, 4: 0, 52: 0, // of Hello
		53: 0, 54: 200, 55: 0, 150: 0, // of Solution
		216: 0, 217: 0, 300: 0, 1000: 0, 1600: 1600, // of Login
		1675: 0, 1676: 0, 1700: 0, 1880: 0, // of Proof
		1886: 0, 1887: 0, 1900: 0, 2416: 0, 2500: 2600, 3000: 0, 3500: 20000, 20500: 0, // of records
	} {
		f.Add([]byte{0, 1, 1, 40}, at, byte(1), end)
		f.Add([]byte{254, 7}, at, byte(0x80), end)
	}
	f.Fuzz(func(t *testing.T, cuts []byte, at uint16, xor byte, end uint16) {
		bend := func(from int, b []byte) []byte {
			b = bytes.Clone(b)
			if i := int(at) - from; i >= 0 && i < len(b) {
				b[i] ^= xor
			}
			if left := int(end) - from; end > 0 && left < len(b) {
				b = b[:max(left, 0)]
			}
			return b
		}
		i := 0
		next := func() int {
			if len(cuts) == 0 {
				return 1
			}
			i++
			return int(cuts[(i-1)%len(cuts)]) + 1
		}
		want := sliced(t, st, whole, bend)
		if got := sliced(t, st, next, bend); !slices.Equal(got, want) {
			t.Errorf("in slices:\n%q\nin one:\n%q", got, want)
		}
		if xor == 0 && end == 0 {
			if honest := sliced(t, st, whole, untouched); !slices.Equal(want, honest) || len(honest) != 16 {
				t.Errorf("the honest outcome is %q", honest)
			}
		}
	})
}
