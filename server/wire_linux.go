package server

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// A wire is a TCP connection that can leave Go's poller, which is told of all that comes on any connection: while nobody waits for this one,
// it is a bare descriptor, and no thread of ours wakes for it but the lot's. Then reads and writes that do not wait can go on; others fail.
type wire struct {
	mu   sync.RWMutex    // held for reading while a descriptor is in use, by calls that never wait
	conn *net.TCPConn    // nil while it is bare, and once it is closed then
	raw  syscall.RawConn // of conn
	fd   int             // while it is bare; otherwise -1

	remote netip.AddrPort // immutable. The system does not know it any more once the other side has reset the connection
}

// newWire returns a connection as one that can be laid bare, where it can.
func newWire(c net.Conn) net.Conn {
	w := &wire{fd: -1}
	if !w.dressAs(c) {
		return c
	}
	if remote, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		at := remote.AddrPort()
		w.remote = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	return w
}

// dressAs takes a connection of Go's, if it is a TCP connection.
func (w *wire) dressAs(c net.Conn) bool {
	conn, ok := c.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	w.conn, w.raw = conn, raw
	raw.Control(delayAcks)
	return true
}

// delayAcks has what comes acknowledged with what is written next, or a little later, and not by a packet of its own for each read: a fifth of a text that
// comes by itself in a lot. The system comes back to that when nothing was written in lateAck.
func delayAcks(fd uintptr) {
	syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 0)
}

// delayAcks is for a bare connection. Unlike Control it allocates nothing.
func (w *wire) delayAcks() {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.fd >= 0 {
		delayAcks(uintptr(w.fd))
	}
}

// strip takes the connection from Go's poller. Nobody may be waiting for it.
func (w *wire) strip() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return net.ErrClosed
	}
	fd, err := -1, error(nil)
	if closed := w.raw.Control(func(old uintptr) { fd, err = duplicate(old) }); closed != nil {
		return closed
	}
	if err != nil {
		return err
	}
	w.conn.Close()
	w.conn, w.raw, w.fd = nil, nil, fd
	return nil
}

// dress gives the connection back to Go's poller. Where that can't be, it is closed.
func (w *wire) dress() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd < 0 {
		return
	}
	file := os.NewFile(uintptr(w.fd), "")
	w.fd = -1
	conn, err := net.FileConn(file)
	file.Close() // conn has a duplicate
	if err == nil && !w.dressAs(conn) {
		conn.Close()
	}
}

func duplicate(fd uintptr) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// watch changes what an epoll instance is to tell of a bare connection.
func (w *wire) watch(epoll, op int, event *syscall.EpollEvent) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.fd < 0 {
		return net.ErrClosed
	}
	return syscall.EpollCtl(epoll, op, w.fd, event)
}

// plain is the connection that Go's poller has.
func (w *wire) plain() (*net.TCPConn, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.conn == nil {
		return nil, net.ErrClosed
	}
	return w.conn, nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.conn != nil:
		return w.conn.Close()
	case w.fd >= 0:
		fd := w.fd
		w.fd = -1
		return syscall.Close(fd)
	}
	return net.ErrClosed
}

func (w *wire) Read(b []byte) (int, error) {
	conn, err := w.plain()
	if err != nil {
		return 0, err
	}
	return conn.Read(b)
}

func (w *wire) Write(b []byte) (int, error) {
	conn, err := w.plain()
	if err != nil {
		return 0, err
	}
	return conn.Write(b)
}

// on calls f with the connection that Go's poller has.
func (w *wire) on(f func(*net.TCPConn) error) error {
	conn, err := w.plain()
	if err != nil {
		return err
	}
	return f(conn)
}

func (w *wire) CloseWrite() error { return w.on((*net.TCPConn).CloseWrite) }

// A bare connection has no deadlines: nobody waits.

func (w *wire) SetDeadline(t time.Time) error {
	return w.on(func(c *net.TCPConn) error { return c.SetDeadline(t) })
}

func (w *wire) SetReadDeadline(t time.Time) error {
	return w.on(func(c *net.TCPConn) error { return c.SetReadDeadline(t) })
}

func (w *wire) SetWriteDeadline(t time.Time) error {
	return w.on(func(c *net.TCPConn) error { return c.SetWriteDeadline(t) })
}

func (w *wire) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(w.remote) }

// LocalAddr is known of a connection that is not bare.
func (w *wire) LocalAddr() net.Addr {
	if conn, err := w.plain(); err == nil {
		return conn.LocalAddr()
	}
	return &net.TCPAddr{}
}

// SyscallConn is for calls that do not wait, and for the reader of a connection that is not bare.
func (w *wire) SyscallConn() (syscall.RawConn, error) { return (*rawWire)(w), nil }

// A rawWire is a wire as a syscall.RawConn.
type rawWire wire

// Read calls f when bytes may have come, until it is true. Of a bare connection f must not wait for any.
func (r *rawWire) Read(f func(fd uintptr) bool) error {
	r.mu.RLock()
	raw := r.raw
	if raw == nil {
		defer r.mu.RUnlock()
		return r.now(f)
	}
	r.mu.RUnlock()
	return raw.Read(f)
}

// Write calls f once.
func (r *rawWire) Write(f func(fd uintptr) bool) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.raw == nil {
		return r.now(f)
	}
	return r.raw.Write(f)
}

// Control calls f once.
func (r *rawWire) Control(f func(fd uintptr)) error {
	return r.Write(func(fd uintptr) bool {
		f(fd)
		return true
	})
}

// now calls f with the descriptor of a bare connection. The caller holds mu.
func (r *rawWire) now(f func(fd uintptr) bool) error {
	if r.fd < 0 {
		return net.ErrClosed
	}
	if !f(uintptr(r.fd)) {
		return errWaits
	}
	return nil
}

var errWaits = errors.New("nobody waits for a bare connection")
