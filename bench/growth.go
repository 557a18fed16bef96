package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// How the cost of a text grows with the sessions that are online, and with its size. Texts are sealed beforehand, so that what is measured is the server.

var (
	growthSessions = []int{10, 100, 1000, 10_000} // idle, beside the pairs that talk
	growthSizes    = []int{16, 64, 256, 1024, 4096, 8192}
)

// growthWindow is how many bytes of texts a pair has on its way at the most: a server keeps 64 KiB for a session.
const growthWindow = 32 << 10

// A growthPoint is what was measured at one number of sessions, or size.
type growthPoint struct {
	at int
	*result
	beside *result // the same of another server, which has no idle sessions, in the same turns; nil for a size
}

// measureGrowth writes two tables, and returns their plot.
func measureGrowth(o *options, dir string, w io.Writer) ([]byte, error) {
	small, err := newStand(o, dir, sealedSystem(0))
	if err != nil {
		return nil, err
	}
	defer small.server.stop()
	sizes, err := growBySize(o, small)
	if err != nil {
		return nil, fmt.Errorf("sizes: %w", err)
	}
	printGrowth(w, "bytes of a text", sizes)
	sessions, resting, err := growBySessions(o, dir, small)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	printGrowth(w, "idle sessions", sessions)
	fmt.Fprintf(w, "\nwhere nobody talks, the keep-alives of the last line's sessions take %.2f %% of a core\n", 100*resting)
	return plotGrowth([]chart{
		{"server CPU µs per text of 256 bytes, against idle sessions", manyPairs, sessions},
		{"latency at 500 texts a second, median, µs, against idle sessions", latency50, sessions},
		{"resident bytes per idle session, against idle sessions", idleMemory, sessions},
		{"server CPU µs per text, against its bytes", manyPairs, sizes},
		{"latency at 500 texts a second, median, µs, against its bytes", latency50, sizes},
	}), nil
}

// sealedSystem is sim with room for idle people beside the pairs.
func sealedSystem(idle int) *system {
	return &system{name: "sim-sealed", what: "sim, texts sealed beforehand", start: func(o *options, dir string, ends int) (server, error) {
		return startSealedSim(o, dir, ends+idle)
	}}
}

func growBySize(o *options, s *stand) (points []growthPoint, err error) {
	for _, size := range growthSizes {
		points = append(points, growthPoint{at: size, result: &result{system: s.system}})
	}
	for round := range o.rounds {
		for _, p := range points {
			progress("round %d of %d: texts of %d bytes", round+1, o.rounds, p.at)
			if err := s.talkIn(p.at); err != nil {
				return nil, err
			}
			s.result = p.result
			window := min(o.window, growthWindow/p.at)
			batch := min(o.batch, max(1, window/4))
			if err := s.throughput(manyPairs, o.time, pairs, batch, window); err != nil {
				return nil, err
			}
			if err := s.latency(o.time); err != nil {
				return nil, err
			}
		}
	}
	return points, s.talkIn(textSize)
}

// talkIn makes all texts of a size.
func (s *stand) talkIn(size int) error {
	for _, p := range s.pairs {
		if err := p.from.(*simEnd).sealBeforehand(bytes.Repeat([]byte("t"), size)); err != nil {
			return err
		}
	}
	return nil
}

// growBySessions also returns the share of a core that the server takes with the most sessions when nobody talks.
func growBySessions(o *options, dir string, small *stand) (points []growthPoint, resting float64, err error) {
	most := slices.Max(growthSessions)
	progress("a server for %d idle sessions", most)
	big, err := newStand(o, dir, sealedSystem(most))
	if err != nil {
		return nil, 0, err
	}
	defer big.server.stop()
	before, err := big.server.process().resident()
	if err != nil {
		return nil, 0, err
	}
	online := 0
	for _, n := range growthSessions {
		p := growthPoint{n, &result{system: big.system}, &result{system: small.system}}
		big.result, small.result = p.result, p.beside
		progress("%d idle sessions come in", n-online)
		if err := crowd(n-online, func(i int) error {
			_, err := big.server.idle(2*pairs + online + i)
			return err
		}); err != nil {
			return nil, 0, err
		}
		online = n
		time.Sleep(settleTime)
		for round := range o.rounds {
			progress("round %d of %d: %d idle sessions", round+1, o.rounds, n)
			turn := []*stand{small, big}
			if round%2 == 1 {
				slices.Reverse(turn)
			}
			for _, s := range turn {
				if err := s.throughput(manyPairs, o.time, pairs, o.batch, o.window); err != nil {
					return nil, 0, err
				}
				if err := s.latency(o.time); err != nil {
					return nil, 0, err
				}
			}
		}
		held, err := big.server.process().resident()
		if err != nil {
			return nil, 0, err
		}
		p.add(idleMemory, float64(held-before)/float64(n))
		points = append(points, p)
	}
	resting, err = big.resting(pingEvery)
	return points, resting, err
}

// resting is the share of a core that a server takes while nobody talks.
func (s *stand) resting(d time.Duration) (float64, error) {
	progress("nobody talks for %v", d)
	before, err1 := s.server.process().cpu()
	time.Sleep(d)
	after, err2 := s.server.process().cpu()
	var lost error
	if sim, ok := s.server.(*simServer); ok {
		lost = sim.idlers.health()
	}
	return (after - before).Seconds() / d.Seconds(), errors.Join(err1, err2, lost)
}

// printGrowth writes a table as docs/PERFORMANCE.md has it.
func printGrowth(w io.Writer, what string, points []growthPoint) {
	measures := []measure{manyPairs, latency50, latency99, idleMemory}
	fmt.Fprintf(w, "\n| %s", what)
	for _, m := range measures {
		if _, _, _, ok := points[0].spread(m); ok {
			fmt.Fprintf(w, " | %s", columns[m].short)
		}
	}
	if points[0].beside != nil {
		fmt.Fprint(w, " | a server without idle sessions beside it | times")
	}
	fmt.Fprintf(w, " |\n|%s\n", strings.Repeat(" --- |", 1+len(points[0].cells(measures))))
	for _, p := range points {
		fmt.Fprintf(w, "| %d", p.at)
		for _, cell := range p.cells(measures) {
			fmt.Fprintf(w, " | %s", cell)
		}
		fmt.Fprintln(w, " |")
	}
}

// cells are what was measured, and last what the server beside spent on a text, and how many times as much this one did: the median of the rounds.
func (p growthPoint) cells(measures []measure) (cells []string) {
	for _, m := range measures {
		if c := p.cell(m); c != "" {
			cells = append(cells, c)
		}
	}
	if p.beside != nil {
		times := &result{system: p.system}
		for round, v := range p.values[manyPairs] {
			times.add(manyPairs, v/p.beside.values[manyPairs][round])
		}
		cells = append(cells, p.beside.cell(manyPairs), times.cell(manyPairs))
	}
	return cells
}
