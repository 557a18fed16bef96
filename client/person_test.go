package client

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A person runs a client, in a bubble of testing/synctest: what is typed is read when the client asks, and settles when nothing moves any more.
type person struct {
	t        testing.TB
	keyboard *keyboard
	out, err *paper
	cancel   context.CancelFunc
	done     chan struct{}
	code     int
}

// story runs a test in a bubble, with a server.
func story(t *testing.T, f func(t *testing.T, s *fakeServer)) {
	synctest.Test(t, func(t *testing.T) { f(t, newFakeServer(t)) })
}

// starts runs a client.
func (s *fakeServer) starts(configure func(*Config)) *person {
	ctx, cancel := context.WithCancel(s.t.Context())
	p := &person{t: s.t, keyboard: newKeyboard(), out: newPaper(), err: newPaper(), cancel: cancel, done: make(chan struct{})}
	cfg := Config{Server: s.address, In: p.keyboard, Out: p.out, Err: p.err, Reconnect: MaxReconnect, Deriver: s, dial: s.dial}
	if configure != nil {
		configure(&cfg)
	}
	go func() {
		defer close(p.done)
		p.code = Run(ctx, cfg)
	}()
	s.t.Cleanup(func() {
		p.keyboard.ends(nil)
		p.out.works()
		p.err.works()
		cancel()
		<-p.done
	})
	return p
}

// comes runs a client for a user whose password is in a file, and waits until they are logged in.
func (s *fakeServer) comes(name string) *person {
	s.t.Helper()
	p := s.starts(func(c *Config) { c.User, c.PasswordFile = name, passwordFile(s.t, name, 0o600) })
	p.prints("= logged in as " + name)
	return p
}

// pipes is comes with the password in the first line.
func (s *fakeServer) pipes(name string) *person {
	s.t.Helper()
	p := s.starts(func(c *Config) { c.User = name })
	p.types(passwordOf(name))
	p.prints("= logged in as " + name)
	return p
}

func passwordFile(t testing.TB, name string, mode os.FileMode) string {
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(passwordOf(name)+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// types gives the client lines to read.
func (p *person) types(lines ...string) {
	for _, l := range lines {
		p.keyboard.adds(l + "\n")
	}
	synctest.Wait()
}

// prints checks the lines that the output has got since the last time.
func (p *person) prints(lines ...string) {
	p.t.Helper()
	p.checks("prints", p.out, lines)
}

// complains checks the lines of the error output. Each is a part of what is to be said.
func (p *person) complains(lines ...string) {
	p.t.Helper()
	p.checks("complains", p.err, lines)
}

func (p *person) checks(verb string, on *paper, want []string) {
	p.t.Helper()
	synctest.Wait()
	got := on.lines()
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && (got[i] == want[i] || on == p.err && strings.Contains(got[i], want[i]))
	}
	if !ok {
		p.t.Fatalf("%s\n\t%s\nwant\n\t%s\nout: %q, err: %q", verb, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"), p.out.lines(), p.err.lines())
	}
}

// leaves ends the input.
func (p *person) leaves() { p.keyboard.ends(io.EOF) }

// exits waits for the client's end and checks its code.
func (p *person) exits(code int) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Hour): // of the bubble's
		p.t.Fatalf("the client does not end; out: %q, err: %q", p.out.lines(), p.err.lines())
	}
	if p.code != code {
		p.t.Fatalf("exit code %d, want %d; out: %q, err: %q", p.code, code, p.out.lines(), p.err.lines())
	}
}

// runs checks that the client is still there.
func (p *person) runs() {
	p.t.Helper()
	synctest.Wait()
	select {
	case <-p.done:
		p.t.Fatalf("the client ended with %d; out: %q, err: %q", p.code, p.out.lines(), p.err.lines())
	default:
	}
}

// A keyboard is an input that gives at most one line to a read.
type keyboard struct {
	mu    sync.Mutex
	some  *sync.Cond
	data  []string
	err   error
	taken int // reads that gave something
}

func newKeyboard() *keyboard {
	k := &keyboard{}
	k.some = sync.NewCond(&k.mu)
	return k
}

func (k *keyboard) adds(s string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.data = append(k.data, s)
	k.some.Broadcast()
}

// ends ends the input once it is read: with an error, or at the end of a test.
func (k *keyboard) ends(err error) {
	if err == nil {
		err = errors.New("the test is over")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = err
	}
	k.some.Broadcast()
}

func (k *keyboard) Read(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.data) == 0 && k.err == nil {
		k.some.Wait()
	}
	if len(k.data) == 0 {
		return 0, k.err
	}
	n := copy(b, k.data[0])
	if k.data[0] = k.data[0][n:]; k.data[0] == "" {
		k.data = k.data[1:]
		k.taken++
	}
	return n, nil
}

// lines returns how many were taken.
func (k *keyboard) lines() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.taken
}

// paper is an output that can be stuck, or broken.
type paper struct {
	mu     sync.Mutex
	free   *sync.Cond
	text   strings.Builder
	seen   int
	stuck  bool
	broken bool
}

func newPaper() *paper {
	p := &paper{}
	p.free = sync.NewCond(&p.mu)
	return p
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stuck {
		p.free.Wait()
	}
	if p.broken {
		return 0, io.ErrClosedPipe
	}
	return p.text.Write(b)
}

func (p *paper) sticks() { p.mu.Lock(); p.stuck = true; p.mu.Unlock() }
func (p *paper) breaks() { p.mu.Lock(); p.broken = true; p.mu.Unlock() }
func (p *paper) works()  { p.mu.Lock(); p.stuck = false; p.mu.Unlock(); p.free.Broadcast() }

// fresh returns what was written since the last time.
func (p *paper) fresh() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.text.String()[p.seen:]
	p.seen += len(s)
	return s
}

func (p *paper) lines() []string {
	s := p.fresh()
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}
