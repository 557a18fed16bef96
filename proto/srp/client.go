package srp

// A ClientStart is a client that has chosen a and waits for B. It belongs to
// one goroutine. Copies of it share its one use.
type ClientStart struct{ *client }

// Begin draws a and computes A = g^a.
func Begin() *ClientStart { return &ClientStart{group2048.begin(random)} }

// A is the client's public value, for the server.
func (c *ClientStart) A() *[Size]byte {
	var A [Size]byte
	if c.client != nil {
		copy(A[:], c.public)
	}
	return &A
}

// Finish computes the premaster secret S, which is the caller's to clear, as
// secret is. It returns ErrPublic or ErrScrambler for a B that must be refused.
// Whatever it returns, a is forgotten, and every further call is ErrUsed.
func (c *ClientStart) Finish(name string, salt, secret *[32]byte, B *[Size]byte) (*[Size]byte, error) {
	S, err := c.finish(name, salt[:], secret[:], B[:])
	if err != nil {
		return nil, err
	}
	return (*[Size]byte)(S), nil
}

// Clear forgets a, for a client that will not come to Finish.
func (c *ClientStart) Clear() {
	if c.client != nil {
		clear(c.a)
		c.a = nil
	}
}

// A client is ClientStart over any suite.
type client struct {
	suite  *suite
	a      []byte // nil once used
	public []byte // PAD(A)
}

func (s *suite) begin(draw source) *client {
	a := make([]byte, exponentSize)
	draw(a)
	return &client{suite: s, a: a, public: s.g.pow(a).bytes()}
}

func (c *client) finish(name string, salt, secret, public []byte) ([]byte, error) {
	if c == nil || c.a == nil {
		return nil, ErrUsed
	}
	s, a := c.suite, c.a
	c.a = nil
	defer clear(a)

	B, ok := s.usable(public)
	if !ok {
		return nil, ErrPublic
	}
	A, ok := s.elem(c.public)
	if !ok {
		panic("srp: own public value is no group element")
	}
	u, ok := s.scrambler(A, B)
	if !ok {
		return nil, ErrScrambler
	}

	x := s.x(name, salt, secret)
	defer clear(x)
	v := s.g.pow(x)
	defer v.clear()
	kv := s.k.times(v)
	defer kv.clear()
	base := B.minus(kv) // g^b
	defer base.clear()

	// base^(a + u·x). The sum is never formed: it has a length, and a carry,
	// that depend on the secrets, and only arithmetic modulo N is at hand
	// here, where it must not be reduced.
	toA := base.pow(a)
	defer toA.clear()
	toU := base.pow(u)
	defer toU.clear()
	toUX := toU.pow(x)
	defer toUX.clear()
	S := toA.times(toUX)
	defer S.clear()
	return S.bytes(), nil
}
