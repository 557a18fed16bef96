package proto

import (
	"bytes"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	"sim/proto/box"
	"sim/proto/puzzle"
	"sim/proto/srp"
	"sim/store"
)

// Does the time that the server takes tell which names exist? This is dudect's method (Reparaz, Balasch, Verbauwhede, "Dude, is my code
// constant time?", 2017): two classes of inputs, drawn at random for each measurement, so that whatever else goes on in the machine meets
// both alike; then Welch's t of the two means. |t| of 4.5 or more is a leak. As there, the slowest measurements are cropped, since
// interruptions only add: at a few percentiles of both classes taken together, so that one bound holds for both. The largest |t| counts.
//
// SIM_TIMING_PAIRS sets the number of pairs: 10,000 is what the promise is held to. A busy machine makes a test slow and blind, and
// now and then unlucky: what is found has to be found again with fresh names and pairs.

const (
	leak         = 4.5
	defaultPairs = 200
)

var crops = []float64{0.5, 0.75, 0.9, 0.95, 0.99, 1}

func timingPairs(t *testing.T) int {
	t.Helper()
	unraced(t)
	s := os.Getenv("SIM_TIMING_PAIRS")
	if s == "" {
		return defaultPairs
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 {
		t.Fatalf("SIM_TIMING_PAIRS=%s: want a number, and at least 100", s)
	}
	return n
}

// unraced skips a test of time where it would be the race detector's time.
func unraced(t *testing.T) {
	t.Helper()
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("under the race detector time tells nothing")
	}
}

// times are measurements of one class, in nanoseconds.
type times []float64

// welch is Welch's t of two samples.
func welch(a, b times) float64 {
	moments := func(x times) (mean, variance, n float64) {
		n = float64(len(x))
		for _, v := range x {
			mean += v / n
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / (n - 1)
		}
		return mean, variance, n
	}
	ma, va, na := moments(a)
	mb, vb, nb := moments(b)
	return (ma - mb) / math.Sqrt(va/na+vb/nb)
}

// largestT is the largest |t| over all crops, with its sign.
func largestT(a, b times) (worst float64) {
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	for _, part := range crops {
		bound := all[int(part*float64(len(all)))-1]
		cut := func(x times) times {
			return slices.DeleteFunc(slices.Clone(x), func(v float64) bool { return v > bound })
		}
		ca, cb := cut(a), cut(b)
		if len(ca) < 2 || len(cb) < 2 {
			return math.Inf(1) // no overlap at all
		}
		if t := welch(ca, cb); math.Abs(t) > math.Abs(worst) {
			worst = t
		}
	}
	return worst
}

func TestWelch(t *testing.T) {
	a := times{27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4}
	b := times{27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4}
	if got := welch(a, b); math.Abs(got+2.46) > 0.01 {
		t.Errorf("t = %v", got)
	}
	if got := largestT(times{1, 2, 3}, times{7, 8, 9}); !math.IsInf(got, 1) {
		t.Errorf("apart: t = %v", got)
	}
}

// The steps of a login whose time is looked at.
const (
	stepLogin = iota // Handle of Login: the name is looked up, B is made
	stepProof        // Handle of Proof: M1 is wrong, since who asks knows no password
	stepSum
	timedSteps
)

var timedNames = [timedSteps]string{"Login", "Proof", "both"}

// The classes.
const (
	realName = iota
	inventedName
	classes
)

// namesEach is how many names of each class take turns: as many of one as of the other, of one length, and each the neighbour of another's.
const namesEach = 64

func timedName(class, i int) string { return fmt.Sprintf("user-%03d", classes*i+class) }

// timedWorld is a server that knows the names of the first class.
func timedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.config.PuzzleBits = 0
	for i := range namesEach {
		w.register(timedName(realName, i), "a password")
	}
	// The map of newWorld, without its notes. What a map takes for a hit and for a miss differs by some nanoseconds.
	w.config.Directory.Lookup = func(n Name) (Account, error) {
		v, ok := w.verifiers[n]
		return Account{Verifier: v, Exists: ok}, nil
	}
	return w
}

// A visitor is somebody who guesses at a name, up to the moment when the server is to take his Login.
type visitor struct {
	server *LoginServer
	login  []byte
}

func (w *world) visitor(t *testing.T, name string) visitor {
	c, s := w.client(t, name), NewLoginServer(w.config, w.now)
	wire, err := c.Hello(w.now)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := s.Handle(w.now, body(t, wire))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Challenge(body(t, out)); err != nil {
		t.Fatal(err)
	}
	if wire, err = c.Login(w.now, new([puzzle.SolutionSize]byte)); err != nil {
		t.Fatal(err)
	}
	third := bodies(t, wire)
	if _, _, err := s.Handle(w.now, third[0]); err != nil {
		t.Fatal(err)
	}
	return visitor{s, third[1]}
}

// timed is how long the server takes to handle a body.
func (v *visitor) timed(now time.Time, body []byte) (float64, []byte, error) {
	began := time.Now()
	out, _, err := v.server.Handle(now, body)
	return float64(time.Since(began)), out, err
}

// measure lets pairs of visitors in, one of each class and in random order, and returns how long the server takes for each step of each.
func measure(t *testing.T, w *world, pairs int) (took [classes][timedSteps]times) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // we collect between the pairs
	warm := pairs / 20
	for i := range pairs + warm {
		if i%32 == 0 {
			runtime.GC()
		}
		var order [classes]int
		if mathrand.IntN(2) == 1 {
			order = [classes]int{inventedName, realName}
		} else {
			order = [classes]int{realName, inventedName}
		}
		var all [classes]visitor
		for _, class := range order {
			all[class] = w.visitor(t, timedName(class, mathrand.IntN(namesEach)))
		}
		var login, proof [classes]float64
		var answered [classes][]byte
		for _, class := range order {
			var err error
			if login[class], answered[class], err = all[class].timed(w.now, all[class].login); err != nil {
				t.Fatal(err)
			}
		}
		var proofs [classes][]byte
		for _, class := range order {
			// A Proof of the right form: zeros solve no puzzle, and 32 random bytes are a wrong M1.
			s := all[class].server
			proofs[class] = sealProof(s, append(make([]byte, puzzle.SolutionSize), draw(32)...))
			if exists := s.exists == 1; exists != (class == realName) {
				t.Fatalf("%s: exists is %v", s.name, exists)
			}
		}
		for _, class := range order {
			var err error
			var welcome []byte
			if proof[class], welcome, err = all[class].timed(w.now, proofs[class]); err != ErrRefused || len(welcome) != 2+welcomeLen {
				t.Fatal(err)
			}
		}
		if len(answered[realName]) != len(answered[inventedName]) || bytes.Equal(answered[realName], answered[inventedName]) {
			t.Fatal("two answers of two lengths, or one answer")
		}
		if i < warm {
			continue
		}
		for class := range classes {
			for step, d := range [timedSteps]float64{login[class], proof[class], login[class] + proof[class]} {
				took[class][step] = append(took[class][step], d)
			}
		}
	}
	return took
}

// sealProof is a Proof of any content.
func sealProof(s *LoginServer, plain []byte) []byte {
	h4 := s.sym.Hash()
	return append([]byte{msgProof}, box.Seal(&s.key, "sim/1 box proof", box.FromClient, &h4, plain)...)
}

// judge returns t of each step, and the largest |t|.
func judge(t *testing.T, what string, took [classes][timedSteps]times) (worst float64) {
	t.Helper()
	for step, name := range timedNames {
		real, invented := took[realName][step], took[inventedName][step]
		v := largestT(real, invented)
		t.Logf("%s, %s: t = %+.2f over %d pairs; medians %.1f µs for a real name, %.1f µs for an invented one", what, name, v, len(real), median(real)/1e3, median(invented)/1e3)
		worst = max(worst, math.Abs(v))
	}
	return worst
}

func median(x times) float64 { return slices.Sorted(slices.Values(x))[len(x)/2] }

// CVE-2016-0798 was on the way of unknown names too, and enumeration by time is what the like of it leads to: here the two ways take one time.
// Once with accounts in a map, so that nothing but the protocol is measured, and once in the store that the server has.
func TestRealAndInventedNamesTakeOneTime(t *testing.T) {
	pairs := timingPairs(t)
	for _, c := range []struct {
		name string
		keep func(t *testing.T, w *world)
	}{
		{"map", func(*testing.T, *world) {}},
		{"store", keepInStore},
	} {
		t.Run(c.name, func(t *testing.T) {
			var worst [2]float64
			for i := range worst {
				w := timedWorld(t)
				c.keep(t, w)
				if worst[i] = judge(t, c.name, measure(t, w, pairs)); worst[i] < leak {
					return
				}
			}
			t.Errorf("the time tells which names exist: |t| is %.1f, and %.1f with fresh names", worst[0], worst[1])
		})
	}
}

// keepInStore puts the accounts into a database.
func keepInStore(t *testing.T, w *world) {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "sim.db"), store.Options{ArgonTime: 3, ArgonMemory: 65536, ArgonThreads: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	for n, v := range w.verifiers {
		if err := st.Add(n.String(), store.Account{Verifier: v}, store.OnFile()); err != nil {
			t.Fatal(err)
		}
	}
	w.config.Directory.Lookup = func(n Name) (Account, error) {
		a, ok, err := st.Account(n.String())
		return Account{Verifier: a.Verifier, Exists: ok}, err
	}
}

// The test before this one can fail: a directory that does more for one class than for the other is found out.
func TestTimingFindsALeak(t *testing.T) {
	unraced(t)
	for _, c := range []struct {
		name string
		more func(d *Directory, n Name, found bool)
		want float64
	}{
		{"an exponentiation for an unknown name", func(d *Directory, n Name, found bool) {
			if !found {
				srp.Verifier(n.String(), &d.SaltSecret, &d.InventSecret)
			}
		}, 10 * leak},
		{"an invented verifier where it is needed, and not otherwise", func(d *Directory, n Name, found bool) {
			if !found {
				inventAgain(d, n)
			}
		}, leak},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := timedWorld(t)
			look := w.config.Directory.Lookup
			w.config.Directory.Lookup = func(n Name) (Account, error) {
				a, err := look(n)
				c.more(w.config.Directory, n, a.Exists)
				return a, err
			}
			var took [classes][timedSteps]times
			for range 40 { // on a busy machine it takes more pairs
				more := measure(t, w, 100)
				for class := range took {
					for step := range took[class] {
						took[class][step] = append(took[class][step], more[class][step]...)
					}
				}
				if judge(t, c.name, took) >= c.want {
					return
				}
			}
			t.Errorf("not found")
		})
	}
}

// inventAgain is the work of inventing a verifier once more: it is what a directory that invents only where it has to would do for
// unknown names alone.
func inventAgain(d *Directory, n Name) {
	again := *d
	again.Lookup = func(Name) (Account, error) { return Account{}, nil }
	again.account(n)
}
