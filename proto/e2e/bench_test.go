package e2e

import (
	"bytes"
	"strings"
	"testing"
)

// BenchmarkOpening is a whole opening: both ends and the server's step.
func BenchmarkOpening(b *testing.B) {
	for i, version := range []string{"version 1", "version 2"} {
		b.Run(version, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				playVersions(b, atEnd, Versions[:i+1], Versions[:i+1])
			}
		})
	}
}

// A message of 256 bytes, with a turn and without.
func BenchmarkSeal(b *testing.B) {
	ca, cb := ratchets(b)
	text := bytes.Repeat([]byte{'a'}, 256)
	for what, from := range map[string]*Conversation{"chain": ca, "turn": cb} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				c := *from // so that the turn is always the next
				if _, _, err := c.Seal(KindText, text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPrepare is what Seal and Open need not do any more: a key each.
func BenchmarkPrepare(b *testing.B) {
	ca, _ := ratchets(b)
	b.ReportAllocs()
	for b.Loop() {
		c := *ca
		c.opening = c.sending // bob has not turned, and there is nothing of his
		c.Prepare()
	}
}

func BenchmarkOpen(b *testing.B) {
	ca, cb := ratchets(b)
	text := strings.Repeat("a", 256)
	for what, m := range map[string]struct {
		to  *Conversation
		msg []byte
	}{"chain": {cb, seal(b, ca, text)}, "turn": {ca, seal(b, cb, text)}} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				c := *m.to // so that the number is always the next
				if _, err := c.Open(m.msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAgree is nearly all of a turn: crypto/ecdh computes a private key's public key, whether it is asked for or not, and then the secret.
func BenchmarkAgree(b *testing.B) {
	own, other := newScalar(), newScalar()
	share := other.share()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := own.agree(share); err != nil {
			b.Fatal(err)
		}
	}
}
