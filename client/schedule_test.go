package client

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/cryptotest"
	"time"

	"sim/proto"
	"sim/proto/ticket"
)

// A schedule is a random sequence of what can happen between three users, and of when. A seed gives one and the same schedule every time.
type schedule struct {
	*board
	rand    *rand.Rand
	seats   []*user // who has each name now
	sends   []sentText
	calm    bool // nobody leaves, and all that goes wrong is that queues are full
	liar    bool // the server drops Relays without a word
	history []string
}

type sentText struct {
	from     *user
	to, text string
	id       uint64
}

// Whatever happens in whatever order: a send has one outcome, what was delivered was shown once and in order, and what failed never was.
func TestSchedules(t *testing.T) {
	for seed := range uint64(90) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			newSchedule(t, seed, false, false).runs(250)
		})
	}
}

// Where nobody leaves, everything is delivered, however full the queues are and in whatever order things happen.
func TestCalmSchedules(t *testing.T) {
	for seed := range uint64(75) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			s := newSchedule(t, seed, true, false)
			s.runs(300)
			for _, sent := range s.sends {
				sent.from.hears(sent.id, delivered)
			}
		})
	}
}

// A server that drops Relays in silence makes outcomes unknown, and no more than that.
func TestSchedulesOfALiar(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			newSchedule(t, seed, false, true).runs(250)
		})
	}
}

func newSchedule(t *testing.T, seed uint64, calm, liar bool) *schedule {
	s := &schedule{board: newBoard(t), rand: rand.New(rand.NewPCG(seed, 1)), calm: calm, liar: liar}
	s.seats = s.logsIn("alice", "bob", "carol")
	trouble := s.rand.IntN(3) // how much of it this schedule has
	s.relays = func(*subscriber, proto.Relay) fate {
		switch n := s.rand.IntN(100); {
		case n < 6*trouble:
			return returnedFull
		case n == 99 && trouble == 2 && !calm:
			return returnedGone
		case n == 98 && trouble == 2 && !calm:
			return returnedOff
		case n > 94 && liar:
			return swallowed
		}
		return relayed
	}
	s.introduces = func(*subscriber, *ticket.Intro) byte {
		if s.rand.IntN(20) < trouble && !calm {
			return proto.TicketBusy
		}
		return proto.TicketIssued
	}
	for _, u := range s.seats {
		u.slow = s.rand.IntN(2) == 0
	}
	return s
}

func (s *schedule) runs(steps int) {
	for range steps {
		s.happens()
		for _, u := range s.users {
			s.bounded(u)
		}
	}
	s.relays, s.introduces = nil, nil
	for _, u := range s.users {
		u.slow = false
		if u.line.over {
			u.ends("gone")
		}
		u.reads()
	}
	s.passes(5 * time.Minute)
	for _, u := range s.seats {
		for id := range uint64(u.sent) {
			if u.digits[id+1].id == 0 && len(u.tells[id+1]) != 1 {
				s.fails("%s: command %d has %d outcomes before the end of the session", u.name, id+1, len(u.tells[id+1]))
			}
		}
		u.ends("logged out")
	}
	s.checks()
}

func (s *schedule) happens() {
	u := s.seats[s.rand.IntN(len(s.seats))]
	other := s.seats[s.rand.IntN(len(s.seats))]
	n := s.rand.IntN(1000)
	s.history = append(s.history, fmt.Sprintf("%d %s %s", n, u.name, other.name))
	switch {
	case n < 100 && u != other && !u.ended:
		p := u.peers[other.self]
		if p == nil || len(p.waiting) < maxWaiting {
			text := fmt.Sprintf("%s %d %d", u.name, len(s.users), u.sent+1)
			s.sends = append(s.sends, sentText{u, other.name, text, u.sends(other, text)})
		}
	case n < 105 && u != other && !u.ended:
		u.verifies(other)
	case n < 500:
		s.serves(u)
	case n < 850:
		u.receives()
	case n < 900:
		if !u.ended {
			u.reads()
		}
	case n < 910 && u != other && !u.ended && !s.calm:
		u.parts(other)
	case n < 915 && !s.calm:
		s.leavesAndReturns(u)
	case n < 990:
		s.now = s.now.Add(time.Duration(s.rand.IntN(300)) * time.Millisecond)
		s.ticks(u)
	case !s.calm:
		s.now = s.now.Add(time.Duration(s.rand.IntN(12_000)) * time.Millisecond)
		s.ticks(u)
	}
}

func (s *schedule) ticks(u *user) {
	if !u.ended {
		u.tick(s.now)
		u.works()
	}
}

// leavesAndReturns ends a session at the server; the client may learn it later. The name logs in again.
func (s *schedule) leavesAndReturns(u *user) {
	why := []proto.Reason{proto.GoneLogout, proto.GoneReplaced, proto.GoneLost}[s.rand.IntN(3)]
	if s.rand.IntN(2) == 0 {
		u.goes(why)
	} else {
		s.leaves(u.line, why)
	}
	for i := range s.seats {
		if s.seats[i] == u {
			s.seats[i] = s.logsIn(u.name)[0]
		}
	}
}

func (s *schedule) bounded(u *user) {
	if len(u.peers) > maxPeers || len(u.trusts) > maxPeers {
		s.fails("%d peers, %d trusts", len(u.peers), len(u.trusts))
	}
	for _, p := range u.peers {
		if len(p.waiting) > maxWaiting || len(p.verifying) > maxWaiting || len(p.limbo) > 4*windowTexts {
			s.fails("%s: %d wait, %d verify, %d in limbo", u.name, len(p.waiting), len(p.verifying), len(p.limbo))
		}
		if t := p.talk; t != nil {
			if texts, bytes := t.window(); texts > windowTexts || bytes > windowBytes || len(t.unsettled) > maxUnsettled+windowTexts {
				s.fails("%s: %d texts, %d bytes, %d messages", u.name, texts, bytes, len(t.unsettled))
			}
		}
	}
}

func (s *schedule) checks() {
	shown := make(map[string]int)
	for _, u := range s.users {
		last := make(map[string]int) // of each log-in of a sender
		for _, line := range u.shown {
			var from, from2 string
			var login, id int
			if _, err := fmt.Sscanf(line, "%s %s %d %d", &from, &from2, &login, &id); err != nil || from != from2+":" {
				s.fails("%s was shown %q", u.name, line)
			}
			key := fmt.Sprint(from, login)
			if id <= last[key] {
				s.fails("%s was shown %q after %d", u.name, line, last[key])
			}
			last[key] = id
			shown[u.name+" "+line[len(from)+1:]]++
		}
	}
	ends := make(map[ending]int)
	for _, sent := range s.sends {
		got := sent.from.tells[sent.id]
		if len(got) != 1 {
			s.fails("%q has outcomes %+v", sent.text, got)
		}
		ends[got[0].end]++
		n := shown[sent.to+" "+sent.text]
		switch {
		case n > 1:
			s.fails("%q was shown %d times", sent.text, n)
		case got[0].end == delivered && n != 1:
			s.fails("%q was delivered and not shown", sent.text)
		case got[0].end == failed && n != 0 && !s.liar:
			s.fails("%q failed (%s) and was shown", sent.text, got[0].why)
		}
	}
	for _, u := range s.users {
		if u.broken {
			s.fails("%s: a frame of an honest server was refused", u.name)
		}
	}
	s.t.Logf("%d sends: %d delivered, %d failed, %d unknown", len(s.sends), ends[delivered], ends[failed], ends[unknown])
}

func (s *schedule) fails(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf(format+" (step %d)", append(args, len(s.history))...)
}
