// Package editor is the line at the bottom of a terminal: what is typed goes in as bytes, and what the terminal has to be told comes out.
// It is a pure machine, without a goroutine, a clock, or a file.
//
// decode.go turns bytes into keys, editor.go gives each key its meaning, motion.go knows characters and words, draw.go shows the line and changes no
// more of the screen than it must, wrap.go breaks what is printed above it into rows. What was printed above the line is never touched again: a screen reader reads it once.
//
// Characters are what a person takes for one, extended grapheme clusters, and have the width that Unicode gives them; ambiguous ones are narrow.
package editor

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxHistory = 100 // lines
	maxListed  = 60  // candidates that a second Tab shows
	minWidth   = 2   // columns: a wide character has to fit
	minHeight  = 2   // rows: there is always one with text
)

// A Mode says what a line is for.
type Mode uint8

const (
	Command Mode = iota // with history, completion and pastes of several lines
	Word                // a line without them
	Secret              // a line that is not shown either
)

// An Event is what came of a key.
type Event struct {
	Kind Kind
	Text []byte // of Line and Pasted; whoever gets it clears it
}

// A Kind of event.
type Kind uint8

const (
	None        Kind = iota
	Line             // Enter: the line is over
	Ended            // Ctrl-D on an empty line: it is over, too
	Interrupted      // Ctrl-C: the line was cleared
	Pasted           // text of several lines; none of it is in the line
	TooLong          // the line is full, or a paste too long: nothing was inserted. It is told once until the line is shorter.
	Yes              // the question was answered with y
	No               // with anything else
)

// An Editor edits one line after another. One goroutine uses it.
type Editor struct {
	limit    int // bytes of a line
	complete func(before string) (start int, fits []string)

	line   []byte // its memory is one piece for ever, so that a password leaves no copies
	cursor int    // bytes before it
	mode   Mode
	active bool // a line is being typed
	prompt string

	question string // in place of the line, until it is answered
	status   string // in place of a line while there is none

	tabbed bool // the key before was a Tab that found several
	full   bool // and it was told
	killed []byte

	history [][]byte // the oldest first
	recall  int      // where in it the line comes from; len(history) is none
	draft   []byte   // the line before the first Up

	screen // what the terminal shows
}

// New returns an editor of lines up to limit bytes. complete gets what stands before the cursor, and returns where the last word begins and what it may become.
func New(limit int, complete func(before string) (start int, fits []string)) *Editor {
	return &Editor{limit: limit, complete: complete, line: make([]byte, 0, limit), screen: newScreen(limit)}
}

// Begin asks for a line.
func (e *Editor) Begin(prompt string, mode Mode) {
	e.erase()
	e.reset()
	e.active, e.prompt, e.mode, e.status, e.question = true, prompt, mode, "", ""
	e.recall = len(e.history)
}

// SetPrompt changes what stands before the line that is being typed.
func (e *Editor) SetPrompt(prompt string) { e.prompt = prompt }

// SetStatus shows a line while nothing is typed, until the next one, or Begin. Empty, there is none.
func (e *Editor) SetStatus(text string) {
	if !e.active {
		e.status = text
	}
}

// Ask puts a question in place of the line, which the next key answers. The line stays as it is. An empty question takes one back.
func (e *Editor) Ask(question string) { e.question = question }

// Asking says that a question waits for its answer.
func (e *Editor) Asking() bool { return e.question != "" }

// Insert puts text at the cursor, or does nothing if there is no room for it.
func (e *Editor) Insert(text []byte) bool {
	if len(e.line)+len(text) > e.limit {
		return false
	}
	e.line = slices.Insert(e.line, e.cursor, text...)
	e.cursor += len(text)
	return true
}

// Take returns the line that is being typed, and leaves an empty one. Whoever gets it clears it.
func (e *Editor) Take() []byte {
	line := bytes.Clone(e.line)
	e.reset()
	e.recall = len(e.history)
	return line
}

// Before returns what stands before the cursor, and After what stands behind it.
func (e *Editor) Before() []byte { return e.line[:e.cursor] }

// After returns what stands behind the cursor.
func (e *Editor) After() []byte { return e.line[e.cursor:] }

// Forget overwrites everything that was typed, copied or recalled: what belongs to one user is not the next one's. Only a line that is being
// typed stays, which whoever sits there sees.
func (e *Editor) Forget() {
	if e.active {
		clear(e.draft)
		e.draft = nil
	} else {
		e.reset()
	}
	for _, h := range e.history {
		clear(h)
	}
	clear(e.killed[:cap(e.killed)])
	e.history, e.killed, e.recall = nil, nil, 0
	e.screen.forget()
}

// reset empties the line.
func (e *Editor) reset() {
	clear(e.line[:cap(e.line)])
	clear(e.draft)
	e.line, e.draft, e.cursor, e.tabbed, e.full = e.line[:0], nil, 0, false, false
}

// Key does what a key does.
func (e *Editor) Key(k Key) Event {
	defer clear(k.Paste)
	if e.question != "" {
		return e.answer(k)
	}
	if !e.active {
		return Event{}
	}
	listing := e.tabbed
	e.tabbed = false
	before := len(e.line)
	event := e.do(k, listing)
	if len(e.line) < before {
		e.full = false
	}
	return event
}

func (e *Editor) do(k Key, listing bool) Event {
	edges := e.edges
	switch k.Code {
	case Char:
		if !e.Insert(utf8.AppendRune(nil, k.Rune)) {
			return e.tooLong()
		}
	case Paste:
		return e.paste(k.Paste)
	case LongPaste:
		e.full = false // it is another one each time
		return e.tooLong()
	case Enter:
		return Event{Line, e.finish()}
	case EOF:
		if len(e.line) == 0 {
			e.finish()
			return Event{Kind: Ended}
		}
		e.remove(e.cursor, edges().after(e.cursor))
	case Interrupt:
		e.reset()
		e.recall = len(e.history)
		return Event{Kind: Interrupted}
	case Tab:
		e.tab(listing)
	case Left:
		e.cursor = edges().before(e.cursor)
	case Right:
		e.cursor = edges().after(e.cursor)
	case WordLeft:
		e.cursor = e.wordBefore()
	case WordRight:
		e.cursor = e.wordAfter()
	case Home:
		e.cursor = 0
	case End:
		e.cursor = len(e.line)
	case Backspace:
		e.remove(edges().before(e.cursor), e.cursor)
	case Delete:
		e.remove(e.cursor, edges().after(e.cursor))
	case KillBefore:
		e.kill(0, e.cursor)
	case KillAfter:
		e.kill(e.cursor, len(e.line))
	case KillWord:
		e.kill(e.cursor, e.wordAfter())
	case KillWordBefore:
		e.kill(e.wordBefore(), e.cursor)
	case KillBlank:
		e.kill(e.blankBefore(), e.cursor)
	case Yank:
		if !e.Insert(e.killed) {
			return e.tooLong()
		}
	case Up:
		e.bring(e.recall - 1)
	case Down:
		e.bring(e.recall + 1)
	case Clear:
		e.clearScreen()
	default:
		e.bell()
	}
	return Event{}
}

// finish ends the line and returns it.
func (e *Editor) finish() []byte {
	text := bytes.Clone(e.line)
	if e.mode == Command {
		e.remember(text)
	}
	e.Leave()
	e.reset()
	return text
}

func (e *Editor) tooLong() Event {
	e.bell()
	if e.full {
		return Event{}
	}
	e.full = true
	return Event{Kind: TooLong}
}

func (e *Editor) remove(from, to int) {
	e.line = slices.Delete(e.line, from, to) // it clears what is left over
	e.cursor = from
}

// kill removes what Yank brings back. Of a secret nothing is kept.
func (e *Editor) kill(from, to int) {
	if from == to {
		return
	}
	if e.mode != Secret {
		clear(e.killed)
		e.killed = bytes.Clone(e.line[from:to])
	}
	e.remove(from, to)
}

// paste takes text that was pasted. A line break at its end is nobody's wish: without it, one line is a line.
func (e *Editor) paste(text []byte) Event {
	one := bytes.TrimSuffix(text, []byte("\n"))
	if e.mode == Secret {
		one, _, _ = bytes.Cut(text, []byte("\n"))
	}
	switch {
	case bytes.IndexByte(one, '\n') >= 0:
		return Event{Pasted, bytes.Clone(one)}
	case !e.Insert(one):
		return e.tooLong()
	case e.mode == Secret && len(one) < len(text):
		return Event{Line, e.finish()} // a password manager's: it is no command
	}
	return Event{}
}

// answer takes the key that answers the question.
func (e *Editor) answer(k Key) Event {
	kind := No
	if k.Code == Char && (k.Rune == 'y' || k.Rune == 'Y') {
		kind = Yes
	}
	e.question = ""
	return Event{Kind: kind}
}

func (e *Editor) remember(line []byte) {
	if len(line) == 0 || len(e.history) > 0 && bytes.Equal(e.history[len(e.history)-1], line) {
		return
	}
	if len(e.history) == maxHistory {
		clear(e.history[0])
		e.history = slices.Delete(e.history, 0, 1)
	}
	e.history = append(e.history, bytes.Clone(line))
}

// ForgetLast overwrites the newest line that Up would bring.
func (e *Editor) ForgetLast() {
	last := len(e.history) - 1
	if last < 0 {
		return
	}
	clear(e.history[last])
	e.history = e.history[:last]
	e.recall = last
}

// bring puts a line of the history in place of this one, or what was typed before.
func (e *Editor) bring(to int) {
	if e.mode != Command || to < 0 || to > len(e.history) {
		e.bell()
		return
	}
	if e.recall == len(e.history) {
		clear(e.draft)
		e.draft = bytes.Clone(e.line)
	}
	line := e.draft
	if to < len(e.history) {
		line = e.history[to]
	}
	clear(e.line)
	e.line = append(e.line[:0], line...)
	e.recall, e.cursor = to, len(e.line)
}

// tab completes the word before the cursor as far as all that fits agrees. A second Tab lists what fits.
func (e *Editor) tab(again bool) {
	if e.mode != Command || e.complete == nil {
		e.bell()
		return
	}
	start, fits := e.complete(string(e.Before()))
	if len(fits) == 0 || start > e.cursor {
		e.bell()
		return
	}
	word := common(fits)
	if len(fits) == 1 && !bytes.HasPrefix(e.After(), []byte(" ")) {
		word += " "
	}
	if word != string(e.line[start:e.cursor]) {
		if len(e.line)-(e.cursor-start)+len(word) > e.limit {
			e.bell()
			return
		}
		e.remove(start, e.cursor)
		e.Insert([]byte(word))
		return
	}
	switch {
	case again:
		e.Print(e.columns(fits))
	case len(fits) > 1:
		e.bell()
	}
	e.tabbed = len(fits) > 1
}

// common returns what all words begin with.
func common(words []string) string {
	first := words[0]
	for _, w := range words[1:] {
		for !strings.HasPrefix(w, first) {
			_, n := utf8.DecodeLastRuneInString(first)
			first = first[:len(first)-n]
		}
	}
	return first
}

// columns returns words as lines that fit the screen.
func (e *Editor) columns(words []string) string {
	left := max(0, len(words)-maxListed)
	words = words[:len(words)-left]
	wide := 0
	for _, w := range words {
		wide = max(wide, width(w)+2)
	}
	most := max(1, (e.width-1)/wide)
	var b strings.Builder
	for row := range slices.Chunk(words, most) {
		for i, w := range row {
			b.WriteString(w)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", wide-width(w)))
			}
		}
		b.WriteByte('\n')
	}
	if left > 0 {
		fmt.Fprintf(&b, "and %d more: type another letter\n", left)
	}
	return b.String()
}
