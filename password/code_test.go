package password

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// The vectors of docs/vectors/code.json.
func TestGoldenCode(t *testing.T) {
	data, err := os.ReadFile("../docs/vectors/code.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Case    string
			In, Out map[string]string
		}
		Refused []struct{ Typed, Why string }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 || len(file.Refused) == 0 {
		t.Fatal("there is nothing in the file")
	}
	text := func(digits string) string {
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range file.Cases {
		typed, want := text(c.In["typed"]), text(c.Out["password"])
		if got, ok := ParseCode([]byte(typed)); !ok || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", c.Case, got, ok, want)
		}
		if got, err := Prepare([]byte(typed)); err != nil || string(got) != want {
			t.Errorf("%s: as a password it is %q, %v, want %q", c.Case, got, err, want)
		}
	}
	for _, c := range file.Refused {
		if got, ok := ParseCode([]byte(text(c.Typed))); ok {
			t.Errorf("%s: %q was taken", c.Why, got)
		}
		meant := map[string]bool{"19 characters": true, "21 characters": true, "two characters changed places": true, "a wrong check character": true}
		if got := MayBeCode([]byte(text(c.Typed))); got != meant[c.Why] {
			t.Errorf("%s: it may be a code: %v", c.Why, got)
		}
	}
}

func TestNewCode(t *testing.T) {
	seen := make(map[string]bool)
	characters := make(map[rune]bool)
	for range 100 {
		code := NewCode()
		if again, ok := ParseCode([]byte(strings.ToUpper(strings.ReplaceAll(code, "-", " ")))); !ok || string(again) != code {
			t.Fatalf("%q is read as %q, %v", code, again, ok)
		}
		if seen[code] {
			t.Fatalf("%q came twice", code)
		}
		seen[code] = true
		for _, c := range code[:19] {
			characters[c] = true
		}
	}
	if len(characters) != len(codeAlphabet)+1 { // and the dash
		t.Errorf("%d characters are in use", len(characters))
	}
}

// One wrong character is always found, and two that changed places are.
func TestCodeWithATypingError(t *testing.T) {
	code := strings.ReplaceAll(NewCode(), "-", "")
	missed := 0
	for i := range code {
		for _, c := range codeAlphabet {
			typed := code[:i] + string(c) + code[i+1:]
			if _, ok := ParseCode([]byte(typed)); ok && typed != code {
				missed++
			}
		}
	}
	if missed > 2 { // each is found but for one in a million
		t.Errorf("%d typing errors were not found", missed)
	}
}
