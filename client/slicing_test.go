package client

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"sim/proto"
)

// However TCP cuts what the server says, the client reads the same messages, records and frames from it, and ends for the same reason: in
// the login, in the session, and at any point of the stream if a byte of it was changed or it breaks off.

// A slicedConn is the network of one login, and the server at its other end. The client gets what the server says in slices.
type slicedConn struct {
	net.Conn
	slices func() int // the size of the next; the client may ask for less
	bend   func(at int, b []byte) []byte

	mu      sync.Mutex
	server  *proto.LoginServer
	session *proto.Session // the server's
	written []byte         // by the client, and not yet read
	said    int            // bytes of the server's so far
	due     []byte         // of them, what the client has not read
}

func (c *slicedConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		return len(b), nil
	}
	c.written = append(c.written, b...)
	for len(c.written) >= 2 && len(c.written) >= 2+int(binary.BigEndian.Uint16(c.written)) {
		n := 2 + int(binary.BigEndian.Uint16(c.written))
		out, session, err := c.server.Handle(time.Now(), c.written[2:n])
		c.written = c.written[n:]
		if c.session = session; session != nil {
			out = append(out, c.records()...)
		}
		c.due = append(c.due, c.bend(c.said, out)...)
		c.said += len(out)
		if err != nil {
			break
		}
	}
	return len(b), nil
}

// records is all that the server says in the session.
func (c *slicedConn) records() (all []byte) {
	alice, bob := mustName("alice"), mustName("bob")
	relayed := func(size int) []byte {
		return proto.AppendRelayed(nil, proto.Relayed{From: bob, Tag: proto.Tag{7}, Message: bytes.Repeat([]byte{'m'}, size)})
	}
	for _, frames := range [][]byte{
		proto.AppendPong(nil, make([]byte, 8)),
		slices.Concat(proto.AppendUsers(nil, false, []proto.Name{alice, bob}), proto.AppendPong(nil, make([]byte, 8)), relayed(3)),
		relayed(proto.MaxPeerMessage),
		slices.Concat(relayed(300), proto.AppendUndeliverable(nil, 7, proto.GoneAway)),
		slices.Concat(proto.AppendNotice(nil, proto.NoticeStopping), proto.AppendClose(nil, proto.CloseStopping)),
	} {
		all = c.session.Send.Seal(all, frames, time.Now())
	}
	return all
}

func (c *slicedConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.due) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.due[:min(len(c.due), c.slices())])
	c.due = c.due[n:]
	return n, nil
}

func (c *slicedConn) SetDeadline(time.Time) error      { return nil }
func (c *slicedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *slicedConn) SetWriteDeadline(time.Time) error { return nil }
func (c *slicedConn) Close() error                     { return nil }

// sliced is what comes of a login: the frames that alice gets, and why it ends.
func sliced(t *testing.T, s *fakeServer, next func() int, bend func(at int, b []byte) []byte) (outcome []string) {
	t.Helper()
	socket := &slicedConn{slices: next, bend: bend, server: proto.NewLoginServer(s.config, time.Now())}
	session, err := logIn(t.Context(), socket, s.address, mustName("alice"), []byte(passwordOf("alice")), s, nil)
	if err != nil {
		return []string{"login: " + err.Error()}
	}
	c := newConnection(socket, session.Send, session.Receive, proto.MaxFrames)
	for a := range c.in {
		if a.err != nil {
			outcome = append(outcome, a.err.Error())
			continue
		}
		for f, ok := a.frames.Next(); ok; f, ok = a.frames.Next() {
			outcome = append(outcome, fmt.Sprintf("%v %x", f.Type, f.Body))
		}
		outcome = append(outcome, "the end of a record")
	}
	c.finish()
	c.wait(time.Minute)
	return outcome
}

func FuzzSlicing(f *testing.F) {
	s := newFakeServer(f) // its puzzle has no bits, and one solution
	whole := func() int { return 1 << 20 }
	untouched := func(_ int, b []byte) []byte { return b }
	const bits = 2 + 35 // of the puzzle in Challenge

	f.Add([]byte{0}, uint16(0), byte(0), uint16(0))
	f.Add([]byte{1, 0}, uint16(0), byte(0), uint16(0))
	f.Add([]byte{255, 0, 3}, uint16(0), byte(0), uint16(0))
	for at, end := range map[uint16]uint16{
		0: 0, 1: 0, 2: 0, 3: 0, bits: 0, 40: 0, 500: 501, // of Challenge
		1254: 0, 1255: 0, 1256: 0, 1300: 0, 1500: 1600, // of Salt
		1636: 0, 1637: 0, 1640: 0, 1735: 0, // of Welcome
		1736: 0, 1737: 0, 1800: 0, 2266: 2267, 2267: 0, 2500: 0, 5000: 5000, 20000: 0, // of records
	} {
		f.Add([]byte{0, 1, 1, 40}, at, byte(1), end)
		f.Add([]byte{254, 7}, at, byte(0x80), end)
	}
	f.Fuzz(func(t *testing.T, cuts []byte, at uint16, xor byte, end uint16) {
		if at == bits {
			xor &= 0x8f // not the work of 2^26 hashes
		}
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
		want := sliced(t, s, whole, bend)
		if got := sliced(t, s, next, bend); !slices.Equal(got, want) {
			t.Errorf("in slices:\n%.300q\nin one:\n%.300q", got, want)
		}
		if xor == 0 && end == 0 {
			if honest := sliced(t, s, whole, untouched); !slices.Equal(want, honest) || len(honest) != 15 {
				t.Errorf("the honest outcome is %d: %.300q", len(honest), honest)
			}
		}
	})
}
