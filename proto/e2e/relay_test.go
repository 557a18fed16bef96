package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A wire is one direction between two ends and a relay that is not honest. What is sent stays with the sender until the
// other side has it, as in a client; the relay has seen everything, and delivers what it likes.
type wire struct {
	from, to *Conversation
	sent     [][]byte // all messages, by number
	said     []string // the texts in them
	heard    []string
}

// deliver gives the receiver a message, and fails the test if it is taken and is not the next honest one, or if a message
// that is refused changes anything.
func (w *wire) deliver(t *testing.T, what string, msg []byte) {
	t.Helper()
	was := *w.to
	next := w.to.opened
	first := len(w.sent) // the next that is due
	if i := int(next) - (int(w.from.sealed) - len(w.sent)); i < len(w.sent) {
		first = i
	}
	r, err := w.to.Open(msg)
	due := first < len(w.sent) && bytes.Equal(msg, w.sent[first])
	switch {
	case due != (err == nil):
		t.Fatalf("%s: the honest message: %t, and got %+v, %v", what, due, r, err)
	case err != nil && *w.to != was:
		t.Fatalf("%s changed the receiver", what)
	case err != nil:
		for _, refusal := range []error{ErrMalformed, ErrOther, ErrLater, ErrEarlier, ErrOpen, ErrViolation} {
			if errors.Is(err, refusal) {
				return
			}
		}
		t.Fatalf("%s: %v", what, err)
	case r.Number != next+1:
		t.Fatalf("%s: number %d after %d", what, r.Number, next)
	case r.Kind == KindText:
		w.heard = append(w.heard, string(r.Text))
		w.to.HandedOut(r.Number)
	}
	if !slices.Equal(w.heard, w.said[:len(w.heard)]) {
		t.Fatalf("%s: heard %q of %q", what, w.heard, w.said)
	}
}

// The relay drops, repeats, swaps, delays and bends every message, and makes new ones of parts. The two hear every text
// once, in order and as it was said, however it does so; and when the honest bytes arrive at last the talk goes on.
func TestMaliciousRelay(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		for seed := range uint64(15) {
			draw := rand.New(rand.NewPCG(seed, 2))
			ca, cb := talk(t)
			wires := [2]*wire{{from: ca, to: cb}, {from: cb, to: ca}}
			var seen [][]byte
			any := func() []byte { return bytes.Clone(seen[draw.IntN(len(seen))]) }
			shares := make(map[[shareSize]byte]bool)
			for i := range 400 {
				way := draw.IntN(2)
				w, other := wires[way], wires[1-way]
				if len(w.sent) == 0 || draw.IntN(6) == 0 {
					text := fmt.Sprintf("text %d of %d", i, way)
					msg := seal(t, w.from, text)
					w.sent, w.said = append(w.sent, msg), append(w.said, text)
					seen = append(seen, msg)
					shares[shareOf(msg)] = true
					continue
				}
				next := int(w.to.opened) - int(w.from.sealed) + len(w.sent) // what the receiver waits for
				msg := bytes.Clone(w.sent[min(next, len(w.sent)-1)])
				switch draw.IntN(10) {
				case 0, 1: // the honest one at last; when there are more to come, they are dropped and delayed
					w.deliver(t, "the next", msg)
				case 2:
					w.deliver(t, "any", any())
				case 3: // a later one first
					w.deliver(t, "a later one", w.sent[len(w.sent)-1])
				case 4:
					msg[draw.IntN(len(msg))] ^= 1 << draw.IntN(8)
					w.deliver(t, "bent", msg)
				case 5:
					w.deliver(t, "cut", msg[:draw.IntN(len(msg))])
				case 6: // the share of another message
					from := any()
					copy(msg[headerSize+8:clearSize], from[headerSize+8:clearSize])
					w.deliver(t, "another share", msg)
				case 7: // the number of another message
					from := any()
					copy(msg[headerSize:headerSize+8], from[headerSize:headerSize+8])
					w.deliver(t, "another number", msg)
				case 8: // what is encrypted in another message
					from := any()
					w.deliver(t, "another ciphertext", append(msg[:clearSize], from[clearSize:]...))
				case 9: // the receiver's own words
					if len(other.sent) > 0 {
						own := bytes.Clone(other.sent[draw.IntN(len(other.sent))])
						if draw.IntN(2) == 0 {
							copy(own[headerSize:headerSize+8], msg[headerSize:headerSize+8])
						}
						w.deliver(t, "reflected", own)
					}
				}
			}
			for range 2 { // both sides send everything again: what was heard already is refused
				for _, w := range wires {
					for _, msg := range w.sent {
						w.deliver(t, "in the end", msg)
					}
				}
			}
			for _, w := range wires {
				if !slices.Equal(w.heard, w.said) || len(w.said) < 15 {
					t.Errorf("seed %d: heard %q of %q", seed, w.heard, w.said)
				}
			}
			if (len(shares) > 8) != (ca.version == ratcheted) {
				t.Errorf("seed %d: %d shares", seed, len(shares))
			}
			converseBothWays(t, ca, cb)
		}
	})
}

// Every byte of a message that turns, and of one that does not, in each state that a receiver can be in.
func TestMalloryFlipsEveryByteOfATurn(t *testing.T) {
	for what, s := range turned(t) {
		was := *s.c
		for i := range s.next {
			if i%4 != 0 && i > clearSize {
				continue // the ciphertext is tried elsewhere; a turn is slow
			}
			if r, err := s.c.Open(flip(s.next, i)); err == nil || r.Text != nil || *s.c != was {
				t.Fatalf("%s, byte %d: got %+v, %v", what, i, r, err)
			}
		}
		hear(t, s.c, s.next, "next")
	}
}
