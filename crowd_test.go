package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sim/client"
	"sim/proto"
)

// A crowdServer is a process of the real server, with a crowdStore, and what its operator sees.
type crowdServer struct {
	t       *testing.T
	actor   *actor
	address proto.Address
	metrics string // URL
}

func newCrowdServer(t *testing.T, users int, flags ...string) *crowdServer {
	t.Helper()
	dir := t.TempDir()
	crowdStore(t, filepath.Join(dir, "sim.db"), users).Close()
	a := enter(t, dir, append([]string{"server", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"}, flags...)...)
	line, err := a.see("sim://.*")
	if err != nil {
		t.Fatal(err)
	}
	address, err := proto.ParseAddress(line)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(scriptWait); ; time.Sleep(time.Millisecond) { // the log comes by another pipe
		_, log := a.output()
		if at := regexp.MustCompile(`msg=metrics at=(\S+)\n`).FindSubmatch(log); at != nil {
			return &crowdServer{t, a, address, "http://" + string(at[1]) + "/metrics"}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no address of the metrics in\n%s", log)
		}
	}
}

// A vitals is what a server's process says of itself.
type vitals struct {
	sessions, goroutines, descriptors int
	resident                          int // bytes
}

func (v vitals) String() string {
	return fmt.Sprintf("%d sessions, %d goroutines, %d descriptors, %.1f MiB", v.sessions, v.goroutines, v.descriptors, float64(v.resident)/(1<<20))
}

// rest waits until nobody is connected, and returns the vitals then. What it needs itself is always the same: one connection.
func (s *crowdServer) rest() vitals {
	s.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) { // a session whose client is gone ends by itself after two
		v, m := s.vitals()
		if m["sim_sessions"] == 0 && m[`sim_connections{stage="silent"}`]+m[`sim_connections{stage="greeted"}`]+m[`sim_connections{stage="solved"}`]+
			m[`sim_connections{stage="running"}`]+m[`sim_connections{stage="proven"}`] == 0 && m["sim_outbox_bytes"] == 0 {
			return v
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("somebody is still there: %v, %v", v, m)
		}
	}
}

func (s *crowdServer) vitals() (vitals, map[string]float64) {
	s.t.Helper()
	m, err := s.scrape()
	if err != nil {
		s.t.Fatal(err)
	}
	return vitals{int(m["sim_sessions"]), int(m["go_goroutines"]), int(m["process_open_fds"]), int(m["process_resident_memory_bytes"])}, m
}

// scrape reads the metrics as a monitoring does.
func (s *crowdServer) scrape() (map[string]float64, error) {
	http := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := http.Get(s.metrics)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	m := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil && name != "#" {
			m[name] = v
		}
	}
	return m, nil
}

// A visitor is a client in this process. One goroutine uses it.
type visitor struct {
	name  string
	input io.WriteCloser
	lines chan string
	code  chan int
	leave context.CancelFunc
}

func visit(ctx context.Context, address proto.Address, name string) *visitor {
	ctx, cancel := context.WithCancel(ctx)
	in, input := io.Pipe()
	out, printed := io.Pipe()
	v := &visitor{name, input, make(chan string, 4096), make(chan int, 1), cancel}
	go func() {
		v.code <- client.Run(ctx, client.Config{
			Server: address, User: name, In: in, Out: printed, Err: io.Discard, Reconnect: client.MaxReconnect, Deriver: quick{},
		})
		printed.Close()
		in.Close()
	}()
	go func() {
		defer close(v.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			v.lines <- lines.Text()
		}
	}()
	fmt.Fprintln(input, "copper-anvil-62-violet")
	return v
}

var errVisitor = errors.New("the client ended, or said nothing")

// result waits for the next line that is a result.
func (v *visitor) result(within time.Duration) (string, error) {
	for {
		line, err := v.line(within)
		if err != nil || strings.HasPrefix(line, "= ") {
			return line, err
		}
	}
}

// line waits for the next line.
func (v *visitor) line(within time.Duration) (string, error) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	select {
	case line, ok := <-v.lines:
		if !ok {
			return "", errVisitor
		}
		return line, nil
	case <-timeout.C:
		return "", errVisitor
	}
}

// end ends the client as the end of its input does, or, if it must, at once.
func (v *visitor) end(within time.Duration) {
	v.input.Close()
	timer := time.AfterFunc(within, v.leave)
	defer timer.Stop()
	defer v.leave()
	for range v.lines {
	}
	<-v.code
}

// A cable is a way to a server that can be cut.
type cable struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func newCable(target string) (*cable, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &cable{listener: l, target: target, conns: map[net.Conn]struct{}{}}
	c.running.Go(c.accept)
	return c, nil
}

func (c *cable) host() string { return c.listener.Addr().String() }

func (c *cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.target)
		if err != nil {
			near.Close()
			continue
		}
		c.mu.Lock()
		c.conns[near], c.conns[far] = struct{}{}, struct{}{}
		c.mu.Unlock()
		c.running.Go(func() { c.forward(near, far) })
		c.running.Go(func() { c.forward(far, near) })
	}
}

func (c *cable) forward(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
	from.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, to)
	delete(c.conns, from)
}

// cut ends all connections: with a reset, or as if both ends had closed them.
func (c *cable) cut(reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		if reset {
			conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
	}
}

func (c *cable) close() {
	c.listener.Close()
	c.cut(true)
	c.running.Wait()
}
