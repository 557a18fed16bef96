package srp

import "filippo.io/bigmod"

// An elem is a number below N. It is only ever made by suite.elem, from exactly
// as many bytes as N has, or from other elems: bigmod panics, or is silently
// wrong, where a number was announced shorter than its modulus.
//
// Elems are values: an operation returns a new one and leaves its operands.
type elem struct {
	nat *bigmod.Nat
	mod *bigmod.Modulus
}

// elem decodes a number. It reports false unless b is exactly as long as N and
// less than it: nothing is padded, cut or reduced.
func (s *suite) elem(b []byte) (elem, bool) {
	if len(b) != s.size {
		return elem{}, false
	}
	nat, err := bigmod.NewNat().SetBytes(b, s.mod)
	if err != nil {
		return elem{}, false
	}
	return elem{nat, s.mod}, true
}

// usable is elem, and refuses 0, 1 and N-1 too. These are what the subgroups of
// order 1 and 2 hold, and all that they hold since N is a safe prime; their
// powers are no secret.
func (s *suite) usable(b []byte) (elem, bool) {
	x, ok := s.elem(b)
	if !ok || x.trivial() {
		return elem{}, false
	}
	return x, true
}

// reduced is b modulo N, in constant time. b may be up to wideSize bytes.
func (s *suite) reduced(b []byte) elem {
	wide, err := bigmod.NewNat().SetBytes(b, s.wide)
	if err != nil {
		panic("srp: number too wide to be reduced")
	}
	x := elem{bigmod.NewNat().Mod(wide, s.mod), s.mod}
	clear(wide.Bits())
	return x
}

func (x elem) trivial() bool {
	return x.nat.IsZero()|x.nat.IsOne()|x.nat.IsMinusOne(x.mod) == 1
}

func (x elem) copy() elem {
	y := bigmod.NewNat().ExpandFor(x.mod)
	copy(y.Bits(), x.nat.Bits())
	return elem{y, x.mod}
}

func (x elem) plus(y elem) elem {
	z := x.copy()
	z.nat.Add(y.nat, x.mod)
	return z
}

func (x elem) minus(y elem) elem {
	z := x.copy()
	z.nat.Sub(y.nat, x.mod)
	return z
}

func (x elem) times(y elem) elem {
	z := x.copy()
	z.nat.Mul(y.nat, x.mod)
	return z
}

// pow is x to a big-endian exponent. Only the exponent's length shows in the
// time it takes, whatever the base: g = 2 goes the way of every other base.
func (x elem) pow(exponent []byte) elem {
	return elem{bigmod.NewNat().Exp(x.nat, exponent, x.mod), x.mod}
}

// bytes is PAD(x): exactly as long as N.
func (x elem) bytes() []byte { return x.nat.Bytes(x.mod) }

// clear forgets the number. x must not be used after it.
func (x elem) clear() { clear(x.nat.Bits()) }
