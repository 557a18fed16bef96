package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sim/proto"
)

func TestAddresses(t *testing.T) {
	machine := func() (list []net.Addr, err error) {
		for _, s := range []string{"127.0.0.1/8", "::1/128", "192.0.2.7/24", "fe80::1/64", "169.254.3.4/16", "2001:db8::7/64"} {
			ip, network, err := net.ParseCIDR(s)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		return list, nil
	}
	none := func() ([]net.Addr, error) { return nil, errors.New("no interfaces") }
	for _, c := range []struct {
		listening string
		machine   func() ([]net.Addr, error)
		want      string
	}{
		{"192.0.2.7:7465", machine, "192.0.2.7:7465"},
		{"[2001:db8::7]:1", machine, "[2001:db8::7]:1"},
		{"[::]:7465", machine, "192.0.2.7:7465 [2001:db8::7]:7465 127.0.0.1:7465 [::1]:7465"},
		{"0.0.0.0:7465", machine, "192.0.2.7:7465 127.0.0.1:7465"},
		{"[::]:7465", none, "127.0.0.1:7465"},
	} {
		at, err := net.ResolveTCPAddr("tcp", c.listening)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(hostsOf(at, c.machine), " "); got != c.want {
			t.Errorf("%s: %s", c.listening, got)
		}
	}
}

// end serves for no time, so that everything is closed.
func end(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Error(err)
	}
}

func TestAddressesOfAServer(t *testing.T) {
	cfg := testConfig(newStore(t))
	cfg.Public = "sim.example.org:443"
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	list := s.Addresses()
	if len(list) != 1 || list[0].Host != cfg.Public || list[0].Key != s.key {
		t.Errorf("%v", list)
	}
	if _, err := proto.ParseAddress(list[0].String()); err != nil {
		t.Error(err)
	}
	end(t, s)

	// A wildcard: each line can be dialled, with the real port.
	cfg.Public, cfg.Listen = "", ":0"
	if s, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Addresses() {
		if strings.HasSuffix(a.Host, ":0") {
			t.Errorf("%s", a.Host)
		}
	}
	end(t, s)
}

func TestListenErrors(t *testing.T) {
	st := newStore(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"port in use":      {func(c *Config) { c.Listen = taken.Addr().String() }, "is in use"},
		"no port":          {func(c *Config) { c.Listen = "localhost" }, "HOST:PORT"},
		"no such port":     {func(c *Config) { c.Listen = "127.0.0.1:99999" }, "no address that this machine can listen on"},
		"another machine":  {func(c *Config) { c.Listen = "192.0.2.1:0" }, "no address of this machine"},
		"public, no port":  {func(c *Config) { c.Public = "example.org" }, "HOST:PORT"},
		"public, port 0":   {func(c *Config) { c.Public = "example.org:0" }, "port from 1"},
		"public, no host":  {func(c *Config) { c.Public = ":7465" }, "HOST:PORT"},
		"public, a path":   {func(c *Config) { c.Public = "example.org/x:1" }, "HOST:PORT"},
		"a hard puzzle":    {func(c *Config) { c.PuzzleBits = 27 }, "no client solves"},
		"an odd puzzle":    {func(c *Config) { c.PuzzleBits = 3 }, "no client solves"},
		"no connections":   {func(c *Config) { c.MaxConns = -1 }, "at least one connection"},
		"no admin parent":  {func(c *Config) { c.Admin = filepath.Join(t.TempDir(), "missing", "s") }, "can't be made"},
		"a long admin":     {func(c *Config) { c.Admin = "/" + strings.Repeat("x", 200) }, "too long"},
		"admin is a file":  {func(c *Config) { c.Admin = aFile(t) }, "something else"},
		"admin is a place": {func(c *Config) { c.Admin = t.TempDir() }, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "admin") && !adminSupported {
				t.Skip("no admin socket here")
			}
			cfg := testConfig(st)
			c.change(&cfg)
			s, err := New(cfg)
			if err == nil {
				end(t, s)
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if runtime.GOOS == "linux" && os.Getuid() > 0 {
		if _, err := listen("127.0.0.1:1"); !errors.Is(err, syscall.EACCES) || !strings.Contains(err.Error(), "above 1023") {
			t.Errorf("%v", err)
		}
	}
}

func aFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b, _ := os.ReadFile(path); string(b) != "precious" {
			t.Error("the file was harmed")
		}
	})
	return path
}

func TestLimitsOfConnections(t *testing.T) {
	log := new(syncBuffer)
	s := &Server{log: slog.New(slog.NewTextHandler(log, nil))}
	for _, c := range []struct {
		wanted, descriptors, want int
		warns                     bool
	}{
		{0, math.MaxInt, defaultMaxConns, false},
		{0, 1024, 1024 - descriptorReserve, false}, // nobody has asked for more
		{100, 1024, 100, false},
		{50_000, 1024, 1024 - descriptorReserve, true},
		{50_000, math.MaxInt, 50_000, false},
		{5, descriptorReserve, 1, true},
	} {
		log.Reset()
		if got := s.placesFor(c.wanted, c.descriptors); got != c.want || (log.Len() > 0) != c.warns {
			t.Errorf("%d wanted with %d files: %d; %s", c.wanted, c.descriptors, got, log)
		}
		s.admission.init(&s.counters, c.want)
		if a := &s.admission; a.maxConns != c.want || a.maxUnproven != min(c.want, defaultMaxUnproven) || a.maxSolved != min(c.want, defaultMaxSolved) || a.maxRunning != min(c.want, defaultMaxRunning) {
			t.Errorf("%d connections: pools of %d, %d, %d", c.want, a.maxUnproven, a.maxSolved, a.maxRunning)
		}
	}
}

func TestReasonsHaveNoAddresses(t *testing.T) {
	err := error(&net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 7}, Err: syscall.ECONNRESET})
	if got := loginReason(err); got != syscall.ECONNRESET.Error() {
		t.Error(got)
	}
}

// A syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// The log has reasons, and no names, addresses or texts.
func TestLog(t *testing.T) {
	log := new(syncBuffer)
	w := newWorld(t, []string{"alice", "bob"}, func(s *Server) {
		s.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	alice, bob := w.enter("alice"), w.enter("bob")
	alice.relay(1, "bob", proto.Tag{}, "secret text")
	tag := bob.expectRelayed("alice", "secret text")
	w.try("alice", "wrong")
	w.try("nobody", "wrong")
	alice.send([]byte{0xff, 0, 0})
	alice.expectClose(proto.CloseProtocol)
	alice.conn.Close()
	bob.expectGone("alice", tag, proto.GoneLost)
	bob.logout()
	n := w.newcomer("bob", "")
	n.advance(0, 1)
	hello := w.dial()
	hello.Write([]byte{0, 3, 1, 2, 3})
	for _, c := range []net.Conn{n.conn, hello} {
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
	}
	w.stop()
	text := log.String()
	for _, want := range []string{"log-out", "protocol: ", "wrong name or password", "cut off", "no right Hello"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	for _, never := range []string{"alice", "bob", "nobody", "127.0.0.1", "secret", passwordOf("alice")} {
		if strings.Contains(text, never) {
			t.Errorf("the log says %q", never)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// Refusals, Close and Welcome reach a client that is still sending: the server lets it read before it closes.
func TestLastWordsAreRead(t *testing.T) {
	w := newWorld(t, []string{"alice"})
	for range 20 {
		alice := w.enter("alice")
		alice.send([]byte{0xff, 0, 0})
		for range 10 {
			alice.trySend(proto.AppendPing(nil, [8]byte{})) // is not read any more
		}
		alice.expectClose(proto.CloseProtocol)
		alice.conn.Close()
	}
	n := w.newcomer("alice", "wrong")
	if err := n.advance(0, 2); err != nil {
		t.Fatal(err)
	}
	b, _ := n.proof()
	n.conn.Write(append(b, make([]byte, 1000)...))
	body, err := readBody(n.conn)
	if err == nil {
		err = n.welcome(body)
	}
	if !errors.Is(err, proto.ErrRefused) {
		t.Errorf("%v", err)
	}
	io.Copy(io.Discard, n.conn)
}
