package client

import (
	"slices"
	"testing"
	"time"

	"sim/proto"
	"sim/proto/e2e"
)

// shapes are the lengths that a body from the server can have: the least, and the unit of what may follow; 0 for none. More than the largest
// never reaches a session, since the receiver of records checks that.
var shapes = map[proto.Type][3]int{
	proto.TypePong: {8, 0, 8}, proto.TypeUsers: {1, 32, 1 + 500*32}, proto.TypePresence: {33, 33, 256 * 33}, proto.TypeRelayed: {41, 1, 40 + 10240},
	proto.TypeUndeliverable: {5, 0, 5}, proto.TypeGone: {41, 0, 41}, proto.TypeTicket: {17, 352, 369}, proto.TypePasswordSalt: {297, 0, 297},
	proto.TypeDone: {33, 0, 33}, proto.TypeLoggedOut: {0, 0, 0}, proto.TypeNotice: {1, 0, 1}, proto.TypeRekey: {0, 0, 0}, proto.TypeClose: {1, 0, 1},
}

// shaped cuts or fills a body to a length that its type can have.
func shaped(typ proto.Type, body []byte) []byte {
	s, ok := shapes[typ]
	if !ok {
		return nil
	}
	n := min(max(len(body), s[0]), s[2])
	if s[1] > 0 {
		n -= (n - s[0]) % s[1]
	} else {
		n = s[0]
	}
	return append(slices.Clone(body), make([]byte, s[2])...)[:n]
}

// What a fuzzer does to alice, who talks with bob: each operation is a byte, and what it needs comes after it.
const (
	opDeliver = iota // everything is delivered as it is
	opFrame          // type, length, body: any frame from the server
	opMessage        // length, body: any peer message from bob
	opBend           // which byte, with what: of the next frame from the server
	opSwap           // the next two frames from the server
	opRepeat         // the next frame from the server
	opDrop           // the next frame from the server
	opStep           // one frame each
	opSend           // a text
	opAnswer         // a text of bob's
	opPart           // disconnect
	opTick           // so many seconds
	ops
)

func FuzzSession(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{opSend, opStep, opStep, opBend, 70, 1, opDeliver, opTick, 15, opDeliver})
	f.Add([]byte{opSend, opDeliver, opAnswer, opStep, opSwap, opDeliver, opRepeat, opDeliver, opPart, opDeliver})
	f.Add([]byte{opFrame, byte(proto.TypeUsers), 33, 0, 'a', opFrame, byte(proto.TypeGone), 0, opFrame, byte(proto.TypePong), 8, 0, 0, 0, 0, 0, 0, 0, 2})
	f.Add([]byte{opMessage, 18, e2e.TypeWant, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1, 1, opMessage, 18, e2e.TypeDecline, opTick, 40})
	f.Add([]byte{opSend, opDeliver, opMessage, 82, e2e.TypeMessage, opMessage, 162, e2e.TypeNonce, opFrame, byte(proto.TypeUndeliverable), 5, 0, 0, 0, 3, 3, opDeliver})
	f.Add([]byte{opFrame, byte(proto.TypeClose), 1, 1, opSend, opDrop, opTick, 200, opFrame, byte(proto.TypeTicket), 17, opDeliver})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := newBoard(t)
		all := b.logsIn("alice", "bob")
		alice, bob := all[0], all[1]
		next := func() (x byte) {
			if len(data) > 0 {
				x, data = data[0], data[1:]
			}
			return x
		}
		some := func(n byte) []byte {
			k := min(int(n), len(data))
			body := data[:k]
			data = data[k:]
			return body
		}
		sent := 0
		for ops0 := 0; len(data) > 0 && ops0 < 200 && !alice.ended; ops0++ {
			switch next() % ops {
			case opDeliver:
				b.delivers()
			case opFrame:
				typ := proto.Type(next())
				if body := shaped(typ, some(next())); body != nil {
					alice.down = slices.Insert(alice.down, 0, append([]byte{byte(typ), byte(len(body) >> 8), byte(len(body))}, body...))
					alice.receives()
				}
			case opMessage:
				if msg := some(next()); len(msg) > 0 {
					b.relay(bob.line, proto.Relay{To: alice.self, Tag: alice.line.tag, Message: msg})
				}
			case opBend:
				where, with := int(next()), next()
				if len(alice.down) > 0 {
					frame := slices.Clone(alice.down[0])
					if body := frame[proto.FrameHeaderSize:]; len(body) > 0 {
						body[where*7%len(body)] ^= with
					}
					alice.down[0] = frame
					alice.receives()
				}
			case opSwap:
				if len(alice.down) > 1 {
					alice.down[0], alice.down[1] = alice.down[1], alice.down[0]
				}
			case opRepeat:
				if len(alice.down) > 0 {
					alice.down = slices.Insert(alice.down, 0, slices.Clone(alice.down[0]))
				}
			case opDrop:
				alice.down = alice.down[min(1, len(alice.down)):]
			case opStep:
				b.serves(alice)
				bob.receives()
				b.serves(bob)
				alice.receives()
			case opSend:
				if p := alice.peers[bob.self]; p == nil || len(p.waiting) < maxWaiting {
					alice.sends(bob, "from alice")
					sent++
				}
			case opAnswer:
				if p := bob.peers[alice.self]; !bob.ended && (p == nil || len(p.waiting) < maxWaiting) {
					bob.sends(alice, "from bob")
				}
			case opPart:
				alice.parts(bob)
			case opTick:
				b.now = b.now.Add(time.Duration(next()) * time.Second)
				b.tick()
			}
		}
		if len(alice.peers) > maxPeers || len(alice.lists) > maxLists {
			t.Fatal("more than there is room for")
		}
		if !alice.ended {
			b.passes(5 * time.Minute)
			for id := range uint64(sent) {
				if n := len(alice.tells[id+1]); n != 1 && !alice.ended {
					t.Fatalf("send %d has %d outcomes after five minutes", id+1, n)
				}
			}
		}
		alice.ends("the end")
		for id := range uint64(sent) {
			if n := len(alice.tells[id+1]); n != 1 {
				t.Fatalf("send %d has %d outcomes", id+1, n)
			}
		}
		if alice.keys.Nonce != [32]byte{} || len(alice.peers) != 0 {
			t.Fatal("something is left of the session")
		}
	})
}
