package proto

import (
	"strings"
	"testing"
)

var keyOfTest = [PublicKeySize]byte([]byte("the public key of the tests, 32 "))

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestAddressRoundTrip(t *testing.T) {
	for _, host := range []string{
		"localhost:7465", "sim.example.org:7465", "192.0.2.1:1", "[2001:db8::1]:65535", "[::1]:7465", "[fe80::1%25eth0]:7465", "[::ffff:192.0.2.1]:7465", "xn--bcher-kva.example:443",
	} {
		a := Address{keyOfTest, host}
		got, err := ParseAddress(a.String())
		if err != nil || got != a || got.String() != a.String() {
			t.Errorf("%s: %+v, %v", a, got, err)
		}
	}
}

func TestAddressForm(t *testing.T) {
	good := Address{keyOfTest, "host:7465"}.String()
	key := good[len("sim://"):][:46]
	for _, s := range []string{
		"", "sim://", "host:7465", key, key + "@host:1", "sim:" + key + "@host:1", "SIM://" + key + "@host:1", "http://" + key + "@host:1", " " + good,
		"sim://" + key, "sim://" + key + "@", "sim://host:7465", "sim://" + key + "host:1",
		good + "@other:1", good + "/", good + "/path", good + " ", good + "\t", good + "\n", good + "\r", "sim://" + key + "@ho st:1", "sim://" + key + "@@host:1",
	} {
		if a, err := ParseAddress(s); err != ErrAddressForm || a != (Address{}) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, wrong := range []string{
		"", key[1:], key + "A", key + "=", key + "==", "A" + key[:45], key[:44] + "==", key[:44] + "\r\n", "\n\n" + key[2:], key[:22] + "\n" + key[22:], key[:45] + "\n", key[:42] + "\n\n\n\n", strings.Repeat("\n", 46),
		strings.Replace(key, "-", "+", 1)[:45] + "+", key[:45] + "/", strings.Repeat("A", 46), strings.ToUpper(key), strings.ToLower(key),
	} {
		if a, err := ParseAddress("sim://" + wrong + "@host:1"); err != ErrAddressChecksum || a != (Address{}) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// The four bits at the end that no byte uses are zero: every key has one address.
func TestAddressHasOneForm(t *testing.T) {
	key := Address{keyOfTest, "h:1"}.String()[len("sim://"):][:46]
	last := strings.IndexByte(base64URL, key[45])
	if last%16 != 0 {
		t.Fatal("unused bits are set")
	}
	for i := 1; i < 16; i++ {
		if _, err := ParseAddress("sim://" + key[:45] + base64URL[last+i:last+i+1] + "@h:1"); err != ErrAddressChecksum {
			t.Errorf("%d in the unused bits: %v", i, err)
		}
	}
}

// The checksum catches every wrong character of this key, and every two neighbours that are swapped. (Two bytes of checksum let one
// mistake in 65,536 pass, so another key can have a typing mistake that is not caught.)
func TestAddressCatchesTypingMistakes(t *testing.T) {
	key := Address{keyOfTest, "h:1"}.String()[len("sim://"):][:46]
	tried := 0
	try := func(wrong string) {
		tried++
		if _, err := ParseAddress("sim://" + wrong + "@h:1"); err != ErrAddressChecksum {
			t.Errorf("%s passes for %s: %v", wrong, key, err)
		}
	}
	for i := range key {
		for _, c := range base64URL {
			if key[i] != byte(c) {
				try(key[:i] + string(c) + key[i+1:])
			}
		}
		if i > 0 && key[i] != key[i-1] {
			try(key[:i-1] + key[i:i+1] + key[i-1:i] + key[i+1:])
		}
	}
	if tried < 46*63 {
		t.Error(tried)
	}
}

func FuzzParseAddress(f *testing.F) {
	good := Address{keyOfTest, "[2001:db8::1]:7465"}.String()
	for _, s := range []string{"", "sim://", good, good + "@", good[:50], strings.ToUpper(good), Address{[32]byte{}, "h:1"}.String(), Address{keyOfTest, "h"}.String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil && err != ErrAddressForm && err != ErrAddressChecksum {
			t.Fatal(err)
		}
		if err == nil && a.String() != s {
			t.Fatalf("%q is read as %q", s, a)
		}
		if strings.ContainsAny(s, "@/ \t\r\n") || s == "" {
			return
		}
		made := Address{keyOfTest, s}
		if again, err := ParseAddress(made.String()); err != nil || again != made {
			t.Fatalf("%q: %v", made, err)
		}
	})
}
