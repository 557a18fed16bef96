package record

import (
	"fmt"
	"testing"
)

func benchmarkSizes(b *testing.B, run func(b *testing.B, frames []byte)) {
	for _, n := range []int{256, 1024, 4096, 16384} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			run(b, text(n))
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, frames []byte) {
		alice, _ := pair(1)
		dst := make([]byte, 0, MaxSize)
		for b.Loop() {
			alice.number = 0
			alice.Seal(dst, frames)
		}
	})
}

// BenchmarkOpen includes the copy of the ciphertext, which Open overwrites.
func BenchmarkOpen(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, frames []byte) {
		alice, bob := pair(1)
		record := alice.Seal(nil, frames)
		ciphertext := make([]byte, len(record)-HeaderSize)
		for b.Loop() {
			bob.number = 0
			copy(ciphertext, record[HeaderSize:])
			if _, err := bob.Open(ciphertext); err != nil {
				b.Fatal(err)
			}
		}
	})
}
