package box

import (
	"bytes"
	"testing"
)

func TestStateStepsAreThoseOfThePage(t *testing.T) {
	s := NewState("sim/1 test")
	h := sum([]byte("sim/1 test"))
	ck := h
	check := func(what string) {
		t.Helper()
		if got := s.Hash(); !bytes.Equal(got[:], h) {
			t.Errorf("%s: h is %x, want %x", what, got, h)
		}
		if !bytes.Equal(s.ck[:], ck) {
			t.Errorf("%s: ck is %x, want %x", what, s.ck, ck)
		}
	}
	check("init")

	s.MixHash([]byte("one"))
	h = sum(h, []byte("one"))
	check("MixHash")

	s.MixHash([]byte("two"), []byte("three"), nil)
	h = sum(h, []byte("twothree"))
	check("MixHash of parts")

	s.MixHash()
	h = sum(h)
	check("MixHash of nothing")

	s.MixKey("sim/1 ee", []byte("secret"))
	ck = oracleHKDF([]byte("secret"), ck, append([]byte("sim/1 ee"), h...))
	check("MixKey")

	derived := s.Derive("sim/1 key")
	if want := oracleExpand(ck, append([]byte("sim/1 key"), h...)); !bytes.Equal(derived[:], want) {
		t.Errorf("Derive: %x, want %x", derived, want)
	}
	check("Derive")

	final := s.Final("sim/1 session", []byte("S"))
	if want := oracleHKDF([]byte("S"), ck, append([]byte("sim/1 session"), h...)); !bytes.Equal(final[:], want) {
		t.Errorf("Final: %x, want %x", final, want)
	}
	check("Final")

	s.Clear()
	ck = make([]byte, 32)
	check("Clear")
}

func TestMixHashIsAStep(t *testing.T) {
	h := [32]byte{1}
	got := MixHash(&h, []byte("a"), []byte("b"))
	if want := sum(h[:], []byte("ab")); !bytes.Equal(got[:], want) || h != [32]byte{1} {
		t.Errorf("got %x, want %x", got, want)
	}
}

// Each step depends on everything before it.
func TestStateRemembers(t *testing.T) {
	states := map[[KeySize]byte]string{}
	for _, label := range []string{"a", "b"} {
		for _, message := range []string{"", "m", "n"} {
			for _, secret := range []string{"s", "t"} {
				for _, mix := range []string{"x", "y"} {
					s := NewState(label)
					s.MixHash([]byte(message))
					s.MixKey(mix, []byte(secret))
					key, run := s.Derive("k"), label+"/"+message+"/"+secret+"/"+mix
					if other, ok := states[key]; ok {
						t.Errorf("%s and %s have one key", run, other)
					}
					states[key] = run
				}
			}
		}
	}
}

func TestGoldenState(t *testing.T) {
	var v struct {
		Label      string
		Steps      []struct{ MixHash, MixKey, Secret string }
		H, CK      hexBytes
		Derive     string
		Derived    hexBytes
		FinalLabel string `json:"final"`
		Secret     string
		Final      hexBytes `json:"finished"`
	}
	load(t, "state.json", &v)
	if len(v.Steps) == 0 {
		t.Fatal("no steps")
	}
	s := NewState(v.Label)
	for _, step := range v.Steps {
		if step.MixKey != "" {
			s.MixKey(step.MixKey, []byte(step.Secret))
		} else {
			s.MixHash([]byte(step.MixHash))
		}
	}
	derived, final := s.Derive(v.Derive), s.Final(v.FinalLabel, []byte(v.Secret))
	for _, c := range []struct {
		what      string
		got, want []byte
	}{{"h", s.h[:], v.H}, {"ck", s.ck[:], v.CK}, {"derived", derived[:], v.Derived}, {"final", final[:], v.Final}} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s is %x, want %x", c.what, c.got, c.want)
		}
	}
}
