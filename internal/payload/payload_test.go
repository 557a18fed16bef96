package payload

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// program is something that looks like a program of ours: a head, and the mark as it is when nothing was put.
func program(head string) []byte {
	return slices.Concat([]byte(head), make([]byte, 300), mark[:len(mark)-1], []byte{plain}, make([]byte, 100))
}

const (
	elfHead   = "\x7fELF\x02\x01\x01"
	machoHead = "\xcf\xfa\xed\xfe\x0c\x00\x00\x01"
)

func get(t *testing.T, file []byte) (string, error) {
	t.Helper()
	return Get(bytes.NewReader(file), int64(len(file)))
}

func put(t *testing.T, file []byte, text string) []byte {
	t.Helper()
	out, err := Put(file, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPutAndGet(t *testing.T) {
	original := program(elfHead)
	before := bytes.Clone(original)
	if text, err := get(t, original); text != "" || err != nil {
		t.Errorf("a fresh program carries %q (%v)", text, err)
	}
	first := put(t, original, "sim://first")
	if text, err := get(t, first); text != "sim://first" || err != nil {
		t.Errorf("got %q (%v)", text, err)
	}
	if !bytes.Equal(original, before) {
		t.Error("the program that was copied is changed")
	}
	if !bytes.Equal(first, put(t, original, "sim://first")) {
		t.Error("twice the same makes other bytes")
	}
	// Another text takes its place, and nothing piles up.
	if second := put(t, first, "sim://second"); !bytes.Equal(second, put(t, original, "sim://second")) {
		t.Error("a replaced text leaves something behind")
	}
}

// A copy for ELF and PE is marked in the one byte; one for macOS stays as it was signed.
func TestMark(t *testing.T) {
	for _, c := range []struct {
		head string
		want byte
	}{{elfHead, carries}, {machoHead, plain}} {
		original := program(c.head)
		out := put(t, original, "x")[:len(original)]
		at := bytes.Index(original, mark[:len(mark)-1]) + len(mark) - 1
		if out[at] != c.want {
			t.Errorf("%q: the mark is %c", c.head, out[at])
		}
		out[at] = original[at]
		if !bytes.Equal(out, original) {
			t.Errorf("%q: more than the mark is changed", c.head)
		}
	}
}

// Whatever byte of the text, the length or the sum is another, it is noticed. A broken magic is what the mark is for.
func TestDamage(t *testing.T) {
	original := program(elfHead)
	whole := put(t, original, "sim://somewhere")
	for at := len(original); at < len(whole); at++ {
		broken := bytes.Clone(whole)
		broken[at] ^= 0x20
		text, err := get(t, broken)
		inMagic := at >= len(whole)-len(magic)
		if text != "" || inMagic != (err == nil) || !inMagic && !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %q, %v", at-len(original), text, err)
		}
		if _, err := Put(broken, "x"); !inMagic && !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: Put: %v", at-len(original), err)
		}
	}
	// The end alone, with nothing in front of it that its length speaks of.
	if _, err := get(t, whole[len(whole)-tailLen:]); !errors.Is(err, ErrDamaged) {
		t.Errorf("the tail alone: %v", err)
	}
	for n := range tailLen {
		if text, err := get(t, whole[:n]); text != "" || err != nil {
			t.Errorf("%d bytes: %q, %v", n, text, err)
		}
	}
}

func TestForeign(t *testing.T) {
	for name, file := range map[string][]byte{
		"empty":                {},
		"a script":             program("#!/bin/sh\n"),
		"MZ and no PE":         program("MZ"),
		"an ELF of others":     slices.Concat([]byte(elfHead), make([]byte, 500)),
		"cut within the mark":  program(elfHead)[:len(elfHead)+300+len(mark)-1],
		"a Java class":         program("\xca\xfe\xba\xbe"),
		"a 32-bit Mach-O file": program("\xce\xfa\xed\xfe"),
	} {
		if _, err := Put(file, "x"); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", strings.Repeat("x", MaxText+1)} {
		if _, err := Put(program(elfHead), text); err == nil {
			t.Errorf("a text of %d bytes was put", len(text))
		}
	}
	put(t, program(elfHead), strings.Repeat("x", MaxText))
}
