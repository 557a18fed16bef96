package editor

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// A Key is one thing that was done at the keyboard.
type Key struct {
	Code  Code
	Rune  rune   // of Char
	Paste []byte // of Paste: valid UTF-8 without control characters but tabs and "\n"
	Lossy bool   // of Paste: there was something else in it, which was left out
}

// A Code says which key it is. The keys of one meaning have one code.
type Code uint8

const (
	Char Code = iota + 1
	Bad       // a byte that is no text: invalid UTF-8, a control character in a paste, a key without a meaning here
	Enter
	Tab
	Left
	Right
	WordLeft
	WordRight
	Home
	End
	Up
	Down
	Backspace
	Delete
	KillBefore     // to the start of the line
	KillAfter      // to the end
	KillWord       // behind the cursor
	KillWordBefore // letters and digits
	KillBlank      // back to a space
	Yank
	Clear     // the screen
	Interrupt // Ctrl-C
	EOF       // Ctrl-D
	Stop      // Ctrl-Z
	Paste
	LongPaste // of more than maxPaste bytes; they are dropped
	CutPaste  // Ctrl-C in a paste whose end may never come: it is dropped, and what comes next are keys again
)

const (
	maxPaste  = 64 << 10 // bytes
	maxParams = 16       // bytes of an escape sequence that are looked at; no known key has more
)

const (
	esc        = 0x1b
	interrupt  = 0x03
	pasteStart = "200~" // behind ESC [
	pasteEnd   = "\x1b[201~"
)

var controls = map[byte]Code{
	0x01: Home, 0x02: Left, interrupt: Interrupt, 0x04: EOF, 0x05: End, 0x06: Right, 0x08: Backspace, '\t': Tab, '\n': Enter, 0x0b: KillAfter,
	0x0c: Clear, '\r': Enter, 0x0e: Down, 0x10: Up, 0x15: KillBefore, 0x17: KillBlank, 0x19: Yank, 0x1a: Stop, 0x7f: Backspace,
}

// meta has the keys that come as ESC and a character: with Alt, or after Esc.
var meta = map[byte]Code{'b': WordLeft, 'B': WordLeft, 'f': WordRight, 'F': WordRight, 'd': KillWord, 'D': KillWord, 0x7f: KillWordBefore, 0x08: KillWordBefore}

// sequences has what stands behind ESC [ or ESC O.
var sequences = map[string]Code{
	"A": Up, "B": Down, "C": Right, "D": Left, "H": Home, "F": End, "1~": Home, "7~": Home, "4~": End, "8~": End, "3~": Delete, "M": Enter,
	"1;5C": WordRight, "1;3C": WordRight, "1;5D": WordLeft, "1;3D": WordLeft, "c": WordRight, "d": WordLeft, "3;5~": KillWord, "3;3~": KillWord,
}

// state is what the bytes so far have begun.
type state uint8

const (
	ground  state = iota
	escaped       // ESC
	control       // ESC [, CSI: parameters, then a final byte
	single        // ESC O, SS3: the same
	console       // ESC [ [: a function key of the Linux console, one byte more
	text          // ESC ] and its like, OSC and DCS: to BEL or ESC \
	textEnd       // and ESC in it
	pasting
)

// A Decoder cuts what a terminal sends into keys. How the bytes are cut into reads makes no difference. Its zero value is ready.
type Decoder struct {
	state  state
	params []byte // of an escape sequence, as far as they are looked at

	char [utf8.UTFMax]byte // a character that is not whole yet
	size int

	paste []byte
	end   int // bytes of pasteEnd that have come
	long  bool
}

// Decode takes bytes and gives emit the keys in them.
func (d *Decoder) Decode(b []byte, emit func(Key)) {
	for _, c := range b {
		d.step(c, emit)
	}
}

func (d *Decoder) step(c byte, emit func(Key)) {
	switch d.state {
	case pasting:
		d.pasted(c, emit)
		return
	case ground:
		d.ground(c, emit)
		return
	}
	if c == esc && d.state != text {
		d.state = escaped
		return
	}
	if d.interrupts(c) {
		d.state = ground
		d.ground(c, emit)
		return
	}
	switch d.state {
	case escaped:
		d.introduced(c, emit)
	case control, single:
		switch {
		case d.state == control && c == '[' && len(d.params) == 0:
			d.state = console
		case c >= '@' && c <= '~':
			d.sequence(append(d.params, c), emit)
		case c > '~':
			d.state = ground
		case len(d.params) < maxParams:
			d.params = append(d.params, c)
		}
	case console:
		d.state = ground
	case text:
		switch c {
		case '\a':
			d.state = ground
		case esc:
			d.state = textEnd
		}
	case textEnd:
		d.state = ground
		if c != '\\' {
			d.introduced(c, emit)
		}
	}
}

// interrupts says that a control character stands for itself. No sequence has one inside, but for the end of a text: whatever was
// begun, also by mistake, Enter, Backspace and Ctrl-C do what they do.
func (d *Decoder) interrupts(c byte) bool {
	switch d.state {
	case escaped:
		return c < ' ' && meta[c] == 0
	case text:
		return c == 0x7f || c < ' ' && c != esc && c != '\a'
	}
	return c < ' '
}

// introduced takes the byte behind an ESC.
func (d *Decoder) introduced(c byte, emit func(Key)) {
	d.state, d.params = ground, d.params[:0]
	switch c {
	case '[':
		d.state = control
	case 'O':
		d.state = single
	case ']', 'P', 'X', '^', '_':
		d.state = text
	default:
		if c >= utf8.RuneSelf {
			d.ground(c, emit) // the character of another alphabet, with Alt: better than half of it
		} else if code, ok := meta[c]; ok {
			emit(Key{Code: code})
		}
	}
}

func (d *Decoder) sequence(s []byte, emit func(Key)) {
	d.state = ground
	if string(s) == pasteStart {
		d.state, d.end, d.long = pasting, 0, false
		d.paste = make([]byte, 0, maxPaste) // never grows: no stray copies of what may be a password
		return
	}
	if code, ok := sequences[string(s)]; ok {
		emit(Key{Code: code})
	}
}

// ground takes a byte of text, or of a control character.
func (d *Decoder) ground(c byte, emit func(Key)) {
	if d.size > 0 && utf8.RuneStart(c) { // the character before is cut
		d.size = 0
		emit(Key{Code: Bad})
	}
	if c < ' ' || c == 0x7f {
		if c == esc {
			d.state = escaped
		} else if code, ok := controls[c]; ok {
			emit(Key{Code: code})
		} else {
			emit(Key{Code: Bad})
		}
		return
	}
	d.char[d.size] = c
	d.size++
	if !utf8.FullRune(d.char[:d.size]) {
		return
	}
	r, n := utf8.DecodeRune(d.char[:d.size])
	d.size = 0
	clear(d.char[:])
	if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
		emit(Key{Code: Bad})
		return
	}
	emit(Key{Code: Char, Rune: r})
}

// pasted takes a byte of a paste, or of its end. Ends get lost; Ctrl-C, or the start of another paste, then ends this one.
func (d *Decoder) pasted(c byte, emit func(Key)) {
	if c == interrupt {
		d.dropPaste()
		d.state, d.paste = ground, nil
		emit(Key{Code: CutPaste})
		return
	}
	if c == pasteEnd[d.end] {
		if d.end++; d.end == len(pasteEnd) {
			d.endPaste(emit)
		}
		return
	}
	begun := d.end
	d.end = 0
	d.keep([]byte(pasteEnd[:begun])...)
	if begun > 0 && c == esc {
		d.end = 1
		return
	}
	d.keep(c)
	if bytes.HasSuffix(d.paste, []byte("\x1b["+pasteStart)) {
		d.dropPaste()
	}
}

// dropPaste overwrites what has come of a paste.
func (d *Decoder) dropPaste() {
	clear(d.paste)
	d.paste, d.end, d.long = d.paste[:0], 0, false
}

func (d *Decoder) keep(b ...byte) {
	if len(d.paste)+len(b) > maxPaste {
		d.long = true
		return
	}
	d.paste = append(d.paste, b...)
}

func (d *Decoder) endPaste(emit func(Key)) {
	paste := d.paste
	d.state, d.paste = ground, nil
	if d.long {
		clear(paste)
		emit(Key{Code: LongPaste})
		return
	}
	whole := len(paste)
	paste, lossy := cleaned(paste)
	clear(paste[len(paste):whole])
	emit(Key{Code: Paste, Paste: paste, Lossy: lossy})
}

// cleaned returns a paste as text, in the same memory: every line break is one "\n", and what is no text is gone; lossy says
// that there was such a thing.
func cleaned(b []byte) (out []byte, lossy bool) {
	out = b[:0]
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case bytes.HasPrefix(b, []byte("\r\n")):
			out, n = append(out, '\n'), 2
		case r == '\r':
			out = append(out, '\n')
		case r == utf8.RuneError && n == 1, unicode.IsControl(r) && r != '\n' && r != '\t':
			lossy = true
		default:
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out, lossy
}
