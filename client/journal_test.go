package client

import (
	"testing"
	"time"

	"sim/proto"
)

// What is kept is what the server has not said to have; a Seen that goes back, or is ahead of what was given to a connection, is refused.
func TestJournalKeeps(t *testing.T) {
	var j journal
	j.keep([][]byte{proto.AppendPing(nil, [8]byte{}), proto.AppendLogout(nil)})
	j.keep(relays(3, 10))
	if len(j.kept) != 4 || j.unseen() || j.seen(1) {
		t.Fatalf("%d are kept, and nothing was given to a connection", len(j.kept))
	}
	j.given()
	if !j.unseen() || !j.seen(0) || !j.seen(3) || !j.seen(3) || j.seen(2) || j.seen(5) {
		t.Error("a Seen is taken wrongly")
	}
	if len(j.kept) != 1 || j.size != len(j.kept[0]) || j.acked != 3 {
		t.Errorf("%d are kept, %d bytes", len(j.kept), j.size)
	}
	j.keep(relays(1, maxKept))
	if !j.full() || j.seen(5) {
		t.Error("it is not full")
	}
	j.given()
	if !j.seen(5) || j.full() || j.size != 0 || j.unseen() {
		t.Error("it is not empty")
	}
}

// The server is told at once after 32 frames or 16 KiB, and otherwise a second after the last.
func TestJournalTells(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	frame := func(size int) proto.Frame { return proto.Frame{Type: proto.TypeRelayed, Body: make([]byte, size)} }
	for name, tt := range map[string]struct {
		frames, size int
		at           time.Duration
		due          bool
	}{
		"nothing":         {0, 0, time.Hour, false},
		"one, early":      {1, 100, seenWait - 1, false},
		"one":             {1, 100, seenWait, true},
		"31, early":       {31, 100, 0, false},
		"32":              {32, 100, 0, true},
		"large":           {2, 8 << 10, 0, true},
		"not large, soon": {1, 8 << 10, 0, false},
	} {
		var j journal
		j.took(now, proto.Frame{Type: proto.TypePong, Body: make([]byte, 8)}) // has no number
		for range tt.frames {
			j.took(now, frame(tt.size))
		}
		if j.due(now.Add(tt.at)) != tt.due {
			t.Errorf("%s: due is %v", name, !tt.due)
		}
		if n := proto.ParseSeen(frameOf(j.tell()).Body); n != uint64(tt.frames) || j.tells() || j.due(now.Add(time.Hour)) {
			t.Errorf("%s: Seen(%d)", name, n)
		}
	}
}

func TestClock(t *testing.T) {
	var c clock
	start := time.Unix(1_800_000_000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	if c.now(at(10)) != at(10) || c.real(at(10)) != at(10) || !c.real(time.Time{}).IsZero() {
		t.Error("it does not run")
	}
	c.stop(at(10))
	c.stop(at(20))
	if c.now(at(30)) != at(10) || !c.real(at(11)).IsZero() {
		t.Error("it does not stand still")
	}
	c.start(at(40))
	c.start(at(50))
	if c.now(at(41)) != at(11) || c.real(at(11)) != at(41) {
		t.Error("it does not go on where it stood")
	}
}
