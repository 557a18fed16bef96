package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"sim/proto/record"
)

// The floors are servers that take what one end of a pair sends, decrypt it, encrypt it for the other and write it, and look at nothing:
// less can't be done by a relay that both ends share a key with. A connection says the number of its end, 4 bytes, before the first text.
//
// The records are sim's, padding included, under keys that everybody knows.

const floorBuffer = 32 << 10 // of a connection that reads

// A hop is one connection of a floor.
type hop interface {
	// forward reads once, and writes all that came whole to the other hop.
	forward(to hop) error
	// stay reads until the other side goes.
	stay() error
}

func serveFloor(role string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	open := newRecordHop
	if role == "tls" {
		config, err := serverTLS()
		if err != nil {
			return err
		}
		open = func(socket net.Conn, _ uint32) (hop, error) {
			h := &tlsHop{conn: tls.Server(socket, config)}
			return h, h.conn.Handshake()
		}
	}
	fmt.Println(listener.Addr())
	go acceptHops(listener, open)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func acceptHops(listener net.Listener, open func(net.Conn, uint32) (hop, error)) {
	var mu sync.Mutex
	receivers := map[uint32]chan hop{} // by the number of the end
	receiver := func(n uint32) chan hop {
		mu.Lock()
		defer mu.Unlock()
		if receivers[n] == nil {
			receivers[n] = make(chan hop, 1)
		}
		return receivers[n]
	}
	acceptAll(listener, func(socket net.Conn) {
		var number [4]byte
		if _, err := io.ReadFull(socket, number[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(number[:])
		h, err := open(socket, n)
		if err != nil {
			return
		}
		if n%2 == 1 {
			receiver(n) <- h
			h.stay()
			return
		}
		for to := <-receiver(n + 1); err == nil; {
			err = h.forward(to)
		}
	})
}

// acceptAll serves each connection on a goroutine of its own, and closes it then.
func acceptAll(listener net.Listener, serve func(net.Conn)) {
	for {
		socket, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer socket.Close()
			serve(socket)
		}()
	}
}

type tlsHop struct {
	conn   *tls.Conn
	buffer []byte
}

func (h *tlsHop) forward(to hop) error {
	if h.buffer == nil {
		h.buffer = make([]byte, floorBuffer)
	}
	n, err := h.conn.Read(h.buffer)
	if err != nil {
		return err
	}
	_, err = to.(*tlsHop).conn.Write(h.buffer[:n])
	return err
}

func (h *tlsHop) stay() error {
	_, err := h.conn.Read(make([]byte, 1))
	return err
}

// A channel is both directions of records. It steps a key when it has been used as often as it may.
type channel struct {
	sealer *record.Sealer
	opener *record.Opener
	opened int
}

// newChannel returns one side of end n's channel, the server's or the client's.
func newChannel(n uint32, server bool) channel {
	key := func(way byte) (key [record.KeySize]byte) {
		binary.BigEndian.PutUint32(key[:], n)
		key[4] = way
		return key
	}
	if server {
		return channel{sealer: record.NewSealer(key('d')), opener: record.NewOpener(key('u'))}
	}
	return channel{sealer: record.NewSealer(key('u')), opener: record.NewOpener(key('d'))}
}

func (c *channel) seal(dst, plaintext []byte) []byte {
	if c.sealer.Count() == record.MaxRecords {
		c.sealer.Rekey()
	}
	return c.sealer.Seal(dst, plaintext)
}

func (c *channel) open(ciphertext []byte) ([]byte, error) {
	if c.opened == record.MaxRecords {
		c.opener.Rekey()
		c.opened = 0
	}
	c.opened++
	return c.opener.Open(ciphertext)
}

type recordHop struct {
	channel
	socket  net.Conn
	in, out []byte
	held    int // bytes of in
}

func newRecordHop(socket net.Conn, n uint32) (hop, error) {
	return &recordHop{channel: newChannel(n, true), socket: socket}, nil
}

func (h *recordHop) forward(to hop) error {
	if h.in == nil {
		h.in = make([]byte, floorBuffer)
	}
	n, err := h.socket.Read(h.in[h.held:])
	if err != nil {
		return err
	}
	h.held += n
	rest, out := h.in[:h.held], to.(*recordHop)
	out.out = out.out[:0]
	for len(rest) >= record.HeaderSize {
		size := record.HeaderSize + int(binary.BigEndian.Uint16(rest))
		if size > record.MaxSize {
			return errors.New("no record")
		}
		if len(rest) < size {
			break
		}
		plaintext, err := h.open(rest[record.HeaderSize:size])
		if err != nil {
			return err
		}
		rest = rest[size:]
		out.out = out.seal(out.out, plaintext)
	}
	h.held = copy(h.in, rest)
	if len(out.out) == 0 {
		return nil
	}
	_, err = out.socket.Write(out.out)
	return err
}

func (h *recordHop) stay() error {
	_, err := h.socket.Read(make([]byte, 1))
	return err
}

// startFloor starts a floor.
func startFloor(role string) func(*options, string, int) (server, error) {
	return func(*options, string, int) (server, error) {
		run, err := startRole(role)
		if err != nil {
			return nil, err
		}
		return &floorServer{run: run, role: role}, nil
	}
}

type floorServer struct {
	run  *process
	role string
}

func (s *floorServer) process() *process { return s.run }
func (s *floorServer) stop()             { s.run.stop() }

func (s *floorServer) enter(n int) (*floorEnd, error) {
	socket, err := dialer(n).Dial("tcp", s.run.first)
	if err != nil {
		return nil, err
	}
	number := binary.BigEndian.AppendUint32(nil, uint32(n))
	if _, err := socket.Write(number); err != nil {
		return nil, err
	}
	if s.role == "records" {
		c := newChannel(uint32(n), false)
		return &floorEnd{conn: socket, channel: &c, in: bufio.NewReaderSize(socket, floorBuffer)}, nil
	}
	conn := tls.Client(socket, clientTLS)
	return &floorEnd{conn: conn, in: bufio.NewReaderSize(conn, floorBuffer)}, conn.Handshake()
}

func (s *floorServer) idle(n int) (end, error) { return s.enter(n) }

func (s *floorServer) pair(n int) (from, to end, err error) {
	if to, err = s.enter(2*n + 1); err != nil {
		return nil, nil, err
	}
	from, err = s.enter(2 * n)
	return from, to, err
}

type floorEnd struct {
	conn    net.Conn
	channel *channel // nil over TLS
	in      *bufio.Reader
	sealed  []byte
	buffer  []byte // of what is sent, or received: an end does one of the two
	partial int    // bytes of a text that has come in part
}

func (e *floorEnd) close() { e.conn.Close() }

func (e *floorEnd) send(texts int) error {
	e.buffer = e.buffer[:0]
	for range texts {
		e.buffer = append(e.buffer, theText...)
	}
	out := e.buffer
	if e.channel != nil {
		e.sealed = e.channel.seal(e.sealed[:0], e.buffer)
		out = e.sealed
	}
	_, err := e.conn.Write(out)
	return err
}

func (e *floorEnd) receive() (int, error) {
	if e.buffer == nil {
		e.buffer = make([]byte, floorBuffer)
	}
	if e.channel != nil {
		return e.receiveRecord()
	}
	n, err := e.in.Read(e.buffer)
	e.partial += n
	texts := e.partial / textSize
	e.partial %= textSize
	return texts, err
}

func (e *floorEnd) receiveRecord() (int, error) {
	if _, err := io.ReadFull(e.in, e.buffer[:record.HeaderSize]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(e.buffer))
	if !record.ValidLength(n) {
		return 0, errors.New("no record")
	}
	if _, err := io.ReadFull(e.in, e.buffer[:n]); err != nil {
		return 0, err
	}
	plaintext, err := e.channel.open(e.buffer[:n])
	texts := 0
	for texts*textSize < len(plaintext) && plaintext[texts*textSize] != 0 { // the rest is padding
		texts++
	}
	return texts, err
}
