package editor

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// A screen is what the terminal shows from the prompt on, and what it is to be told.
type screen struct {
	width, height int
	out           []byte

	paused bool    // somebody else writes to the terminal
	shown  bool    // it shows something
	drawn  picture // what
	row    int     // where the cursor is in it
	column int     // width is behind the last column, where the next character begins a row
	spare  picture // memory for the next one
}

// newScreen makes room for lines, so that what is shown of them leaves no copies where memory grows.
func newScreen(limit int) screen {
	room := 2*limit + 1024
	return screen{
		width: 80, height: 24, out: make([]byte, 0, 2*room),
		drawn: picture{faces: make([]byte, 0, room)}, spare: picture{faces: make([]byte, 0, room)},
	}
}

// A picture is prompt and line as they stand on the screen.
type picture struct {
	faces    []byte // of the cells, one after another
	cells    []cell
	top      int // the first row that fits the screen
	row, col int // of the cursor
	end      int // the last row
}

// A cell is one character.
type cell struct {
	face     int // where in faces it ends
	row, col int
	width    int
	steered  bool // the cursor is told where it is behind it: terminals disagree about its width
}

// Resize says how large the terminal is.
func (e *Editor) Resize(width, height int) {
	if width < 1 || height < 1 || width == e.width && height == e.height {
		return
	}
	width, height = max(width, minWidth), max(height, minHeight)
	if width != e.width && e.shown {
		// Terminals break rows that are too long now in several, and the cursor is in one of them.
		row := e.drawn.breaks(e.row, e.column, width)
		for above := range e.row {
			row += 1 + e.drawn.breaks(above, e.width, width)
		}
		e.row = row
		e.wipe()
	}
	e.screen.width, e.screen.height = width, height
}

// breaks returns how often a row is broken before a column, or right there, on a screen of another width.
func (p *picture) breaks(row, column, width int) (n int) {
	at := 0
	for _, c := range p.cells {
		if c.row-p.top != row {
			continue
		}
		if at+c.width > width {
			n, at = n+1, 0
		}
		if c.col >= column {
			break
		}
		at += c.width
	}
	return n
}

// Print shows text above the line, in rows that fit. It ends with a line break.
func (e *Editor) Print(text string) {
	e.erase()
	e.out = append(e.out, strings.ReplaceAll(Wrap(text, e.width), "\n", "\r\n")...)
}

// Leave goes behind the line and leaves it where it is: nothing is being typed any more.
func (e *Editor) Leave() {
	if e.active {
		e.cursor = len(e.line)
		e.refresh()
		if e.column > 0 {
			e.out = append(e.out, "\r\n"...)
		}
		e.active, e.shown, e.question = false, false, ""
		return
	}
	e.status = ""
	e.refresh()
}

// Quit is Leave and Forget for the last time: of an empty line nothing stays.
func (e *Editor) Quit() {
	if e.active && len(e.line) == 0 {
		e.erase()
		e.active, e.question = false, ""
	}
	e.Leave()
	e.Forget()
}

// Pause goes behind the line, for somebody else who writes to the terminal. Resume shows it again below what that was.
func (e *Editor) Pause() {
	cursor := e.cursor
	e.cursor = len(e.line)
	e.refresh()
	if e.shown && e.column > 0 {
		e.out = append(e.out, "\r\n"...)
	}
	e.cursor, e.shown, e.paused = cursor, false, true
}

// Resume begins on a new row.
func (e *Editor) Resume() {
	e.out = append(e.out, "\r\x1b[J"...)
	e.shown, e.paused = false, false
}

// Wipe clears the screen and what was scrolled off it.
func (e *Editor) Wipe() {
	e.out = append(e.out, "\x1b[H\x1b[2J\x1b[3J"...) // ECMA-48 ED 2, xterm's ED 3
	e.shown = false
}

// Output returns what the terminal has to be told. It is good until the next call of a method; whoever has written it clears it.
func (e *Editor) Output() []byte {
	e.refresh()
	out := e.out
	e.out = e.out[:0]
	return out
}

func (e *Editor) bell() { e.out = append(e.out, '\a') }

func (e *Editor) clearScreen() {
	e.out = append(e.out, "\x1b[H\x1b[2J"...)
	e.shown = false
}

// erase takes prompt and line off the screen.
func (e *Editor) erase() {
	if e.shown {
		e.wipe()
	}
}

func (s *screen) wipe() {
	s.move(0, 0)
	s.out = append(s.out, "\x1b[J"...)
	s.shown = false
}

// forget overwrites what was shown.
func (s *screen) forget() {
	for _, p := range []*picture{&s.drawn, &s.spare} {
		clear(p.faces[:cap(p.faces)])
	}
}

// refresh changes the screen to what it should show.
func (e *Editor) refresh() {
	if e.paused {
		return
	}
	next := &e.spare
	e.paint(next)
	if len(next.cells) == 0 {
		e.erase()
		return
	}
	if e.shown && next.top != e.drawn.top {
		e.erase()
	}
	if !e.shown {
		e.row, e.column = 0, 0
		e.drawn.cells, e.drawn.faces, e.drawn.end = e.drawn.cells[:0], e.drawn.faces[:0], 0
		e.drawn.top, e.shown = next.top, true
	}
	e.change(next)
	e.drawn, e.spare = e.spare, e.drawn
}

// paint makes the picture of what should be seen.
func (e *Editor) paint(p *picture) {
	clear(p.faces)
	p.faces, p.cells = p.faces[:0], p.cells[:0]
	row, col := 0, 0
	add := func(b []byte) {
		for state := -1; len(b) > 0; {
			var cluster []byte
			var width int
			cluster, b, width, state = uniseg.FirstGraphemeCluster(b, state)
			row, col = e.place(p, cluster, width, row, col)
		}
	}
	cursor := func() { p.row, p.col = row, col }
	switch {
	case e.question != "":
		add([]byte(e.question + " "))
		cursor()
	case e.active:
		add([]byte(e.prompt))
		switch {
		case e.mode == Secret:
			cursor()
		default:
			e.paintLine(add, cursor)
		}
	default:
		add([]byte(e.status))
		cursor()
	}
	if col == e.width { // what comes next begins a row, and so does the cursor
		row, col = row+1, 0
	}
	if p.col == e.width {
		p.row, p.col = p.row+1, 0
	}
	p.end = row
	e.fit(p)
}

// paintLine adds the line, and says where the cursor is: before the character that it is in.
func (e *Editor) paintLine(add func([]byte), cursor func()) {
	edge := e.cursor
	if edges := e.edges(); edge < len(e.line) {
		edge = edges.before(edge + 1)
	}
	add(e.line[:edge])
	cursor()
	add(e.line[edge:])
}

// place adds a character to a picture and returns where the next one stands.
func (e *Editor) place(p *picture, cluster []byte, width, row, col int) (int, int) {
	face, steered := cluster, false
	switch {
	case cluster[0] == '\n':
		face, width = []byte("↵"), 1
	case cluster[0] == '\t':
		face, width = []byte(" "), 1
	case width == 0 || !visible(cluster):
		for _, c := range escape(cluster) {
			row, col = e.place(p, []byte{byte(c)}, 1, row, col)
		}
		return row, col
	case utf8.RuneCount(cluster) > 1:
		steered = width != runesWidth(string(cluster))
	}
	if room := max(width, runesWidth(string(face))); col > 0 && col+room > e.width { // no terminal breaks the row by itself
		row, col = row+1, 0
	}
	p.faces = append(p.faces, face...)
	p.cells = append(p.cells, cell{face: len(p.faces), row: row, col: col, width: width, steered: steered})
	return row, col + width
}

// visible says that a character is shown as itself. It has to begin with something that has a place of its own, or it would go to what stands before.
func visible(cluster []byte) bool {
	first, n := utf8.DecodeRune(cluster)
	if !unicode.IsPrint(first) || unicode.IsMark(first) || first >= 0x1160 && first <= 0x11ff || first >= 0xd7b0 && first <= 0xd7ff {
		return false
	}
	for _, r := range string(cluster[n:]) {
		if !unicode.IsPrint(r) && r != '\u200d' && r != '\u200c' { // what joins, and what parts
			return false
		}
	}
	return true
}

// escape shows characters by their numbers, as messages do.
func escape(cluster []byte) string {
	var b strings.Builder
	for _, r := range string(cluster) {
		fmt.Fprintf(&b, `\u{%x}`, r)
	}
	return b.String()
}

// runesWidth is the width for a terminal that knows no clusters. A tone of skin is then an emoji of its own, and marks that follow their base take a
// column in some.
func runesWidth(cluster string) (n int) {
	for _, r := range cluster {
		switch w := width(string(r)); {
		case unicode.Is(unicode.Sk, r) && r > 0xffff:
			n += 2
		case w == 0 && !unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
			n++
		default:
			n += w
		}
	}
	return n
}

// fit chooses the rows that are shown if there are too many for the screen: those around the cursor.
func (e *Editor) fit(p *picture) {
	p.top = 0
	if p.end >= e.height {
		p.top = e.drawn.top
		if !e.shown {
			p.top = 0
		}
		p.top = min(max(p.top, p.row-e.height+1), p.row, p.end-e.height+1)
		first, last := len(p.cells), 0
		for i, c := range p.cells {
			if c.row >= p.top && c.row < p.top+e.height {
				first, last = min(first, i), i+1
			}
		}
		p.end = min(p.end, p.top+e.height-1)
		p.crop(first, last)
	}
}

// crop keeps some of the cells.
func (p *picture) crop(first, last int) {
	from := 0
	if first > 0 {
		from = p.cells[first-1].face
	}
	p.faces = p.faces[:copy(p.faces, p.faces[from:p.cells[last-1].face])]
	p.cells = p.cells[:copy(p.cells, p.cells[first:last])]
	for i := range p.cells {
		p.cells[i].face -= from
	}
}

// steered says that terminals disagree about a character in it.
func (p *picture) steered() bool {
	return slices.ContainsFunc(p.cells, func(c cell) bool { return c.steered })
}

// face returns what is written for a cell.
func (p *picture) face(i int) []byte {
	from := 0
	if i > 0 {
		from = p.cells[i-1].face
	}
	return p.faces[from:p.cells[i].face]
}

// change turns what is shown into the next picture: it goes to the first cell that is another, and writes from there on.
func (e *Editor) change(next *picture) {
	old, same := &e.drawn, 0
	for same < len(old.cells) && same < len(next.cells) && old.cells[same] == next.cells[same] && bytes.Equal(old.face(same), next.face(same)) {
		same++
	}
	if same < len(old.cells) || same < len(next.cells) || old.end != next.end {
		if old.steered() || next.steered() { // what a terminal made of such characters can't be mended in parts
			e.move(0, 0)
			e.out = append(e.out, "\x1b[J"...)
			same = 0
		}
		row, col := 0, 0
		if same > 0 {
			last := next.cells[same-1]
			row, col = last.row-next.top, last.col+last.width
		}
		e.move(row, col)
		for i, c := range next.cells[same:] {
			e.newRow(c.row - next.top)
			e.out = append(e.out, next.face(same+i)...)
			e.column = c.col + c.width
			if c.steered && e.column < e.width {
				e.out = fmt.Appendf(e.out, "\x1b[%dG\x1b[K", e.column+1)
			}
		}
		e.newRow(next.end - next.top)
		if same < len(old.cells) && e.column < e.width {
			e.out = append(e.out, "\x1b[J"...)
		}
	}
	e.move(next.row-next.top, next.col)
}

// newRow goes to the start of a row below, if that is not this one.
func (s *screen) newRow(row int) {
	for ; s.row < row; s.row++ {
		if s.column < s.width {
			s.out = append(s.out, "\x1b[K"...)
		}
		s.out = append(s.out, "\r\n"...)
		s.column = 0
	}
}

// move moves the cursor. It goes no further down than it was.
func (s *screen) move(row, column int) {
	if row == s.row && column == s.column {
		return
	}
	switch {
	case row < s.row:
		s.csi(s.row-row, 'A')
	case row > s.row:
		s.csi(row-s.row, 'B')
	}
	at := min(s.column, s.width-1)
	switch to := min(column, s.width-1); {
	case s.column < s.width && to < at && at-to <= 4:
		s.out = append(s.out, strings.Repeat("\b", at-to)...)
	case s.column < s.width && to > at:
		s.csi(to-at, 'C')
	case to != at || s.column == s.width:
		s.out = append(s.out, '\r')
		if to > 0 {
			s.csi(to, 'C')
		}
	}
	s.row, s.column = row, column
}

func (s *screen) csi(n int, final byte) {
	s.out = append(s.out, "\x1b["...)
	if n > 1 {
		s.out = strconv.AppendInt(s.out, int64(n), 10)
	}
	s.out = append(s.out, final)
}
