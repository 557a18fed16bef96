package client

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"sim/internal/forget"
	"sim/proto"
	"sim/proto/record"
)

// A connection is one of a session's, with a goroutine for each direction. The reader gives what arrives to in; the writer seals all frames that
// wait together into as few records as hold them, and writes once.
type connection struct {
	socket   net.Conn
	sender   *proto.Sender   // owned by write
	most     int             // owned by write: bytes of frames in a record, where one frame is not more
	receiver *proto.Receiver // owned by read
	in       chan arrival    // closed by the reader when it ends
	done     chan struct{}   // closed by the writer when it ends
	unheard  chan struct{}   // closed when nobody takes what arrives any more

	mu      sync.Mutex
	queue   [][]byte
	queued  int
	closing bool
	cutting bool          // closing without a word
	reason  proto.Reason  // of the Close, when closing with one
	written bool          // the writer has ended
	wake    chan struct{} // has room for one
}

// arrival is one record, or the end of the connection.
type arrival struct {
	frames proto.Frames
	err    error
}

// newConnection begins to read and write. What is sent first goes in records of at most most bytes of frames.
func newConnection(socket net.Conn, sender *proto.Sender, receiver *proto.Receiver, most int) *connection {
	c := &connection{
		socket:   socket,
		sender:   sender,
		receiver: receiver,
		in:       make(chan arrival, 1),
		done:     make(chan struct{}),
		unheard:  make(chan struct{}),
		wake:     make(chan struct{}, 1),
		most:     most,
	}
	go forget.Do(c.read)
	go forget.Do(c.write)
	return c
}

func (c *connection) read() {
	defer close(c.in)
	defer c.receiver.Clear()
	for {
		frames, err := c.readRecord()
		select {
		case c.in <- arrival{frames, err}:
		case <-c.unheard:
			return
		}
		if err != nil {
			return
		}
	}
}

func (c *connection) readRecord() (proto.Frames, error) {
	if err := c.socket.SetReadDeadline(time.Now().Add(silenceWait)); err != nil {
		return proto.Frames{}, err
	}
	body, err := readBody(c.socket, record.MaxSize-record.HeaderSize)
	if errors.Is(err, errLength) {
		return proto.Frames{}, errBreach
	}
	if err != nil {
		return proto.Frames{}, err
	}
	frames, err := c.receiver.Open(body)
	if err != nil {
		return proto.Frames{}, errBreach
	}
	return frames, nil
}

// errBreach is returned when what came is no record of the server's.
var errBreach = errors.New("no record of the server's")

// readBody reads a length and a body of at most most bytes.
func readBody(r io.Reader, most int) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n == 0 || n > most {
		return nil, errLength
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return body, nil
}

var errLength = errors.New("a length that nothing has here")

// send queues frames. False means that the server has taken nothing for so long that no more is kept.
func (c *connection) send(frames [][]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range frames {
		c.queued += len(f)
	}
	c.queue = append(c.queue, frames...)
	c.signal()
	return c.queued <= maxQueuedFrames
}

// finish lets the writer write what waits and a Close, and then end the connection. It does not wait for that: wait does. The first reason
// stays.
func (c *connection) finish() { c.finishFor(proto.CloseDone) }

func (c *connection) finishFor(reason proto.Reason) { c.close(reason, false) }

// cut ends the connection without a word and at once: its session goes on over another. It returns the frames that the writer had not taken: no
// byte of them has left, or will.
func (c *connection) cut() (left [][]byte) { return c.close(0, true) }

func (c *connection) close(reason proto.Reason, cutting bool) (left [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	c.closing, c.reason, c.cutting = true, reason, cutting
	close(c.unheard)
	if c.written || cutting {
		c.socket.Close()
	}
	if cutting {
		left = c.queue
	}
	c.signal()
	return left
}

// wait waits until the writer has ended, or for d.
func (c *connection) wait(d time.Duration) {
	select {
	case <-c.done:
	case <-time.After(d):
		c.socket.Close()
		<-c.done
	}
}

func (c *connection) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what is sent. When that fails, what the server has said before can still be read, and its end.
func (c *connection) write() {
	defer close(c.done)
	defer c.sender.Clear()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.written = true
		if c.closing {
			c.socket.Close()
		}
	}()
	var out, batch []byte
	for range c.wake {
		c.mu.Lock()
		queue, closing, cutting, reason := c.queue, c.closing, c.cutting, c.reason
		c.queue, c.queued = nil, 0
		c.mu.Unlock()
		if cutting {
			return
		}

		out = out[:0]
		for len(queue) > 0 {
			batch = batch[:0]
			for len(queue) > 0 && (len(batch) == 0 || len(batch)+len(queue[0]) <= c.most) {
				batch = append(batch, queue[0]...)
				queue = queue[1:]
			}
			out = c.sender.Seal(out, batch, time.Now())
		}
		if closing {
			out = c.sender.SealLast(out, proto.AppendClose(nil, reason))
		}
		if len(out) == 0 {
			continue
		}
		c.most = proto.MaxFrames
		c.socket.SetWriteDeadline(time.Now().Add(writeWait))
		_, err := c.socket.Write(out)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.socket.Close()
		}
		if err != nil || closing {
			return
		}
	}
}
