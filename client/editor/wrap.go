package editor

import (
	"strings"

	"github.com/rivo/uniseg"
)

// indent is in front of every row of a printed line but the first. So nothing of a text, however it is padded, stands where our own lines begin.
const indent = 2

// Wrap breaks lines into rows of at most width columns, between words where it can, with "\n" and the indentation. Spaces at a break are dropped.
// The lines' control characters are our own: colours (SGR) and the bell, which take no column.
func Wrap(text string, width int) string {
	if width < minWidth {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if len(line) > width { // nothing takes more columns than bytes
			w := wrapper{width: width, indent: min(indent, width-minWidth)}
			lines[i] = w.wrap(line)
		}
	}
	return strings.Join(lines, "\n")
}

// A wrapper breaks one line.
type wrapper struct {
	width, indent int
	out           strings.Builder
	column        int // behind what is in out
	spaces        int // since then
	word          []piece
}

// A piece is a character of a word, or a control sequence.
type piece struct {
	text  string
	width int
}

func (w *wrapper) wrap(line string) string {
	for state := -1; line != ""; {
		if n := steering(line); n > 0 {
			w.word, line, state = append(w.word, piece{line[:n], 0}), line[n:], -1
			continue
		}
		var cluster string
		cluster, line, _, state = uniseg.FirstGraphemeClusterInString(line, state)
		if cluster == " " {
			w.place()
			w.spaces++
			continue
		}
		w.word = append(w.word, piece{cluster, widest(cluster)})
	}
	w.place()
	if w.column+w.spaces <= w.width {
		w.space()
	}
	return w.out.String()
}

// steering returns the length of the control sequence or character at the start of a line.
func steering(line string) int {
	switch {
	case strings.HasPrefix(line, "\x1b"):
		return 1 + strings.IndexByte(line, 'm')
	case line[0] < ' ':
		return 1
	}
	return 0
}

// place puts the word on the row that it fits. One that fits no row is broken where the row ends.
func (w *wrapper) place() {
	wide := 0
	for _, p := range w.word {
		wide += p.width
	}
	whole := wide <= w.width-w.indent
	if whole && wide > 0 && w.column+w.spaces+wide > w.width || !whole && w.column+w.spaces >= w.width {
		w.newRow()
	}
	if wide > 0 {
		w.space()
	}
	for _, p := range w.word {
		if w.column+p.width > w.width {
			w.newRow()
		}
		w.out.WriteString(p.text)
		w.column += p.width
	}
	w.word = w.word[:0]
}

func (w *wrapper) space() {
	w.out.WriteString(strings.Repeat(" ", w.spaces))
	w.column += w.spaces
	w.spaces = 0
}

func (w *wrapper) newRow() {
	w.out.WriteString("\n" + strings.Repeat(" ", w.indent))
	w.column, w.spaces = w.indent, 0
}

// widest is the width of a character on whichever terminal takes more columns for it: one that knows no clusters shows each of their parts.
// A row that is too short is a lesser evil than one that goes on where our lines begin.
func widest(cluster string) int { return max(width(cluster), runesWidth(cluster)) }
