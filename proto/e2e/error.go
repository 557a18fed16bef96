package e2e

import "errors"

// What an opening returns.
var (
	// ErrTurn is returned when a step is not the one that is due, or the kind of a message not one to be sealed by a caller.
	ErrTurn = errors.New("step out of turn")

	// ErrSelf is returned when both ends would be the same user.
	ErrSelf = errors.New("conversation with oneself")

	// ErrNoVersion is returned when the two ends speak no common version, or a Nonce chooses one that was not offered.
	ErrNoVersion = errors.New("no common version")
)

// What an opening and a conversation return for a message that they refuse.
var (
	// ErrMalformed is returned when a message has not the type, the length or the encoding that is due.
	ErrMalformed = errors.New("malformed message")

	// ErrOther is returned when a message belongs to another conversation: its cid or its sender is not this one's.
	ErrOther = errors.New("message of another conversation")

	// ErrOpen is returned when what is encrypted does not open.
	ErrOpen = errors.New("message does not open")

	// ErrViolation is returned when a message opens, or its share is read, and it says what no honest peer would: nonces
	// or names of another run, a commitment that does not hold, a key that is none, a secret that this end does not hold, a
	// turn out of turn, a number acknowledged that was never sent, a kind out of place, wrong padding, no UTF-8.
	ErrViolation = errors.New("message breaks the protocol")
)

// What a conversation returns besides.
var (
	// ErrLater is returned when a message's number is not the next but a later one; it is to be dropped.
	ErrLater = errors.New("message from the future")

	// ErrEarlier is returned when a message's number was accepted already; the caller acknowledges again.
	ErrEarlier = errors.New("message seen already")

	// ErrText is returned when a text is empty, longer than MaxText or not UTF-8, or given to a kind that has none.
	ErrText = errors.New("no text of 1 to 8192 bytes of UTF-8")

	// ErrClosed is returned when the conversation was cleared.
	ErrClosed = errors.New("conversation is closed")
)
