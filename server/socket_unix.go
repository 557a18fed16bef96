//go:build unix

package server

import (
	"io"
	"net"
	"syscall"
)

// A rawSocket reads into memory that it takes when bytes are there, and writes only what the system takes at once.
type rawSocket struct {
	raw syscall.RawConn

	// the read that runs
	readable func(fd uintptr) bool // the method, as a value made once
	in       *intake
	once     bool // it does not wait
	readErr  error

	// the write that runs
	writable func(fd uintptr) bool
	out      []byte
	written  int
	writeErr error
}

func newSocket(conn net.Conn) socket {
	if tcp, ok := conn.(syscall.Conn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			s := &rawSocket{raw: raw}
			s.readable, s.writable = s.onReadable, s.onWritable
			return s
		}
	}
	return &plainSocket{conn: conn}
}

func (s *rawSocket) read(in *intake) error {
	s.in, s.readErr = in, nil
	if err := s.raw.Read(s.readable); err != nil {
		return err
	}
	return s.readErr
}

// onReadable reads once, and is false if there is nothing to read yet. It may say so only when the system has: the runtime is told of bytes
// once, when they come, and those that came before it began to wait would wait for the next.
func (s *rawSocket) onReadable(fd uintptr) bool {
	for {
		n, err := readNow(fd, s.in.room())
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			s.in.rest()
			return s.once
		case err == nil && n == 0:
			err = io.EOF
		case err == nil:
			s.in.put(n)
		}
		s.readErr = err
		return true
	}
}

func (s *rawSocket) tryWrite(b []byte) (int, error) {
	s.out, s.written, s.writeErr = b, 0, nil
	err := s.raw.Write(s.writable)
	s.out = nil
	if err == nil {
		err = s.writeErr
	}
	return s.written, err
}

// onWritable writes once. It is never false: nobody waits here.
func (s *rawSocket) onWritable(fd uintptr) bool {
	for {
		n, err := writeNow(fd, s.out)
		if err == syscall.EINTR {
			continue
		}
		s.written, s.writeErr = max(n, 0), err
		return true
	}
}
