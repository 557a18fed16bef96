package ticket

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func TestIntroEncodes(t *testing.T) {
	want := play(t, aliceToBob).intro
	body := want.Append([]byte("before"))
	if len(body) != len("before")+210+len(want.Versions) {
		t.Errorf("an Intro of %d versions has %d bytes", len(want.Versions), len(body)-len("before"))
	}
	got, err := ParseIntro(body[len("before"):])
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	clear(body)
	if !bytes.Equal(got.Versions, want.Versions) {
		t.Error("an Intro shares memory with the frame that it came in")
	}
}

func TestIntroIsStrict(t *testing.T) {
	body := play(t, aliceToBob).intro.Append(nil)
	for n := range body {
		if _, err := ParseIntro(body[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: got %v, want ErrMalformed", n, err)
		}
	}
	if _, err := ParseIntro(append(body, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte after it: got %v, want ErrMalformed", err)
	}
	body[64] = 3 // count, so that the chosen version goes to the list
	if _, err := ParseIntro(body); !errors.Is(err, ErrMalformed) {
		t.Errorf("another count: got %v, want ErrMalformed", err)
	}
}

func TestNonceIsStrict(t *testing.T) {
	msg := play(t, aliceToBob).nonce
	n, err := ParseNonce(msg)
	if err != nil || !bytes.Equal(n.Append(nil), msg) || n.CID != aliceToBob.CID || n.Version != 3 {
		t.Fatalf("got %+v, %v", n, err)
	}
	for i := range msg {
		if _, err := ParseNonce(msg[:i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: got %v, want ErrMalformed", i, err)
		}
	}
	if _, err := ParseNonce(append(bytes.Clone(msg), 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte after it: got %v, want ErrMalformed", err)
	}
	msg[0] = 4
	if _, err := ParseNonce(msg); !errors.Is(err, ErrMalformed) {
		t.Errorf("another type: got %v, want ErrMalformed", err)
	}
}

func TestVersionLists(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // "-" is refused
		rest string
	}{
		{"\x01\x01", "\x01", ""},
		{"\x02\x01\xff", "\x01\xff", ""},
		{"\x01\x07rest", "\x07", "rest"},
		{"\x08\x01\x02\x03\x04\x05\x06\x07\x08", "\x01\x02\x03\x04\x05\x06\x07\x08", ""},
		{"", "-", ""},
		{"\x00", "-", ""},
		{"\x00\x01", "-", ""},
		{"\x01", "-", ""},
		{"\x02\x01", "-", ""},
		{"\x01\x00", "-", ""},
		{"\x02\x00\x01", "-", ""},
		{"\x02\x01\x01", "-", ""},
		{"\x02\x02\x01", "-", ""},
		{"\x09\x01\x02\x03\x04\x05\x06\x07\x08\x09", "-", ""},
	} {
		versions, rest, err := ParseVersions([]byte(c.in))
		if c.want == "-" {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%q: got %q, %v, want ErrMalformed", c.in, versions, err)
			}
			continue
		}
		if err != nil || string(versions) != c.want || string(rest) != c.rest {
			t.Errorf("%q: got %q, %q, %v", c.in, versions, rest, err)
		}
		if again := AppendVersions(nil, versions); string(again)+c.rest != c.in {
			t.Errorf("%q encodes to %q", c.in, again)
		}
	}
}

// What parses encodes to the same bytes.
func FuzzIntro(f *testing.F) {
	f.Add(play(f, aliceToBob).intro.Append(nil))
	f.Add((&Intro{Versions: []byte{1}, Version: 1}).Append(nil))
	f.Add((&Intro{Versions: []byte{1, 2, 3, 4, 5, 6, 7, 8}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := ParseIntro(b)
		if err != nil {
			return
		}
		if again := in.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x encodes to %x", b, again)
		}
		if sealed, err := Issue(alice, in, &aliceKeys.Intro, bobKeys); err == nil && in.CID != aliceToBob.CID {
			t.Errorf("a ticket for a made-up Intro: %x", sealed)
		}
	})
}

func FuzzNonce(f *testing.F) {
	f.Add(play(f, aliceToBob).nonce)
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := ParseNonce(b); err == nil && !bytes.Equal(n.Append(nil), b) {
			t.Errorf("%x encodes to %x", b, n.Append(nil))
		}
	})
}

func FuzzVersions(f *testing.F) {
	f.Add([]byte{1, 1})
	f.Add([]byte{8, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		if versions, rest, err := ParseVersions(b); err == nil && !bytes.Equal(append(AppendVersions(nil, versions), rest...), b) {
			t.Errorf("%x encodes to another list", b)
		}
	})
}
