package proto

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"

	"sim/proto/box"
	"sim/proto/puzzle"
	"sim/proto/srp"
	"sim/proto/ticket"
)

// LoginConfig is what every login of a server shares. It is not changed after the first.
type LoginConfig struct {
	Key               *ecdh.PrivateKey // the static X25519 key, whose public half the clients pin
	Directory         *Directory
	PuzzleBits        uint8 // of Challenge's puzzle: 2^bits expected hashes; 0 for none; see SetPuzzles
	AccountPuzzleBits uint8
	Epoch             func() *Epoch // the current one
}

// LoginServer is the server's side of one login: what it takes next is given by its state, in the table loginTurns.
// Its caller reads a length, asks Admits, reads the body, calls Handle and writes what that returns.
type LoginServer struct {
	config   *LoginConfig
	state    Turn
	greeted  bool // a right mac1 has come
	bits     func() uint8
	account  func(Name) uint8
	deadline time.Time

	epoch    *Epoch
	puzzle   puzzle.Puzzle
	hello    []byte // its body, as solution is; neither is kept after Login
	solution []byte
	sym      *box.State
	key      [32]byte // of the four boxes

	name   Name
	exists int // 1 if the name has an account
	enrol  bool
	stored uint64 // the account's generation
	a      [srp.Size]byte
	salt   [32]byte
	srp    *srp.ServerStart
	proof  proofs

	// of a client that resumes a session, until that is found
	resume     ResumeRequest
	resumeMAC  [32]byte
	atLogin    box.State // at h2
	challenged time.Time // when Challenge was made
}

// Turn is the state of a LoginServer: what it waits for.
type Turn int

const (
	TurnHello Turn = iota
	TurnSolution
	TurnLogin   // its step is public-key work, as Proof's is
	TurnProof   // see CheckProof
	TurnSession // the session to resume, from our own side
	TurnOver
)

// loginTurns says what a state takes: the type of a body and its length, and the step that it leads to.
var loginTurns = [...]struct {
	typ      byte
	min, max int
	step     func(*LoginServer, time.Time, []byte) ([]byte, *Session, error)
}{
	TurnHello:    {msgHello, helloMin, helloMax, (*LoginServer).takeHello},
	TurnSolution: {msgSolution, solutionLen, solutionLen, (*LoginServer).takeSolution},
	TurnLogin:    {msgLogin, loginLen, loginLen, (*LoginServer).takeLogin},
	TurnProof:    {msgProof, proofLen, proofLen, (*LoginServer).takeProof},
	TurnSession:  {},
	TurnOver:     {},
}

// NewLoginServer begins a login at the moment its connection was accepted.
func NewLoginServer(config *LoginConfig, now time.Time) *LoginServer {
	return &LoginServer{
		config:   config,
		deadline: now.Add(HelloDeadline),
		bits:     func() uint8 { return config.PuzzleBits },
		account:  func(Name) uint8 { return config.AccountPuzzleBits },
	}
}

// SetPuzzles makes the puzzles of this login as hard as two functions say, in place of the config: bits, 0 for none or 4 at least.
// challenge is called when a right mac1 has come, account when Login has told a name, real or not, that is not a session's to resume.
func (l *LoginServer) SetPuzzles(challenge func() uint8, account func(Name) uint8) {
	l.bits, l.account = challenge, account
}

// Turn is what the login waits for.
func (l *LoginServer) Turn() Turn { return l.state }

// Deadline is when the wait for the message that is due ends.
func (l *LoginServer) Deadline() time.Time { return l.deadline }

// Greeted says whether a right mac1 has come: from then on a fault closes the connection at once.
func (l *LoginServer) Greeted() bool { return l.greeted }

// Admits says whether a body of n bytes can be the message that is due. If it can't, the login has failed: ErrSilence or a *PeerError.
func (l *LoginServer) Admits(n int) error {
	turn := &loginTurns[l.state]
	if n >= turn.min && n <= turn.max && n > 0 {
		return nil
	}
	return l.fault(peerErrorf("a message of %d bytes", n))
}

// Handle takes one body. It returns what to write (with lengths), a Session when the login is done, and an error when it has failed.
// Two errors come with something to write all the same, before the connection is closed: ErrRefused, and the one for versions that we
// don't speak, a *PeerError.
func (l *LoginServer) Handle(now time.Time, body []byte) (out []byte, done *Session, err error) {
	if err := l.Admits(len(body)); err != nil {
		return nil, nil, err
	}
	turn := &loginTurns[l.state]
	if body[0] != turn.typ {
		return nil, nil, l.fault(peerErrorf("a message of type %#x", body[0]))
	}
	out, done, err = turn.step(l, now, body)
	if err != nil {
		err = l.fault(err)
	}
	return out, done, err
}

// fault ends the login and says how: with silence before a right mac1.
func (l *LoginServer) fault(err error) error {
	if !l.greeted {
		err = ErrSilence
	}
	l.Clear()
	return err
}

// Clear ends the login and forgets its secrets and its epoch.
func (l *LoginServer) Clear() {
	l.state = TurnOver
	if l.srp != nil {
		l.srp.Clear()
	}
	l.epoch, l.srp = nil, nil
	if l.sym != nil {
		l.sym.Clear()
	}
	l.atLogin.Clear()
	clear(l.key[:])
}

// takeHello is message 1: mac1 shows that the client knows the public key; nothing of it is secret.
func (l *LoginServer) takeHello(now time.Time, body []byte) ([]byte, *Session, error) {
	signed := body[:len(body)-mac1Size]
	if !hmac.Equal(mac1(l.config.Key.PublicKey().Bytes(), signed), body[len(signed):]) {
		return nil, nil, ErrSilence
	}
	versions, rest, err := ticket.ParseVersions(signed[1:])
	if err != nil || len(rest) != 32 {
		return nil, nil, ErrSilence
	}
	l.greeted = true
	if !slices.Contains(versions, Version) {
		return appendBody(nil, []byte{msgRefusal, 1, Version}), nil, peerErrorf("versions %v", versions)
	}
	p := puzzle.Puzzle{Count: puzzle.Count, Bits: l.bits()}
	rand.Read(p.Seed[:])
	return l.greet(now, body, p, l.config.Epoch())
}

func (l *LoginServer) greet(now time.Time, hello []byte, p puzzle.Puzzle, epoch *Epoch) ([]byte, *Session, error) {
	l.hello = append([]byte(nil), hello...)
	l.puzzle, l.epoch, l.challenged = p, epoch, now
	l.state, l.deadline = TurnSolution, now.Add(LoginDeadline)
	return appendBody(nil, l.challengeBody()), nil, nil
}

// challengeBody is made anew where it is needed: 1.2 KiB that a connection without a right solution does not hold.
func (l *LoginServer) challengeBody() []byte {
	b := l.puzzle.Append([]byte{msgChallenge, Version})
	return append(b, l.epoch.public[:]...)
}

// takeSolution is the first half of message 3: no public-key operation, no database read before it is right.
func (l *LoginServer) takeSolution(_ time.Time, body []byte) ([]byte, *Session, error) {
	binding := [32]byte(body[1:])
	if !l.puzzle.Verify(&binding, (*[puzzle.SolutionSize]byte)(body[33:])) {
		return nil, nil, peerErrorf("a wrong solution")
	}
	l.solution = append([]byte(nil), body...)
	l.state = TurnLogin
	return nil, nil, nil
}

// takeLogin is the second half of message 3; it answers with message 4.
func (l *LoginServer) takeLogin(now time.Time, body []byte) ([]byte, *Session, error) {
	if sha256.Sum256(body) != [32]byte(l.solution[1:]) {
		return nil, nil, peerErrorf("a solution for another Login")
	}
	eC, ct, sealed := body[1:33], body[33:loginHead], body[loginHead:]
	es, err := dh(l.config.Key, eC)
	if err != nil {
		return nil, nil, err
	}
	ee, err := dh(l.epoch.x25519, eC)
	if err != nil {
		return nil, nil, err
	}
	shared, err := l.epoch.kem.Decapsulate(ct)
	if err != nil {
		return nil, nil, peerErrorf("a malformed ML-KEM ciphertext")
	}
	l.sym = loginState(l.config.Key.PublicKey().Bytes(), l.hello, l.challengeBody(), body[1:loginHead], es, ee, shared)
	l.epoch = nil // with the last holder it is gone
	l.key = l.sym.Derive("sim/1 handshake")
	h2 := l.sym.Hash()
	plain, err := box.Open(&l.key, "sim/1 box login", box.FromClient, &h2, sealed)
	if err != nil {
		return nil, nil, peerErrorf("Login's box does not open")
	}
	atLogin := *l.sym
	defer atLogin.Clear()
	l.sym.MixHash(sealed)
	l.sym.MixHash(l.solution)
	l.hello, l.solution = nil, nil

	if (Name(plain) == Name{}) {
		return l.takeResume(plain, atLogin)
	}
	name, ok := nameFromWire(plain[:NameSize])
	if !ok {
		return nil, nil, peerErrorf("a malformed name")
	}
	l.name, l.a = name, [srp.Size]byte(plain[NameSize:])
	verifier, exists, account, err := l.config.Directory.account(name)
	if err != nil {
		return nil, nil, err
	}
	l.exists, l.enrol, l.stored = exists, account.Enrol, account.Generation
	l.salt = l.config.Directory.Salt(name)
	if l.srp, err = answer(verifier, &l.a); err != nil {
		return nil, nil, err
	}
	l.puzzle = puzzle.Puzzle{Count: puzzle.Count, Bits: l.account(name)}
	rand.Read(l.puzzle.Seed[:])
	return l.answerLogin(now)
}

func (l *LoginServer) answerLogin(now time.Time) ([]byte, *Session, error) {
	b := l.srp.B()
	plain := append([]byte(nil), l.salt[:]...)
	plain = l.config.Directory.Argon2.append(plain)
	plain = l.puzzle.Append(append(plain, b[:]...))
	h3 := l.sym.Hash()
	out := append([]byte{msgSalt}, box.Seal(&l.key, "sim/1 box salt", box.FromServer, &h3, plain)...)
	l.sym.MixHash(out)
	l.proof = newProofs(l.name, &l.salt, l.config.Directory.Argon2, &l.a, b, l.sym.Hash())
	l.state, l.deadline = TurnProof, now.Add(ProofDeadline)
	return appendBody(nil, out), nil, nil
}

// CheckProof says whether the body that is due at TurnProof is a Proof: whether its box opens and it solves the account puzzle. It is for
// a caller who is sparing with what Handle does then, which is public-key work and one test of a password. A fault ends the login.
func (l *LoginServer) CheckProof(body []byte) error {
	if l.state != TurnProof || len(body) != proofLen || body[0] != msgProof {
		return l.fault(peerErrorf("no Proof"))
	}
	if _, err := l.openProof(body); err != nil {
		return l.fault(err)
	}
	return nil
}

// openProof returns M1. It changes nothing.
func (l *LoginServer) openProof(body []byte) (m1 []byte, err error) {
	h4 := l.sym.Hash()
	plain, err := box.Open(&l.key, "sim/1 box proof", box.FromClient, &h4, body[1:])
	if err != nil {
		return nil, peerErrorf("Proof's box does not open")
	}
	if !l.puzzle.Verify(&h4, (*[puzzle.SolutionSize]byte)(plain)) {
		return nil, peerErrorf("a wrong account solution")
	}
	return plain[puzzle.SolutionSize:], nil
}

// takeProof is message 5. M1 is checked before anything is answered; message 6 accepts or refuses in the same length.
func (l *LoginServer) takeProof(now time.Time, body []byte) ([]byte, *Session, error) {
	proved, err := l.openProof(body)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.srp.Finish()
	if err != nil {
		return nil, nil, peerErrorf("SRP: %v", err)
	}
	defer clear(s[:])
	m1 := l.proof.m1(l.sym, s)
	right := subtle.ConstantTimeCompare(m1[:], proved) & l.exists
	l.sym.MixHash(body)

	var id [16]byte
	rand.Read(id[:])
	m2 := l.proof.m2(l.sym, s, &m1, &id)
	answer := make([]byte, welcomePlain)
	answer[0] = 1
	copy(answer[1:], m2[:])
	copy(answer[33:], id[:])
	if right != 1 {
		clear(answer)
	}
	h5 := l.sym.Hash()
	out := append([]byte{msgWelcome}, box.Seal(&l.key, "sim/1 box welcome", box.FromServer, &h5, answer)...)
	if right != 1 {
		return appendBody(nil, out), nil, ErrRefused
	}
	l.sym.MixHash(answer)
	secret := l.sym.Final("sim/1 session", s[:])
	session := newSession(l.name, id, &secret, l.sym.Hash(), Server, now)
	session.Enrol, session.Generation = l.enrol, l.stored
	l.Clear()
	return appendBody(nil, out), session, nil
}
