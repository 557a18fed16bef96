package client

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sim/internal/chaos"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A network cuts, in the middle of records and of resumptions, too, delays, and goes dead without a word, in one direction or both, on a seeded
// schedule, while alice and bob write to each other. Where it only cuts and delays, everything is delivered. Where it also goes dead, an outcome may
// be another; but every text has one, and it is true: what was delivered was shown, what failed was not, and nothing was shown twice or out of order.
func TestChaos(t *testing.T) {
	const seeds = 10
	texts, err := chaos.Texts(os.Getenv("SIM_CHAOS"), seeds, 150)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(seeds) {
		dead := seed%2 == 1
		t.Run(fmt.Sprintf("%d, dead %v", seed, dead), func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				random, texting := rand.New(rand.NewPCG(seed, 7)), rand.New(rand.NewPCG(seed, 8))
				stalls := 0
				wan := s.through(func(n int) (f fateOfLink) { // called with the network's lock
					f.lag = time.Duration(random.IntN(40)) * time.Millisecond
					at := 1 + random.IntN(25_000)
					if n < 2 { // not before there is a session
						at, f.lag = at+3000, 0
					}
					switch kind := random.IntN(9); {
					case kind < 4:
						f.cutUp = at
					case kind < 6 || !dead:
						f.cutDown = at
					default:
						f.stallUp, f.stallDown = at, at+random.IntN(5000)
						stalls++
					}
					return f
				})
				alice, bob := s.comes("alice"), s.comes("bob")
				for i := range texts {
					alice.keyboard.adds(fmt.Sprintf("send bob %d %s\n", i, strings.Repeat("x", texting.IntN(600))))
					bob.keyboard.adds(fmt.Sprintf("send alice %d %s\n", i, strings.Repeat("y", texting.IntN(600))))
				}
				var toAlice, toBob chaos.Witness
				for range 10 * texts {
					if len(toAlice.Outcomes) == texts && len(toBob.Outcomes) == texts {
						break
					}
					time.Sleep(time.Minute)
					synctest.Wait()
					hears(t, &toAlice, alice)
					hears(t, &toBob, bob)
				}
				judges(t, texts, !dead, &toAlice, &toBob)
				judges(t, texts, !dead, &toBob, &toAlice)
				if s.resumed < texts/20 || dead && stalls == 0 {
					t.Errorf("%d resumptions", s.resumed)
				}
				t.Logf("%d connections, of which %d went dead; %d resumptions; alice: %v, bob: %v", len(wan.links), stalls, s.resumed, &toAlice, &toBob)
				for _, p := range []*person{alice, bob} {
					p.complains()
					p.cancel()
				}
				wan.goesAway(errAway)
				time.Sleep(time.Minute)
			})
		})
	}
}

func hears(t *testing.T, w *chaos.Witness, p *person) {
	t.Helper()
	for _, line := range p.out.lines() {
		if err := w.Hear(line); err != nil {
			t.Error(err)
		}
	}
}

func judges(t *testing.T, texts int, all bool, w, other *chaos.Witness) {
	t.Helper()
	if v := w.Judge(texts, other); v != (chaos.Verdict{}) || all && w.Delivered() != texts {
		t.Errorf("%+v: %v, and the other side: %v", v, w, other)
	}
}
