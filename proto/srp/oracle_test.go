package srp

import (
	"crypto/sha256"
	"hash"
	"math/big"
	"math/rand/v2"
	"testing"
)

// The oracle is SRP-6a on math/big, written from the RFC and not from the code
// beside it.
type oracle struct {
	N, g, k *big.Int
	size    int
	hash    func() hash.Hash
}

func oracleFor(s *suite) *oracle {
	o := &oracle{N: number(s.mod.Nat().Bytes(s.mod)), g: number(s.g.bytes()), size: s.size, hash: s.hash}
	o.k = number(o.digest(o.N.Bytes(), o.pad(o.g)))
	return o
}

func number(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

func (o *oracle) pad(n *big.Int) []byte { return n.FillBytes(make([]byte, o.size)) }

func (o *oracle) digest(parts ...[]byte) []byte {
	h := o.hash()
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

func (o *oracle) pow(base, exponent *big.Int) *big.Int {
	return new(big.Int).Exp(base, exponent, o.N)
}

func (o *oracle) B(v, b *big.Int) *big.Int {
	B := new(big.Int).Mul(o.k, v)
	B.Add(B, o.pow(o.g, b))
	return B.Mod(B, o.N)
}

func (o *oracle) u(A, B *big.Int) *big.Int { return number(o.digest(o.pad(A), o.pad(B))) }

// clientS is (B − k·g^x)^(a + u·x), by the book: the exponent is an integer.
func (o *oracle) clientS(a, x, u, B *big.Int) *big.Int {
	exponent := new(big.Int).Mul(u, x)
	exponent.Add(exponent, a)
	return o.pow(o.base(x, B), exponent)
}

func (o *oracle) base(x, B *big.Int) *big.Int {
	base := new(big.Int).Mul(o.k, o.pow(o.g, x))
	base.Sub(B, base)
	return base.Mod(base, o.N)
}

func (o *oracle) serverS(A, v, u, b *big.Int) *big.Int {
	base := new(big.Int).Mul(A, o.pow(v, u))
	return o.pow(base.Mod(base, o.N), b)
}

// dice are random bytes that are the same in every run.
func dice(seed byte) source {
	rng := rand.NewChaCha8([32]byte{seed})
	return func(b []byte) { rng.Read(b) }
}

func TestOracleAgrees(t *testing.T) {
	o, roll := oracleFor(group2048), dice(1)
	for range 20 {
		var salt, secret [32]byte
		a, b := make([]byte, 32), make([]byte, 32)
		for _, into := range [][]byte{salt[:], secret[:], a, b} {
			roll(into)
		}
		x := number(o.digest(salt[:], o.digest([]byte("alice:"), secret[:])))
		v := o.pow(o.g, x)
		equal(t, "v", Verifier("alice", &salt, &secret)[:], o.pad(v))

		client := group2048.begin(given(a))
		A := o.pow(o.g, number(a))
		equal(t, "A", client.public, o.pad(A))
		server, err := group2048.answer(o.pad(v), o.pad(A), given(b))
		if err != nil {
			t.Fatal(err)
		}
		B := o.B(v, number(b))
		equal(t, "B", server.public, o.pad(B))
		u := o.u(A, B)

		S, err := client.finish("alice", salt[:], secret[:], o.pad(B))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "client's S", S, o.pad(o.clientS(number(a), x, u, B)))
		S, err = server.finish()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "server's S", S, o.pad(o.serverS(A, v, u, number(b))))
	}
}

func TestOracleAgreesOnInventions(t *testing.T) {
	o, roll := oracleFor(group2048), dice(2)
	for range 200 {
		var uniform [272]byte
		roll(uniform[:])
		equal(t, "v", InventVerifier(&uniform)[:], o.pad(new(big.Int).Mod(number(uniform[:]), o.N)))
	}
}

// small is a suite whose N (a safe prime of 384 bits) is less than a + u·x.
func small() *suite {
	return newSuite(sha256.New, 2, "cc275279f4b82904f6640774f2a5df3723deb2e49c58a04dc574cc7bffb42d333c7855e6fdebda6affa3c3c283cdfdf3")
}
