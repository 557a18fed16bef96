//go:build !race

package server

// Not under the race detector, which makes allocations of its own.

import (
	"fmt"
	"testing"
	"time"

	"sim/proto"
)

const relayedSize = 340 // bytes of a text of 256, encrypted end to end

// A hop is what the server does with a Relay between the two records: look up, put into the receiver's queue, take out, seal.
type hop struct {
	tb         testing.TB
	alice, bob *session
	sender     *proto.Sender // bob's
	frame      proto.Frame
	sealed     []byte
}

// newHop lists two sessions that no connection serves.
func newHop(tb testing.TB) *hop {
	w := newWorld(tb, []string{"carol"})
	list := w.strangers([]proto.Name{nameOf(tb, "alice"), nameOf(tb, "bob")})
	tb.Cleanup(func() { w.leave(list) })
	h := &hop{tb: tb, alice: list[0], bob: list[1], sender: w.enter("carol").session.Send}
	frame := proto.AppendRelay(nil, proto.Relay{To: h.bob.name, Message: make([]byte, relayedSize)})
	h.frame = proto.Frame{Type: proto.TypeRelay, Body: frame[proto.FrameHeaderSize:]}
	return h
}

// relay relays n texts that came together.
func (h *hop) relay(n int) {
	for range n {
		if e := h.alice.handle(h.frame); e != nil {
			h.tb.Fatal(e.reason)
		}
	}
	h.alice.flush(time.Now())
	b, ok := h.bob.out.next()
	if !ok || len(b.frames.bytes) != n*proto.RelayedFrameSize(relayedSize) {
		h.tb.Fatalf("%d bytes of frames wait for bob", b.frames.size())
	}
	h.sealed = sealBatch(h.sealed[:0], h.sender, b.frames.bytes, proto.MaxFrames, b.last, time.Now())
	b.frames.free()
	h.bob.out.written(b.passing)
}

func BenchmarkRelay(b *testing.B) {
	for _, bench := range []struct {
		name  string
		texts int
	}{{"one at a time", 1}, {"32 together", 32}} {
		b.Run(bench.name, func(b *testing.B) {
			h := newHop(b)
			b.ReportAllocs()
			for b.Loop() {
				h.relay(bench.texts)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bench.texts), "ns/text")
		})
	}
}

// Counts are exact. Whoever makes the relay allocate less lowers the numbers here; nobody raises them without a reason.
func TestRelayAllocations(t *testing.T) {
	for texts, want := range map[int]float64{1: 0, 32: 0} {
		h := newHop(t)
		if n := testing.AllocsPerRun(200, func() { h.relay(texts) }); n != want {
			t.Errorf("%d texts relayed: %v allocations, and there were %v", texts, n, want)
		}
	}
}

// BenchmarkRelayAmong is a text between two of so many sessions: one pair of them, and all pairs in turn, where each finds the processor's
// caches cold.
func BenchmarkRelayAmong(b *testing.B) {
	for _, sessions := range []int{10, 100, 1000, 10_000} {
		w := newWorld(b, []string{"carol"})
		var names []proto.Name
		for i := range sessions {
			names = append(names, nameOf(b, fmt.Sprint("u", i)))
		}
		list := w.strangers(names)
		sender := w.enter("carol").session.Send
		var sealed []byte
		run := func(pairs int) func(b *testing.B) {
			return func(b *testing.B) {
				i := 0
				for b.Loop() {
					h := hop{tb: b, alice: list[i], bob: list[i+1], sender: sender, sealed: sealed}
					frame := proto.AppendRelay(sealed[:0], proto.Relay{To: h.bob.name, Message: relayedZeros})
					h.frame = proto.Frame{Type: proto.TypeRelay, Body: frame[proto.FrameHeaderSize:]}
					h.relay(1)
					sealed = h.sealed
					if i += 2; i >= 2*pairs {
						i = 0
					}
				}
			}
		}
		b.Run(fmt.Sprintf("%d/one pair", sessions), run(1))
		b.Run(fmt.Sprintf("%d/all in turn", sessions), run(sessions/2))
		w.leave(list)
		w.stop()
	}
}

var relayedZeros = make([]byte, relayedSize)
