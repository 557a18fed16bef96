package client

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestHarmless(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"ASCII", "hello, bob ~!", "hello, bob ~!"},
		{"letters of the world", "Пароль pässwörd 日本語 שלום עולם नमस्ते ไทย", "Пароль pässwörd 日本語 שלום עולם नमस्ते ไทย"},
		{"an emoji", "fine 🙂👍🏽", "fine 🙂👍🏽"},
		{"an emoji of several", "❤\ufe0f 👩\u200d🚀 👩🏽\u200d❤\ufe0f\u200d👩", "❤\ufe0f 👩\u200d🚀 👩🏽\u200d❤\ufe0f\u200d👩"},
		{"a selector twice", "❤\ufe0f\ufe0f", "❤\ufe0f\\u{fe0f}"},
		{"a selector on a letter", "a\ufe0f1\ufe0f", `a\u{fe0f}1\u{fe0f}`},
		{"the other selector", "❤\ufe0e", `❤\u{fe0e}`},
		{"a joiner between letters", "a\u200db", `a\u{200d}b`},
		{"a joiner at an end", "👩\u200d", `👩\u{200d}`},
		{"a joiner before a letter", "👩\u200da", `👩\u{200d}a`},
		{"two joiners", "👩\u200d\u200d🚀", `👩\u{200d}\u{200d}🚀`},
		{"a joiner after a space", "👩 \u200d🚀", `👩 \u{200d}🚀`},
		{"a chain", strings.Repeat("👩\u200d", 9) + "👩", strings.Repeat("👩\u200d", 7) + "👩\\u{200d}👩\u200d👩"},
		{"backslash", `a\b \u{1b}`, `a\b \u{1b}`},

		{"LF", "a\nb", "a↵b"},
		{"CR LF", "a\r\nb", "a↵b"},
		{"LF CR", "a\n\rb", `a↵\u{d}b`},
		{"CR CR LF", "a\r\r\nb", `a\u{d}↵b`},
		{"lone CR over the prefix", "hi\r= logged in", `hi\u{d}= logged in`},
		{"CR at the end", "hi\r", `hi\u{d}`},
		{"tab", "a\tb", "a b"},

		{"window title", "\x1b]0;owned\a", `\u{1b}]0;owned\u{7}`},
		{"eight-bit CSI", "\u009b2J", `\u{9b}2J`},
		{"NUL and DEL", "\x00\x7f", `\u{0}\u{7f}`},
		{"bidi override", "\u202egnp.exe", `\u{202e}gnp.exe`},
		{"tag characters", "🏴\U000e0067\U000e007f", `🏴\u{e0067}\u{e007f}`},
		{"line separators", "a\u2028b\u2029c\u0085d", `a\u{2028}b\u{2029}c\u{85}d`},
		{"private use", "\ue000\U0010fffd", `\u{e000}\u{10fffd}`},
		{"noncharacters", "\ufdd0\uffff\U0010ffff", `\u{fdd0}\u{ffff}\u{10ffff}`},

		{"raw byte", "a\xffb", `a\xffb`},
		{"raw CSI byte", "a\x9b2J", `a\x9b2J`},
		{"overlong ESC", "\xc0\x9b", `\xc0\x9b`},
		{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"cut short", "a\xe2\x82", `a\xe2\x82`},
		{"replacement character", "a\ufffdb", "a\ufffdb"},

		{"four marks", "a\u0301\u0302\u0303\u0304b", "a\u0301\u0302\u0303\u0304b"},
		{"six marks", "a" + strings.Repeat("\u0301", 6) + "b\u0301", "a" + strings.Repeat("\u0301", 4) + `\u{301}\u{301}b` + "\u0301"},
		{"spacing marks count", "क" + strings.Repeat("ा", 5), "क" + strings.Repeat("ा", 4) + `\u{93e}`},
		{"enclosing marks count", "a" + strings.Repeat("\u20dd", 5), "a" + strings.Repeat("\u20dd", 4) + `\u{20dd}`},
		{"mark at the start", "\u0338\u0301a", `\u{338}\u{301}a`},
		{"mark on a line break", "a\n\u0338\r\n\u0338", `a↵\u{338}↵\u{338}`},
		{"mark on an escape", "a\x1b\u0338\xff\u0338", `a\u{1b}\u{338}\xff\u{338}`},
		{"mark on a tab", "\t\u0301", " \u0301"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := harmless(tt.in); got != tt.want {
				t.Errorf("harmless(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

// unseen are the blanks no Unicode property of the standard library names.
const unseen = "\u2800\ufffc\U00013441\U00013442\U00016fe4\U0001bc9d\U0001d159"

// forbidden says by Unicode's tables, not by ours, what a line must not hold.
func forbidden(r rune) bool {
	return !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S) && r != ' ' ||
		unicode.In(r, unicode.C, unicode.Z) && r != ' ' ||
		unicode.In(r, unicode.Bidi_Control, unicode.Join_Control, unicode.Variation_Selector,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Noncharacter_Code_Point) ||
		strings.ContainsRune(unseen, r)
}

func TestHarmlessEveryCharacter(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		want := "a" + string(r) + "b"
		switch {
		case r == '\n':
			want = "a↵b"
		case r == '\t':
			want = "a b"
		case forbidden(r):
			want = fmt.Sprintf(`a\u{%x}b`, r)
		}
		if got := harmless("a" + string(r) + "b"); got != want {
			t.Errorf("U+%04X: %q, want %q", r, got, want)
		}
	}
}

// The ones known from attacks, by number, so that a change in the tables of
// the standard library can't let one through unnoticed.
func TestHarmlessLookAlikes(t *testing.T) {
	for _, r := range []rune{
		0x00a0, 0x00ad, 0x034f, 0x061c, 0x115f, 0x1160, 0x1680, 0x17b4, 0x17b5, 0x180b, 0x180e, 0x180f,
		0x2000, 0x200a, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x202f, 0x205f,
		0x2060, 0x2061, 0x2064, 0x2065, 0x2066, 0x2069, 0x206a, 0x206f, 0x2800, 0x3000, 0x3164,
		0xfe00, 0xfe0e, 0xfe0f, 0xfeff, 0xffa0, 0xfff0, 0xfff9, 0xfffb, 0xfffc, 0xfffe,
		0x1bca0, 0x1d159, 0x1d173, 0x1d17a, 0xe0001, 0xe0020, 0xe007f, 0xe0100, 0xe01ef, 0xe0fff, 0x1fffe,
	} {
		if got, want := harmless("a"+string(r)), fmt.Sprintf(`a\u{%x}`, r); got != want {
			t.Errorf("U+%04X: %q, want %q", r, got, want)
		}
	}
}

func FuzzHarmless(f *testing.F) {
	for _, s := range []string{
		"", "hello", "a\r\n\tb\rc\nd", "\x1b]0;owned\a\x9b\u009b", "\xff\xed\xa0\x80\xe2\x82",
		"a" + strings.Repeat("\u0301", 9), "\u0301a\n\u0338\x00\u0338", "\u202e\u2066\ufeff\U000e0041\u3164❤\ufe0f",
		"\U0010ffff\ue000\ufdd0\u2028", `\u{1b}\x1b`, "नमस्ते ไทย 日本語 🙂", strings.Repeat("\x1b", 100),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := harmless(s)
		if !utf8.ValidString(got) {
			t.Fatalf("harmless(%q) = %q is not UTF-8", s, got)
		}
		marks := maxMarks // none on what stands before the text
		var e emoji
		for i, r := range got {
			if e.joins(r, got[i+utf8.RuneLen(r):]) {
				continue
			}
			if forbidden(r) {
				t.Fatalf("harmless(%q) = %q holds U+%04X", s, got, r)
			}
			if !unicode.IsMark(r) {
				marks = 0
			} else if marks++; marks > maxMarks {
				t.Fatalf("harmless(%q) = %q piles marks up", s, got)
			}
		}
		if len(got) > 6*len(s) {
			t.Fatalf("harmless(%q) has %d bytes of %d", s, len(got), len(s))
		}
		if again := harmless(got); again != got {
			t.Fatalf("harmless(%q) = %q, and of that %q", s, got, again)
		}
	})
}
