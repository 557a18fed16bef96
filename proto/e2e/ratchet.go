package e2e

import "sim/proto/box"

// A chain gives the keys of one direction, each once, from one turn of its sender's to the next.
type chain struct {
	begun bool
	share [shareSize]byte // what its messages carry: the share of the turn, or zeros in a chain of the beginning
	key   [box.KeySize]byte
	ahead bool              // next is the key of the message after the last one, and key already that of the one after it
	next  [box.KeySize]byte // zeros unless ahead
}

// carries reports whether a message with this share is of the chain.
func (c *chain) carries(share *[shareSize]byte) bool { return c.begun && *share == c.share }

// prepare makes the key of the message after the last one ahead of time. Whoever takes it from memory until then could as well have made it from key.
func (c *chain) prepare() {
	if !c.ahead {
		c.next, c.key = box.ExpandTwo(&c.key, "sim/1 message", "sim/1 step", nil)
		c.ahead = true
	}
}

// step returns the key of the message after the last one, and goes on to the key after that. There is no way back.
func (c *chain) step() (message [box.KeySize]byte) {
	c.prepare()
	message = c.next
	clear(c.next[:])
	c.ahead = false
	return message
}

func (c *chain) clear() { *c = chain{} }

// A ratchet makes a chain for every turn of the talk (docs/PROTOCOL.md, section 8.1; the Diffie-Hellman ratchet of T. Perrin
// and M. Marlinspike, "The Double Ratchet Algorithm", section 2.3). The turns alternate, and the responder has the first:
//
//	d     = X25519(the sender's new private key, the receiver's last share)
//	chain = HKDF(d, salt = root, info = "sim/1 turn" ‖ h7)
//	root  = HKDF(d, salt = root, info = "sim/1 root" ‖ h7)
//
// Its methods change nothing; they return what comes after. The zero value, that of version 1, never turns.
type ratchet struct {
	next  side
	h7    [hashSize]byte
	root  [box.KeySize]byte
	own   scalar          // while the next turn is theirs: the private key of our last share, which that turn answers
	share [shareSize]byte // while it is ours: their last share, which our turn answers
}

// A side says whose turn is next.
type side byte

const (
	nobodys side = iota
	ours
	theirs
)

// newRatchet is the ratchet of the beginning, with the root of K_AB. The share of the beginning is e_A: the initiator
// gives its private key, and theirs is the next turn; the responder gives nil, and the share.
func newRatchet(kab *[box.KeySize]byte, h7 *[hashSize]byte, own *scalar, share []byte) ratchet {
	r := ratchet{next: ours, h7: *h7, root: box.Expand(kab, "sim/1 root", h7[:])}
	if own != nil {
		r.next, r.own = theirs, *own
	} else {
		copy(r.share[:], share)
	}
	return r
}

// turn is our turn, with a new private key, and returns our chain from here on.
func (r *ratchet) turn(own *scalar) (ratchet, chain) {
	key := own.key()
	d, err := agree(key, r.share[:])
	if err != nil {
		panic(err) // the share gave no zeros when we took it, and whether it does is up to the share alone
	}
	after, c := r.after(d, key.PublicKey().Bytes())
	after.next, after.own = theirs, *own
	return after, c
}

// follow is their turn, with a new share, and returns their chain from here on. It returns ErrViolation when the next turn
// is not theirs, and for a share with an all-zero result.
func (r *ratchet) follow(share *[shareSize]byte) (ratchet, chain, error) {
	if r.next != theirs {
		return ratchet{}, chain{}, ErrViolation
	}
	d, err := r.own.agree(share[:])
	if err != nil {
		return ratchet{}, chain{}, err
	}
	after, c := r.after(d, share[:])
	after.next, after.share = ours, *share
	return after, c, nil
}

// after is what both turns have in common. It clears d, and takes over neither private key nor share: both are answered.
func (r *ratchet) after(d, share []byte) (ratchet, chain) {
	defer clear(d)
	root, key := box.HKDFTwo(d, r.root[:], "sim/1 root", "sim/1 turn", &r.h7)
	return ratchet{h7: r.h7, root: root}, chain{begun: true, share: [shareSize]byte(share), key: key}
}

func (r *ratchet) clear() { *r = ratchet{} }
