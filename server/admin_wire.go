package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"sim/store"
)

// What is said on the admin socket: one exchange a connection, each message u16 length ‖ body.
//
//	request   u8 version ‖ u8 operation ‖ operands
//	          0 hello   nothing
//	          1 salt    name (32)
//	          2 add     name (32) ‖ verifier (256)
//	answer    u8 status ‖ results, or a sentence of UTF-8 when the status is not 0
//	          salt      salt (32) ‖ u32 passes ‖ u32 KiB ‖ u8 lanes ‖ u8 taken
const (
	adminVersion = 1

	adminHello = 0
	adminSalt  = 1
	adminAdd   = 2

	adminDone     = 0
	adminExists   = 1 // store.ErrExists
	adminNotSaved = 2 // store.ErrNotSaved
	adminRefused  = 3 // a request that makes no sense
	adminFailed   = 4 // any other error

	adminSaltAnswer = 1 + 32 + 4 + 4 + 1 + 1
)

// errNotUnderstood is returned for a request that makes no sense.
var errNotUnderstood = errors.New("the running server does not understand this command: use the same sim for both")

func adminError(err error) []byte {
	status := byte(adminFailed)
	switch {
	case errors.Is(err, errNotUnderstood):
		status = adminRefused
	case errors.Is(err, store.ErrExists):
		status = adminExists
	case errors.Is(err, store.ErrNotSaved):
		status = adminNotSaved
	}
	return adminSentence(status, err.Error())
}

func adminSentence(status byte, text string) []byte {
	return append([]byte{status}, strings.ToValidUTF8(text[:min(len(text), maxAdminText)], "")...)
}

// readAdmin reads one message.
func readAdmin(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n == 0 || n > maxAdminMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}

// writeAdmin writes one message, and clears it: it may be a verifier.
func writeAdmin(w io.Writer, body []byte) error {
	message := append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
	defer clear(message)
	_, err := w.Write(message)
	return err
}

// An adminFailure is what a running server answered.
type adminFailure struct {
	text string
	kind error // store.ErrExists, store.ErrNotSaved or nil
}

func (f *adminFailure) Error() string { return f.text }
func (f *adminFailure) Unwrap() error { return f.kind }

// adminResults returns the results in an answer, or its error.
func adminResults(answer []byte) ([]byte, error) {
	text := string(answer[1:])
	switch answer[0] {
	case adminDone:
		return answer[1:], nil
	case adminExists:
		return nil, &adminFailure{text, store.ErrExists}
	case adminNotSaved:
		return nil, &adminFailure{text, store.ErrNotSaved}
	}
	return nil, &adminFailure{text, nil}
}
