package client

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// wires is the network of a connection under test: what each write had in it, and what the server says.
type wires struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
}

func (w *wires) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.writes = append(w.writes, append([]byte(nil), b...))
	w.mu.Unlock()
	return w.Conn.Write(b)
}

// connected is a connection after its login, and the server's end of it.
func connected(t *testing.T) (c *connection, w *wires, far net.Conn, server *proto.Session) {
	s := newFakeServer(t)
	here, there := net.Pipe()
	sessions := make(chan *proto.Session)
	go func() {
		session, _, err := s.login(there)
		if err != nil {
			t.Error(err)
		}
		sessions <- session
	}()
	session, err := logIn(t.Context(), here, s.address, mustName("alice"), []byte(passwordOf("alice")), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	w = &wires{Conn: here}
	c = newConnection(w, session.Send, session.Receive, proto.MaxFrames)
	t.Cleanup(func() { here.Close(); there.Close() })
	return c, w, there, <-sessions
}

// records reads records until the connection ends, and returns the frames of each.
func records(t *testing.T, far net.Conn, s *proto.Session) (all [][]proto.Frame) {
	for {
		body, err := readBody(far, proto.MaxRecord)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		frames, err := s.Receive.Open(body)
		if err != nil {
			t.Fatal(err)
		}
		var record []proto.Frame
		for f, ok := frames.Next(); ok; f, ok = frames.Next() {
			record = append(record, f)
		}
		all = append(all, record)
	}
}

// relays returns frames of so many bytes of message.
func relays(n, size int) (frames [][]byte) {
	for i := range n {
		frames = append(frames, proto.AppendRelay(nil, proto.Relay{Ref: uint32(i + 1), To: mustName("bob"), Message: make([]byte, size)}))
	}
	return frames
}

// Frames that wait together go in as few records as hold them, none is split, all in one write; the Close is the last.
func TestFramesAreBatched(t *testing.T) {
	for _, tt := range []struct{ n, size, records int }{
		{1, 1, 1}, {100, 100, 1}, {2, 10_000, 2}, {3, 5_400, 1}, {4, 5_400, 2}, {300, 300, 7}, {1, proto.MaxPeerMessage, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, w, far, server := connected(t)
			c.mu.Lock() // the writer comes when all of it waits
			c.queue = relays(tt.n, tt.size)
			c.mu.Unlock()
			c.finish()
			all := records(t, far, server)
			synctest.Wait()
			if len(w.writes) != 1 {
				t.Errorf("%d × %d: %d writes", tt.n, tt.size, len(w.writes))
			}
			if len(all) != tt.records+1 {
				t.Fatalf("%d × %d: %d records", tt.n, tt.size, len(all))
			}
			next := uint32(1)
			for _, record := range all[:tt.records] {
				for _, f := range record {
					if r, ok := proto.ParseRelay(f.Body); !ok || r.Ref != next || len(r.Message) != tt.size {
						t.Fatalf("%d × %d: frame %d is %v", tt.n, tt.size, next, f.Type)
					}
					next++
				}
			}
			if last := all[tt.records]; int(next) != tt.n+1 || len(last) != 1 || last[0].Type != proto.TypeClose {
				t.Errorf("%d × %d: the end is %v", tt.n, tt.size, last)
			}
			c.wait(0)
			if !c.send(relays(1, 1)) {
				t.Error("what is sent after the end does harm")
			}
		})
	}
}

// What comes while a write is under way goes with the next one.
func TestFramesGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, far, server := connected(t)
		for _, f := range relays(50, 10) {
			c.send([][]byte{f})
			synctest.Wait() // the first write takes until the server reads
		}
		c.send(nil)
		c.finish()
		if all := records(t, far, server); len(all) != 3 || len(w.writes) != 2 {
			t.Errorf("%d records, %d writes", len(all), len(w.writes))
		}
	})
}

// Nothing to send is nothing on the wire.
func TestNoEmptyWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, far, server := connected(t)
		c.send(nil)
		synctest.Wait()
		if len(w.writes) != 0 {
			t.Errorf("%d writes", len(w.writes))
		}
		go c.finish()
		records(t, far, server)
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _, _ := connected(t)
		c.send(relays(1, 1))
		synctest.Wait() // with the writer
		sent := 0
		for c.send(relays(1, 10_000)) {
			if sent++; sent > 1000 {
				t.Fatal("no end")
			}
		}
		if sent != maxQueuedFrames/(10_000+proto.MaxRelayFrame-proto.MaxPeerMessage) {
			t.Errorf("%d frames", sent)
		}
	})
}

// A server that takes nothing is given up after 20 s, and both goroutines end.
func TestStuckServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _, _ := connected(t)
		c.send(relays(1, 1))
		began := time.Now()
		<-c.done
		if took := time.Since(began); took != writeWait {
			t.Errorf("it took %v", took)
		}
		for range c.in { // closed when the reader has ended
		}
	})
}

// A writer that is waited for no longer than d.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _, _ := connected(t)
		c.send(relays(1, 1))
		c.finish()
		began := time.Now()
		c.wait(3 * time.Second)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// Silence, a half record, and the end: what the reader says of them.
func TestHowReadingEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		does  func(far net.Conn)
		after time.Duration
	}{
		"silence":        {func(net.Conn) {}, silenceWait},
		"half a length":  {func(far net.Conn) { far.Write([]byte{2}) }, silenceWait},
		"half a record":  {func(far net.Conn) { far.Write(make([]byte, 0)); far.Write(body(make([]byte, 528)...)[:300]) }, silenceWait},
		"an empty body":  {func(far net.Conn) { far.Write([]byte{0, 0}) }, 0},
		"too long":       {func(far net.Conn) { far.Write([]byte{0xff, 0xff}) }, 0},
		"a forged one":   {func(far net.Conn) { far.Write(body(make([]byte, 528)...)) }, 0},
		"the end":        {func(far net.Conn) { far.Close() }, 0},
		"a torn record":  {func(far net.Conn) { far.Write(body(make([]byte, 528)...)[:300]); far.Close() }, 0},
		"drop by drop":   {func(far net.Conn) { drip(far, body(make([]byte, 528)...)) }, silenceWait},
		"an odd length":  {func(far net.Conn) { far.Write(body(make([]byte, 529)...)) }, 0},
		"the wrong side": {func(far net.Conn) { far.Write(body(make([]byte, 16400)...)) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _, far, _ := connected(t)
				began := time.Now()
				ended := make(chan struct{})
				go func() { defer close(ended); tt.does(far) }()
				a, ok := <-c.in
				if ok && a.err == nil {
					t.Error("frames came")
				}
				if took := time.Since(began); took != tt.after {
					t.Errorf("it took %v, want %v", took, tt.after)
				}
				c.finish()
				go io.Copy(io.Discard, far)
				c.wait(time.Second)
				far.Close()
				<-ended
			})
		})
	}
}

// drip writes a byte every second.
func drip(w io.Writer, b []byte) {
	for i := range b {
		if _, err := w.Write(b[i : i+1]); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// Nobody takes what arrives: the reader ends all the same when the connection does.
func TestReaderEndsUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, far, server := connected(t)
		go func() {
			for range 5 {
				far.Write(server.Send.Seal(nil, proto.AppendNotice(nil, proto.NoticeStopping), time.Now()))
			}
			io.Copy(io.Discard, far)
		}()
		synctest.Wait()
		c.finish()
		c.wait(time.Second)
	}) // synctest finds a goroutine that is left
}
