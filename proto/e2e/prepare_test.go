package e2e

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
)

// The key is made ahead, it is the one that the message gets, and it is gone with it.
func TestPrepare(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		say(t, cb, ca, "hello alice") // where there are turns, the next is alice's
		for _, c := range []*Conversation{ca, cb} {
			was := *c
			c.Prepare()
			c.Prepare()
			for way, keys := range map[string]struct{ before, after *chain }{
				"sending": {&was.sending, &c.sending}, "opening": {&was.opening, &c.opening},
			} {
				if nextKey(*keys.after) != nextKey(*keys.before) {
					t.Errorf("%v, %s: another key", c.role, way)
				}
				replaced := way == "sending" && c.ratchet.next == ours
				if keys.after.ahead == replaced || replaced != (keys.after.next == [32]byte{}) {
					t.Errorf("%v, %s: ahead is %v", c.role, way, keys.after.ahead)
				}
				if keys.after.step(); keys.after.ahead || keys.after.next != [32]byte{} {
					t.Errorf("%v, %s: the key is kept", c.role, way)
				}
			}
		}
	})
}

// Who prepares seals and opens as who does not: nothing shows it but the time that a message takes.
func TestPrepareShowsNowhere(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		ends := [2]*Conversation{ca, cb}
		draw := rand.New(rand.NewPCG(1, 2))
		sealed, opened := 0, 0
		for range 100 {
			who := draw.IntN(2)
			from, prepared := ends[who], *ends[who]
			prepared.Prepare()
			msg := seal(t, from, "a text")
			if prepared.sending.ahead && prepared.ratchet.next != ours { // else it is a turn, another one each time
				sealed++
				if !bytes.Equal(seal(t, &prepared, "a text"), msg) {
					t.Fatal("prepared, it is another message")
				}
			}
			to := ends[1-who]
			prepared = *to
			if prepared.Prepare(); prepared.opening.ahead {
				opened++
			}
			one, err1 := to.Open(msg)
			two, err2 := prepared.Open(msg)
			if err1 != nil || err2 != nil || !reflect.DeepEqual(one, two) {
				t.Fatalf("opens to %+v, %v, and prepared to %+v, %v", one, err1, two, err2)
			}
			if prepared.opening != to.opening || prepared.ratchet != to.ratchet || prepared.opened != to.opened {
				t.Fatal("prepared, it is another state afterwards")
			}
		}
		if sealed < 20 || opened < 20 {
			t.Errorf("%d were sealed prepared, and %d opened", sealed, opened)
		}
	})
}
