package proto

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"sim/proto/puzzle"
	"sim/proto/srp"
)

// BenchmarkLoginParts measures the server's work for one whole login beside what it can't do without, in turns: three modular exponentiations,
// two X25519 and one decapsulation. The figures are what a tenth of the times is below: what else the machine does only adds to them.
func BenchmarkLoginParts(b *testing.B) {
	w := newWorld(b)
	w.config.PuzzleBits = 4
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		b.Fatal(err)
	}
	_, ciphertext := kem.EncapsulationKey().Encapsulate()

	var whole, parts, powers, curve, lattice samples
	for b.Loop() {
		whole.add(w.serverTime(b))
		p := elapsed(func() {
			for range 3 {
				srp.Begin() // one exponentiation, of a generator by 32 random bytes: what it is of does not matter to its time
			}
		})
		c := elapsed(func() {
			for _, key := range []*ecdh.PrivateKey{w.config.Key, w.epoch.x25519} {
				dh(key, peer.PublicKey().Bytes())
			}
		})
		l := elapsed(func() { kem.Decapsulate(ciphertext) })
		powers.add(p)
		curve.add(c)
		lattice.add(l)
		parts.add(p + c + l)
	}
	b.ReportMetric(whole.low(), "login-µs")
	b.ReportMetric(powers.low(), "3-exponentiations-µs")
	b.ReportMetric(curve.low(), "2-x25519-µs")
	b.ReportMetric(lattice.low(), "1-decapsulation-µs")
	b.ReportMetric(whole.low()/parts.low(), "ratio")
}

// serverTime is how long a server is busy with one login of alice.
func (w *world) serverTime(b *testing.B) (busy time.Duration) {
	c := w.client(b, "alice")
	var s *LoginServer
	busy += elapsed(func() { s = NewLoginServer(w.config, w.now) })
	handle := func(wire []byte, err error) (out []byte) {
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range bodies(b, wire) {
			busy += elapsed(func() { out, _, err = s.Handle(w.now, m) })
			if err != nil {
				b.Fatal(err)
			}
		}
		return body(b, out)
	}
	task, err := c.Challenge(handle(c.Hello(w.now)))
	if err != nil {
		b.Fatal(err)
	}
	solution, ok := task.Puzzle.Solve(&task.Binding, nil)
	if !ok {
		b.Fatal("the puzzle was not solved")
	}
	if task, err = c.Salt(handle(c.Login(w.now, solution))); err != nil {
		b.Fatal(err)
	}
	secret := derive(passwordOf("alice"), task.Salt)
	if _, err = c.Welcome(w.now, handle(c.Proof(w.now, new([puzzle.SolutionSize]byte), secret))); err != nil {
		b.Fatal(err)
	}
	return busy
}

func elapsed(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

// samples are times in microseconds.
type samples []float64

func (s *samples) add(d time.Duration) { *s = append(*s, float64(d.Nanoseconds())/1000) }

func (s samples) low() float64 { return slices.Sorted(slices.Values(s))[len(s)/10] }
