//go:build !race

package server

// Not under the race detector, which makes allocations of its own.

import (
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
