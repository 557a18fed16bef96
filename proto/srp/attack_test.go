package srp

// Tests named after failures of other implementations, and after attacks.
// Not here, since they concern the caller: proofs compared in variable time
// (bcgit/bc-java#2406), salts and Argon2id parameters dictated by the server.

import (
	"bytes"
	"hash"
	"math/big"
	"testing"
)

// refused lists the public values of full length that give S away, or are none.
func refused(o *oracle) map[string][]byte {
	one := big.NewInt(1)
	top := new(big.Int).Lsh(one, uint(8*o.size))
	return map[string][]byte{
		"0":        o.pad(new(big.Int)),
		"1":        o.pad(one),
		"N-1":      o.pad(new(big.Int).Sub(o.N, one)),
		"N":        o.pad(o.N),
		"N+1":      o.pad(new(big.Int).Add(o.N, one)),
		"N+2":      o.pad(new(big.Int).Add(o.N, big.NewInt(2))),
		"all ones": o.pad(top.Sub(top, one)),
	}
}

// CVE-2009-4810, cyrusimap/cyrus-sasl#896: with A ≡ 0 the server's S is 0, and
// anyone logs in. With 1 and N-1 it is one of two values.
func TestMalloryLogsInWithAZeroA(t *testing.T) {
	cases, _ := golden(t)
	v := (*[Size]byte)(cases[0].v)
	for name, A := range refused(oracleFor(group2048)) {
		if s, err := Answer(v, (*[Size]byte)(A)); err != ErrPublic || s != nil {
			t.Errorf("A = %s: %v, want ErrPublic", name, err)
		}
	}
	o := oracleFor(group2048)
	for name, A := range map[string]*big.Int{
		"2":   big.NewInt(2),
		"N-2": new(big.Int).Sub(o.N, big.NewInt(2)),
	} {
		if _, err := Answer(v, (*[Size]byte)(o.pad(A))); err != nil {
			t.Errorf("A = %s: %v, want none", name, err)
		}
	}
}

// CVE-2009-4810 again, with multiples of N that need another byte, and
// CVE-2014-3512: numbers of other lengths never reach the arithmetic.
func TestMallorySendsOversizedValues(t *testing.T) {
	cases, _ := golden(t)
	c := cases[0]
	o := oracleFor(group2048)
	wide := func(n *big.Int) []byte { return n.FillBytes(make([]byte, Size+1)) }
	for name, value := range map[string][]byte{
		"2N":             wide(new(big.Int).Lsh(o.N, 1)),
		"2N+1":           wide(new(big.Int).Add(new(big.Int).Lsh(o.N, 1), big.NewInt(1))),
		"A after a zero": append([]byte{0}, c.A...),
		"A cut":          c.A[:Size-1],
		"one byte":       {5},
		"nothing":        {},
		"8 KiB":          bytes.Repeat([]byte{1}, 8192),
	} {
		if _, ok := group2048.elem(value); ok {
			t.Errorf("%s: is an element", name)
		}
		if _, err := group2048.answer(c.v, value, random); err != ErrPublic {
			t.Errorf("%s as A: %v, want ErrPublic", name, err)
		}
		if _, err := group2048.answer(value, c.A, random); err != ErrVerifier {
			t.Errorf("%s as v: %v, want ErrVerifier", name, err)
		}
		if _, err := group2048.begin(given(c.a)).finish(c.name, c.salt[:], c.secret[:], value); err != ErrPublic {
			t.Errorf("%s as B: %v, want ErrPublic", name, err)
		}
	}
}

// 1Password/srp#3: the client took any B.
func TestMalloryPlaysServerWithAZeroB(t *testing.T) {
	cases, _ := golden(t)
	c := cases[0]
	for name, B := range refused(oracleFor(group2048)) {
		client := &ClientStart{group2048.begin(given(c.a))}
		S, err := client.Finish(c.name, &c.salt, &c.secret, (*[Size]byte)(B))
		if err != ErrPublic || S != nil {
			t.Errorf("B = %s: %v, want ErrPublic", name, err)
		}
	}
}

func TestDamagedVerifier(t *testing.T) {
	cases, _ := golden(t)
	for name, v := range refused(oracleFor(group2048)) {
		if _, err := Answer((*[Size]byte)(v), (*[Size]byte)(cases[0].A)); err != ErrVerifier {
			t.Errorf("v = %s: %v, want ErrVerifier", name, err)
		}
		if err := CheckVerifier((*[Size]byte)(v)); err != ErrVerifier {
			t.Errorf("CheckVerifier of %s: %v, want ErrVerifier", name, err)
		}
	}
	if err := CheckVerifier((*[Size]byte)(cases[0].v)); err != nil {
		t.Errorf("CheckVerifier of a good one: %v", err)
	}
}

// cocagne/csrp#9, 1Password/srp#47: without PAD one log-in in 128 fails against
// an implementation that has it.
func TestMissingPad(t *testing.T) {
	cases, _ := golden(t)
	seen := false
	for _, c := range cases {
		if c.A[0] != 0 || c.B[0] != 0 {
			continue
		}
		seen = true
		if len(c.unpadded) == 0 || bytes.Equal(c.unpadded, c.u) {
			t.Fatal("the vector does not tell padded from unpadded")
		}
		o := oracleFor(group2048)
		equal(t, "oracle's u", o.u(number(c.A), number(c.B)).FillBytes(make([]byte, 32)), c.u)
		server, err := group2048.answer(c.v, c.A, given(c.b))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "u", server.u, c.u)
		S, err := group2048.begin(given(c.a)).finish(c.name, c.salt[:], c.secret[:], c.B)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "client's S", S, c.S)
	}
	if !seen {
		t.Fatal("no vector whose A and B begin with a zero byte")
	}
}

// opencoff/go-srp#5: B was k·v + g^b without the last reduction.
func TestBIsReduced(t *testing.T) {
	o, roll := oracleFor(group2048), dice(3)
	cases, _ := golden(t)
	kv := new(big.Int).Mul(o.k, number(cases[0].v))
	kv.Mod(kv, o.N)
	over := 0
	for range 20 {
		b := make([]byte, 32)
		roll(b)
		server, err := group2048.answer(cases[0].v, cases[0].A, given(b))
		if err != nil {
			t.Fatal(err)
		}
		sum := new(big.Int).Add(kv, o.pow(o.g, number(b)))
		if sum.Cmp(o.N) >= 0 {
			over++
		}
		equal(t, "B", server.public, o.pad(sum.Mod(sum, o.N)))
	}
	if over == 0 {
		t.Error("no sum reached N")
	}
}

// randombit/botan#3236: a + u·x was reduced modulo p, where exponents live
// modulo p-1. In the shipped group the sum is less than p; in a small one not.
func TestExponentIsNotReducedModuloP(t *testing.T) {
	s := small()
	o, roll := oracleFor(s), dice(4)
	a, b, salt, secret := make([]byte, 32), make([]byte, 32), make([]byte, 32), make([]byte, 32)
	for range 20 {
		for _, into := range [][]byte{a, b, salt, secret} {
			roll(into)
		}
		client := s.begin(given(a))
		server, err := s.answer(s.verifier("alice", salt, secret), client.public, given(b))
		if err != nil {
			t.Fatal(err)
		}
		S, err := client.finish("alice", salt, secret, server.public)
		if err != nil {
			t.Fatal(err)
		}
		x, u, B := number(s.x("alice", salt, secret)), number(server.u), number(server.public)
		equal(t, "client's S", S, o.pad(o.clientS(number(a), x, u, B)))

		wrong := new(big.Int).Mul(u, x)
		wrong.Add(wrong, number(a)).Mod(wrong, o.N)
		if bytes.Equal(S, o.pad(o.pow(o.base(x, B), wrong))) {
			t.Error("the sum was less than N")
		}
		S, err = server.finish()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "server's S", S, o.pad(o.clientS(number(a), x, u, B)))
	}
}

// The PARASITE attack, openssl#13888, CVE-2021-4286: a small base took a path of
// its own, whose time told about the client's x. Here g = 2 is announced as
// wide as every other number, and all of them go through the one Exp.
func TestSmallBaseIsAsWideAsAny(t *testing.T) {
	cases, _ := golden(t)
	v, _ := group2048.elem(cases[0].v)
	want := len(group2048.mod.Nat().Bits())
	for name, x := range map[string]elem{
		"g": group2048.g, "k": group2048.k, "v": v, "copy": group2048.g.copy(), "sum": group2048.g.plus(group2048.g),
		"difference": group2048.g.minus(group2048.g), "product": group2048.g.times(group2048.g), "power": group2048.g.pow([]byte{3}),
		"reduced": group2048.reduced([]byte{7}),
	} {
		if got := len(x.nat.Bits()); got != want {
			t.Errorf("%s has %d limbs, want %d", name, got, want)
		}
	}
	x := make([]byte, 32)
	allocs := func(base elem) float64 { return testing.AllocsPerRun(10, func() { base.pow(x) }) }
	if allocs(group2048.g) != allocs(v) {
		t.Error("a power of g takes another way than a power of v")
	}
}

// CVE-2025-54885, CVE-2026-3559: weak or static nonces.
func TestExponentsAreFreshAndWide(t *testing.T) {
	cases, _ := golden(t)
	c := cases[0]
	seen := map[string]bool{}
	for range 8 {
		client := Begin()
		server, err := Answer((*[Size]byte)(c.v), client.A())
		if err != nil {
			t.Fatal(err)
		}
		for _, exponent := range [][]byte{client.a, server.b} {
			if len(exponent) != 32 || bytes.Count(exponent, []byte{0}) > 8 {
				t.Errorf("weak exponent of %d bytes", len(exponent))
			}
			if seen[string(exponent)] {
				t.Error("an exponent came twice")
			}
			seen[string(exponent)] = true
		}
	}
}

// CVE-2016-0798 leaked on the way of unknown users. An invented verifier goes
// exactly the way of a real one.
func TestInventedVerifierGoesTheSameWay(t *testing.T) {
	cases, invented := golden(t)
	A := (*[Size]byte)(cases[0].A)
	run := func(v *[Size]byte) float64 {
		return testing.AllocsPerRun(5, func() {
			s, err := Answer(v, A)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Finish(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if real, fake := run((*[Size]byte)(cases[0].v)), run(InventVerifier((*[272]byte)(invented[0].In["uniform"]))); real != fake {
		t.Errorf("%v allocations for a real name, %v for an invented one", real, fake)
	}
}

// B in {0, 1, N-1} is one that our own client refuses: with a verifier made for
// it, the server draws another b.
func TestServerDrawsAgain(t *testing.T) {
	o := oracleFor(group2048)
	cases, _ := golden(t)
	c := cases[0]
	bad := bytes.Repeat([]byte{7}, 32)
	inverse := new(big.Int).ModInverse(o.k, o.N)
	for name, B := range map[string]*big.Int{"0": big.NewInt(0), "1": big.NewInt(1), "N-1": big.NewInt(-1)} {
		v := new(big.Int).Sub(B, o.pow(o.g, number(bad)))
		v.Mul(v, inverse).Mod(v, o.N)
		if want := new(big.Int).Mod(B, o.N); o.B(v, number(bad)).Cmp(want) != 0 {
			t.Fatal("the verifier does not give this B")
		}
		server, err := group2048.answer(o.pad(v), c.A, given(bad, bad, c.b))
		if err != nil {
			t.Fatalf("B = %s: %v", name, err)
		}
		equal(t, "B after "+name, server.public, o.pad(o.B(v, number(c.b))))
		equal(t, "u after "+name, server.u, o.u(number(c.A), number(server.public)).FillBytes(make([]byte, 32)))

		draws := 0
		_, err = group2048.answer(o.pad(v), c.A, func(b []byte) { copy(b, bad); draws++ })
		if err != errDraws || draws != maxDraws {
			t.Errorf("B = %s always: %v after %d draws", name, err, draws)
		}
	}
}

// zeroHash gives a number of zero digests, then honest ones.
type zeroHash struct {
	hash.Hash
	zeros *int
}

func (h zeroHash) Sum(b []byte) []byte {
	if *h.zeros == 0 {
		return h.Hash.Sum(b)
	}
	*h.zeros--
	return append(b, make([]byte, h.Size())...)
}

// With u = 0 the server's S is A^b, and a stolen verifier logs in: A^b is
// (B − k·v)^a.
func TestScramblerIsZero(t *testing.T) {
	cases, _ := golden(t)
	c := cases[0]
	zeros := 0
	s := *group2048
	s.hash = func() hash.Hash { return zeroHash{group2048.hash(), &zeros} }

	zeros = 1
	if S, err := s.begin(given(c.a)).finish(c.name, c.salt[:], c.secret[:], c.B); err != ErrScrambler || S != nil {
		t.Errorf("client: %v, want ErrScrambler", err)
	}
	zeros = maxDraws
	if server, err := s.answer(c.v, c.A, random); err != ErrScrambler || server != nil {
		t.Errorf("server: %v, want ErrScrambler", err)
	}
	zeros = 1
	server, err := s.answer(c.v, c.A, given(c.a, c.b))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "B after u = 0", server.public, c.B)
	equal(t, "u after u = 0", server.u, c.u)
}

// A wrong password, name or salt gives another S and no error: the proof tells.
func TestMalloryGuesses(t *testing.T) {
	cases, _ := golden(t)
	c := cases[0]
	other := [32]byte{1}
	for what, guess := range map[string]struct {
		name         string
		salt, secret *[32]byte
	}{
		"password": {c.name, &c.salt, &other},
		"salt":     {c.name, &other, &c.secret},
		"name":     {"bob", &c.salt, &c.secret},
	} {
		client := Begin()
		server, err := Answer((*[Size]byte)(c.v), client.A())
		if err != nil {
			t.Fatal(err)
		}
		S, err := client.Finish(guess.name, guess.salt, guess.secret, server.B())
		if err != nil {
			t.Fatalf("other %s: %v", what, err)
		}
		if want, err := server.Finish(); err != nil || *S == *want {
			t.Errorf("other %s: the same S, or %v", what, err)
		}
	}
}

func TestReplayedStep(t *testing.T) {
	cases, _ := golden(t)
	c := cases[0]
	client := Begin()
	server, err := Answer((*[Size]byte)(c.v), client.A())
	if err != nil {
		t.Fatal(err)
	}
	A, B := client.A(), server.B()
	clientCopy, serverCopy := *client, *server
	for i, want := range []error{nil, ErrUsed, ErrUsed} {
		if S, err := client.Finish(c.name, &c.salt, &c.secret, B); err != want || (S == nil) != (err != nil) {
			t.Errorf("client's call %d: %v, want %v", i, err, want)
		}
		if S, err := server.Finish(); err != want || (S == nil) != (err != nil) {
			t.Errorf("server's call %d: %v, want %v", i, err, want)
		}
	}
	if _, err := clientCopy.Finish(c.name, &c.salt, &c.secret, B); err != ErrUsed {
		t.Errorf("a copy of the client: %v, want ErrUsed", err)
	}
	if _, err := serverCopy.Finish(); err != ErrUsed {
		t.Errorf("a copy of the server: %v, want ErrUsed", err)
	}
	if *client.A() != *A || *server.B() != *B {
		t.Error("the public values changed")
	}

	// A refused B uses the step up too.
	client = Begin()
	if _, err := client.Finish(c.name, &c.salt, &c.secret, new([Size]byte)); err != ErrPublic {
		t.Errorf("B = 0: %v, want ErrPublic", err)
	}
	if _, err := client.Finish(c.name, &c.salt, &c.secret, B); err != ErrUsed {
		t.Errorf("after a refusal: %v, want ErrUsed", err)
	}
}

func TestZeroValues(t *testing.T) {
	var client ClientStart
	var server ServerStart
	if _, err := client.Finish("", new([32]byte), new([32]byte), new([Size]byte)); err != ErrUsed {
		t.Errorf("client: %v, want ErrUsed", err)
	}
	if _, err := server.Finish(); err != ErrUsed {
		t.Errorf("server: %v, want ErrUsed", err)
	}
	if *client.A() != [Size]byte{} || *server.B() != [Size]byte{} {
		t.Error("public values out of nothing")
	}
}

// A caller who scribbles over A or B does not change ours.
func TestPublicValuesAreCopies(t *testing.T) {
	cases, _ := golden(t)
	client := Begin()
	before := *client.A()
	clear(client.A()[:])
	if *client.A() != before {
		t.Error("A changed")
	}
	server, err := Answer((*[Size]byte)(cases[0].v), client.A())
	if err != nil {
		t.Fatal(err)
	}
	before = *server.B()
	clear(server.B()[:])
	if *server.B() != before {
		t.Error("B changed")
	}
}

func TestSecretsAreCleared(t *testing.T) {
	cases, _ := golden(t)
	c := cases[0]
	zero := make([]byte, exponentSize)

	client := group2048.begin(given(c.a))
	a := client.a
	if _, err := client.finish(c.name, c.salt[:], c.secret[:], c.B); err != nil {
		t.Fatal(err)
	}
	equal(t, "a after Finish", a, zero)

	client = group2048.begin(given(c.a))
	a = client.a
	if _, err := client.finish(c.name, c.salt[:], c.secret[:], make([]byte, Size)); err != ErrPublic {
		t.Fatal(err)
	}
	equal(t, "a after a refused B", a, zero)

	server, err := group2048.answer(c.v, c.A, given(c.b))
	if err != nil {
		t.Fatal(err)
	}
	b, v := server.b, server.v
	if _, err := server.finish(); err != nil {
		t.Fatal(err)
	}
	equal(t, "b after Finish", b, zero)
	equal(t, "v after Finish", v.bytes(), make([]byte, Size))

}
