package puzzle

import "encoding/binary"

// pollEvery is the number of hashes between two looks at stop: about a third of
// a millisecond.
const pollEvery = 4096

// Answer solves sub-puzzle i, from 0 to Count-1, so that the sub-puzzles can be
// shared out. It reports false if the puzzle is malformed, if there is no such
// sub-puzzle, or if stop, which may be nil, has returned true: it is called
// before the first hash and then every 4096 hashes.
func (p Puzzle) Answer(binding *[32]byte, i int, stop func() bool) (uint64, bool) {
	if !p.wellFormed() || i < 0 || i >= Count {
		return 0, false
	}
	if p.Bits == 0 {
		return 0, true
	}
	t := p.trial(binding)
	for answer := uint64(0); ; answer++ {
		if answer%pollEvery == 0 && stop != nil && stop() {
			return 0, false
		}
		if t.good(i, answer, p.Bits) {
			return answer, true
		}
	}
}

// Solve gives all the answers, one after the other in 8 big-endian bytes each.
// It reports false where Answer does.
func (p Puzzle) Solve(binding *[32]byte, stop func() bool) (*[SolutionSize]byte, bool) {
	var solution [SolutionSize]byte
	for i := range Count {
		answer, ok := p.Answer(binding, i, stop)
		if !ok {
			return nil, false
		}
		binary.BigEndian.PutUint64(solution[i*AnswerSize:], answer)
	}
	return &solution, true
}

// Verify reports whether every answer is right. Any right answer will do, not
// only those that Solve finds. Nothing solves a malformed puzzle.
func (p Puzzle) Verify(binding *[32]byte, solution *[SolutionSize]byte) bool {
	if !p.wellFormed() {
		return false
	}
	if p.Bits == 0 {
		return *solution == [SolutionSize]byte{}
	}
	t := p.trial(binding)
	for i := range Count {
		if !t.good(i, binary.BigEndian.Uint64(solution[i*AnswerSize:]), p.Bits) {
			return false
		}
	}
	return true
}
