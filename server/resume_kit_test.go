package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"sim/proto"
)

// counts are what a client that can come back knows of its session beyond one connection.
type counts struct {
	resumption *proto.Resumption
	kept       [][]byte // numbered frames of ours that the server has not seen,
	covered    uint64   // the number of the last that it has,
	handled    uint64   // and that of the last of its frames that we have handled
	quiet      bool     // we never say so
	heard      []uint64 // the server's Seens
}

// took counts a frame of the server, and says whether it is a Seen, of which nobody else needs to know.
func (c *counts) took(t testing.TB, f proto.Frame) bool {
	if f.Type.Numbered() {
		c.handled++
	}
	if f.Type != proto.TypeSeen {
		return false
	}
	n := proto.ParseSeen(f.Body)
	c.heard = append(c.heard, n)
	c.cover(t, n)
	return true
}

func (c *counts) cover(t testing.TB, n uint64) {
	if n < c.covered || n > c.covered+uint64(len(c.kept)) {
		t.Errorf("the server has seen %d, after %d, and there are %d more", n, c.covered, len(c.kept))
		return
	}
	c.kept, c.covered = c.kept[n-c.covered:], n
}

// say keeps what has to be kept of frames that are about to be sent, and adds what was handled.
func (c *counts) say(frames []byte) []byte {
	for rest := frames; len(rest) > 0; rest = rest[frameSize(rest):] {
		if proto.Type(rest[0]).Numbered() {
			c.kept = append(c.kept, bytes.Clone(rest[:frameSize(rest)]))
		}
	}
	if c.quiet || c.handled == 0 || proto.Type(frames[0]) == proto.TypePing || proto.Type(frames[0]) == proto.TypeSeen {
		return frames
	}
	return append(proto.AppendSeen(nil, c.handled), frames...)
}

// stay logs somebody in who comes back when the connection is lost.
func (w *world) stay(name string) *client {
	w.t.Helper()
	return w.stayWith(name, passwordOf(name))
}

func (w *world) stayWith(name, password string) *client {
	w.t.Helper()
	n := w.newcomer(name, password)
	if err := n.advance(0, len(steps)-1); err != nil {
		w.t.Fatal(err)
	}
	frames := proto.AppendSeen(proto.AppendPing(nil, [8]byte{'h', 'e', 'l', 'l', 'o'}), 0)
	if _, err := n.conn.Write(n.session.Send.Seal(nil, frames, time.Now())); err != nil {
		w.t.Fatal(err)
	}
	c, err := n.client()
	if err != nil {
		w.t.Fatal(err)
	}
	c.counts = &counts{resumption: proto.NewResumption(n.session)}
	return c
}

// A comeback is a client on its way back.
type comeback struct {
	*newcomer
	of   *client
	seen uint64
	link *proto.Link
}

// comes begins to come back. The client's secret may be another's, and so may be what it has handled.
func (w *world) comes(c *client, resumption *proto.Resumption, seen uint64) *comeback {
	w.t.Helper()
	login, err := proto.NewResumeClient(w.server.key, resumption, seen)
	if err != nil {
		w.t.Fatal(err)
	}
	return &comeback{newcomer: &newcomer{t: w.t, conn: w.dial(), login: login}, of: c, seen: seen}
}

// greets takes the steps up to Challenge.
func (b *comeback) greets() {
	b.t.Helper()
	if err := b.advance(0, 1); err != nil {
		b.t.Fatal(err)
	}
}

// asks sends Solution and Login.
func (b *comeback) asks() {
	b.t.Helper()
	wire, err := b.loginBytes()
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.conn.Write(wire); err != nil {
		b.t.Fatal(err)
	}
}

// hears reads Resumed.
func (b *comeback) hears() error {
	body, err := readBody(b.conn)
	if err != nil {
		return fmt.Errorf("read Resumed: %w", err)
	}
	b.link, err = b.login.Resumed(time.Now(), body)
	return err
}

// goesOn has the client talk on the new connection, with all that the server has not seen. With no frames it only says a Ping.
func (b *comeback) goesOn() {
	b.t.Helper()
	c, counts := b.of, b.of.counts
	session := *c.session
	session.Send, session.Receive = b.link.Send, b.link.Receive
	c.conn, c.session, c.frames = b.conn, &session, proto.Frames{}
	counts.cover(b.t, b.link.Seen)
	if _, err := c.conn.Write(session.Send.Seal(nil, proto.AppendPing(nil, [8]byte{'b', 'a', 'c', 'k'}), time.Now())); err != nil {
		b.t.Fatal(err)
	}
	for _, frame := range counts.kept {
		if _, err := c.conn.Write(session.Send.Seal(nil, frame, time.Now())); err != nil {
			b.t.Fatal(err)
		}
	}
}

// comeBack comes back, and leaves the old connection as it is.
func (w *world) comeBack(c *client) {
	w.t.Helper()
	b := w.comes(c, c.counts.resumption, c.counts.handled)
	b.greets()
	b.asks()
	if err := b.hears(); err != nil {
		w.t.Fatalf("%s: %v", c.name, err)
	}
	b.goesOn()
}

// isRefused comes back, and is told that the session is over.
func (w *world) isRefused(c *client) {
	w.t.Helper()
	b := w.comes(c, c.counts.resumption, c.counts.handled)
	b.greets()
	b.asks()
	if err := b.hears(); !errors.Is(err, proto.ErrRefused) {
		w.t.Errorf("%s: %v", c.name, err)
	}
	b.conn.Close()
}

// sessionOf returns what the server has of a name's session.
func (w *world) sessionOf(name string) *session {
	w.server.registry.mu.Lock()
	defer w.server.registry.mu.Unlock()
	return w.server.registry.sessions[nameOf(w.t, name)]
}

// linkOf returns the connection that a name's session has.
func (w *world) linkOf(name string) *link {
	s := w.sessionOf(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// isDetached says whether a name has a session without a connection.
func (w *world) isDetached(name string) bool {
	s := w.sessionOf(name)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link == nil && s.expiry != nil
}

// isOnline says whether a name is listed.
func (w *world) isOnline(by *client, name string) bool {
	_, names := by.list(name, "")
	return slices.Contains(names, name)
}

// secretsOf returns where a resumption has its secrets: they are nobody's business but a test's.
func secretsOf(r *proto.Resumption) (newest, before *[32]byte) {
	fields := reflect.ValueOf(r).Elem()
	at := func(name string) *[32]byte { return (*[32]byte)(unsafe.Pointer(fields.FieldByName(name).UnsafeAddr())) }
	return at("newest"), at("before")
}

// until reads frames until one of a type comes, and returns the others.
func (c *client) until(typ proto.Type) (before []proto.Frame) {
	c.t.Helper()
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatalf("%s waits for %v: %v", c.name, typ, err)
		}
		if f.Type == typ {
			return before
		}
		before = append(before, proto.Frame{Type: f.Type, Body: bytes.Clone(f.Body)})
	}
}

// halfConn writes the first part of what is written, and is gone then.
type halfConn struct {
	net.Conn
	part func(n int) int
}

func (c *halfConn) Write(b []byte) (int, error) {
	n, _ := c.Conn.Write(b[:c.part(len(b))])
	c.Conn.Close()
	return n, net.ErrClosed
}
