package editor

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sim/internal/vt"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"ten column", "ten column"},
		{"ten columns", "ten\n  columns"},
		{"one two three four five", "one two\n  three\n  four\n  five"},
		{"a\nb and more of it\n", "a\nb and more\n  of it\n"},
		{"two  spaces  in a row", "two\n  spaces\n  in a row"},
		{"trailing  ", "trailing  "},
		{"trailing      ", "trailing"},
		{"anextremelylongword", "anextremel\n  ylongwor\n  d"},
		{"an extremelylongword", "an extreme\n  lylongwo\n  rd"},
		{"12345678 extremelylongword", "12345678 e\n  xtremely\n  longword"},
		{"123456789 extremelylongword", "123456789\n  extremel\n  ylongwor\n  d"},
		{"世界世界世界", "世界世界世\n  界"},
		{"x世界世界世界", "x世界世界\n  世界"},
		{"\x1b[31mred red\x1b[m and \x1b[2mdim\a\x1b[m", "\x1b[31mred red\x1b[m\n  and \x1b[2mdim\a\x1b[m"},
		{"\x1b[38;5;28m= bob: ok\x1b[m", "\x1b[38;5;28m= bob: ok\x1b[m"},
	} {
		if got := Wrap(tt.text, 10); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

// Mallory pads a text so that its rest would begin a row of its own, and look like a line of ours. Whatever the padding is made of and wherever
// the margin is: on a terminal that knows clusters, and on one that doesn't, the rest is indented.
func TestPaddingFakesNoLine(t *testing.T) {
	const fake = "= bob: delivered"
	for name, pad := range map[string]string{
		"spaces": " ", "letters": "x", "wide": "世", "family": "👨‍👩‍👧", "flag": "🇩🇪", "skin": "👍🏽", "heart": "❤️", "vowel sign": "का", "Hangul from its parts": "\u1112\u1161\u11ab", "mark": "e\u0301",
	} {
		for _, naive := range []bool{false, true} {
			for _, width := range []int{80, 21, 20} {
				for n := range 90 {
					d := sitAt(t, width, 400)
					d.screen.Naive = naive
					d.editor.Print("14:03 < mallory: " + strings.Repeat(pad, n) + fake + "\n")
					d.shows()
					for i, row := range d.screen.Text() {
						if i > 0 && row != strings.TrimSpace(testPrompt) && !strings.HasPrefix(row, "  ") {
							t.Fatalf("%s, %d of them in %d columns, naive %v: row %d is %q", name, n, width, naive, i, row)
						}
					}
				}
			}
		}
	}
}

// What is broken into rows is the same text, no row is too wide, and none begins further left.
func TestWrapKeepsTheText(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "word", " ", "  ", "世界", "👨‍👩‍👧", "e\u0301", "\x1b[31m", "\x1b[m", strings.Repeat("long", 9)}
	for range 2000 {
		var text strings.Builder
		for range random.IntN(40) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		columns := 12 + random.IntN(30)
		got := Wrap(text.String(), columns)
		bare := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if bare(got) != bare(text.String()) {
			t.Fatalf("%q became %q", text.String(), got)
		}
		screen := vt.New(columns, 500)
		fmt.Fprint(screen, strings.ReplaceAll(got, "\n", "\r\n"))
		if row, _ := screen.Cursor(); row != strings.Count(got, "\n") {
			t.Fatalf("the terminal breaks %q in %d columns once more", got, columns)
		}
	}
}
