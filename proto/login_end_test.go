package proto

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"sim/proto/puzzle"
	"sim/proto/srp"
)

// Every end of the handshake that is not a session. What is not here: u = 0 can't be made to happen (it is SHA-256 of A and B) and is
// srp's to test; a ciphertext of another length is a Login of another length; the range of Argon2id's parameters is the client package's.

// outOfRange are numbers that can't be A or B.
func outOfRange() map[string][]byte {
	plus := func(n int64) []byte { return refPad(new(big.Int).Add(refN, big.NewInt(n))) }
	return map[string][]byte{
		"0": make([]byte, 256), "1": refPad(big.NewInt(1)), "N-1": plus(-1), "N": plus(0), "N+1": plus(1), "all ones": bytes.Repeat([]byte{0xff}, 256),
	}
}

// hostile is mallory as a client who speaks the protocol, with what she bends; it returns the server's error at Login or at Proof.
func (w *world) hostile(t *testing.T, c *refClient, config *LoginConfig) (out []byte, session *Session, err error) {
	t.Helper()
	s := NewLoginServer(config, w.now)
	if out, _, err = s.Handle(w.now, c.Hello()); err != nil {
		return out, nil, err
	}
	solution, login := c.Login(body(t, out))
	if out, _, err = s.Handle(w.now, solution); err != nil {
		return out, nil, err
	}
	if out, _, err = s.Handle(w.now, login); err != nil {
		return out, nil, err
	}
	proof, err := c.Proof(body(t, out))
	if err != nil {
		t.Fatal(err)
	}
	return s.Handle(w.now, proof)
}

// endsUnsaid asserts an end of the server's without a word.
func endsUnsaid(t *testing.T, what string, out []byte, session *Session, err error) {
	t.Helper()
	if out != nil || session != nil || !isPeer(err) {
		t.Errorf("%s: %d bytes, %v", what, len(out), err)
	}
}

func TestServerRefusesAOutOfRange(t *testing.T) {
	w := newWorld(t)
	for what, A := range outOfRange() {
		c := w.refClient("alice", "unknown to mallory")
		c.bendLogin = func(plain []byte) { copy(plain[32:], A) }
		out, session, err := w.hostile(t, c, w.config)
		endsUnsaid(t, "A = "+what, out, session, err)
	}
}

func TestClientRefusesBOutOfRange(t *testing.T) {
	w := newWorld(t)
	for what, B := range outOfRange() {
		s := w.refServer()
		s.bendSalt = func(plain []byte) { copy(plain[41:], B) }
		session, _, err := w.meet(t, s, passwordOf("alice"))
		if session != nil || !isPeer(err) {
			t.Errorf("B = %s: %v", what, err)
		}
	}
}

// lowOrder are points of X25519 with which every result is zero (RFC 7748, section 6.1).
func lowOrder() map[string][]byte {
	field := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	point := func(n *big.Int) []byte {
		b := n.FillBytes(make([]byte, 32))
		for i := range 16 {
			b[i], b[31-i] = b[31-i], b[i]
		}
		return b
	}
	order8, _ := new(big.Int).SetString("39382357235489614581723060781553021112529911719440698176882885853963445705823", 10)
	return map[string][]byte{
		"0": make([]byte, 32), "1": point(big.NewInt(1)), "p-1": point(new(big.Int).Sub(field, big.NewInt(1))), "p": point(field), "order 8": point(order8),
	}
}

func TestServerRefusesAllZeroX25519(t *testing.T) {
	w := newWorld(t)
	at, _ := w.stages(t, w.config)
	for what, e := range lowOrder() {
		login := bytes.Clone(at[atLogin].body)
		copy(login[1:], e)
		out, session, err := w.resolved(at[atSolution].server, login)
		endsUnsaid(t, "e_C = "+what, out, session, err)
		if err == nil || err.Error() != "peer: an X25519 result of all zeros" {
			t.Errorf("e_C = %s: %v", what, err)
		}
	}
}

// resolved gives a server a Login with a right Solution for it, whoever made it.
func (w *world) resolved(s *LoginServer, login []byte) ([]byte, *Session, error) {
	s = cloneServer(s)
	binding := [32]byte(refHash(login))
	solution, _ := s.puzzle.Solve(&binding, nil)
	if _, _, err := s.Handle(w.now, cat([]byte{msgSolution}, binding[:], solution[:])); err != nil {
		panic(err)
	}
	return s.Handle(w.now, login)
}

func TestClientRefusesAllZeroX25519(t *testing.T) {
	w := newWorld(t)
	for what, e := range lowOrder() {
		s := w.refServer()
		s.bendChallenge = func(b []byte) { copy(b[36:], e) }
		if _, _, err := w.meet(t, s, ""); !isPeer(err) {
			t.Errorf("e_S = %s: %v", what, err)
		}
		c, err := NewLoginClient([32]byte(e), mustName(t, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		c.Hello(w.now)
		if _, err := c.Challenge(w.refServer().Challenge([]byte{})); !isPeer(err) || err.Error() != "peer: an X25519 result of all zeros" {
			t.Errorf("pk_S = %s: %v", what, err)
		}
	}
}

func TestDHTakes32Bytes(t *testing.T) {
	key := must(x25519Key(draw(32)))
	for _, n := range []int{0, 31, 33} {
		if _, err := dh(key, make([]byte, n)); !isPeer(err) {
			t.Error(n, err)
		}
	}
}

func TestClientRefusesMalformedKEMKey(t *testing.T) {
	w := newWorld(t)
	for _, from := range []int{68, 68 + 600, challengeLen - 33 - 3} {
		s := w.refServer()
		s.bendChallenge = func(b []byte) { copy(b[from:], []byte{0xff, 0xff, 0xff}) } // coefficients that are not below q
		if _, _, err := w.meet(t, s, ""); !isPeer(err) {
			t.Errorf("from %d: %v", from, err)
		}
	}
}

// ML-KEM has no malformed ciphertext of the right length: another one gives another secret, and the box does not open.
func TestServerRefusesBentKEMCiphertext(t *testing.T) {
	w := newWorld(t)
	at, _ := w.stages(t, w.config)
	for _, i := range []int{33, 600, loginHead - 1} {
		login := bytes.Clone(at[atLogin].body)
		login[i] ^= 1
		out, session, err := w.resolved(at[atSolution].server, login)
		endsUnsaid(t, fmt.Sprint("byte ", i), out, session, err)
	}
}

func TestServerRefusesMalformedName(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "Alice", "-alice", ".alice", "al ice", "al\x00ice", "alice\n", "älice", "alice\x00x"} {
		c := w.refClient("alice", passwordOf("alice"))
		c.bendLogin = func(plain []byte) { copy(plain, refName(name)) }
		out, session, err := w.hostile(t, c, w.config)
		endsUnsaid(t, fmt.Sprintf("%q", name), out, session, err)
	}
}

func TestClientRefusesPuzzlesAboveItsCeiling(t *testing.T) {
	w := newWorld(t)
	try := func(challenge, account byte) error {
		s := w.refServer()
		s.Puzzle[33], s.Account[33] = challenge, account
		c := w.client(t, "alice")
		wire, _ := c.Hello(w.now)
		task, err := c.Challenge(s.Challenge(body(t, wire)))
		if err != nil || account == 0 {
			return err
		}
		wire, _ = c.Login(w.now, solve(t, task))
		third := bodies(t, wire)
		salt, err := s.Answer(third[0], third[1])
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Salt(salt)
		return err
	}
	for bits := range 256 {
		good := bits == 0 || bits >= 4 && bits <= 26
		if err := try(byte(bits), 0); (err == nil) != good || err != nil && !isPeer(err) {
			t.Errorf("Challenge's puzzle of %d bits: %v", bits, err)
		}
	}
	for _, bits := range []byte{1, 2, 3, 4, 21, 22, 23, 26, 30, 31, 255} {
		good := bits >= 4 && bits <= 22
		if err := try(8, bits); (err == nil) != good || err != nil && !isPeer(err) {
			t.Errorf("the account puzzle of %d bits: %v", bits, err)
		}
	}
}

func TestClientRefusesMalformedPuzzles(t *testing.T) {
	w := newWorld(t)
	for _, count := range []byte{0, 1, 15, 17, 255} {
		s := w.refServer()
		s.bendChallenge = func(b []byte) { b[34] = count }
		if _, _, err := w.meet(t, s, ""); !isPeer(err) {
			t.Errorf("Challenge's puzzle has %d parts: %v", count, err)
		}
		s = w.refServer()
		s.bendSalt = func(b []byte) { b[297+32] = count }
		if _, _, err := w.meet(t, s, ""); !isPeer(err) {
			t.Errorf("the account puzzle has %d parts: %v", count, err)
		}
	}
}

func TestClientRefusesVersionThatItDidNotOffer(t *testing.T) {
	w := newWorld(t)
	for _, version := range []byte{0, 2, 255} {
		s := w.refServer()
		s.bendChallenge = func(b []byte) { b[1] = version }
		if _, _, err := w.meet(t, s, ""); !isPeer(err) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

func TestServerRefusesWrongSolution(t *testing.T) {
	w := newWorld(t)
	at, _ := w.stages(t, w.config)
	for i := range puzzle.SolutionSize {
		if i%8 != 0 && i%8 != 7 {
			continue
		}
		bent := bytes.Clone(at[atSolution].body)
		bent[33+i]++
		wrongAnswer(at[atSolution].server, bent, i)
		s := cloneServer(at[atSolution].server)
		out, session, err := s.Handle(w.now, bent)
		endsUnsaid(t, fmt.Sprint("byte ", i), out, session, err)
	}
}

// wrongAnswer changes a byte of the answers in a Solution until they are wrong: one in 16 is right by chance.
func wrongAnswer(s *LoginServer, solution []byte, i int) {
	binding := [32]byte(solution[1:])
	for s.puzzle.Verify(&binding, (*[puzzle.SolutionSize]byte)(solution[33:])) {
		solution[33+i]++
	}
}

// Bits 0 have one solution, so that nothing can be hidden in it.
func TestServerRefusesOtherSolutionOfNoPuzzle(t *testing.T) {
	w := newWorld(t)
	w.config.PuzzleBits = 0
	at, _ := w.stages(t, w.config)
	s := at[atSolution].server
	at[atSolution].body[160] = 1
	out, session, err := s.Handle(w.now, at[atSolution].body)
	endsUnsaid(t, "a solution", out, session, err)

	at, _ = w.stages(t, w.config)
	c := w.refClient("alice", passwordOf("alice"))
	c.bendProof = func(plain []byte) { plain[127] = 1 }
	out, session, err = w.hostile(t, c, w.config)
	endsUnsaid(t, "an account solution", out, session, err)
}

func TestServerRefusesWrongAccountSolution(t *testing.T) {
	w := newWorld(t)
	w.config.AccountPuzzleBits = 16
	c := w.refClient("alice", passwordOf("alice"))
	c.bendProof = func(plain []byte) { clear(plain[:128]) }
	out, session, err := w.hostile(t, c, w.config)
	endsUnsaid(t, "zeros", out, session, err)
	if session != nil {
		t.Fatal("the account puzzle costs nothing")
	}
}

// The work was done for one Login: mallory in the middle can't spend it on one of hers.
func TestServerRefusesSolutionForAnotherLogin(t *testing.T) {
	w := newWorld(t)
	at, _ := w.stages(t, w.config)
	c := w.refClient("mallory", "")
	challenge := at[atChallenge].body
	c.hello = at[atHello].body
	_, hers := c.Login(challenge)

	s := cloneServer(at[atSolution].server)
	if _, _, err := s.Handle(w.now, at[atSolution].body); err != nil {
		t.Fatal(err)
	}
	out, session, err := s.Handle(w.now, hers)
	endsUnsaid(t, "her Login under alice's work", out, session, err)
	if err == nil || err.Error() != "peer: a solution for another Login" {
		t.Error(err)
	}

	s = cloneServer(at[atSolution].server)
	out, session, err = s.Handle(w.now, cat([]byte{msgSolution}, refHash(hers), at[atSolution].body[33:]))
	endsUnsaid(t, "alice's answers over the hash of hers", out, session, err)
}

// The seed lives in the connection: a solution is worth nothing on another.
func TestServerRefusesSolutionReplayedElsewhere(t *testing.T) {
	w := newWorld(t)
	w.config.PuzzleBits = 12
	at, _ := w.stages(t, w.config)
	for range 5 {
		s := NewLoginServer(w.config, w.now)
		if _, _, err := s.Handle(w.now, at[atHello].body); err != nil { // even the Hello is replayed
			t.Fatal(err)
		}
		out, session, err := s.Handle(w.now, at[atSolution].body)
		endsUnsaid(t, "a replay", out, session, err)
	}
}

func TestWrongMAC1IsSilence(t *testing.T) {
	w := newWorld(t)
	hello := helloOf(w, []byte{1})
	for i := range hello {
		for bit := range 8 {
			s := NewLoginServer(w.config, w.now)
			bent := bytes.Clone(hello)
			bent[i] ^= 1 << bit
			if out, session, err := s.Handle(w.now, bent); err != ErrSilence || out != nil || session != nil || s.Greeted() {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
	}
	other := newWorld(t)
	s := NewLoginServer(w.config, w.now)
	if _, _, err := s.Handle(w.now, helloOf(other, []byte{1})); err != ErrSilence {
		t.Fatal("mac1 under another key:", err)
	}
}

// A version list that breaks a rule is silence even under a right mac1.
func TestMalformedVersionsAreSilence(t *testing.T) {
	w := newWorld(t)
	for _, list := range [][]byte{
		{1, 0}, {2, 0, 1}, {2, 1, 1}, {2, 2, 1}, {0, 1}, {2, 1}, {1, 1, 2}, {8, 1, 2, 3, 4, 5, 6, 7}, {7, 1, 2, 3, 4, 5, 6, 7, 8}, {255, 1},
		{8, 1, 2, 3, 4, 5, 6, 7, 7}, {8, 0, 1, 2, 3, 4, 5, 6, 7},
	} {
		s := NewLoginServer(w.config, w.now)
		hello := withMAC1(w, cat([]byte{msgHello}, list, bytes.Repeat([]byte{9}, 32)))
		if out, session, err := s.Handle(w.now, hello); err != ErrSilence || out != nil || session != nil || s.Greeted() {
			t.Errorf("%v: %v", list, err)
		}
	}
}

func TestHelloIsOfItsTypeAndLength(t *testing.T) {
	w := newWorld(t)
	for _, hello := range [][]byte{
		withMAC1(w, cat([]byte{2, 1, 1}, make([]byte, 32))),
		withMAC1(w, cat([]byte{1, 0}, make([]byte, 32))),
		withMAC1(w, cat([]byte{1, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}, make([]byte, 32))),
		withMAC1(w, cat([]byte{1, 1, 1}, make([]byte, 33))),
		withMAC1(w, cat([]byte{1, 1, 1}, make([]byte, 31))),
	} {
		if _, _, err := NewLoginServer(w.config, w.now).Handle(w.now, hello); err != ErrSilence {
			t.Errorf("%x: %v", hello, err)
		}
	}
}

// Somebody who plays the server without its private key is found out at Salt, at the latest at Welcome.
func TestWrongServerKeyIsNoProof(t *testing.T) {
	w := newWorld(t)
	s := w.refServer()
	s.Key = draw(32) // mallory's own
	c := w.client(t, "alice")
	wire, _ := c.Hello(w.now)
	if _, err := c.Challenge(s.Challenge(body(t, wire))); err != nil {
		t.Fatal(err)
	}
	c.state = clientAwaitsSalt
	for range 10 {
		if _, err := cloneClient(c).Salt(cat([]byte{msgSalt}, draw(saltLen-1))); err != ErrNoProof {
			t.Fatal(err)
		}
	}
	// And the real server keeps silent to a client that holds another key.
	stranger, err := NewLoginClient([32]byte(draw(32)), mustName(t, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	wire, _ = stranger.Hello(w.now)
	if _, _, err := NewLoginServer(w.config, w.now).Handle(w.now, body(t, wire)); err != ErrSilence {
		t.Fatal(err)
	}
}

// Mallory holds the private key but not the verifier: she gets as far as M1, which tells her nothing, and proves nothing.
func TestServerWithoutTheVerifierIsNoProof(t *testing.T) {
	w := newWorld(t)
	s := w.refServer()
	s.Verifier = func(string) []byte { return refVerifier("alice", saltOf(w.config.Directory, "alice"), draw(32)) }
	s.bendAnswer = func(plain []byte) { // it says yes all the same
		plain[0] = 1
		copy(plain[1:], draw(48))
	}
	if session, _, err := w.meet(t, s, passwordOf("alice")); err != ErrNoProof || session != nil {
		t.Fatal(err)
	}
}

// The session id is under M2: a holder of the private key can't make the two ends disagree on it. (Nor can the verifier's holder.)
func TestBentSessionIDIsNoProof(t *testing.T) {
	w := newWorld(t)
	for i := range 48 {
		s := w.refServer()
		s.bendAnswer = func(plain []byte) { plain[1+i] ^= 1 }
		if session, _, err := w.meet(t, s, passwordOf("alice")); err != ErrNoProof || session != nil {
			t.Fatalf("byte %d: %v", 1+i, err)
		}
	}
}

func TestClientRefusesMalformedWelcome(t *testing.T) {
	w := newWorld(t)
	for _, accepted := range []byte{2, 128, 255} {
		s := w.refServer()
		s.bendAnswer = func(plain []byte) { plain[0] = accepted }
		if session, _, err := w.meet(t, s, passwordOf("alice")); !isPeer(err) || session != nil {
			t.Errorf("accepted = %d: %v", accepted, err)
		}
		s = w.refServer()
		s.bendAnswer = func(plain []byte) { plain[0] = accepted } // and zeros, as in a refusal
		if session, _, err := w.meet(t, s, "wrong"); !isPeer(err) || session != nil {
			t.Errorf("refused = %d: %v", accepted, err)
		}
	}
	for _, i := range []int{1, 32, 33, 48} { // a refusal with something in it
		s := w.refServer()
		s.bendAnswer = func(plain []byte) { plain[i] = 1 }
		if session, _, err := w.meet(t, s, "wrong"); !isPeer(err) || session != nil {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	s := w.refServer()
	s.bendAnswer = func(plain []byte) { clear(plain) }
	if session, _, err := w.meet(t, s, passwordOf("alice")); err != ErrRefused || session != nil {
		t.Error(err)
	}
}

// M1 is bound to the salt, the parameters and B that the client saw.
func TestServerBendsSaltOrParameters(t *testing.T) {
	w := newWorld(t)
	for _, i := range []int{0, 31, 32, 35, 36, 39, 40} {
		s := w.refServer()
		s.bendSalt = func(plain []byte) { plain[i] ^= 1 }
		c := w.client(t, "alice")
		wire, _ := c.Hello(w.now)
		task, err := c.Challenge(s.Challenge(body(t, wire)))
		if err != nil {
			t.Fatal(err)
		}
		wire, _ = c.Login(w.now, solve(t, task))
		third := bodies(t, wire)
		salt, err := s.Answer(third[0], third[1])
		if err != nil {
			t.Fatal(err)
		}
		if task, err = c.Salt(salt); err != nil {
			t.Fatal(err)
		}
		if task.Salt == [32]byte(s.Salt) && bytes.Equal(task.Argon2.append(nil), s.Argon2) {
			t.Fatalf("byte %d: the client does not see it", i)
		}
		// What the server expects under the honest values is not what the client proves.
		wire, _ = c.Proof(w.now, solve(t, task), derive(passwordOf("alice"), task.Salt))
		s.proofs(s.name, s.Salt, s.Argon2, s.a, s.public)
		if _, keys, err := s.Welcome(body(t, wire)); err != nil || keys != nil {
			t.Fatalf("byte %d: M1 does not cover it: %v", i, err)
		}
	}
}

// What goes wrong at home is no word about the peer.
func TestErrorsOfTheStoreAreOurs(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("disk on fire")
	w.config.Directory.Lookup = func(Name) (Account, error) { return Account{}, broken }
	out, session, err := w.hostile(t, w.refClient("alice", ""), w.config)
	if out != nil || session != nil || err != broken {
		t.Error(err)
	}
	w.config.Directory.Lookup = func(Name) (Account, error) { return Account{Exists: true}, nil } // a verifier of 0
	out, session, err = w.hostile(t, w.refClient("alice", ""), w.config)
	if out != nil || session != nil || !errors.Is(err, srp.ErrVerifier) || isPeer(err) {
		t.Error(err)
	}
}

func TestNewEpochIsFresh(t *testing.T) {
	one, two := must(NewEpoch()), must(NewEpoch())
	if one.public == two.public || bytes.Equal(one.public[:32], two.public[:32]) || bytes.Equal(one.public[32:], two.public[32:]) {
		t.Error("a key twice")
	}
	if !bytes.Equal(one.public[:32], one.x25519.PublicKey().Bytes()) || !bytes.Equal(one.public[32:], one.kem.EncapsulationKey().Bytes()) {
		t.Error("the public half is another's")
	}
}
