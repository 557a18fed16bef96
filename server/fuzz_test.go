package server

import (
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"sim/proto"
)

// deafConn is a connection that takes no part.
type deafConn struct{ net.Conn }

func (deafConn) Close() error                    { return nil }
func (deafConn) SetReadDeadline(time.Time) error { return nil }
func (deafConn) Read([]byte) (int, error)        { return 0, io.EOF }

// FuzzSession gives any plaintext to the reader of a session. Whatever comes of it: no panic, an answer that a client accepts, nothing
// left in the registry, and an end with Close(protocol error) for all that is not well-formed.
func FuzzSession(f *testing.F) {
	m := newMemoryLogin(f)
	alice := nameOf(f, "alice")
	f.Add([]byte("hello"))
	f.Add(proto.AppendPing(nil, [8]byte{1}))
	f.Add(proto.AppendList(nil, proto.List{}))
	f.Add(slices.Concat(proto.AppendWatch(nil, []proto.Name{alice, nameOf(f, "bob")}), proto.AppendList(nil, proto.List{After: proto.Prefix(alice)})))
	f.Add(slices.Concat(relayFrame(f, 1, "alice", proto.Tag{}, "to myself"), relayFrame(f, 2, "bob", proto.Tag{1}, "gone"), relayFrame(f, 3, "bob", proto.Tag{}, "hello")))
	f.Add(slices.Concat(proto.AppendLogout(nil), proto.AppendPing(nil, [8]byte{})))
	f.Add(proto.AppendClose(nil, proto.CloseDone))
	f.Add(slices.Concat(proto.AppendSeen(nil, 0), proto.AppendWatch(nil, nil), proto.AppendPing(nil, [8]byte{})))
	f.Add(slices.Concat(proto.AppendList(nil, proto.List{}), proto.AppendSeen(nil, 1<<40)))
	f.Add(append(proto.AppendPing(nil, [8]byte{}), byte(proto.TypeRekey), 0, 0))
	server, peer := m.login(f, "alice")
	bobKeys, _ := m.login(f, "alice")
	f.Add(proto.NewPasswordClient(peer).Begin(nil))
	in, _, _ := nonceFor(nameOf(f, "bob"), &client{name: alice, session: peer}, 3)
	f.Add(proto.AppendIntro(nil, in))
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		if len(plaintext) == 0 || len(plaintext) > proto.MaxFrames {
			return
		}
		c := &conn{server: m.server, net: deafConn{}}
		s := newSession(m.server, server)
		s.seens = true
		s.out.keepWritten()
		s.link = newLink(s, c, server.Send, server.Receive, time.Now())
		bobKeys.Name = nameOf(t, "bob")
		bob := newSession(m.server, bobKeys)
		for _, each := range []*session{s, bob} {
			if _, ok := m.server.registry.list(each, time.Now()); !ok {
				t.Fatal("not listed")
			}
		}
		written := make(chan struct{})
		go func() { // in the place of a link, so that no Close forgets the keys
			defer close(written)
			defer s.out.drain()
			for {
				_, over := s.out.leave()
				b, ok := s.out.next()
				if !ok && over {
					return
				}
				if !ok {
					runtime.Gosched()
					continue
				}
				for sealed := sealBatch(nil, server.Send, b.frames.bytes, proto.MaxFrames, false, time.Now()); len(sealed) > 0; {
					n := 2 + (int(sealed[0])<<8 | int(sealed[1]))
					if _, err := peer.Receive.Open(sealed[2:n]); err != nil {
						t.Errorf("the client takes no such record: %v", err)
					}
					sealed = sealed[n:]
				}
				if b.last {
					return
				}
				s.out.written(b.passing)
			}
		}()
		record := peer.Send.Seal(nil, plaintext, time.Now())
		frames, err := server.Receive.Open(record[2:])
		if err == nil {
			if e := s.handleFrames(&frames); e != nil {
				s.end(e)
			}
			s.flush(time.Now())
		}
		s.end(endClosed)
		<-written
		bob.end(endClosed)
		bob.out.drain()
		g := &m.server.registry
		if n := len(g.sessions) + len(g.sorted) + len(g.watchers) + len(g.untold); n != 0 {
			t.Errorf("%d things are left in the registry", n)
		}
		if n := m.server.pool.held.Load(); n != 0 {
			t.Errorf("%d bytes are held", n)
		}
		// A Rekey that the fuzzer wrote steps the server's key and not the client's.
		probe := peer.Send.Seal(nil, proto.AppendPing(nil, [8]byte{}), time.Now())
		if _, err := server.Receive.Open(probe[2:]); err != nil {
			server, peer = m.login(t, "alice")
		}
	})
}
