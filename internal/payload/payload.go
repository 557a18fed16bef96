// Package payload puts a short text into a copy of a program, and finds it again. Nothing is compiled for that: the text stands behind the
// program's end, where no loader looks.
//
//	program ‖ text ‖ length of the text (4 bytes, big-endian) ‖ SHA-256(domain ‖ length ‖ text) ‖ magic
//
// strip(1), and tools that repack programs, drop such an end without a word. So the program has a mark in its data too, which Put sets:
// a copy that is marked and has no text has lost it, and can say so. A Mach-O file stays unmarked: its code signature covers its data,
// and Apple's processors run nothing whose signature is broken.
package payload

import (
	"bytes"
	"crypto/sha256"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxText is the length of the longest text.
const MaxText = 1024

const (
	domain    = "sim payload 1"
	magic     = "\xf5sim/payload\r\n\x1a\n" // no text ends like this, and a transfer as text breaks it
	lengthLen = 4
	tailLen   = lengthLen + sha256.Size + len(magic)
)

// The states of the mark: its last byte.
const (
	plain   = '-'
	carries = '+'
)

// mark is found in the program's file by all of its bytes but the last. It is a variable, and an array, so that these bytes are in the
// file once, where the running program reads them.
var mark = [...]byte{
	0xf5, 's', 'i', 'm', ' ', 'm', 'a', 'r', 'k', ' ', '1', ':', 0x9c, 0x4e, 0xd1, 0x07,
	0xb8, 0x63, 0xea, 0x2f, 0x95, 0x70, 0xcb, 0x18, 0xa6, 0x5d, 0xf2, 0x3b, 0x84, 0xe9, ' ', plain,
}

var (
	// ErrDamaged is returned when there is a text whose length or sum is wrong.
	ErrDamaged = errors.New("the text at the program's end is damaged")
	// ErrForeign is returned when a file is not a program that Put can give a text to.
	ErrForeign = errors.New("not a copy of this program for Linux, another ELF system, macOS or Windows")
)

// Marked tells whether the running program was given a text.
func Marked() bool { return mark[len(mark)-1] == carries }

// Get returns the text of a program, "" if it has none.
func Get(program io.ReaderAt, size int64) (string, error) {
	if size < int64(tailLen) {
		return "", nil
	}
	tail := make([]byte, tailLen)
	if _, err := program.ReadAt(tail, size-int64(tailLen)); err != nil {
		return "", fmt.Errorf("read the program's end: %w", err)
	}
	if !bytes.HasSuffix(tail, []byte(magic)) {
		return "", nil
	}
	n := int64(binary.BigEndian.Uint32(tail))
	if n == 0 || n > MaxText || n > size-int64(tailLen) {
		return "", ErrDamaged
	}
	text := make([]byte, n)
	if _, err := program.ReadAt(text, size-int64(tailLen)-n); err != nil {
		return "", fmt.Errorf("read the program's end: %w", err)
	}
	if !bytes.Equal(tail, tailOf(string(text))) {
		return "", ErrDamaged
	}
	return string(text), nil
}

// Put returns a copy of a program with a text, in place of the one that it may have. The same input gives the same bytes.
func Put(program []byte, text string) ([]byte, error) {
	if len(text) == 0 || len(text) > MaxText {
		return nil, fmt.Errorf("a text has 1 to %d bytes, not %d", MaxText, len(text))
	}
	old, err := Get(bytes.NewReader(program), int64(len(program)))
	if err != nil {
		return nil, err
	}
	if old != "" {
		program = program[:len(program)-tailLen-len(old)]
	}
	signed, ok := format(program)
	at := bytes.Index(program, mark[:len(mark)-1])
	if !ok || at < 0 || at+len(mark) > len(program) {
		return nil, ErrForeign
	}
	out := slices.Concat(program, []byte(text), tailOf(text))
	if !signed {
		out[at+len(mark)-1] = carries
	}
	return out, nil
}

// format says whether this is a program of a kind that runs with something behind its end, and whether its data is signed.
func format(program []byte) (signed, ok bool) {
	switch {
	case bytes.HasPrefix(program, []byte("\x7fELF")):
		return false, true
	case bytes.HasPrefix(program, []byte("\xcf\xfa\xed\xfe")): // Mach-O, 64 bits
		return true, true
	case bytes.HasPrefix(program, []byte("MZ")):
		_, err := pe.NewFile(bytes.NewReader(program))
		return false, err == nil
	}
	return false, false
}

func tailOf(text string) []byte {
	tail := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	sum := sha256.Sum256(slices.Concat([]byte(domain), tail, []byte(text)))
	return slices.Concat(tail, sum[:], []byte(magic))
}
