package main

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// screen is a small terminal: what the client's line editor uses of ECMA-48 and xterm, and no more.
type screen struct {
	width    int
	rows     [][]rune
	row, col int
	rest     []byte // the beginning of something that is not whole yet
}

func newScreen(width int) *screen { return &screen{width: width, rows: [][]rune{nil}} }

// text returns the rows, without the empty ones at the end.
func (s *screen) text() []string {
	var out []string
	for _, row := range s.rows {
		out = append(out, strings.TrimRight(string(row), " "))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// prompt returns the row of the cursor, with what is to the right of it.
func (s *screen) prompt() string { return string(s.rows[s.row]) }

// above returns the row above the cursor's.
func (s *screen) above() string {
	if s.row == 0 {
		return ""
	}
	return strings.TrimRight(string(s.rows[s.row-1]), " ")
}

func (s *screen) Write(p []byte) (int, error) {
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
func (s *screen) one(b []byte) int {
	switch b[0] {
	case '\r':
		s.col = 0
		return 1
	case '\n':
		s.down(1)
		return 1
	case '\a', 0:
		return 1
	case '\b':
		s.col = max(0, s.col-1)
		return 1
	case 0x1b:
		return s.escape(b)
	}
	if !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if s.col == s.width {
		s.col = 0
		s.down(1)
	}
	row := s.rows[s.row]
	for len(row) <= s.col {
		row = append(row, ' ')
	}
	row[s.col] = r
	s.rows[s.row] = row
	s.col++
	return n
}

func (s *screen) down(n int) {
	for s.row += n; s.row >= len(s.rows); {
		s.rows = append(s.rows, nil)
	}
}

func (s *screen) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] != '[' {
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
	switch b[end] {
	case 'A':
		s.row = max(0, s.row-n)
	case 'B':
		s.down(n)
	case 'C':
		s.col = min(s.width-1, s.col+n)
	case 'D':
		s.col = max(0, s.col-n)
	case 'H':
		s.row, s.col = 0, 0
	case 'K':
		s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
	case 'J':
		if parameter == "2" || parameter == "3" {
			s.rows = [][]rune{nil}
			for s.row >= len(s.rows) {
				s.rows = append(s.rows, nil)
			}
		} else {
			s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
			s.rows = s.rows[:s.row+1]
		}
	}
	return end + 1
}
