package e2e

import (
	"crypto/rand"

	"sim/proto/box"
	"sim/proto/ticket"
)

// A past is what one end holds of an earlier conversation with the same peer: its continuity secret CS, or nothing
// (docs/PROTOCOL.md, section 7.1).
//
//	CS   = Expand(K_AB, "sim/1 continuity" ‖ h7)
//	mark = Expand(CS, "sim/1 continuity mark" ‖ cid of the new conversation)[:16]
type past struct {
	held bool
	cs   [box.KeySize]byte
}

func (p *past) hold(cs *[box.KeySize]byte) {
	p.clear()
	if cs != nil {
		*p = past{held: true, cs: *cs}
	}
}

// mark is what the initiator sends. A random one, of an initiator that holds nothing, looks like any other.
func (p *past) mark(cid *ticket.CID) []byte {
	if !p.held {
		mark := make([]byte, markSize)
		rand.Read(mark)
		return mark
	}
	mark := box.Expand(&p.cs, "sim/1 continuity mark", cid[:])
	return mark[:markSize]
}

// made reports whether a mark was made with the secret that is held.
func (p *past) made(mark []byte, cid *ticket.CID) bool { return p.held && equal(mark, p.mark(cid)) }

// secret is what enters K_AB: CS if the conversation continues, otherwise nothing.
func (p *past) secret(continued bool) []byte {
	if continued {
		return p.cs[:]
	}
	return nil
}

func (p *past) clear() { *p = past{} }
