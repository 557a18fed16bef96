// Package vt is a small terminal for tests: what the client's line editor uses of ECMA-48 and xterm, and no more.
package vt

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// A Screen shows what is written to it. What was scrolled off it is kept.
type Screen struct {
	width, height int
	rows          [][]string // a character in each column; behind a wide one stands ""
	styles        [][]string // how each of them was drawn: the parameters of SGR
	style         string     // how the next ones are
	top           int        // the first row that is on the screen
	row, col      int        // col is width behind the last column
	rest          []byte     // the beginning of something that is not whole yet
	Bells         int
	Naive         bool     // it knows no characters of several, but for marks without a width
	Unknown       []string // sequences that it does not know
}

// New returns an empty screen.
func New(width, height int) *Screen {
	return &Screen{width: width, height: height, rows: [][]string{nil}}
}

// Text returns the rows, without spaces at their ends and without the empty ones at the end.
func (s *Screen) Text() []string {
	var out []string
	for _, row := range s.rows {
		out = append(out, strings.TrimRight(strings.Join(row, ""), " "))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// Prompt returns the row of the cursor, with what is to the right of it.
func (s *Screen) Prompt() string { return strings.Join(s.rows[s.row], "") }

// Above returns the row above the cursor's.
func (s *Screen) Above() string {
	if s.row == 0 {
		return ""
	}
	return strings.TrimRight(strings.Join(s.rows[s.row-1], ""), " ")
}

// Style returns how a character is drawn: the parameters of SGR, "" for none. Resize doesn't keep it.
func (s *Screen) Style(row, column int) string {
	if row >= len(s.styles) || column >= len(s.styles[row]) {
		return ""
	}
	return s.styles[row][column]
}

// Cursor returns where it is, counted from the first row that there ever was.
func (s *Screen) Cursor() (row, column int) { return s.row, s.col }

// Resize makes the screen another size. Rows that are too long are broken, as most terminals do.
func (s *Screen) Resize(width, height int) {
	var rows [][]string
	row, col := 0, 0
	for i, r := range s.rows {
		here, at := i == s.row, min(s.col, s.width-1)
		for len(r) > width {
			n := width
			if r[n] == "" { // a wide character goes to the next row whole
				n--
			}
			if here && at < n {
				row, col, here = len(rows), at, false
			}
			rows, r, at = append(rows, r[:n:n]), r[n:], at-n
		}
		if here {
			row, col = len(rows), min(at, width-1)
		}
		rows = append(rows, r)
	}
	s.rows, s.row, s.col, s.width, s.height = rows, row, col, width, height
	s.down(0)
	s.top = max(0, len(s.rows)-height)
}

func (s *Screen) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	for len(s.rest) > 0 {
		n := s.one(s.rest)
		if n == 0 {
			break
		}
		s.rest = s.rest[n:]
	}
	return len(p), nil
}

// one takes one character or sequence and returns its length, 0 if it is not whole.
func (s *Screen) one(b []byte) int {
	switch b[0] {
	case '\r':
		s.col = 0
		return 1
	case '\n':
		s.down(1)
		return 1
	case '\a':
		s.Bells++
		return 1
	case '\b':
		s.col = max(0, min(s.col, s.width-1)-1)
		return 1
	case 0x1b:
		return s.escape(b)
	}
	if b[0] < ' ' || b[0] == 0x7f {
		s.Unknown = append(s.Unknown, string(b[:1]))
		return 1
	}
	if !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if !s.joins(string(r)) {
		s.put(string(r), s.runeWidth(string(r)))
	}
	return n
}

// joins adds a character to the one before the cursor, if the two are one.
func (s *Screen) joins(r string) bool {
	row, at := s.rows[s.row], s.col-1
	if at < 0 || at >= len(row) {
		return false
	}
	if row[at] == "" && at > 0 {
		at--
	}
	both := row[at] + r
	if s.Naive && s.runeWidth(r) > 0 {
		return false
	}
	if row[at] == "" || uniseg.GraphemeClusterCount(both) != 1 {
		return false
	}
	width := uniseg.StringWidth(both)
	if s.Naive {
		width = uniseg.StringWidth(row[at])
	}
	s.col = at
	s.put(both, width)
	return true
}

// runeWidth is the width of one that stands alone. A naive screen knows no tones of skin, but an emoji that looks like one.
func (s *Screen) runeWidth(r string) int {
	if s.Naive && r >= "\U0001f3fb" && r <= "\U0001f3ff" {
		return 2
	}
	return uniseg.StringWidth(r)
}

func (s *Screen) put(char string, width int) {
	if s.col+width > s.width {
		s.col = 0
		s.down(1)
	}
	row := s.rows[s.row]
	for len(row) < s.col+width {
		row = append(row, " ")
	}
	for i := range width {
		row[s.col+i] = ""
	}
	if width > 0 {
		row[s.col] = char
		s.draw()
	}
	s.rows[s.row] = row
	s.col += width
}

// draw keeps the style of the character at the cursor.
func (s *Screen) draw() {
	for len(s.styles) <= s.row {
		s.styles = append(s.styles, nil)
	}
	for len(s.styles[s.row]) <= s.col {
		s.styles[s.row] = append(s.styles[s.row], "")
	}
	s.styles[s.row][s.col] = s.style
}

func (s *Screen) down(n int) {
	for s.row += n; s.row >= len(s.rows); {
		s.rows = append(s.rows, nil)
	}
	s.top = max(s.top, s.row-s.height+1)
}

func (s *Screen) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] != '[' {
		s.Unknown = append(s.Unknown, string(b[:2]))
		return 2
	}
	end := 2
	for end < len(b) && (b[end] < '@' || b[end] > '~') {
		end++
	}
	if end == len(b) {
		return 0
	}
	parameter := string(b[2:end])
	n, err := strconv.Atoi(parameter)
	if err != nil {
		n = 1
	}
	row := s.rows[s.row]
	switch b[end] {
	case 'A':
		s.row = max(s.top, s.row-n)
	case 'B':
		s.down(min(n, s.top+s.height-1-s.row))
	case 'C':
		s.col = min(s.width-1, s.col+n)
	case 'D':
		s.col = max(0, s.col-n)
	case 'G':
		s.col = min(s.width, n) - 1
	case 'H':
		s.row, s.col = s.top, 0
	case 'K':
		s.rows[s.row] = row[:min(s.col, len(row))]
	case 'J':
		switch parameter {
		case "2":
			s.rows = s.rows[:s.top]
		case "3":
			s.styles = s.styles[min(s.top, len(s.styles)):]
			s.rows, s.row, s.top = s.rows[s.top:], s.row-s.top, 0
		default:
			s.rows[s.row] = row[:min(s.col, len(row))]
			s.rows = s.rows[:s.row+1]
		}
		for s.row >= len(s.rows) {
			s.rows = append(s.rows, nil)
		}
	case 'm':
		s.style = strings.TrimPrefix(parameter, "0")
	case 'h', 'l': // modes
	default:
		s.Unknown = append(s.Unknown, string(b[:end+1]))
	}
	return end + 1
}
