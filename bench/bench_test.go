package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// A wire is both ends of a pair, with a relay between that takes no time.
type wire struct {
	texts   chan struct{}
	stop    atomic.Bool
	stopAt  int // texts sent
	swallow int // the number of a text that is lost, from 1
	sent    int
	most    int // texts on their way
}

func (w *wire) send(n int) error {
	for range n {
		if w.sent++; w.sent != w.swallow {
			w.texts <- struct{}{}
		}
	}
	w.most = max(w.most, len(w.texts))
	w.stop.Store(w.sent >= w.stopAt)
	return nil
}

func (w *wire) receive() (int, error) {
	if _, ok := <-w.texts; !ok {
		return 0, io.EOF
	}
	return 1, nil
}

func (w *wire) close() { close(w.texts) }

func (w *wire) run(batch, window int) (sent int, err error) {
	w.texts = make(chan struct{}, 1000)
	defer w.close()
	return newPair(w, w).stream(&w.stop, batch, window)
}

func TestStreamCountsWhatArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{stopAt: 500}
		sent, err := w.run(16, 64)
		if err != nil || sent != 512 || w.most > 64 {
			t.Errorf("%d texts, %d at once, %v", sent, w.most, err)
		}
	})
}

// A server that loses a text, at the end or in the middle, has no place in a table.
func TestLostTextIsNoticed(t *testing.T) {
	for _, lost := range []int{1, 250, 512} {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{stopAt: 500, swallow: lost}
			if _, err := w.run(16, 64); !errors.Is(err, errLost) {
				t.Errorf("text %d is lost: %v", lost, err)
			}
		})
	}
}

// Everybody is measured in each turn, and behind everybody else in some.
func TestNobodyAlwaysFollowsTheSame(t *testing.T) {
	order := rand.New(rand.NewPCG(1, 2))
	behind := make(map[string]bool)
	for range 20 {
		turn := shuffled([]byte("abcd"), order)
		for i := range turn[1:] {
			behind[string(turn[i:i+2])] = true
		}
		slices.Sort(turn)
		if string(turn) != "abcd" {
			t.Fatalf("%s is a turn of abcd", turn)
		}
	}
	if len(behind) != 4*3 {
		t.Errorf("only %d pairs follow each other", len(behind))
	}
}

func TestSpread(t *testing.T) {
	var r result
	if _, _, _, ok := r.spread(onePair); ok {
		t.Error("a median of nothing")
	}
	for _, v := range []float64{9, 1, 4, 2} {
		r.add(onePair, v)
	}
	if median, least, most, ok := r.spread(onePair); median != 3 || least != 1 || most != 9 || !ok {
		t.Error(median, least, most, ok)
	}
}

// A grown server is told beside one that did not grow, round by round; the plot is XML, and has a chart for what was measured.
func TestGrowth(t *testing.T) {
	p := growthPoint{10_000, &result{system: &systems[1]}, &result{system: &systems[1]}}
	for round, v := range []float64{1, 4, 3} {
		p.add(manyPairs, v)
		p.beside.add(manyPairs, []float64{1, 2, 2}[round])
	}
	var table strings.Builder
	printGrowth(&table, "idle sessions", []growthPoint{p})
	lines := strings.Split(strings.TrimSpace(table.String()), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[2], "| 3.00 (1.00–4.00) | 2.00 (1.00–2.00) | 1.50 (1.00–2.00) |") {
		t.Error(table.String())
	}
	for _, line := range lines {
		if strings.Count(line, "|") != 5 {
			t.Errorf("%q has other columns", line)
		}
	}
	picture := plotGrowth([]chart{{"texts", manyPairs, []growthPoint{p, p}}, {"nothing", latency50, []growthPoint{p}}})
	if !bytes.Contains(picture, []byte("10000")) || bytes.Contains(picture, []byte("NaN")) {
		t.Errorf("%s", picture)
	}
	wellFormed(t, string(picture))
}

// The plot is XML, and has a panel for what was measured alone.
func TestPlot(t *testing.T) {
	r := &result{system: &systems[0]}
	r.add(latency50, 120)
	picture := string(plot([]*result{r, {system: &systems[2]}}))
	if !strings.Contains(picture, columns[latency50].long) || strings.Contains(picture, columns[idleMemory].long) || strings.Contains(picture, "NaN") {
		t.Error(picture)
	}
	wellFormed(t, picture)

	var all []*result
	for i := range systems {
		r := &result{system: &systems[i]}
		r.add(latency50, 120)
		all = append(all, r)
	}
	if n := strings.Count(string(plot(all)), "#c0504d"); n != 3 {
		t.Errorf("%d bars are in sim's colour, of which it has 3", n)
	}
}

func wellFormed(t *testing.T, document string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(document)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0.345: "0.34", 9.8: "9.80", 29.71: "29.7", 8192: "8192"} {
		if got := number(v); got != want {
			t.Errorf("%v: %s", v, got)
		}
	}
}
