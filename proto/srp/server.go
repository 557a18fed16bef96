package srp

// A ServerStart is a server that has answered A with B. It belongs to one
// goroutine. Copies of it share its one use.
type ServerStart struct{ *server }

// Answer draws b and computes B = k·v + g^b. It returns ErrPublic for an A that
// must be refused, and ErrVerifier for a verifier that is none. A b for which
// the client would have to refuse is drawn again, a few times at most; if that
// is of no help because u comes out 0, the error is ErrScrambler.
func Answer(verifier, A *[Size]byte) (*ServerStart, error) {
	s, err := group2048.answer(verifier[:], A[:], random)
	if err != nil {
		return nil, err
	}
	return &ServerStart{s}, nil
}

// B is the server's public value, for the client.
func (s *ServerStart) B() *[Size]byte {
	var B [Size]byte
	if s.server != nil {
		copy(B[:], s.public)
	}
	return &B
}

// Finish computes the premaster secret S = (A · v^u)^b, which is the caller's to
// clear. It knows nothing of the client's password: only a proof shows that the
// client has the same S. b is forgotten, and a further call is ErrUsed.
func (s *ServerStart) Finish() (*[Size]byte, error) {
	S, err := s.finish()
	if err != nil {
		return nil, err
	}
	return (*[Size]byte)(S), nil
}

// Clear forgets b and the verifier, for a server that will not come to Finish.
func (s *ServerStart) Clear() {
	if s.server != nil && s.b != nil {
		clear(s.b)
		s.b = nil
		s.v.clear()
	}
}

// A server is ServerStart over any suite.
type server struct {
	b      []byte // nil once used
	A, v   elem
	u      []byte
	public []byte // PAD(B)
}

func (s *suite) answer(verifier, public []byte, draw source) (*server, error) {
	A, ok := s.usable(public)
	if !ok {
		return nil, ErrPublic
	}
	v, ok := s.usable(verifier)
	if !ok {
		return nil, ErrVerifier
	}
	kv := s.k.times(v)
	defer kv.clear()

	err := errDraws
	b := make([]byte, exponentSize)
	for range maxDraws {
		draw(b)
		gb := s.g.pow(b)
		B := kv.plus(gb)
		gb.clear()
		if B.trivial() {
			continue
		}
		u, ok := s.scrambler(A, B)
		if !ok {
			err = ErrScrambler
			continue
		}
		return &server{b: b, A: A, v: v, u: u, public: B.bytes()}, nil
	}
	clear(b)
	v.clear()
	return nil, err
}

func (s *server) finish() ([]byte, error) {
	if s == nil || s.b == nil {
		return nil, ErrUsed
	}
	b := s.b
	s.b = nil
	defer clear(b)
	defer s.v.clear()

	vu := s.v.pow(s.u)
	defer vu.clear()
	base := s.A.times(vu)
	defer base.clear()
	S := base.pow(b)
	defer S.clear()
	return S.bytes(), nil
}
