package password

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go"
	"github.com/ccojocar/zxcvbn-go/scoring"
	"golang.org/x/text/unicode/norm"
)

const (
	// maxJudged bounds, in characters, what zxcvbn ever sees: its time grows
	// with the cube of the length, and 1,600 bytes take it a minute.
	maxJudged = 64

	// minScore of zxcvbn's 0 to 4: more than 10^10 guesses.
	minScore = 3

	// A password whose ASCII part proves nothing passes on its other
	// characters if there are at least minForeign of them, minDistinct of
	// which are distinct and not merely the next in an alphabet or a row of
	// keys. Words are repetitive: this many take a sentence.
	minForeign  = 16
	minDistinct = 12
)

// A WeakError says why a password was refused as too easy to guess.
type WeakError struct {
	Reason string // a sentence for a person; never holds a part of the password
}

func (e *WeakError) Error() string { return e.Reason }

// judge is a variable so that a test can count what is handed over.
var judge = func(s string, inputs []string) scoring.MinEntropyMatch {
	return zxcvbn.PasswordStrength(s, inputs)
}

// CheckStrength returns a *WeakError when the prepared password is easy to
// guess, for the user of that name. It judges the first 64 characters, by this
// rule:
//
//  1. zxcvbn, which is told the user's name, its parts and "sim", gives them
//     a score of 3 or more; and
//  2. it does so, too, for their ASCII folding, in which letters lose their
//     accents (ä is a, ł is l, ß is ss, a full-width a is a) and what has no
//     ASCII form (Cyrillic, Chinese, emoji) is left out. zxcvbn knows English
//     only and takes every other letter for a random one.
//  3. Instead of 2: at least 16 of the characters were left out, and at least 12
//     of these are distinct and not just the neighbour, by code point or in a
//     row of a Russian keyboard, of the one before.
func CheckStrength(prepared []byte, name string) error {
	raw := first(string(prepared), maxJudged)
	inputs := inputs(name)
	result := judge(raw, inputs)
	if result.Score < minScore {
		return weak(result)
	}
	folded, foreign := fold(raw)
	if folded == raw {
		return nil
	}
	result = judge(folded, inputs)
	if result.Score >= minScore || varied(foreign) {
		return nil
	}
	if len(foreign) > utf8.RuneCountInString(raw)/2 {
		return &WeakError{"this password is too easy to guess: its letters are too few or too alike; use a sentence of several words that don't belong together"}
	}
	return weak(result)
}

// first returns the first n characters of s.
func first(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// inputs are the words that are free for a guesser: the name, "sim", and the
// parts of a name such as ann.lee.
func inputs(name string) []string {
	name = first(name, maxJudged)
	words := []string{name, "sim"}
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '.' || r == '_' || r == '-' })
	if len(parts) > 1 {
		for _, part := range parts {
			if len(part) > 1 {
				words = append(words, part)
			}
		}
	}
	return words
}

// letters are those which NFKD doesn't take apart and that people use in place
// of the ASCII ones.
var letters = map[rune]string{
	'ß': "ss", 'ẞ': "SS", 'æ': "ae", 'Æ': "AE", 'œ': "oe", 'Œ': "OE", 'ø': "o", 'Ø': "O",
	'ł': "l", 'Ł': "L", 'đ': "d", 'Đ': "D", 'ð': "d", 'Ð': "D", 'þ': "th", 'Þ': "TH",
	'ħ': "h", 'Ħ': "H", 'ı': "i", 'ŧ': "t", 'Ŧ': "T", 'ŋ': "n", 'Ŋ': "N", 'ĸ': "k",
	'‘': "'", '’': "'", '“': `"`, '”': `"`, '–': "-", '—': "-", '‐': "-",
}

// fold returns the ASCII form of s, at most maxJudged characters, and the
// characters that have none.
func fold(s string) (ascii string, foreign []rune) {
	var b strings.Builder
	for _, r := range s {
		before := b.Len()
		for _, d := range norm.NFKD.String(string(r)) {
			if d <= unicode.MaxASCII {
				b.WriteRune(d)
			} else {
				b.WriteString(letters[d])
			}
		}
		if b.Len() == before && !unicode.Is(unicode.M, r) {
			foreign = append(foreign, r)
		}
	}
	return first(b.String(), maxJudged), foreign
}

// rows of the keyboard that most people with Cyrillic letters have.
var rows = []string{"йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"}

// varied reports whether foreign has as many characters, and as many different
// ones, as rule 3 of CheckStrength asks for.
func varied(foreign []rune) bool {
	distinct := make(map[rune]bool)
	var last rune
	for _, r := range foreign {
		r = unicode.ToLower(r)
		if !neighbours(last, r) {
			distinct[r] = true
		}
		last = r
	}
	return len(foreign) >= minForeign && len(distinct) >= minDistinct
}

func neighbours(a, b rune) bool {
	if a-b == 1 || b-a == 1 {
		return true
	}
	for _, row := range rows {
		if strings.Contains(row, string([]rune{a, b})) || strings.Contains(row, string([]rune{b, a})) {
			return true
		}
	}
	return false
}

// weak names what most of the judged characters are, by zxcvbn's own account.
func weak(result scoring.MinEntropyMatch) *WeakError {
	why, most := "it has too few characters", 0
	for _, m := range result.MatchSequence {
		reason := ""
		switch {
		case m.DictionaryName == "user_inputs":
			reason = "it is made from the user name or the name of this program"
		case m.DictionaryName == "date_match":
			reason = "it is made from a date"
		case m.Pattern == "dictionary":
			reason = "it is made from common words, names or passwords"
		case m.Pattern == "spatial":
			reason = "it follows the keys of a keyboard"
		case m.Pattern == "repeat":
			reason = "it repeats a character"
		case m.Pattern == "sequence":
			reason = "it counts through letters or digits"
		}
		if reason != "" && len(m.Token) > most {
			why, most = reason, len(m.Token)
		}
	}
	return &WeakError{"this password is too easy to guess: " + why + "; use four or more words that don't belong together, or let a password manager make one"}
}
