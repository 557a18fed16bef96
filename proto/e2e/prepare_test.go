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
			for way, chain := range map[string]*chain{"sending": &c.sending, "opening": &c.opening} {
				want := nextKey(*chain)
				c.Prepare()
				c.Prepare()
				if got := nextKey(*chain); got != want {
					t.Errorf("%v, %s: another key", c.role, way)
				}
				if replaced := chain == &c.sending && c.ratchet.next == ours; chain.ahead == replaced || replaced != (chain.next == [32]byte{}) {
					t.Errorf("%v, %s: ahead is %v", c.role, way, chain.ahead)
				}
				if chain.step(); chain.ahead || chain.next != [32]byte{} {
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
		same := 0
		for range 60 {
			who := draw.IntN(2)
			from, to := ends[who], ends[1-who]
			unprepared := *from
			from.Prepare()
			msg := seal(t, from, "a text")
			if unprepared.ratchet.next != ours { // else the turn is another one each time
				same++
				if !bytes.Equal(seal(t, &unprepared, "a text"), msg) {
					t.Fatal("prepared, it is another message")
				}
			}
			unprepared = *to
			to.Prepare()
			one, err1 := unprepared.Open(msg)
			two, err2 := to.Open(msg)
			if err1 != nil || err2 != nil || !reflect.DeepEqual(one, two) {
				t.Fatalf("opens to %+v, %v, and prepared to %+v, %v", one, err1, two, err2)
			}
			if unprepared.opening != to.opening || unprepared.ratchet != to.ratchet || unprepared.opened != to.opened {
				t.Fatal("prepared, it is another state afterwards")
			}
		}
		if same < 20 {
			t.Errorf("%d messages were compared", same)
		}
	})
}
