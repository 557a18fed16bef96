package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sim/internal/chaos"
	"sim/proto"
)

// The program itself, in a network that cuts, by FIN and by RST, in the middle of records and of resumptions, delays, and hands the server what it
// has carried a second time; and in every other schedule also goes dead without a word. Alice and bob write to each other. client's TestChaos has the
// same for the client alone, with time that passes at once.
//
//	SIM_CHAOS=10000 go test -run '^TestChaos$' -v -timeout 2h .      so many texts, in ten schedules
func TestChaos(t *testing.T) {
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("takes seconds")
	}
	schedules, asked := uint64(1), os.Getenv("SIM_CHAOS")
	if asked != "" {
		schedules = 10
	}
	texts, err := chaos.Texts(asked, int(schedules), 150)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range schedules {
		dead := seed%2 == 1
		t.Run(fmt.Sprintf("%d, dead %v", seed, dead), func(t *testing.T) { chaosOf(t, texts, seed, dead) })
	}
}

func chaosOf(t *testing.T, texts int, seed uint64, dead bool) {
	dir, line, server := room(t)
	address, err := proto.ParseAddress(line)
	if err != nil {
		t.Fatal(err)
	}
	sky := newStorm(t, address.Host, seed, dead)
	address.Host = sky.listener.Addr().String()
	var told [2]chaos.Witness
	var all sync.WaitGroup
	names, texting := []string{"alice", "bob"}, rand.New(rand.NewPCG(seed, 8))
	began := time.Now()
	clients := make([]*actor, 2)
	for i, name := range names {
		clients[i] = enter(t, dir, "client", "--server", address.String(), "--user", name)
		clients[i].say(people[name])
		sees(t, clients[i], "= logged in as "+name)
	}
	sky.begins.Store(true)
	for i, a := range clients {
		var script strings.Builder
		for n := range texts {
			fmt.Fprintf(&script, "send %s %d %s\n", names[1-i], n, strings.Repeat("x", texting.IntN(600)))
		}
		go io.WriteString(a.stdin, script.String()) // ends with the client
		all.Go(func() {
			for w := &told[i]; len(w.Outcomes) < texts || len(w.Shown) < texts && !dead; {
				got, err := a.see(".*")
				if err == nil {
					err = w.Hear(got)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	sky.begins.Store(false)
	for i, a := range clients {
		a.stdin.Close()
		code, err := a.end()
		if allowed := []int{0, 1, 7}; err != nil || code != 0 && (!dead || !slices.Contains(allowed, code)) {
			t.Error(names[i], code, err)
		}
		for rest := range a.lines { // what was shown to one before the other's outcomes had all come
			if !strings.HasPrefix(rest, "= logged out ") && !strings.HasPrefix(rest, "* bob ") && !strings.HasPrefix(rest, "* alice ") {
				if err := told[i].Hear(rest); err != nil {
					t.Error(err)
				}
			}
		}
		if _, errs := a.output(); len(errs) > 0 {
			t.Errorf("%s said: %s", names[i], errs)
		}
	}
	for i := range told {
		v := told[i].Judge(texts, &told[1-i])
		t.Logf("%s: %v; %+v", names[i], &told[i], v)
		if v != (chaos.Verdict{}) || !dead && told[i].Delivered() != texts {
			t.Errorf("%+v: %v, and the other side: %v", v, &told[i], &told[1-i])
		}
		if told[i].Again == 0 {
			t.Errorf("%s's connection was never lost", names[i])
		}
	}
	t.Logf("%v, and %v", sky, took.Round(time.Millisecond))
	server.signal("TERM")
	if code, err := server.end(); code != 0 || err != nil {
		t.Error(code, err)
	}
	if _, log := server.output(); strings.Contains(string(log), "goroutine") {
		t.Errorf("%s", log)
	}
}

// A storm is a network between clients and a server. What becomes of the n-th connection is its seed's matter.
type storm struct {
	listener net.Listener
	target   string
	dead     bool
	begins   atomic.Bool // before, and after, everything gets through
	running  sync.WaitGroup

	mu                                     sync.Mutex
	random                                 *rand.Rand
	open                                   map[net.Conn]struct{}
	links, closed, resets, silent, doubled int // what it has done
}

// A gust is what becomes of a connection.
type gust struct {
	up, down int           // bytes until then; 0 is never
	reset    bool          // it is reset; otherwise it ends as if both ends had closed it
	stalls   bool          // it doesn't end, and nothing gets through any more
	lag      time.Duration // of each piece
	copies   bool          // what the client had sent comes to the server again, over a connection of its own
}

func newStorm(t *testing.T, target string, seed uint64, dead bool) *storm {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &storm{listener: l, target: target, dead: dead, random: rand.New(rand.NewPCG(seed, 9)), open: map[net.Conn]struct{}{}}
	s.running.Go(s.accept)
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.open {
			c.Close()
		}
		s.mu.Unlock()
		s.running.Wait()
	})
	return s
}

func (s *storm) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d connections: %d closed, %d reset, %d gone dead; %d copied", s.links, s.closed, s.resets, s.silent, s.doubled)
}

func (s *storm) accept() {
	for {
		near, err := s.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", s.target)
		if err != nil {
			near.Close()
			continue
		}
		s.mu.Lock()
		s.links++
		at, r := 1+s.random.IntN(25_000), s.random
		g := gust{reset: r.IntN(2) == 0, copies: r.IntN(8) == 0, lag: time.Duration(r.IntN(8)) * time.Millisecond, stalls: s.dead && r.IntN(12) == 0}
		if r.IntN(2) == 0 {
			g.up = at
		} else {
			g.down = at
		}
		if g.stalls {
			g.up, g.down = at, at+r.IntN(5000)
		}
		s.open[near], s.open[far] = struct{}{}, struct{}{}
		s.mu.Unlock()
		l := &stormLink{storm: s, gust: g, near: near.(*net.TCPConn), far: far.(*net.TCPConn)}
		s.running.Go(func() { l.carry(l.far, l.near, g.up) })
		s.running.Go(func() { l.carry(l.near, l.far, g.down) })
	}
}

// A stormLink is one connection through a storm.
type stormLink struct {
	*storm
	gust
	near, far *net.TCPConn
	falls     sync.Once
	went      []byte // up, if it is to be copied
}

// carry carries bytes one way. Those of the time before the storm count, too.
func (l *stormLink) carry(to, from *net.TCPConn, at int) {
	buf := make([]byte, 4096)
	stalled := false
	for carried := 0; ; {
		n, err := from.Read(buf)
		if err != nil {
			break
		}
		if stalled {
			continue
		}
		time.Sleep(l.lag)
		piece := buf[:n]
		carried += n
		falls := at > 0 && carried >= at && l.begins.Load()
		if falls {
			piece = piece[:max(0, n-(carried-at))]
		}
		if l.copies && from == l.near && len(l.went) < 64<<10 {
			l.went = append(l.went, piece...)
		}
		if _, err := to.Write(piece); err != nil {
			break
		}
		if stalled = falls && l.stalls; falls {
			l.falls.Do(l.fall)
			if !stalled {
				break
			}
		}
	}
	from.Close()
	if !stalled { // otherwise the other side does not hear of it
		to.Close()
	}
	l.mu.Lock()
	delete(l.open, from)
	l.mu.Unlock()
	if l.copies && from == l.near {
		l.copy()
	}
}

// fall is the end of a connection by the storm.
func (l *stormLink) fall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stalls:
		l.silent++
		return
	case l.reset:
		l.resets++
		l.near.SetLinger(0)
		l.far.SetLinger(0)
	default:
		l.closed++
	}
	l.near.Close()
	l.far.Close()
}

// copy gives the server once more what the client had sent.
func (l *stormLink) copy() {
	again, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer again.Close()
	l.mu.Lock()
	l.doubled++
	l.mu.Unlock()
	again.SetDeadline(time.Now().Add(time.Second))
	again.Write(l.went)
	io.Copy(io.Discard, again)
}
