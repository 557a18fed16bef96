package client

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining marks one base shows. Written languages need
// fewer; a pile of them climbs into the lines above and below.
const maxMarks = 4

// maxJoined is how many symbols one emoji is joined of. A family has four.
const maxJoined = 8

// What makes an emoji of symbols.
const (
	emojiLook = '\ufe0f' // after a symbol: draw it as an emoji
	joiner    = '\u200d' // between two symbols: draw them as one
)

// symbol says whether r is one that emoji are made of. U+FFFD is among the symbols, and stands for no character.
func symbol(r rune) bool { return unicode.Is(unicode.So, r) && r != utf8.RuneError }

// tone says whether r gives the emoji before it a colour of skin.
func tone(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

// blank holds what Unicode counts among letters, marks and symbols, so that
// unicode.IsPrint lets it through, and what is still empty or without a look of
// its own: fillers, variation selectors, and characters drawn as nothing.
//
// The selectors U+FE0E and U+FE0F are here with the rest, and the joiner U+200D
// is a format character like others. They hide in any text unseen; so they pass
// only where they make an emoji of the symbols beside them: see joins.
var blank = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x034f, Hi: 0x034f, Stride: 1}, // combining grapheme joiner
		{Lo: 0x115f, Hi: 0x1160, Stride: 1}, // Hangul fillers
		{Lo: 0x17b4, Hi: 0x17b5, Stride: 1}, // Khmer inherent vowels
		{Lo: 0x180b, Hi: 0x180f, Stride: 1}, // Mongolian selectors and vowel separator
		{Lo: 0x2800, Hi: 0x2800, Stride: 1}, // Braille pattern without a dot
		{Lo: 0x3164, Hi: 0x3164, Stride: 1}, // Hangul filler
		{Lo: 0xfe00, Hi: 0xfe0f, Stride: 1}, // variation selectors
		{Lo: 0xffa0, Hi: 0xffa0, Stride: 1}, // half-width Hangul filler
		{Lo: 0xfffc, Hi: 0xfffc, Stride: 1}, // object replacement
	},
	R32: []unicode.Range32{
		{Lo: 0x13441, Hi: 0x13442, Stride: 1}, // Egyptian blanks
		{Lo: 0x16fe4, Hi: 0x16fe4, Stride: 1}, // Khitan filler
		{Lo: 0x1bc9d, Hi: 0x1bc9d, Stride: 1}, // Duployan letter selector
		{Lo: 0x1d159, Hi: 0x1d159, Stride: 1}, // musical null notehead
		{Lo: 0xe0100, Hi: 0xe01ef, Stride: 1}, // variation selectors
	},
}

// shown reports whether r stands in a line as itself: an assigned letter, mark,
// number, punctuation mark or symbol that can be seen, or the ASCII space.
// Everything else is refused, what Unicode has not assigned yet included: it
// may become a format character.
func shown(r rune) bool {
	return unicode.IsPrint(r) && !unicode.Is(blank, r)
}

// harmless returns s as one line that does nothing to a terminal and holds
// nothing unseen. It is for whatever a peer or the server sent, before it is
// shown:
//
//   - LF and CR LF become ↵, a tab becomes a space;
//   - a character that is not shown, every space but the ASCII one included,
//     becomes \u{…}, its number in lower-case hex without padding; but the
//     selector and the joiner of an emoji stay;
//   - a byte that is not part of valid UTF-8 becomes \x and two hex digits;
//   - a combining mark becomes \u{…} where it would be the fifth on its base,
//     or would sit on something of ours: what stands before the text, a ↵, or
//     an escape.
//
// The result is valid UTF-8, at most six times as long as s, and harmless makes
// no further change to it. A backslash stays itself, so a peer can write what
// looks like an escape; that is text like any other.
func harmless(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	room := 0   // for marks on the base before
	var e emoji // that ends with the character before
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		joins := e.joins(r, s[n:])
		switch {
		case r == '\n':
			b.WriteRune('↵')
			room = 0
		case strings.HasPrefix(s, "\r\n"):
			b.WriteRune('↵')
			room, n = 0, 2
		case r == '\t':
			b.WriteByte(' ')
			room = maxMarks
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
			room = 0
		case joins:
			b.WriteRune(r)
			room = 0
		case !shown(r), unicode.IsMark(r) && room == 0:
			fmt.Fprintf(&b, `\u{%x}`, r)
			room = 0
		case unicode.IsMark(r):
			b.WriteRune(r)
			room--
		default:
			b.WriteRune(r)
			room = maxMarks
		}
		s = s[n:]
	}
	return b.String()
}

// An emoji is how far the characters before make one: a symbol, perhaps with a selector or a tone, perhaps joined to others.
type emoji struct {
	last    rune // its last character; 0 if it is none
	symbols int  // that it is joined of
}

// joins takes the next character, behind which rest stands, and says whether it is a selector or a joiner in its right place: U+FE0F straight
// after a symbol, U+200D between two symbols.
func (e *emoji) joins(r rune, rest string) bool {
	before := *e
	e.last = r
	switch next, _ := utf8.DecodeRuneInString(rest); {
	case symbol(r) && before.last == joiner:
		e.symbols++
	case symbol(r):
		e.symbols = 1
	case r == emojiLook && symbol(before.last):
		return true
	case r == joiner && before.symbols > 0 && before.last != joiner && before.symbols < maxJoined && symbol(next):
		return true
	case !tone(r) || !symbol(before.last):
		*e = emoji{}
	}
	return false
}

// plain reports whether s is printable ASCII throughout, as most texts are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
