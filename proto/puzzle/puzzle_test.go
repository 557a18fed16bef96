package puzzle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
)

// at is a puzzle and its binding, the same in every run.
func at(bits, seed byte) (Puzzle, *[32]byte) {
	rng := rand.NewChaCha8([32]byte{seed})
	p := Puzzle{Count: Count, Bits: bits}
	var binding [32]byte
	rng.Read(p.Seed[:])
	rng.Read(binding[:])
	return p, &binding
}

func solve(t testing.TB, p Puzzle, binding *[32]byte) *[SolutionSize]byte {
	t.Helper()
	solution, ok := p.Solve(binding, nil)
	if !ok {
		t.Fatalf("no solution of %d bits", p.Bits)
	}
	return solution
}

func TestSolvedPuzzleVerifies(t *testing.T) {
	for _, bits := range []byte{0, 4, 5, 8, 11, 12, 13, 16} {
		for seed := range byte(4) {
			p, binding := at(bits, seed)
			solution := solve(t, p, binding)
			if !p.Verify(binding, solution) {
				t.Errorf("%d bits, seed %d: refused", bits, seed)
			}
			for i := range Count {
				answer, ok := p.Answer(binding, i, nil)
				if !ok || answer != binary.BigEndian.Uint64(solution[i*AnswerSize:]) {
					t.Errorf("%d bits, seed %d: Answer %d is %d (%v)", bits, seed, i, answer, ok)
				}
			}
		}
	}
}

// hexBytes is a JSON string of hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func TestGolden(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case string
			In   struct{ Puzzle, Binding hexBytes }
			Out  struct{ P, Solution hexBytes }
		}
		Malformed []hexBytes
	}
	data, err := os.Open("../../docs/vectors/puzzle.json")
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	decoder := json.NewDecoder(data)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 6 || len(file.Malformed) < 9 {
		t.Fatalf("%d cases, %d malformed", len(file.Cases), len(file.Malformed))
	}
	for _, v := range file.Cases {
		t.Run(v.Case, func(t *testing.T) {
			p, err := Parse(v.In.Puzzle)
			if err != nil || !bytes.Equal(p.Append(nil), v.In.Puzzle) {
				t.Fatalf("parsed as %+v, %v", p, err)
			}
			binding := [32]byte(v.In.Binding)
			if got := p.trial(&binding); !bytes.Equal(got[:32], v.Out.P) {
				t.Errorf("P = %x", got[:32])
			}
			if got := solve(t, p, &binding); !bytes.Equal(got[:], v.Out.Solution) {
				t.Errorf("solution %x", got)
			}
			if !p.Verify(&binding, (*[SolutionSize]byte)(v.Out.Solution)) {
				t.Error("the solution is refused")
			}
		})
	}
	for _, b := range file.Malformed {
		if p, err := Parse(b); err != ErrMalformed {
			t.Errorf("%x: %+v, %v", []byte(b), p, err)
		}
	}
}

// byHand says whether an answer is right, from the definition and not from the
// code.
func byHand(p Puzzle, binding *[32]byte, i int, answer uint64) bool {
	P := sha256.Sum256(bytes.Join([][]byte{[]byte("sim/1 puzzle"), p.Seed[:], binding[:]}, nil))
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(append(P[:], byte(i)), answer))
	digits := ""
	for _, b := range sum {
		digits += fmt.Sprintf("%08b", b)
	}
	for _, digit := range digits[:p.Bits-4] {
		if digit != '0' {
			return false
		}
	}
	return true
}

// Any answer with enough zero bits will do, one with a bit too few will not:
// at each bit length, each of many answers is judged as by hand.
func TestEveryAnswerIsJudgedAlone(t *testing.T) {
	for _, bits := range []byte{5, 6, 8, 12} {
		p, binding := at(bits, 1)
		good := solve(t, p, binding)
		for i := range Count {
			var right, wrong int
			for answer := uint64(1 << 40); answer < 1<<40+200; answer++ {
				other := *good
				binary.BigEndian.PutUint64(other[i*AnswerSize:], answer)
				want := byHand(p, binding, i, answer)
				if want {
					right++
				} else {
					wrong++
				}
				if got := p.Verify(binding, &other); got != want {
					t.Fatalf("%d bits, answer %d of sub-puzzle %d: %v, want %v", bits, answer, i, got, want)
				}
			}
			if wrong == 0 || right == 0 && bits < 12 {
				t.Fatalf("%d bits: %d right and %d wrong answers tell nothing", bits, right, wrong)
			}
		}
	}
}

// Mallory solves one sub-puzzle and sends its answer sixteen times, or has the
// answers in another order.
func TestAnswersBelongToTheirPlace(t *testing.T) {
	p, binding := at(14, 2)
	good := solve(t, p, binding)
	var same, turned [SolutionSize]byte
	for i := range Count {
		copy(same[i*AnswerSize:], good[:AnswerSize])
		copy(turned[i*AnswerSize:], good[(i+1)%Count*AnswerSize:][:AnswerSize])
	}
	if p.Verify(binding, &same) || p.Verify(binding, &turned) {
		t.Error("taken")
	}
}

// Work for another connection, another log-in or an easier puzzle is for
// nothing.
func TestMallorySpendsTheWorkElsewhere(t *testing.T) {
	p, binding := at(14, 3)
	solution := solve(t, p, binding)
	for i := range 32 {
		q, other := p, *binding
		q.Seed[i] ^= 1
		if q.Verify(binding, solution) {
			t.Errorf("another byte %d of the seed: taken", i)
		}
		other[i] ^= 0x80
		if p.Verify(&other, solution) {
			t.Errorf("another byte %d of the binding: taken", i)
		}
	}
	harder := p
	harder.Bits += 8
	if harder.Verify(binding, solution) {
		t.Error("taken for a harder puzzle")
	}
	easier := p
	easier.Bits -= 2
	if !easier.Verify(binding, solution) {
		t.Error("refused for an easier puzzle with the same seed")
	}
}

func TestNoPuzzle(t *testing.T) {
	p, binding := at(0, 4)
	stop := func() bool { t.Error("stop is asked, with nothing to be done"); return true }
	if solution, ok := p.Solve(binding, stop); !ok || *solution != [SolutionSize]byte{} {
		t.Errorf("solution %x (%v)", solution, ok)
	}
	for i := range SolutionSize {
		var solution [SolutionSize]byte
		solution[i] = 1
		if p.Verify(binding, &solution) {
			t.Errorf("a solution with byte %d set: taken", i)
		}
	}
}

func TestMalformed(t *testing.T) {
	_, binding := at(0, 5)
	for count := range 256 {
		for bits := range 256 {
			p := Puzzle{Count: uint8(count), Bits: uint8(bits)}
			want := count == 16 && (bits == 0 || bits >= 4 && bits <= 30)
			wire := p.Append(nil)
			q, err := Parse(wire)
			if want && (err != nil || q != p) || !want && (err != ErrMalformed || q != Puzzle{}) {
				t.Errorf("count %d, bits %d: %v", count, bits, err)
			}
			if want {
				continue
			}
			polls := 0
			stop := func() bool { polls++; return true }
			if _, ok := p.Answer(binding, 0, stop); ok || polls > 0 {
				t.Errorf("count %d, bits %d: answered", count, bits)
			}
			if solution, ok := p.Solve(binding, stop); ok || polls > 0 || solution != nil {
				t.Errorf("count %d, bits %d: solved", count, bits)
			}
			// As easy as a hash can make it, were the bits wrapped around.
			if p.Verify(binding, new([SolutionSize]byte)) {
				t.Errorf("count %d, bits %d: verified", count, bits)
			}
		}
	}
}

func TestWire(t *testing.T) {
	p, _ := at(18, 6)
	wire := p.Append([]byte("before"))
	want := "before" + string(p.Seed[:]) + "\x10\x12"
	if string(wire) != want {
		t.Errorf("%x, want %x", wire, want)
	}
	wire = wire[len("before"):]
	for n := range 2 * WireSize {
		_, err := Parse(append(wire, make([]byte, WireSize)...)[:n])
		if (err == nil) != (n == WireSize) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestNoSuchSubPuzzle(t *testing.T) {
	for _, bits := range []byte{0, 4} {
		p, binding := at(bits, 7)
		for _, i := range []int{-1, Count, Count + 256, -256} {
			if _, ok := p.Answer(binding, i, nil); ok {
				t.Errorf("%d bits: sub-puzzle %d is answered", bits, i)
			}
		}
	}
}

func TestStop(t *testing.T) {
	p, binding := at(MaxBits, 8)
	polls := 0
	stop := func() bool { polls++; return polls == 3 }
	if answer, ok := p.Answer(binding, 0, stop); ok || answer != 0 || polls != 3 {
		t.Errorf("answer %d (%v) after %d polls", answer, ok, polls)
	}
	if solution, ok := p.Solve(binding, func() bool { return true }); ok || solution != nil {
		t.Error("solved though stopped")
	}

	// An answer a takes a+1 hashes and so a/4096+1 polls.
	p, binding = at(18, 9)
	for i := range Count {
		polls = 0
		answer, ok := p.Answer(binding, i, func() bool { polls++; return false })
		if want := int(answer/4096) + 1; !ok || polls != want {
			t.Errorf("answer %d (%v) took %d polls, want %d", answer, ok, polls, want)
		}
	}
}

// The work is 2^Bits hashes on average, and sixteen searches vary less than
// one: the standard deviation is a quarter of the mean.
func TestWorkIsAsAnnounced(t *testing.T) {
	const bits, runs = 9, 400
	var sum, squares float64
	for seed := range runs {
		p, binding := at(bits, byte(seed))
		p.Seed[0] = byte(seed >> 8)
		solution := solve(t, p, binding)
		hashes := 0.0
		for i := range Count {
			hashes += float64(binary.BigEndian.Uint64(solution[i*AnswerSize:]) + 1)
		}
		sum += hashes
		squares += hashes * hashes
	}
	mean := sum / runs
	if mean < 0.93*(1<<bits) || mean > 1.07*(1<<bits) {
		t.Errorf("%.0f hashes on average, want about %d", mean, 1<<bits)
	}
	if ratio := (squares/runs - mean*mean) / (mean * mean); ratio < 0.04 || ratio > 0.09 {
		t.Errorf("variance %.3f of the mean's square, want about 1/16", ratio)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	p, binding := at(12, 10)
	solution := solve(t, p, binding)
	if n := testing.AllocsPerRun(5, func() { p.Answer(binding, 3, nil) }); n != 0 {
		t.Errorf("Answer: %v allocations", n)
	}
	if n := testing.AllocsPerRun(5, func() { p.Verify(binding, solution) }); n != 0 {
		t.Errorf("Verify: %v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	seeds := [][]byte{nil, make([]byte, WireSize), make([]byte, WireSize+1)}
	for _, bits := range []byte{0, 3, 4, 18, MaxBits, MaxBits + 1, 255} {
		p, _ := at(bits, bits)
		seeds = append(seeds, p.Append(nil))
	}
	if len(seeds) < 10 {
		f.Fatal("no seed corpus")
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			return
		}
		if again := p.Append(nil); !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
		if p.Verify(new([32]byte), new([SolutionSize]byte)) && p.Bits > 12 {
			t.Fatal("nobody worked")
		}
	})
}

func BenchmarkSolve(b *testing.B) {
	for _, bits := range []byte{12, 16, 18} {
		b.Run(fmt.Sprint(bits), func(b *testing.B) {
			b.ReportAllocs()
			p, binding := at(bits, 11)
			hashes := uint64(0)
			for b.Loop() {
				binary.BigEndian.PutUint64(p.Seed[:], hashes)
				solution := solve(b, p, binding)
				for i := range Count {
					hashes += binary.BigEndian.Uint64(solution[i*AnswerSize:]) + 1
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(hashes), "ns/hash")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	p, binding := at(16, 12)
	solution := solve(b, p, binding)
	b.ReportAllocs()
	for b.Loop() {
		if !p.Verify(binding, solution) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	p, _ := at(16, 13)
	wire := p.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(wire); err != nil {
			b.Fatal(err)
		}
	}
}
