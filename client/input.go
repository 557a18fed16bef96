package client

import (
	"io"
	"slices"
)

// input reads lines, one for each that is asked for: nothing is read before its turn, so that a refused login leaves the rest of the input alone.
type input struct {
	asks  chan ask
	typed chan typed
}

// ask is what the next line is for.
type ask struct {
	prompt  prompt
	secret  bool // without echo
	command bool // or a text to somebody: with history and completion
}

// typed is a line or why there is none.
type typed struct {
	line  []byte
	err   error  // io.EOF, errLineTooLong, or the reader's
	under prompt // at a terminal: what stood before the line when it was over
}

func newInput(r io.Reader, mostBytes int, askPassword func(string) ([]byte, error), s screen) *input {
	in := &input{asks: make(chan ask, 1), typed: make(chan typed, 1)}
	lines := newLineReader(r, mostBytes)
	go func() {
		// The read itself can't be interrupted: it ends with the input, or with the process.
		for a := range in.asks {
			var t typed
			switch {
			case s != nil:
				t = s.read(a)
			case a.secret && askPassword != nil:
				t.line, t.err = askPassword(a.prompt.question)
			default:
				var line []byte
				line, t.err = lines.next()
				t.line = slices.Clone(line)
				clear(line) // it may be a password, and the reader's buffer lives as long as the input
			}
			in.typed <- t
		}
	}()
	return in
}
