package srp

import "errors"

var (
	// ErrPublic is returned when the other side's public value, A or B, is
	// not below N, or is 0, 1 or N-1 (RFC 5054 §2.5.3 and §2.5.4 demand the
	// refusal of 0 alone): S would then be known to whoever sent it.
	ErrPublic = errors.New("srp: public value out of range")

	// ErrVerifier is returned when the server's own record of a user is not
	// below N, or is 0, 1 or N-1.
	ErrVerifier = errors.New("srp: verifier out of range")

	// ErrScrambler is returned when u is 0: the password would have no part
	// in S.
	ErrScrambler = errors.New("srp: scrambling parameter is zero")

	// ErrUsed is returned by a step that was already taken, whether it
	// succeeded or not, and by a zero ClientStart or ServerStart.
	ErrUsed = errors.New("srp: step used twice")
)

// errDraws is returned when no b gives a usable B. With crypto/rand it does
// not happen.
var errDraws = errors.New("srp: no usable exponent")
