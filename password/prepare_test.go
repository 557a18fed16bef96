package password

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestFirstLine(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"", ""},
		{"\n", ""},
		{"\r\n", ""},
		{"secret", "secret"},
		{"secret\n", "secret"},
		{"secret\r\n", "secret"},
		{"secret\r", "secret\r"}, // no LF, so no line end
		{"secret\r\r\n", "secret\r"},
		{"secret\n\n", "secret"},
		{"secret\nnext\n", "secret"},
		{"secret\nnext\r\n", "secret"},
		{"  secret \t\n", "  secret \t"},
		{"a\rb\n", "a\rb"},
		{"\ufeffsecret\n", "\ufeffsecret"},
		{"\xff\xfe\n", "\xff\xfe"},
	} {
		if got := FirstLine([]byte(c.raw)); string(got) != c.want {
			t.Errorf("FirstLine(%q) = %q, want %q", c.raw, got, c.want)
		}
		got, err := Read(strings.NewReader(c.raw))
		if c.raw == "" {
			if !errors.Is(err, io.EOF) {
				t.Errorf("Read of nothing: %v, want io.EOF", err)
			}
		} else if err != nil || string(got) != c.want {
			t.Errorf("Read(%q) = %q, %v, want %q", c.raw, got, err, c.want)
		}
	}
}

// The caller clears what it read; the line must not live on in it, nor lose
// its bytes to it.
func TestFirstLineIsACopy(t *testing.T) {
	raw := []byte("secret\nnext")
	line := FirstLine(raw)
	clear(raw)
	if string(line) != "secret" {
		t.Errorf("the line changed with its source: %q", line)
	}
}

func TestReadLeavesTheRestInTheStream(t *testing.T) {
	const in = "secret\r\nsend bob hello\nquit\n"
	for name, r := range map[string]io.Reader{
		"io.ByteReader":  strings.NewReader(in),
		"plain":          struct{ io.Reader }{strings.NewReader(in)},
		"half a request": struct{ io.Reader }{iotest.HalfReader(strings.NewReader(in))},
	} {
		line, err := Read(r)
		if err != nil || string(line) != "secret" {
			t.Errorf("%s: Read = %q, %v", name, line, err)
		}
		rest, err := io.ReadAll(r)
		if err != nil || string(rest) != "send bob hello\nquit\n" {
			t.Errorf("%s: left %q, %v", name, rest, err)
		}
	}
}

// endless gives the same byte for ever and counts.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	e.n += len(p)
	return len(p), nil
}

func TestReadIsBounded(t *testing.T) {
	var e endless
	if line, err := Read(&e); err == nil {
		t.Errorf("an endless line was read: %d bytes", len(line))
	}
	if e.n > maxLine+2 {
		t.Errorf("%d bytes were read, the bound is %d", e.n, maxLine)
	}
	full := strings.Repeat("a", maxLine)
	for _, c := range []struct {
		in string
		ok bool
	}{
		{full, true},
		{full + "\n", true},
		{full + "\r\n", true},
		{full + "\r", false},
		{full + "\ra\n", false},
		{full + "a", false},
		{full + "a\n", false},
		{full + "a\r\n", false},
	} {
		line, err := Read(strings.NewReader(c.in))
		if (err == nil) != c.ok || c.ok && string(line) != full {
			t.Errorf("a line of %d and %q: %d bytes, %v", maxLine, c.in[maxLine:], len(line), err)
		}
	}
}

func TestReadFails(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("secre"), iotest.ErrReader(broken))
	if line, err := Read(r); !errors.Is(err, broken) || line != nil {
		t.Errorf("Read = %q, %v, want the reader's error and no half a password", line, err)
	}
}

// What a file holds in place of a password is said, and nothing of it repeated.
func TestWhatIsNoPassword(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "the input is empty"},
		{"\n", "the password is empty"},
		{"\ufeffturnip lantern quarry\n", "begins with a byte order mark"},
		{"\xff\xfet\x00u\x00r\x00n\x00i\x00p\x00", "is in UTF-16"},
		{"\xfe\xff\x00t\x00u\x00r\x00n\x00i\x00p", "is in UTF-16"},
		{strings.Repeat("\x00", 32), "zero byte"},
		{"turnip\x00lantern", "zero byte"},
		{"\x7fELF\x02\x01\x01\xf0\xff", "not valid UTF-8"},
		{strings.Repeat("\x00", maxLine+10), "too long"},
	} {
		line, err := Read(strings.NewReader(c.in))
		if err == nil {
			_, err = Prepare(line)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "turnip") || strings.Contains(err.Error(), "EOF") {
			t.Errorf("%.20q: %v, want %q", c.in, err, c.want)
		}
	}
}

func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		name, in, want string // want "" for an error
	}{
		{"nothing", "", ""},
		{"9 bytes", "123456789", ""},
		{"10 bytes", "1234567890", "1234567890"},
		{"256 bytes", strings.Repeat("x", 256), strings.Repeat("x", 256)},
		{"257 bytes", strings.Repeat("x", 257), ""},
		{"10 bytes, 5 characters", "äöüäö", "äöüäö"},
		{"256 bytes, 128 characters", strings.Repeat("ä", 128), strings.Repeat("ä", 128)},
		{"258 bytes, 129 characters", strings.Repeat("ä", 129), ""},
		{"10 bytes that compose to 9", "a\u0300aaaaaaa", ""},
		{"258 bytes that compose to 256", strings.Repeat("a", 252) + "a\u0300a\u0300", strings.Repeat("a", 252) + "àà"},
		{"the greatest shrinking", strings.Repeat("\u03b9\u0308\u0301", 128), strings.Repeat("\u0390", 128)},
		{"100 kB", strings.Repeat("x", 100_000), ""},
		{"spaces kept", "  two  spaces  ", "  two  spaces  "},
		{"no-break space", "no\u00a0break\u3000space", "no break space"},
		{"composed", "Zu\u0308rich Zu\u0308rich", "Zürich Zürich"},
		{"no compatibility mapping", "ｐａｓｓﬁ", "ｐａｓｓﬁ"},
		{"case kept", "PaSsWoRd iI", "PaSsWoRd iI"},
		{"emoji", "🐴🔋📎✨", "🐴🔋📎✨"},
		{"emoji with a variation selector", "❤\ufe0f correct horse", ""},
		{"emoji with a joiner", "👩\u200d🚀 correct horse", ""},
		{"tab", "correct\thorse", ""},
		{"CR", "correct horse\r", ""},
		{"NUL", "correct\x00horse", ""},
		{"bidi control", "correct\u202ehorse", ""},
		{"invalid UTF-8", "correct\xffhorse", ""},
		{"surrogate", "correct\xed\xa0\x80horse", ""},
		{"overlong", "correct\xc0\xafhorse", ""},
		{"U+FFFD itself", "correct\ufffdhorse", "correct\ufffdhorse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Prepare([]byte(c.in))
			if c.want == "" {
				if err == nil {
					t.Fatalf("accepted as %q", got)
				}
				if got != nil {
					t.Error("bytes beside an error")
				}
				if c.in != "" && strings.Contains(err.Error(), c.in) {
					t.Errorf("the error holds the password: %v", err)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// The length is looked at before anything else is: an endless line costs nothing.
func TestPrepareSaysTheRightThing(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "empty",
		"1":                             "has 1 of at least 10 bytes",
		"123456789":                     "has 9 of at least 10 bytes",
		strings.Repeat("x", 257):        "too long",
		strings.Repeat("\xff", 257):     "UTF-8",
		strings.Repeat("\xff", 100_000): "too long",
		"correct\thorse":                "a tab",
	} {
		if _, err := Prepare([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.16q: %v, want %q", in, err, want)
		}
	}
}

func TestPrepareReturnsACopy(t *testing.T) {
	in := []byte("correct horse")
	out, err := Prepare(in)
	if err != nil {
		t.Fatal(err)
	}
	clear(in)
	if string(out) != "correct horse" {
		t.Errorf("clearing the line changed the prepared password to %q", out)
	}
}

func FuzzPrepare(f *testing.F) {
	for _, s := range []string{"correct horse", "Zu\u0308rich\u00a0\u3000", "1234567890", "\u1100\u1161\u11a8\u1100\u1161\u11a8", "a\u0323\u0307 a\u0307\u0323 x", "🐴🔋📎✨", "\u2126\u212b\u0340\u0374 xx", "ｐａｓｓ\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := Prepare(in)
		if err != nil {
			return
		}
		if len(once) < MinBytes || len(once) > MaxBytes || !utf8.Valid(once) || !utf8.Valid(in) {
			t.Fatalf("prepared to %q", once)
		}
		twice, err := Prepare(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q prepared twice: %q, %v", once, twice, err)
		}
	})
}
