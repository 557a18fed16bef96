// Package puzzle is a client puzzle: a proof of work asked of whoever opens a
// connection, before the server spends any. Like the puzzles of RFC 8019 it is
// several small searches for zero bits in place of one large, so that the time
// they take varies little.
//
//	P = SHA-256("sim/1 puzzle" | seed | binding)
//
// answer i, for i from 0 to 15, is any 8 bytes a for which
//
//	SHA-256(P | byte(i) | a)        41 bytes: one block
//
// begins with Bits-4 zero bits. That is 2^Bits hashes expected in all, and 17
// to check them. The seed is fresh for every puzzle and the binding is a digest
// of what the work is done for, so that work is neither stored up nor spent on
// something else. That a solution is taken once is the caller's to see to.
package puzzle

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

const (
	Count        = 16                 // sub-puzzles
	AnswerSize   = 8                  // bytes of one answer
	SolutionSize = Count * AnswerSize // 128
	WireSize     = 34                 // seed (32) | count (1) | bits (1)
	MaxBits      = 30

	minBits = 4 // one hash a sub-puzzle
)

const label = "sim/1 puzzle"

// ErrMalformed is returned for bytes that are no puzzle: of another length than
// WireSize, of another count than Count, or of bits that are neither 0 nor 4 to
// MaxBits.
var ErrMalformed = errors.New("puzzle: malformed")

// A Puzzle with Bits = 0 asks for no work: its one solution is all zeros.
// A malformed one (see ErrMalformed) has no solution.
type Puzzle struct {
	Seed        [32]byte
	Count, Bits uint8
}

// Append appends the puzzle's WireSize bytes to b: seed, count, bits.
func (p Puzzle) Append(b []byte) []byte {
	return append(append(b, p.Seed[:]...), p.Count, p.Bits)
}

// Parse reads exactly WireSize bytes. Its error is ErrMalformed. It refuses no
// puzzle for being hard: a client has its own bound on what it solves.
func Parse(b []byte) (Puzzle, error) {
	if len(b) != WireSize {
		return Puzzle{}, ErrMalformed
	}
	p := Puzzle{Seed: [32]byte(b), Count: b[32], Bits: b[33]}
	if !p.wellFormed() {
		return Puzzle{}, ErrMalformed
	}
	return p, nil
}

func (p Puzzle) wellFormed() bool {
	return p.Count == Count && (p.Bits == 0 || p.Bits >= minBits && p.Bits <= MaxBits)
}

// A trial is the one block that is hashed: P (32) | i (1) | answer (8).
type trial [41]byte

func (p Puzzle) trial(binding *[32]byte) trial {
	var in [len(label) + 64]byte
	copy(in[:], label)
	copy(in[len(label):], p.Seed[:])
	copy(in[len(label)+32:], binding[:])
	P := sha256.Sum256(in[:])

	var t trial
	copy(t[:], P[:])
	return t
}

// good reports whether answer solves sub-puzzle i. bits is at least minBits.
func (t *trial) good(i int, answer uint64, bits uint8) bool {
	t[32] = byte(i)
	binary.BigEndian.PutUint64(t[33:], answer)
	sum := sha256.Sum256(t[:])
	return binary.BigEndian.Uint32(sum[:])>>(32-(bits-minBits)) == 0
}
