package password

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// Sizes in bytes.
const (
	MinBytes = 10  // the shortest prepared password
	MaxBytes = 256 // the longest prepared password

	// maxLine bounds a line before it is prepared. Composition shrinks text
	// at most threefold in UTF-8 (Unicode, UAX #15, table of expansion
	// factors), so no line above it can come down to MaxBytes.
	maxLine = 4 * MaxBytes
)

var errTooLong = fmt.Errorf("this password is too long: use at most %d bytes", MaxBytes)

// errNothing is io.EOF in the words of a person.
var errNothing = nothing{}

type nothing struct{}

func (nothing) Error() string { return "no password was given: the input is empty" }
func (nothing) Unwrap() error { return io.EOF }

// FirstLine returns a copy of raw up to its first LF, without that LF or the CR
// LF it is part of. Nothing else is removed: spaces stay, and so does a CR that
// no LF follows.
func FirstLine(raw []byte) []byte {
	line, _, found := bytes.Cut(raw, []byte{'\n'})
	if found {
		line = bytes.TrimSuffix(line, []byte{'\r'})
	}
	return append(make([]byte, 0, len(line)), line...)
}

// Read takes the first line of r, without its LF or CR LF, as FirstLine does.
// It reads byte by byte and never past that LF, so what follows stays in a
// stream that is shared with other readers. A line above maxLine bytes is an
// error, and the rest of it is left unread. The error is io.EOF, wrapped, where
// r ends before it gave a byte.
func Read(r io.Reader) ([]byte, error) {
	next, ok := r.(io.ByteReader)
	if !ok {
		next = &byteReader{r: r}
	}
	line := make([]byte, 0, maxLine+2) // never grows: no stray copies of a password
	for {
		b, err := next.ReadByte()
		if err == nil {
			line = append(line, b)
			if b == '\n' {
				break
			}
			// One more than maxLine may still be the CR of a CR LF.
			if len(line) > maxLine+1 || len(line) == maxLine+1 && b != '\r' {
				clear(line)
				return nil, errTooLong
			}
			continue
		}
		if err == io.EOF && len(line) > 0 && len(line) <= maxLine {
			break
		}
		clear(line)
		if err == io.EOF && len(line) == 0 {
			return nil, errNothing
		}
		if err == io.EOF {
			return nil, errTooLong
		}
		return nil, fmt.Errorf("read the password: %w", err)
	}
	first := FirstLine(line)
	clear(line)
	return first, nil
}

// byteReader reads one byte at a time from a reader that has no ReadByte.
type byteReader struct {
	r   io.Reader
	buf [1]byte
}

func (b *byteReader) ReadByte() (byte, error) {
	_, err := io.ReadFull(b.r, b.buf[:])
	c := b.buf[0]
	b.buf[0] = 0
	return c, err
}

// Prepare returns the line in the form that is hashed: valid UTF-8, prepared by
// the OpaqueString profile (RFC 8265 §4.2), MinBytes to MaxBytes bytes; a
// one-time code (ParseCode) in its written form. Preparing twice is the same as
// preparing once. The errors are sentences for a person.
func Prepare(line []byte) ([]byte, error) {
	if len(line) > maxLine {
		return nil, errTooLong
	}
	if err := binary(line); err != nil {
		return nil, err
	}
	// The profile would turn every invalid byte into U+FFFD, and so two
	// different passwords into one.
	if !utf8.Valid(line) {
		return nil, errors.New("this password is not valid UTF-8 text: a password must be text, and a file that holds one must be saved as UTF-8")
	}
	if len(line) == 0 {
		return nil, tooShort(0)
	}
	if code, ok := ParseCode(line); ok {
		return code, nil
	}
	prepared, err := precis.OpaqueString.Bytes(line)
	if err != nil {
		return nil, errors.New("this password holds a character that can't be used in one (a tab or another control character, or an emoji that is put together from several): leave it out")
	}
	switch {
	case len(prepared) < MinBytes:
		n := len(prepared)
		clear(prepared)
		return nil, tooShort(n)
	case len(prepared) > MaxBytes:
		clear(prepared)
		return nil, errTooLong
	}
	return prepared, nil
}

// binary says what else than text a file holds.
func binary(line []byte) error {
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(line, []byte(mark)) {
			return errors.New("the file with this password is in UTF-16: save it as UTF-8")
		}
	}
	if bytes.HasPrefix(line, []byte("\ufeff")) {
		return errors.New("the file with this password begins with a byte order mark: save it as UTF-8 without one")
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return errors.New("this password holds a zero byte: the file that it is from is damaged, or is no text")
	}
	return nil
}

func tooShort(n int) error {
	if n == 0 {
		return fmt.Errorf("the password is empty: it needs at least %d bytes, and of a file its first line counts", MinBytes)
	}
	return fmt.Errorf("this password is too short: it has %d of at least %d bytes", n, MinBytes)
}
