package srp

import (
	"math/big"
	"testing"
)

// FuzzClientFinish: of whatever B a server sends, the client takes what is below N and none of 0, 1 and N-1, and then computes what the
// oracle does.
func FuzzClientFinish(f *testing.F) {
	cases, _ := golden(f)
	c := cases[0]
	o := oracleFor(group2048)
	seeds := refused(o)
	for _, c := range cases {
		seeds[c.Case] = c.B
	}
	seeds["short"] = []byte{2}
	if len(seeds) < 8 {
		f.Fatal("no seed corpus")
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	last := new(big.Int).Sub(o.N, big.NewInt(1))
	f.Fuzz(func(t *testing.T, data []byte) {
		var B [Size]byte
		copy(B[:], data)
		n := number(B[:])
		client := &ClientStart{group2048.begin(given(c.a))}
		S, err := client.Finish(c.name, &c.salt, &c.secret, &B)
		if refuse := n.Cmp(last) >= 0 || n.BitLen() <= 1; refuse != (err == ErrPublic) || refuse != (S == nil) {
			t.Fatalf("%x: %v", B, err)
		}
		if _, again := client.Finish(c.name, &c.salt, &c.secret, &B); again != ErrUsed {
			t.Fatalf("a second time: %v", again)
		}
		if err != nil {
			return
		}
		x, u := number(group2048.x(c.name, c.salt[:], c.secret[:])), o.u(number(c.A), n)
		equal(t, "S", S[:], o.pad(o.clientS(number(c.a), x, u, n)))
	})
}
