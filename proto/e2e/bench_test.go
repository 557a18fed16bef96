package e2e

import (
	"bytes"
	"testing"
)

// BenchmarkOpening is a whole opening: both ends and the server's step.
func BenchmarkOpening(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		play(b, atEnd)
	}
}

func BenchmarkSeal(b *testing.B) {
	b.ReportAllocs()
	ca, _ := talk(b)
	text := bytes.Repeat([]byte{'a'}, 256)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, _, err := ca.Seal(KindText, text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	ca, cb := talk(b)
	_, msg, err := ca.Seal(KindText, bytes.Repeat([]byte{'a'}, 256))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(256)
	for b.Loop() {
		c := *cb // so that the number is always the next
		if _, err := c.Open(msg); err != nil {
			b.Fatal(err)
		}
	}
}
