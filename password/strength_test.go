package password

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go/scoring"
)

func TestCheckStrength(t *testing.T) {
	const alice = "alice"
	for _, c := range []struct {
		password, name string
		ok             bool
	}{
		// English and plain ASCII: zxcvbn's field.
		{"password12", alice, false},
		{"passwordpassword", alice, false},
		{"P@ssw0rd2024", alice, false},
		{"qwertyuiop", alice, false},
		{"abcdefghijkl", alice, false},
		{"aaaaaaaaaaaaaaaa", alice, false},
		{"1212121212", alice, false},
		{"19.04.1987-87", alice, false},
		{"iloveyou12", alice, false},
		{"correct horse battery staple", alice, true},
		{"Xk7#pQ2vLm", alice, true},

		// Names: the user's, a part of it, the program's.
		{"alice-alice-1", alice, false},
		{"AliceAliceAlice", alice, false},
		{"alicealice", "", false},
		{"simsimsimsim", alice, false},
		{"sim-sim-sim-1", "bob", false},
		{"zorblax-zorblax-1", "zorblax", false},
		{"zorblax-zorblax-1", alice, true},
		{"zorblax-quxxi-1", "quxxi.zorblax", false},
		{"zorblax-quxxi-1", "quxxi_zorblax", false},
		{"zörbläx-zorblax-1", "zorblax", false},

		// Other letters that have an ASCII form.
		{"pässwörd", alice, false},
		{"pässwörd123", alice, false},
		{"pässwörd pässwörd", alice, false},
		{"ｐａｓｓｗｏｒｄ１２３", alice, false},
		{"𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝𝟏𝟐", alice, false},
		{"łøvełøvełøve", alice, false},
		{"straße-fluß-käse-mühle", alice, true},

		// Letters that have none.
		{"Пароль", alice, false},
		{"Пароль12345", alice, false},
		{"ПарольПароль", alice, false},
		{"парольпарольпарольпароль", alice, false},
		{"пароль password", alice, false},
		{"йцукенгшщзхъфывапролджэ", alice, false},
		{"ЭЖДЛОРПАВЫФъхзщшгнекуцй", alice, false},
		{"абвгдежзийклмнопрстуфх", alice, false},
		{"αβγδεζηθικλμνξοπρστυ", alice, false},
		{"パスワードパスワード", alice, false},
		{"🐴🔋📎🐴🔋📎", alice, false},
		{"мой дядя честный", alice, false}, // 14 letters
		{"мой дядя самых честных правил", alice, true},
		{"съешь же ещё этих мягких французских булок", alice, true},
		{"пароль Xk7#pQ2vLm", alice, true}, // strong without them

		// Nothing beyond the first 64 characters counts.
		{strings.Repeat("a", 64) + "Xk7#pQ2vLm", alice, false},
		{strings.Repeat("ä", 64) + "Xk7#pQ2vLm", alice, false},

		{"", alice, false},
	} {
		err := CheckStrength([]byte(c.password), c.name)
		if (err == nil) != c.ok {
			t.Errorf("%q of %s: %v", c.password, c.name, err)
		}
		if err == nil {
			continue
		}
		var weak *WeakError
		if !errors.As(err, &weak) || weak.Reason == "" {
			t.Errorf("%q: %v is no *WeakError with a reason", c.password, err)
		} else if c.password != "" && strings.Contains(weak.Reason, c.password) {
			t.Errorf("the reason holds the password: %s", weak.Reason)
		}
	}
}

func TestWeakReason(t *testing.T) {
	for password, want := range map[string]string{
		"alice-alice-1":    "user name",
		"passwordpassword": "common words",
		"abcdefghijkl":     "counts through",
		"aaaaaaaaaaaaaaaa": "repeats",
		"Пароль12345":      "too few or too alike",
		"":                 "too few characters",
	} {
		err := CheckStrength([]byte(password), "alice")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a reason with %q", password, err, want)
		}
	}
}

// TestJudgedLengthIsBounded counts what zxcvbn is handed: 1,600 bytes would
// take it more than a minute.
func TestJudgedLengthIsBounded(t *testing.T) {
	real := judge
	defer func() { judge = real }()
	longest, calls := 0, 0
	judge = func(s string, inputs []string) scoring.MinEntropyMatch {
		calls++
		longest = max(longest, utf8.RuneCountInString(s))
		for _, input := range inputs {
			longest = max(longest, utf8.RuneCountInString(input))
		}
		return scoring.MinEntropyMatch{Score: 4}
	}
	for _, c := range []struct {
		password string
		calls    int
	}{
		{strings.Repeat("a", 100_000), 1},
		{strings.Repeat("ä", 50_000), 2},
		{strings.Repeat("\ufdfa", 30_000), 2}, // NFKD: 18 characters each
		{strings.Repeat("ß㎯", 20_000), 2},
		{strings.Repeat("\xff", 100_000), 2},
	} {
		calls, longest = 0, 0
		if err := CheckStrength([]byte(c.password), strings.Repeat("n", 100_000)); err != nil {
			t.Error(err)
		}
		if longest != maxJudged || calls != c.calls {
			t.Errorf("%.8q…: %d passes over up to %d characters, want %d over %d", c.password, calls, longest, c.calls, maxJudged)
		}
	}
}

// Both passes have to be passed, the plain one and the folded one.
func TestEitherPassRefuses(t *testing.T) {
	real := judge
	defer func() { judge = real }()
	for _, c := range []struct {
		plain, folded int
		ok            bool
	}{{3, 3, true}, {4, 3, true}, {2, 4, false}, {4, 2, false}, {0, 0, false}} {
		judge = func(s string, _ []string) scoring.MinEntropyMatch {
			if s == "zürich" {
				return scoring.MinEntropyMatch{Score: c.plain}
			}
			if s != "zurich" {
				t.Errorf("judged %q", s)
			}
			return scoring.MinEntropyMatch{Score: c.folded}
		}
		if err := CheckStrength([]byte("zürich"), "alice"); (err == nil) != c.ok {
			t.Errorf("scores %d and %d: %v", c.plain, c.folded, err)
		}
	}
}

func TestFold(t *testing.T) {
	for _, c := range []struct{ in, ascii, foreign string }{
		{"plain ASCII 1!", "plain ASCII 1!", ""},
		{"äÄéñçÅ", "aAencA", ""},
		{"a\u0308x", "ax", ""}, // a mark of its own is no foreign character
		{"ßæøłđþı", "ssaeoldthi", ""},
		{"ﬁ①２Ⅷ", "fi12VIII", ""},
		{"’–", "'-", ""},
		{"aПb", "ab", "П"},
		{"가", "", "가"}, // one, though NFKD makes it two
		{"йй", "", "йй"},
	} {
		ascii, foreign := fold(c.in)
		if ascii != c.ascii || string(foreign) != c.foreign {
			t.Errorf("fold(%q) = %q, %q", c.in, ascii, string(foreign))
		}
	}
}

// TestVaried walks both bounds of rule 3.
func TestVaried(t *testing.T) {
	for _, c := range []struct {
		foreign string
		ok      bool
	}{
		{"агеймкозлсухшаею", true},         // 16 characters, 14 distinct
		{"агеймкозлсухшае", false},         // 15
		{"агеймкозлсухагей", true},         // 16, 12 distinct
		{"агеймкозлсуагейм", false},        // 16, 11 distinct
		{"АгЕйКмоЗлСуаГеЙкмагейк", false},  // case makes nothing distinct
		{"абвгдежзийклмнопрстуфхц", false}, // an alphabet
		{"цхфутсрпонмлкйизжедгвба", false}, // backwards
		{"йцукенгшщзхъфывапролджэ", false}, // a keyboard
	} {
		if got := varied([]rune(c.foreign)); got != c.ok {
			t.Errorf("varied(%s) = %v", c.foreign, got)
		}
	}
}

// zxcvbn mixes byte and character positions: no text may make it panic.
func FuzzCheckStrength(f *testing.F) {
	for _, s := range []string{"pässwörd123", "İİİ1234|7", "日本語1|7l33t", "4@8({[<369&1|!70$5+%2ä", "\xff\xfe1234", "é1.1.1999ééqwerty"} {
		f.Add([]byte(s), "alice")
	}
	f.Fuzz(func(t *testing.T, password []byte, name string) {
		CheckStrength(password, name)
	})
}
