package proto

import (
	"errors"
	"fmt"
)

// Errors that a caller branches on.
var (
	// ErrSilence is returned by a LoginServer for every fault before a right mac1: answer nothing, read and throw away until Deadline, close.
	ErrSilence = errors.New("no right Hello")
	// ErrRefused is returned when the password was not proved: a wrong one, or a name that has no account. Nobody can tell which.
	ErrRefused = errors.New("wrong name or password")
	// ErrNotSaved is returned when the server could not write a change to its disk; the old state stands.
	ErrNotSaved = errors.New("not saved")
	// ErrNoProof is returned by a LoginClient when the other end did not show that it holds the server's key.
	ErrNoProof = errors.New("no proof of the server's key")
)

// PeerError tells what the other end did wrong. It is for the log: what the other end gets is a closed connection.
type PeerError struct{ Reason string }

func (e *PeerError) Error() string { return "peer: " + e.Reason }

func peerErrorf(format string, args ...any) error {
	return &PeerError{Reason: fmt.Sprintf(format, args...)}
}

// BusyError is returned by a LoginClient when the server asks to come back later. It is a hint: nothing proves it.
type BusyError struct{ Seconds uint16 }

func (e *BusyError) Error() string { return fmt.Sprintf("the server is busy for %d s", e.Seconds) }

// VersionError is returned by a LoginClient when the server says that it speaks other versions. It is a hint: nothing proves it.
type VersionError struct{ Versions []byte }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the server speaks versions %v", e.Versions)
}
