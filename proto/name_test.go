package proto

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for s, want := range map[string]string{
		"alice": "alice", "Alice": "alice", "ALICE": "alice", "a": "a", "0": "0", "9.9_9-": "9.9_9-", "zZ": "zz", "a..b": "a..b",
		strings.Repeat("x", 32): strings.Repeat("x", 32), "admin": "admin",
	} {
		n, err := ParseName(s)
		if err != nil || n.String() != want || !bytes.Equal(n[:], refName(want)) {
			t.Errorf("%q: %q, %v", s, n, err)
		}
	}
	for _, s := range []string{
		"", ".a", "-a", "_a", " a", "a ", "a b", "a\x00", "\x00", "a\n", "a/b", "a@b", "a`", "a{", "[", "é", "\u212a", "ſ", "a\u0301", "a\xff", "a:b", "A:",
		strings.Repeat("x", 33), strings.Repeat("x", 300),
	} {
		if n, err := ParseName(s); err != ErrName || n != (Name{}) {
			t.Errorf("%q: %q, %v", s, n, err)
		}
	}
}

// Every byte in each place: what begins a name, what goes on with it.
func TestBytesOfNames(t *testing.T) {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	for c := range 256 {
		b := byte(c)
		low := bytes.IndexByte([]byte(first), b) >= 0
		upper := 'A' <= b && b <= 'Z'
		if _, err := ParseName(string([]byte{b})); (err == nil) != (low || upper) {
			t.Errorf("first %q: %v", b, err)
		}
		inside := low || b == '.' || b == '_' || b == '-'
		if _, err := ParseName(string([]byte{'a', b})); (err == nil) != (inside || upper) {
			t.Errorf("second %q: %v", b, err)
		}
		if _, ok := nameFromWire(append([]byte{b}, make([]byte, 31)...)); ok != low {
			t.Errorf("first on the wire %q: %v", b, ok)
		}
		if _, ok := nameFromWire(append([]byte{'a', b}, make([]byte, 30)...)); ok != (inside || b == 0) {
			t.Errorf("second on the wire %q: %v", b, ok)
		}
		if _, ok := nameFromWire(append([]byte{'a', 0, b}, make([]byte, 29)...)); ok != (b == 0) {
			t.Errorf("after the end on the wire %q: %v", b, ok)
		}
		if _, ok := nameFromWire(append(bytes.Repeat([]byte{'a'}, 31), b)); ok != (inside || b == 0) {
			t.Errorf("last on the wire %q: %v", b, ok)
		}
	}
}

func TestReservedNames(t *testing.T) {
	for s, want := range map[string]bool{"admin": true, "server": true, "system": true, "root": true, "Root": true, "sim": true, "nobody": true, "yes": true, "passwd": true, "quit": true, "roots": false, "yesenia": false, "alice": false, "roo": false} {
		if mustName(t, s).Reserved() != want {
			t.Errorf("%s: %v", s, !want)
		}
	}
	if (Name{}).Reserved() {
		t.Error("no name is reserved")
	}
}

func TestNamesSortByTheirBytes(t *testing.T) {
	sorted := []string{"0", "a", "a-", "a.", "a0", "a_", "aa", "b", "z", "za"}
	var names []Name
	for _, s := range sorted {
		names = append(names, mustName(t, s))
	}
	for i, a := range names {
		for j, b := range names {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if a.Compare(b) != want {
				t.Errorf("%s, %s: %d", a, b, a.Compare(b))
			}
		}
	}
	if !slices.IsSortedFunc(names, Name.Compare) {
		t.Error("not sorted")
	}
}

func TestParsePrefix(t *testing.T) {
	for s, want := range map[string]string{"": "", "a": "a", "Al": "al", "a.": "a.", strings.Repeat("x", 32): strings.Repeat("x", 32)} {
		if p, err := ParsePrefix(s); err != nil || p.String() != want {
			t.Errorf("%q: %q, %v", s, p, err)
		}
	}
	for _, s := range []string{".", "-", "a b", "\x00", strings.Repeat("x", 33)} {
		if _, err := ParsePrefix(s); err != ErrName {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// FuzzParseName: what is a name goes over the wire and back, and parses again to itself; what is on the wire is what is written.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{"", "alice", "ALICE", "a.b_c-d", "-", "\x00", "a\x00b", strings.Repeat("x", 32), strings.Repeat("x", 33), "\u212a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err == nil {
			again, err := ParseName(n.String())
			wire, ok := nameFromWire(n[:])
			if err != nil || !ok || again != n || wire != n || !strings.EqualFold(n.String(), s) {
				t.Fatalf("%q: %q, %q", s, n, again)
			}
		}
		var raw Name
		copy(raw[:], s)
		if wire, ok := nameFromWire(raw[:]); ok {
			if again, err := ParseName(wire.String()); err != nil || again != raw {
				t.Fatalf("%q on the wire is no name", s)
			}
		}
	})
}
