package srp

import (
	"fmt"
	"strings"
	"testing"
)

// Several log-ins at once share the group: the race detector watches.
func TestAliceLogsIn(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			name := strings.Repeat("a", 1+4*i)
			var salt, secret [32]byte
			random(salt[:])
			random(secret[:])
			v := Verifier(name, &salt, &secret)

			alice := Begin()
			server, err := Answer(v, alice.A())
			if err != nil {
				t.Fatal(err)
			}
			S, err := alice.Finish(name, &salt, &secret, server.B())
			if err != nil {
				t.Fatal(err)
			}
			if want, err := server.Finish(); err != nil || *S != *want {
				t.Errorf("the two ends differ (%v)", err)
			}
		})
	}
}

func TestOperandsStay(t *testing.T) {
	cases, _ := golden(t)
	x, _ := group2048.elem(cases[0].A)
	y, _ := group2048.elem(cases[0].B)
	for name, do := range map[string]func(){
		"plus": func() { x.plus(y) }, "minus": func() { x.minus(y) }, "times": func() { x.times(y) },
		"pow": func() { x.pow([]byte{9, 9}) }, "copy": func() { x.copy().clear() }, "trivial": func() { x.trivial() },
	} {
		do()
		equal(t, "x after "+name, x.bytes(), cases[0].A)
		equal(t, "y after "+name, y.bytes(), cases[0].B)
	}
}

func FuzzServerAnswer(f *testing.F) {
	cases, _ := golden(f)
	c := cases[0]
	o := oracleFor(group2048)
	v, b := number(c.v), number(c.b)

	seeds := refused(o)
	for _, c := range cases {
		seeds[c.Case] = c.A
	}
	seeds["short"] = []byte{2}
	if len(seeds) < 8 {
		f.Fatal("no seed corpus")
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var A [Size]byte
		copy(A[:], data)
		n := number(A[:])
		below := n.Cmp(o.N) < 0
		trivial := n.BitLen() <= 1 || n.Cmp(number(o.pad(o.N)).Sub(o.N, number([]byte{1}))) == 0

		server, err := group2048.answer(c.v, A[:], given(c.b))
		if refuse := !below || trivial; refuse != (err == ErrPublic) {
			t.Fatalf("%x: %v", A, err)
		}
		if _, errWithAnyB := Answer((*[Size]byte)(c.v), &A); errWithAnyB != err {
			t.Fatalf("%x: %v, then %v", A, err, errWithAnyB)
		}
		if err != nil {
			return
		}
		S, err := server.finish()
		if err != nil {
			t.Fatal(err)
		}
		u := o.u(n, o.B(v, b))
		equal(t, "S", S, o.pad(o.serverS(n, v, u, b)))
	})
}

func BenchmarkVerifier(b *testing.B) {
	cases, _ := golden(b)
	c := cases[0]
	b.ReportAllocs()
	for b.Loop() {
		Verifier(c.name, &c.salt, &c.secret)
	}
}

func BenchmarkInventVerifier(b *testing.B) {
	var uniform [272]byte
	random(uniform[:])
	b.ReportAllocs()
	for b.Loop() {
		InventVerifier(&uniform)
	}
}

func BenchmarkBegin(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Begin()
	}
}

func BenchmarkAnswer(b *testing.B) {
	cases, _ := golden(b)
	v, A := (*[Size]byte)(cases[0].v), (*[Size]byte)(cases[0].A)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Answer(v, A); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkServerFinish(b *testing.B) {
	cases, _ := golden(b)
	server, err := Answer((*[Size]byte)(cases[0].v), (*[Size]byte)(cases[0].A))
	if err != nil {
		b.Fatal(err)
	}
	fresh := *server.server
	b.ReportAllocs()
	for b.Loop() {
		again := fresh
		again.b, again.v = make([]byte, exponentSize), fresh.v.copy()
		if _, err := again.finish(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClientFinish(b *testing.B) {
	cases, _ := golden(b)
	c := cases[0]
	fresh := *group2048.begin(random)
	b.ReportAllocs()
	for b.Loop() {
		again := fresh
		again.a = make([]byte, exponentSize)
		if _, err := again.finish(c.name, c.salt[:], c.secret[:], c.B); err != nil {
			b.Fatal(err)
		}
	}
}
