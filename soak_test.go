package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sim/proto"
)

const (
	soakVisitors = 12
	soakSlack    = 16 << 20        // bytes that a process may have more after a soak than before
	soakQuiet    = 3 * time.Minute // after which Go has given back what it doesn't use
)

// People come, talk, are cut off and go, for as long as SIM_SOAK says (SIM_SOAK=1h). When all are gone the server has the
// goroutines and the descriptors that it had after the first of them, and, after minutes, the memory.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := os.Getenv("SIM_SOAK")
	if s == "" {
		t.Skip("takes minutes, since the server keeps the sessions of those who were cut off for two: SIM_SOAK=10m runs it")
	}
	length, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("takes seconds, and signals")
	}
	server := newCrowdServer(t, soakVisitors)
	soak := &soak{t: t, server: server}
	rest := func() vitals {
		server.rest()
		time.Sleep(soakQuiet)
		return server.rest()
	}

	soak.churn(length / 10)
	before := rest()
	t.Logf("before: %v, after %s", before, soak)
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { soak.watch(length/12, stop) })
	soak.churn(length)
	close(stop)
	watching.Wait()
	after := rest()
	same := func() bool { return after.goroutines == before.goroutines && after.descriptors == before.descriptors }
	for deadline := time.Now().Add(10 * time.Second); !same() && time.Now().Before(deadline); after = server.rest() {
	}
	t.Logf("after: %v, after %s", after, soak)
	if !same() {
		t.Errorf("before there were %v, and after %v", before, after)
	}
	if after.resident > before.resident+soakSlack {
		t.Errorf("memory was %v, and is %v", before, after)
	}
	if soak.logins.Load() == 0 || soak.delivered.Load() == 0 || soak.cuts.Load() == 0 {
		t.Errorf("nothing happened: %s", soak)
	}
	server.actor.signal("TERM")
	if code, err := server.actor.end(); code != 0 || err != nil {
		t.Error(code, err)
	}
}

type soak struct {
	t      *testing.T
	server *crowdServer

	logins, missed, delivered, other, cuts atomic.Int64
}

func (s *soak) String() string {
	return fmt.Sprintf("%d log-ins and %d that came to nothing, %d texts delivered and %d with another outcome, %d cuts",
		s.logins.Load(), s.missed.Load(), s.delivered.Load(), s.other.Load(), s.cuts.Load())
}

// churn has everybody come and go for a time.
func (s *soak) churn(length time.Duration) {
	ctx, cancel := context.WithTimeout(s.t.Context(), length)
	defer cancel()
	var all sync.WaitGroup
	for i := range soakVisitors {
		all.Go(func() {
			line, err := newCable(s.server.address.Host)
			if err != nil {
				s.t.Error(err)
				return
			}
			defer line.close()
			address := proto.Address{Key: s.server.address.Key, Host: line.host()}
			for first := true; first || ctx.Err() == nil; first = false {
				s.visit(address, line, i)
			}
		})
	}
	all.Wait()
}

// visit is one stay of one person.
func (s *soak) visit(address proto.Address, line *cable, i int) {
	v := visit(s.t.Context(), address, fmt.Sprintf("user%d", i))
	defer v.end(10 * time.Second)
	if got, err := v.result(time.Minute); err != nil || !strings.HasPrefix(got, "= logged in as ") {
		s.missed.Add(1)
		return
	}
	s.logins.Add(1)
	for range 1 + rand.IntN(8) {
		peer := (i + 1 + rand.IntN(soakVisitors-1)) % soakVisitors
		switch rand.IntN(8) {
		case 0:
			fmt.Fprintln(v.input, "list")
		case 1:
			fmt.Fprintf(v.input, "disconnect user%d\n", peer)
		case 2:
			fmt.Fprintln(v.input, "recv 1 200ms")
		case 3:
			line.cut(rand.IntN(2) == 0)
			s.cuts.Add(1)
			fallthrough
		default:
			fmt.Fprintf(v.input, "send user%d %s\n", peer, strings.Repeat("words ", 1+rand.IntN(300)))
		}
		got, err := v.result(time.Minute)
		switch {
		case err != nil:
			return
		case strings.HasSuffix(got, ": delivered"):
			s.delivered.Add(1)
		case strings.Contains(got, ": failed") || strings.Contains(got, ": unknown"):
			s.other.Add(1)
		}
	}
	if rand.IntN(4) == 0 {
		v.leave() // Ctrl-C; of somebody without a connection the server hears no more, and waits for minutes
	}
}

// watch tells how it goes.
func (s *soak) watch(every time.Duration, stop <-chan struct{}) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for began := time.Now(); ; {
		select {
		case <-ticker.C:
			v, _ := s.server.vitals()
			s.t.Logf("%v: %v, after %s", time.Since(began).Round(time.Second), v, s)
		case <-stop:
			return
		}
	}
}
