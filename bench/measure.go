package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sim/password"
)

const (
	drainWait  = 10 * time.Second // for a text on its way to arrive; then it is lost
	warmTime   = 300 * time.Millisecond
	settleTime = 3 * time.Second // before the memory of idle connections is read
	entering   = 4               // connections that are made at once
	logIns     = 15              // whose time is told apart
)

// A measure is one column of the table.
type measure int

const (
	onePair      measure = iota // server CPU of a text, in microseconds: the same number as CPU seconds of a million
	manyPairs                   // the same
	oneAtATime                  // the same
	latency50                   // microseconds
	latency99                   // microseconds
	idleMemory                  // bytes of a connection
	entries                     // log-ins in a second of server CPU
	measureCount int     = iota
)

var columns = [measureCount]struct{ short, long string }{
	onePair:    {"one pair, pipelined", "server CPU µs per text: one pair, pipelined"},
	manyPairs:  {"64 pairs, pipelined", "server CPU µs per text: 64 pairs, pipelined"},
	oneAtATime: {"64 pairs, one at a time", "server CPU µs per text: 64 pairs, one text at a time"},
	latency50:  {"p50 µs at 500/s", "latency at 500 texts a second, median, µs"},
	latency99:  {"p99 µs at 500/s", "latency at 500 texts a second, 99th percentile, µs"},
	idleMemory: {"bytes per idle connection", "resident bytes per idle connection"},
	entries:    {"log-ins per CPU second", "log-ins (or TLS connections) per second of server CPU"},
}

// A result is what was measured of a system: of each measure a value a round.
type result struct {
	system *system
	values [measureCount][]float64
}

func (r *result) add(m measure, v float64) { r.values[m] = append(r.values[m], v) }

// spread returns the median, the least and the largest value; ok is false if there is none.
func (r *result) spread(m measure) (median, least, most float64, ok bool) {
	v := slices.Sorted(slices.Values(r.values[m]))
	if len(v) == 0 {
		return 0, 0, 0, false
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2, v[0], v[len(v)-1], true
}

// A pair is two ends and what is on its way from the first to the second.
type pair struct {
	from, to end
	arrived  chan arrival // closed when the receiver has ended
	failure  error        // of the receiver, once arrived is closed
	flying   int
	patience *time.Timer // with the next arrival
}

type arrival struct {
	texts int
	at    time.Time
}

func newPair(from, to end) *pair {
	p := &pair{from: from, to: to, arrived: make(chan arrival, 4096), patience: time.NewTimer(drainWait)}
	go func() {
		defer close(p.arrived)
		for {
			texts, err := to.receive()
			if err != nil {
				p.failure = err
				return
			}
			if texts > 0 {
				p.arrived <- arrival{texts, time.Now()}
			}
		}
	}()
	return p
}

var errLost = errors.New("texts are lost")

// take waits for an arrival, and returns when it was.
func (p *pair) take() (time.Time, error) {
	p.patience.Reset(drainWait)
	select {
	case a, ok := <-p.arrived:
		if !ok {
			return time.Time{}, p.failure
		}
		p.flying -= a.texts
		if p.flying < 0 {
			return time.Time{}, errors.New("more texts came than were sent")
		}
		return a.at, nil
	case <-p.patience.C:
		return time.Time{}, errLost
	}
}

// stream sends until stop, in batches and with at most window texts on their way, and waits for the last to arrive. It returns how many.
func (p *pair) stream(stop *atomic.Bool, batch, window int) (sent int, err error) {
	for !stop.Load() {
		for p.flying+batch > window {
			if _, err := p.take(); err != nil {
				return sent, err
			}
		}
		if err := p.from.send(batch); err != nil {
			return sent, err
		}
		p.flying += batch
		sent += batch
	}
	for p.flying > 0 {
		if _, err := p.take(); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// once sends one text and returns how long it took.
func (p *pair) once() (time.Duration, error) {
	began := time.Now()
	if err := p.from.send(1); err != nil {
		return 0, err
	}
	p.flying++
	at, err := p.take()
	return at.Sub(began), err
}

// A stand is a system that runs, and its pairs.
type stand struct {
	*result
	server server
	pairs  []*pair
}

// measureAll measures systems in turns.
func measureAll(o *options, dir string, systems []*system) (results []*result, err error) {
	var stands []*stand
	defer func() {
		for _, s := range stands {
			s.server.stop()
		}
	}()
	for _, sys := range systems {
		progress("%s: %d pairs come in", sys.name, pairs)
		s, err := newStand(o, dir, sys)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sys.name, err)
		}
		stands, results = append(stands, s), append(results, s.result)
	}
	steps := []struct {
		what string
		run  func(*stand) error
	}{
		{"latency", func(s *stand) error { return s.latency(2 * o.time) }},
		{"one pair, pipelined", func(s *stand) error { return s.throughput(onePair, o.time, 1, o.batch, o.window) }},
		{"64 pairs, pipelined", func(s *stand) error { return s.throughput(manyPairs, o.time, pairs, o.batch, o.window) }},
		{"64 pairs, one at a time", func(s *stand) error { return s.throughput(oneAtATime, o.time, pairs, 1, 1) }},
	}
	if o.latency {
		steps = steps[:1]
	}
	order := rand.New(rand.NewPCG(1, 2)) // the same in every run
	for round := range o.rounds {
		for _, step := range steps {
			progress("round %d of %d: %s", round+1, o.rounds, step.what)
			for _, s := range shuffled(stands, order) {
				if err := step.run(s); err != nil {
					return nil, fmt.Errorf("%s: %s: %w", s.system.name, step.what, err)
				}
			}
		}
	}
	for _, s := range stands {
		if o.idle > 0 && !strings.HasSuffix(s.system.name, "-sealed") { // which is the same server
			progress("%s: %d idle connections", s.system.name, o.idle)
			if err := s.idle(o, dir); err != nil {
				return nil, fmt.Errorf("%s: idle connections: %w", s.system.name, err)
			}
		}
	}
	return results, nil
}

// shuffled is all in another order: the machine remembers for a while what was measured before, so nobody always follows the same.
func shuffled[T any](all []T, order *rand.Rand) []T {
	other := slices.Clone(all)
	order.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
	return other
}

func progress(format string, a ...any) { fmt.Fprintf(os.Stderr, "… "+format+"\n", a...) }

func newStand(o *options, dir string, sys *system) (*stand, error) {
	srv, err := sys.start(o, dir, 2*pairs)
	if err != nil {
		return nil, err
	}
	s := &stand{result: &result{system: sys}, server: srv, pairs: make([]*pair, pairs)}
	err = crowd(pairs, func(n int) error {
		from, to, err := srv.pair(n)
		if err == nil {
			s.pairs[n] = newPair(from, to)
		}
		return err
	})
	if err != nil {
		srv.stop()
		return nil, err
	}
	_, err = s.stream(warmTime, pairs, o.batch, o.window)
	return s, err
}

// crowd does n things, a few at once, until one fails.
func crowd(n int, do func(int) error) error {
	var next atomic.Int64
	var failed atomic.Bool
	errs := make([]error, entering)
	var all sync.WaitGroup
	for w := range entering {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !failed.Load(); i = int(next.Add(1)) - 1 {
				if errs[w] = do(i); errs[w] != nil {
					failed.Store(true)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// throughput measures the server's CPU for a text.
func (s *stand) throughput(m measure, d time.Duration, pairs, batch, window int) error {
	before, err := s.server.process().cpu()
	if err != nil {
		return err
	}
	texts, err := s.stream(d, pairs, batch, window)
	if err != nil {
		return err
	}
	after, err := s.server.process().cpu()
	if err != nil {
		return err
	}
	s.add(m, float64((after-before).Microseconds())/float64(texts))
	return nil
}

// stream lets the first n pairs send for a time. It returns how many texts arrived, which is all that were sent.
func (s *stand) stream(d time.Duration, n, batch, window int) (texts int, err error) {
	var stop atomic.Bool
	sent, errs := make([]int, n), make([]error, n)
	var all sync.WaitGroup
	for i, p := range s.pairs[:n] {
		all.Go(func() {
			sent[i], errs[i] = p.stream(&stop, batch, window)
		})
	}
	time.AfterFunc(d, func() { stop.Store(true) })
	all.Wait()
	for _, n := range sent {
		texts += n
	}
	return texts, errors.Join(errs...)
}

// latency measures from before a text is sealed until it has been opened, at a fixed rate, the pairs in turn.
func (s *stand) latency(d time.Duration) error {
	var took []time.Duration
	began := time.Now()
	for n := 0; ; n++ {
		due := time.Duration(n) * time.Second / rate
		if due > d {
			break
		}
		time.Sleep(time.Until(began.Add(due)))
		t, err := s.pairs[n%len(s.pairs)].once()
		if err != nil {
			return err
		}
		took = append(took, t)
	}
	slices.Sort(took)
	s.add(latency50, micros(took[len(took)/2]))
	s.add(latency99, micros(took[len(took)*99/100]))
	return nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// idle measures a server of its own with connections that do nothing: what it costs to let them in, and the memory that they hold.
func (s *stand) idle(o *options, dir string) error {
	srv, err := s.system.start(o, dir, o.idle)
	if err != nil {
		return err
	}
	defer srv.stop()
	run := srv.process()
	memory, err1 := run.resident()
	cpu, err2 := run.cpu()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	ends := make([]end, o.idle)
	defer func() {
		for _, e := range ends {
			if e != nil {
				e.close()
			}
		}
	}()
	if err := crowd(o.idle, func(n int) (err error) {
		ends[n], err = srv.idle(n)
		return err
	}); err != nil {
		return err
	}
	used, err1 := run.cpu()
	if used > cpu {
		s.add(entries, float64(o.idle)/(used-cpu).Seconds())
	}
	time.Sleep(settleTime)
	held, err2 := run.resident()
	s.add(idleMemory, float64(held-memory)/float64(o.idle))
	return errors.Join(err1, err2)
}

// realLogIns measures log-ins with the parameters of Argon2id that a real database has, from the first byte to the session, and writes where the time goes:
// medians.
func realLogIns(o *options, dir string, w io.Writer) error {
	srv, err := startSimServer(o, dir, logIns, password.Default, password.Argon2id{})
	if err != nil {
		return err
	}
	defer srv.stop()
	var all, derive, puzzles, answers, rest []time.Duration
	for n := range logIns {
		began := time.Now()
		socket, err := net.Dial("tcp", srv.address.Host)
		if err != nil {
			return err
		}
		defer socket.Close()
		_, h, err := logIn(socket, srv.address, nameOf(n), srv.deriver)
		if err != nil {
			return err
		}
		took := time.Since(began)
		all, derive, puzzles, answers = append(all, took), append(derive, h.derive), append(puzzles, h.puzzles), append(answers, h.server)
		rest = append(rest, took-h.derive-h.puzzles-h.server)
	}
	fmt.Fprintf(w, "\n%d log-ins of sim with a password's real work\n\n| Argon2id | puzzles | waiting for the server | the client's SRP and key agreement, and the rest | together |\n| --- | --- | --- | --- | --- |\n", logIns)
	for _, d := range [][]time.Duration{derive, puzzles, answers, rest, all} {
		slices.Sort(d)
		fmt.Fprintf(w, "| %v ", d[len(d)/2].Round(100*time.Microsecond))
	}
	fmt.Fprintln(w, "|")
	return nil
}
