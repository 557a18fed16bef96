package box

import (
	"bytes"
	"strings"
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

func TestTwoAreThoseOfThePage(t *testing.T) {
	key, context := [KeySize]byte{1, 2, 3}, [32]byte{4, 5, 6}
	long := strings.Repeat("a label longer than the buffer", 10)
	for _, labels := range [][2]string{{"sim/1 message", "sim/1 step"}, {"", "x"}, {"x", "x"}, {long, "x"}, {"x", long}} {
		for _, c := range [][]byte{nil, context[:], []byte(long)} {
			a, b := ExpandTwo(&key, labels[0], labels[1], c)
			for i, got := range [][KeySize]byte{a, b} {
				if want := oracleExpand(key[:], append([]byte(labels[i]), c...)); !bytes.Equal(got[:], want) {
					t.Errorf("ExpandTwo of %q, %d: %x, want %x", labels, i, got, want)
				}
			}
		}
		a, b := HKDFTwo([]byte("secret"), key[:], labels[0], labels[1], &context)
		for i, got := range [][KeySize]byte{a, b} {
			if want := oracleHKDF([]byte("secret"), key[:], append([]byte(labels[i]), context[:]...)); !bytes.Equal(got[:], want) {
				t.Errorf("HKDFTwo of %q, %d: %x, want %x", labels, i, got, want)
			}
		}
	}
	if key != [KeySize]byte{1, 2, 3} {
		t.Error("the key has changed")
	}
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
	var file struct {
		Comment string
		Cases   []struct {
			Case, Label string
			Steps       []struct {
				Do, Label        string
				X, Secret, H, CK hexBytes
			}
			Derive struct {
				Label string
				Key   hexBytes
			}
			Final struct {
				Label       string
				Secret, Key hexBytes
			}
		}
	}
	load(t, "state.json", &file)
	if len(file.Cases) != 1 || len(file.Cases[0].Steps) < 5 {
		t.Fatal("not one case of some steps")
	}
	v := file.Cases[0]
	is := func(what string, got [32]byte, want []byte) {
		t.Helper()
		if !bytes.Equal(got[:], want) {
			t.Errorf("%s is %x, want %x", what, got, want)
		}
	}
	s := NewState(v.Label)
	for _, step := range v.Steps {
		switch step.Do {
		case "MixHash":
			s.MixHash(step.X)
		case "MixKey":
			s.MixKey(step.Label, step.Secret)
		default:
			t.Fatalf("no step %q", step.Do)
		}
		is("h", s.Hash(), step.H)
		is("ck", s.ck, step.CK)
	}
	is("Derive", s.Derive(v.Derive.Label), v.Derive.Key)
	is("Final", s.Final(v.Final.Label, v.Final.Secret), v.Final.Key)
}
