package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"sim/proto/box"
)

// A thief copies the whole state of one end at some moment, and has every message of both, of before and after. He only
// listens. The page promises (docs/PROTOCOL.md, section 8.1): what the victim had sealed or opened before the theft stays
// closed, and so does everything from the victim's next turn on, in both directions. What is in between he reads: the rest
// of the two chains that the victim had, and the peer's next turn if that comes before the victim's.
type thief struct {
	keys  map[[shareSize]byte][][box.KeySize]byte // of messages, by the share that they carry
	roots []ratchet                               // the stolen one, and those that turns led to
}

// steal copies all that the victim has. A Conversation has no pointers, so a plain copy is a deep one.
func steal(victim Conversation) *thief {
	s := &thief{keys: make(map[[shareSize]byte][][box.KeySize]byte)}
	s.learn(victim.sending)
	s.learn(victim.opening)
	s.roots = append(s.roots, victim.ratchet)
	return s
}

// learn keeps what follows from a chain.
func (s *thief) learn(c chain) {
	for range 40 {
		s.keys[c.share] = append(s.keys[c.share], c.step())
	}
}

// sees takes the shares that went over the wire to the stolen private key, and makes turns of what comes out: with the
// stolen root, and with the roots of those turns.
func (s *thief) sees(shares map[[shareSize]byte]int) {
	stolen := s.roots[0]
	if stolen.next == nobodys {
		return
	}
	secrets := make(map[[shareSize]byte][]byte)
	for share := range shares {
		if d, err := stolen.own.agree(share[:]); err == nil {
			secrets[share] = d
		}
	}
	if d, err := stolen.own.agree(stolen.share[:]); err == nil {
		secrets[stolen.share] = d
	}
	for _, depth := range []int{1, 2} {
		for _, r := range s.roots {
			for of, d := range secrets {
				after, c := r.after(bytes.Clone(d), of[:])
				if depth == 1 {
					s.roots = append(s.roots, after)
				}
				for share := range shares { // whoever of the two has sent it
					c.share = share
					if c.share == of || depth == 1 {
						s.learn(c)
					}
				}
			}
		}
	}
}

// opens reports whether one of the thief's keys opens a message.
func (s *thief) opens(from box.Direction, number uint64, msg []byte, c *Conversation) bool {
	share := shareOf(msg)
	for _, key := range s.keys[share] {
		if _, err := box.NewAEAD(key[:]).Open(nil, nonce[:], msg[clearSize:], c.data(from, number, &share)); err == nil {
			return true
		}
	}
	return false
}

// An overheard message, in the order of sealing.
type overheard struct {
	from   box.Direction
	number uint64
	msg    []byte
	before bool // the victim had sealed or opened it before the theft
	healed bool // it is of the victim's first turn after the theft, or of a later turn
}

func TestThiefOfAKey(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		var past, between, healed int
		for seed := range uint64(12) {
			heard, shares, s, c := heist(t, seed)
			s.sees(shares)
			for _, m := range heard {
				opens := s.opens(m.from, m.number, m.msg, c)
				what := fmt.Sprintf("seed %d: message %d of direction %d", seed, m.number, m.from)
				switch {
				case m.before:
					past++
					if opens {
						t.Errorf("%s, of before the theft, opens", what)
					}
				case m.healed:
					healed++
					if opens {
						t.Errorf("%s, of after the victim's turn, opens", what)
					}
				default: // the thief is a good one: what he can open he opens
					between++
					if !opens {
						t.Errorf("%s, of between, does not open", what)
					}
				}
			}
		}
		if past < 50 || between < 12 || (healed == 0) != (spoken[len(spoken)-1] == plain) {
			t.Errorf("%d, %d and %d messages of before, between and after the turn", past, between, healed)
		}
	})
}

// heist is a conversation with random turns and crossing messages, in which the thief comes halfway.
func heist(t *testing.T, seed uint64) ([]*overheard, map[[shareSize]byte]int, *thief, *Conversation) {
	draw := rand.New(rand.NewPCG(seed, 1))
	ca, cb := talk(t)
	ends := [2]*Conversation{ca, cb}
	victim := box.Direction(draw.IntN(2))
	theft := 25 + draw.IntN(20)
	var s *thief
	var heard []*overheard
	var way [2][]*overheard     // by sender
	turns := map[[32]byte]int{} // share → which turn it is, by both
	victimsTurn := int(1e9)     // the victim's first turn after the theft
	var turnAtTheft [2][32]byte // the share of each side then
	for i := range 80 {
		if i == theft {
			s = steal(*ends[victim])
			turnAtTheft = [2][32]byte{ca.sending.share, cb.sending.share}
		}
		who := box.Direction(draw.IntN(2))
		if draw.IntN(5) < 2 {
			number, msg, err := ends[who].Seal(KindText, []byte("a text"))
			if err != nil {
				t.Fatal(err)
			}
			share := shareOf(msg)
			if _, ok := turns[share]; !ok && share != [32]byte{} {
				turns[share] = len(turns) + 1
			}
			if s != nil && who == victim && share != turnAtTheft[victim] {
				victimsTurn = min(victimsTurn, turns[share])
			}
			m := &overheard{from: who, number: number, msg: msg, before: s == nil && who == victim, healed: turns[share] >= victimsTurn}
			heard = append(heard, m)
			way[who] = append(way[who], m)
		} else if from := 1 - who; len(way[from]) > 0 {
			m := way[from][0]
			way[from] = way[from][1:]
			if _, err := ends[who].Open(m.msg); err != nil {
				t.Fatal(err)
			}
			m.before = m.before || s == nil && who == victim
		}
		if draw.IntN(2) == 0 {
			ends[who].Prepare()
		}
	}
	return heard, turns, s, ca
}
