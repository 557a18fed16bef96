package client

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// chaosTexts is how many texts each of two people sends in a schedule: 150, or a part of SIM_CHAOS.
func chaosTexts(t *testing.T, seeds int) int {
	if s := os.Getenv("SIM_CHAOS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return max(1, n/2/seeds)
	}
	return 150
}

// A network cuts, in the middle of records and of resumptions, too, delays, and goes dead without a word, in one direction or both, on a seeded
// schedule, while alice and bob write to each other. Where it only cuts and delays, everything is delivered. Where it also goes dead, an outcome may
// be another; but every text has one, and it is true: what was delivered was shown, what failed was not, and nothing was shown twice or out of order.
func TestChaos(t *testing.T) {
	const seeds = 10
	texts := chaosTexts(t, seeds)
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
				told := map[string]*chaosTold{"alice": {}, "bob": {}}
				for range 10 * texts {
					if len(told["alice"].outcomes) == texts && len(told["bob"].outcomes) == texts {
						break
					}
					time.Sleep(time.Minute)
					synctest.Wait()
					told["alice"].hears(t, alice.out.fresh())
					told["bob"].hears(t, bob.out.fresh())
				}
				told["alice"].judges(t, texts, !dead, told["bob"])
				told["bob"].judges(t, texts, !dead, told["alice"])
				if s.resumed < texts/20 || dead && stalls == 0 {
					t.Errorf("%d resumptions", s.resumed)
				}
				t.Logf("%d connections, of which %d went dead; %d resumptions; alice: %v, bob: %v", len(wan.links), stalls, s.resumed, told["alice"], told["bob"])
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

// chaosTold is what somebody's client has told.
type chaosTold struct {
	outcomes []string // of the texts, in order
	shown    []int    // the numbers of the other side's
	lost     int      // connections
}

func (c *chaosTold) hears(t *testing.T, lines string) {
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		switch {
		case fields[0] == "<":
			n, err := strconv.Atoi(fields[2])
			if err != nil {
				t.Fatal(line)
			}
			c.shown = append(c.shown, n)
		case line == "* reconnecting …\n":
			c.lost++
		case fields[0] == "=":
			c.outcomes = append(c.outcomes, strings.TrimSuffix(fields[2], ":"))
		}
	}
}

// judges compares what somebody was told of their texts with what the other side was shown.
func (c *chaosTold) judges(t *testing.T, texts int, all bool, other *chaosTold) {
	t.Helper()
	if !slices.IsSorted(other.shown) || len(slices.Compact(slices.Clone(other.shown))) != len(other.shown) {
		t.Errorf("twice, or out of order: %v", other.shown)
	}
	if len(c.outcomes) != texts {
		t.Errorf("%d outcomes", len(c.outcomes))
	}
	for i, is := range c.outcomes {
		_, shown := slices.BinarySearch(other.shown, i)
		switch {
		case is == "delivered" && shown, is == "failed" && !shown && !all, is == "unknown" && !all:
		default:
			t.Errorf("text %d was %s, and shown: %v", i, is, shown)
		}
	}
}

func (c *chaosTold) String() string {
	count := map[string]int{}
	for _, is := range c.outcomes {
		count[is]++
	}
	return fmt.Sprintf("%d losses noticed, %d texts shown, %v", c.lost, len(c.shown), count)
}
