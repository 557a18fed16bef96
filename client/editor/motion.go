package editor

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// stops are the places in a line where a character begins, and its end.
type stops []int

// edges returns where the cursor can be moved to.
func (e *Editor) edges() stops {
	s := make(stops, 1, len(e.line)+1)
	for rest, state := e.line, -1; len(rest) > 0; {
		_, rest, _, state = uniseg.FirstGraphemeCluster(rest, state)
		s = append(s, len(e.line)-len(rest))
	}
	return s
}

// before returns the last stop before a place. What was inserted inside of a character may leave the cursor there.
func (s stops) before(at int) int {
	i, _ := slices.BinarySearch(s, at)
	return s[max(0, i-1)]
}

// after returns the first stop behind a place.
func (s stops) after(at int) int {
	i, found := slices.BinarySearch(s, at)
	if found {
		i++
	}
	return s[min(i, len(s)-1)]
}

// wordAfter returns the end of the word at the cursor, or of the next one.
func (e *Editor) wordAfter() int {
	s, at := e.edges(), e.cursor
	for at < len(e.line) && !inWord(e.line[at:]) {
		at = s.after(at)
	}
	for at < len(e.line) && inWord(e.line[at:]) {
		at = s.after(at)
	}
	return at
}

// wordBefore returns the start of the word before the cursor.
func (e *Editor) wordBefore() int {
	s, at := e.edges(), e.cursor
	for at > 0 && !inWord(e.line[s.before(at):]) {
		at = s.before(at)
	}
	for at > 0 && inWord(e.line[s.before(at):]) {
		at = s.before(at)
	}
	return at
}

// blankBefore returns the start of what stands between the cursor and the space before it.
func (e *Editor) blankBefore() int {
	head := bytes.TrimRight(e.Before(), " \t\n")
	return bytes.LastIndexAny(head, " \t\n") + 1
}

// inWord says that a character belongs to a word.
func inWord(b []byte) bool {
	r, _ := utf8.DecodeRune(b)
	return unicode.IsLetter(r) || unicode.IsNumber(r)
}

// width returns the columns of a text.
func width(s string) int { return uniseg.StringWidth(s) }
