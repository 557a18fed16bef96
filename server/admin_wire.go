package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sim/store"
)

// What is said on the admin socket: one exchange a connection, each message u16 length ‖ body.
//
//	request   u8 version ‖ u8 operation ‖ operands
//	answer    u8 status ‖ results, or a sentence of UTF-8 when the status is not 0
//
// A credential is verifier (256) ‖ u8 code ‖ u64 when the code expires: milliseconds since 1970, 0 for never.
const (
	adminVersion = 2

	adminHello   = 0  // nothing
	adminSalt    = 1  // name (32); results: salt (32) ‖ u32 passes ‖ u32 KiB ‖ u8 lanes ‖ u8 taken
	adminAdd     = 2  // name (32) ‖ credential (265)
	adminSet     = 3  // name (32) ‖ credential (265)
	adminEnable  = 4  // name (32)
	adminDisable = 5  // name (32)
	adminRemove  = 6  // name (32)
	adminList    = 7  // name (32) or zeros: after whom; results: JSON of []Person
	adminLog     = 8  // u64: after which entry; results: JSON of []store.Entry
	adminCheck   = 9  // nothing; results: JSON of store.Health
	adminWhere   = 10 // nothing; results: JSON of Where
	adminBackup  = 11 // nothing; backup.go tells what follows

	adminDone    = 0
	adminRefused = 1 // a request that makes no sense
	adminFailed  = 2 // an error that is none of adminKinds; they have the statuses from 3 on

	adminSaltAnswer = 1 + 32 + 4 + 4 + 1 + 1
	credentialSize  = 256 + 1 + 8
)

// adminKinds are the errors that a command tells apart.
var adminKinds = [...]error{store.ErrExists, store.ErrNoAccount, store.ErrNotSaved}

// errNotUnderstood is returned for a request that makes no sense.
var errNotUnderstood = errors.New("the running server does not understand this command: use the same sim for both")

func adminError(err error) []byte {
	status := byte(adminFailed)
	if errors.Is(err, errNotUnderstood) {
		status = adminRefused
	}
	for i, kind := range adminKinds {
		if errors.Is(err, kind) {
			status = byte(adminFailed + 1 + i)
		}
	}
	return adminSentence(status, err.Error())
}

func adminSentence(status byte, text string) []byte {
	return append([]byte{status}, strings.ToValidUTF8(text[:min(len(text), maxAdminText)], "")...)
}

// readAdmin reads one message of at most so many bytes.
func readAdmin(r io.Reader, most int) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n == 0 || n > most {
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
	kind error // of adminKinds, or nil
}

func (f *adminFailure) Error() string { return f.text }
func (f *adminFailure) Unwrap() error { return f.kind }

// adminResults returns the results in an answer, or its error.
func adminResults(answer []byte) ([]byte, error) {
	status, rest := int(answer[0]), answer[1:]
	if status == adminDone {
		return rest, nil
	}
	failure := &adminFailure{text: string(rest)}
	if i := status - adminFailed - 1; i >= 0 && i < len(adminKinds) {
		failure.kind = adminKinds[i]
	}
	return nil, failure
}

func appendCredential(b []byte, c Credential) []byte {
	b = append(b[:len(b):len(b)], c.Verifier[:]...)
	b = append(b, 0)
	if c.Code {
		b[len(b)-1] = 1
	}
	expires := uint64(0)
	if !c.Expires.IsZero() {
		expires = uint64(c.Expires.UnixMilli())
	}
	return binary.BigEndian.AppendUint64(b, expires)
}

// parseCredential reads what appendCredential has written; the verifier lives in b's memory.
func parseCredential(b []byte) (c Credential, ok bool) {
	code, expires := b[256], binary.BigEndian.Uint64(b[257:])
	c = Credential{Verifier: (*[256]byte)(b), Code: code == 1}
	if expires > 0 {
		c.Expires = time.UnixMilli(int64(expires)).UTC()
	}
	return c, code == 1 || code == 0 && expires == 0
}
