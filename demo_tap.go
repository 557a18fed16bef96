package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
)

// A tap stands between a client and the server, forwards, and keeps every byte: it has what anybody on the way has.
type tap struct {
	// immutable
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu      sync.Mutex
	conns   []net.Conn
	streams []*stream
}

// A stream is one direction of one connection.
type stream struct {
	fromClient bool
	bytes      []byte
	seen       int // bytes that traffic has told of
	bodies     int // how many bodies these were
}

// The first bodies of a direction are the log-in's, what follows are records: docs/PROTOCOL.md §4.1, §5.
const (
	clientHandshake = 4 // Hello, Solution, Login, Proof
	serverHandshake = 3 // Challenge, Salt, Welcome
)

var recordSizes = []int{528, 1040, 2064, 4112, 8208, 16400}

func newTap(target string) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	t := &tap{listener: l, target: target}
	t.running.Go(t.accept)
	return t, nil
}

func (t *tap) accept() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", t.target)
		if err != nil {
			client.Close()
			continue
		}
		up, down := &stream{fromClient: true}, &stream{}
		t.mu.Lock()
		t.conns = append(t.conns, client, server)
		t.streams = append(t.streams, up, down)
		t.mu.Unlock()
		t.running.Go(func() { t.forward(server, client, up) })
		t.running.Go(func() { t.forward(client, server, down) })
	}
}

// forward writes down what it reads before it passes it on: what an end has answered to, the tap has seen.
func (t *tap) forward(to, from net.Conn, s *stream) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		t.mu.Lock()
		s.bytes = append(s.bytes, buf[:n]...)
		t.mu.Unlock()
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			break
		}
	}
	if tcp, ok := to.(*net.TCPConn); ok {
		tcp.CloseWrite()
	}
	io.Copy(io.Discard, from)
}

func (t *tap) Close() {
	t.listener.Close()
	t.mu.Lock()
	for _, c := range t.conns {
		c.Close()
	}
	t.mu.Unlock()
	t.running.Wait()
}

// traffic is what went by since it was last asked for: sizes of bodies, the two bytes before each not counted.
type traffic struct {
	handshakeUp, handshakeDown []int
	recordsUp, recordsDown     []int
	odd                        []int // records of a size that there is none of
}

func (t *tap) traffic() traffic {
	var out traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		for rest := s.bytes[s.seen:]; len(rest) >= 2; rest = s.bytes[s.seen:] {
			size := int(binary.BigEndian.Uint16(rest))
			if len(rest) < 2+size {
				break
			}
			out.add(s.fromClient, s.bodies, size)
			s.seen += 2 + size
			s.bodies++
		}
	}
	return out
}

func (f *traffic) add(fromClient bool, index, size int) {
	to, handshake := &f.recordsDown, index < serverHandshake
	if handshake {
		to = &f.handshakeDown
	}
	if fromClient {
		to, handshake = &f.recordsUp, index < clientHandshake
		if handshake {
			to = &f.handshakeUp
		}
	}
	*to = append(*to, size)
	if !handshake && !slices.Contains(recordSizes, size) {
		f.odd = append(f.odd, size)
	}
}

// String tells the records by size.
func (f traffic) String() string {
	return fmt.Sprintf("out %s, in %s", bySize(f.recordsUp), bySize(f.recordsDown))
}

func bySize(sizes []int) string {
	if len(sizes) == 0 {
		return "nothing"
	}
	count := map[int]int{}
	for _, n := range sizes {
		count[n]++
	}
	var parts []string
	for _, size := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d of %d bytes", count[size], size))
	}
	return strings.Join(parts, " and ")
}

// find returns the first of the secrets that is in the bytes of any stream, in whatever case, and how many bytes it looked through.
func (t *tap) find(secrets []string) (found string, searched int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		searched += len(s.bytes)
		hay := foldASCII(s.bytes)
		for _, secret := range secrets {
			if strings.Contains(hay, foldASCII([]byte(secret))) {
				return secret, searched
			}
		}
	}
	return "", searched
}

// foldASCII leaves all other bytes alone, as text functions would not.
func foldASCII(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		out[i] = c
	}
	return string(out)
}
