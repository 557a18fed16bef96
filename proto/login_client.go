package proto

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"time"

	"sim/proto/box"
	"sim/proto/puzzle"
	"sim/proto/srp"
	"sim/proto/ticket"
)

// LoginClient is the client's side of the login. Its caller does the I/O and the slow work, in this order:
//
//	hello    := Hello()                    write it
//	task     := Challenge(body)            read a body; solve task.Puzzle over task.Binding
//	login    := Login(solution)            write it
//	secrets  := Salt(body)                 read a body; Argon2id with its salt and parameters, and its puzzle
//	proof    := Proof(solution, T)         write it
//	session  := Welcome(body)              read a body
//
// A step out of turn, and any step after an error, returns an error. Every byte slice that it returns is what goes over the wire, lengths
// included; every body that it takes comes without its length.
type LoginClient struct {
	state     clientState
	publicKey [PublicKeySize]byte
	name      Name
	deadline  time.Time

	hello []byte
	login []byte // its body

	e     *ecdh.PrivateKey
	srp   *srp.ClientStart
	a     *[srp.Size]byte
	sym   *box.State
	key   [32]byte // of the four boxes
	task  Task
	salt  [32]byte
	param Argon2
	b     [srp.Size]byte
	s     *[srp.Size]byte
	m1    [32]byte
	proof proofs

	resume *Resumption // of a session to be resumed, nil in a login
	seen   uint64
}

type clientState int

// The states of a LoginClient are what it waits for.
const (
	clientStart clientState = iota
	clientAwaitsChallenge
	clientSolves
	clientAwaitsSalt
	clientDerives
	clientAwaitsWelcome
	clientDone
)

// Task is what the caller has to work out between two messages.
type Task struct {
	Puzzle  puzzle.Puzzle
	Binding [32]byte
	Salt    [32]byte // the last two are Salt's
	Argon2  Argon2
}

// NewLoginClient begins a login as name to the server whose public key is pinned.
func NewLoginClient(publicKey [PublicKeySize]byte, name Name) (*LoginClient, error) {
	e, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return newLoginClient(publicKey, name, e, srp.Begin()), nil
}

func newLoginClient(publicKey [PublicKeySize]byte, name Name, e *ecdh.PrivateKey, start *srp.ClientStart) *LoginClient {
	return &LoginClient{publicKey: publicKey, name: name, e: e, srp: start}
}

// Deadline is when the wait for the message that is due ends.
func (c *LoginClient) Deadline() time.Time { return c.deadline }

// Hello returns message 1.
func (c *LoginClient) Hello(now time.Time) ([]byte, error) {
	var random [32]byte
	rand.Read(random[:])
	return c.helloWith(now, &random)
}

func (c *LoginClient) helloWith(now time.Time, random *[32]byte) ([]byte, error) {
	if c.state != clientStart {
		return nil, c.fail(peerErrorf("a step out of turn"))
	}
	c.hello = append([]byte{msgHello, 1, Version}, random[:]...)
	c.hello = append(c.hello, mac1(c.publicKey[:], c.hello)...)
	c.state, c.deadline = clientAwaitsChallenge, now.Add(ChallengeWait)
	return appendBody(nil, c.hello), nil
}

// take checks that a body is the one that is due: its turn, its type and its length. Refusal and Busy may stand in its place.
func (c *LoginClient) take(state clientState, typ byte, length int, body []byte) error {
	if c.state != state {
		return peerErrorf("a message out of turn")
	}
	if len(body) == 0 {
		return peerErrorf("an empty message")
	}
	switch {
	case body[0] == typ && len(body) == length:
		return nil
	case body[0] == msgBusy && len(body) == busyLen:
		return &BusyError{uint16(body[1])<<8 | uint16(body[2])}
	case body[0] == msgRefusal:
		if versions, rest, err := ticket.ParseVersions(body[1:]); err == nil && len(rest) == 0 {
			return &VersionError{slices.Clone(versions)}
		}
	}
	return peerErrorf("a message of type %#x and %d bytes", body[0], len(body))
}

// fail ends the login and forgets its secrets.
func (c *LoginClient) fail(err error) error {
	c.Clear()
	return err
}

// Clear ends the login and forgets its secrets.
func (c *LoginClient) Clear() {
	c.state = clientDone
	if c.srp != nil {
		c.srp.Clear()
	}
	c.e, c.srp = nil, nil
	if c.sym != nil {
		c.sym.Clear()
	}
	clear(c.key[:])
	if c.s != nil {
		clear(c.s[:])
	}
}

// Challenge takes message 2, makes the Login and returns the puzzle to solve for it.
func (c *LoginClient) Challenge(body []byte) (*Task, error) {
	if err := c.take(clientAwaitsChallenge, msgChallenge, challengeLen, body); err != nil {
		return nil, c.fail(err)
	}
	if body[1] != Version {
		return nil, c.fail(peerErrorf("a version that was not offered"))
	}
	p, err := puzzle.Parse(body[2 : 2+puzzle.WireSize])
	if err != nil || p.Bits > MaxPuzzleBits {
		return nil, c.fail(peerErrorf("a puzzle of %d bits", p.Bits))
	}
	keys := body[2+puzzle.WireSize:]
	kem, err := mlkem.NewEncapsulationKey768(keys[32:])
	if err != nil {
		return nil, c.fail(peerErrorf("a malformed ML-KEM key"))
	}
	shared, ct := kem.Encapsulate()
	return c.challengeWith(body, p, keys[:32], shared, ct)
}

func (c *LoginClient) challengeWith(body []byte, p puzzle.Puzzle, eS, shared, ct []byte) (*Task, error) {
	ee, err := dh(c.e, eS)
	if err != nil {
		return nil, c.fail(err)
	}
	es, err := dh(c.e, c.publicKey[:])
	if err != nil {
		return nil, c.fail(err)
	}
	c.login = append(append([]byte{msgLogin}, c.e.PublicKey().Bytes()...), ct...)
	c.sym = loginState(c.publicKey[:], c.hello, body, c.login[1:], es, ee, shared)
	c.key = c.sym.Derive("sim/1 handshake")
	h2 := c.sym.Hash()
	var plain []byte
	if c.resume != nil {
		plain = c.resumePlaintext()
	} else {
		c.a = c.srp.A()
		plain = append(c.name[:], c.a[:]...)
	}
	sealed := box.Seal(&c.key, "sim/1 box login", box.FromClient, &h2, plain)
	c.login = append(c.login, sealed...)
	c.sym.MixHash(sealed)
	c.state = clientSolves
	c.e = nil
	return &Task{Puzzle: p, Binding: sha256.Sum256(c.login)}, nil
}

// Login takes the puzzle's solution and returns message 3, Solution and Login in one.
func (c *LoginClient) Login(now time.Time, solution *[puzzle.SolutionSize]byte) ([]byte, error) {
	if c.state != clientSolves {
		return nil, c.fail(peerErrorf("a step out of turn"))
	}
	binding := sha256.Sum256(c.login)
	body := append([]byte{msgSolution}, binding[:]...)
	body = append(body, solution[:]...)
	c.sym.MixHash(body)
	c.state, c.deadline = clientAwaitsSalt, now.Add(SaltWait)
	return appendBody(appendBody(nil, body), c.login), nil
}

// Salt takes message 4 and returns the account puzzle, the salt and the parameters. Whether the parameters are acceptable is its caller's to say.
func (c *LoginClient) Salt(body []byte) (*Task, error) {
	if c.resume != nil {
		return nil, c.fail(peerErrorf("a step out of turn"))
	}
	if err := c.take(clientAwaitsSalt, msgSalt, saltLen, body); err != nil {
		return nil, c.fail(err)
	}
	h3 := c.sym.Hash()
	plain, err := box.Open(&c.key, "sim/1 box salt", box.FromServer, &h3, body[1:])
	if err != nil {
		return nil, c.fail(ErrNoProof)
	}
	c.salt = [32]byte(plain)
	c.param = parseArgon2(plain[32:])
	c.b = [srp.Size]byte(plain[32+argon2Size:])
	p, err := puzzle.Parse(plain[32+argon2Size+srp.Size:])
	if err != nil || p.Bits > MaxAccountPuzzleBits {
		return nil, c.fail(peerErrorf("an account puzzle of %d bits", p.Bits))
	}
	c.sym.MixHash(body)
	c.task = Task{Puzzle: p, Binding: c.sym.Hash(), Salt: c.salt, Argon2: c.param}
	c.state = clientDerives
	task := c.task
	return &task, nil
}

// Proof takes the account puzzle's solution and T, Argon2id's 32 bytes, which it clears, and returns message 5.
func (c *LoginClient) Proof(now time.Time, solution *[puzzle.SolutionSize]byte, t *[32]byte) ([]byte, error) {
	defer clear(t[:])
	if c.state != clientDerives {
		return nil, c.fail(peerErrorf("a step out of turn"))
	}
	s, err := c.srp.Finish(c.name.String(), &c.salt, t, &c.b)
	if err != nil {
		return nil, c.fail(peerErrorf("SRP: %v", err))
	}
	c.s = s
	h4 := c.sym.Hash()
	c.proof = newProofs(c.name, &c.salt, c.param, c.a, &c.b, h4)
	c.m1 = c.proof.m1(c.sym, c.s)
	body := append([]byte{msgProof}, box.Seal(&c.key, "sim/1 box proof", box.FromClient, &h4, append(solution[:], c.m1[:]...))...)
	c.sym.MixHash(body)
	c.state, c.deadline = clientAwaitsWelcome, now.Add(WelcomeWait)
	return appendBody(nil, body), nil
}

// Welcome takes message 6. It returns ErrRefused when the password was not proved and ErrNoProof when the server's proof is wrong.
func (c *LoginClient) Welcome(now time.Time, body []byte) (*Session, error) {
	if err := c.take(clientAwaitsWelcome, msgWelcome, welcomeLen, body); err != nil {
		return nil, c.fail(err)
	}
	h5 := c.sym.Hash()
	plain, err := box.Open(&c.key, "sim/1 box welcome", box.FromServer, &h5, body[1:])
	if err != nil {
		return nil, c.fail(ErrNoProof)
	}
	if plain[0] != 1 {
		if [welcomePlain]byte(plain) != [welcomePlain]byte{} {
			return nil, c.fail(peerErrorf("a malformed Welcome"))
		}
		return nil, c.fail(ErrRefused)
	}
	id := [16]byte(plain[33:])
	m2 := c.proof.m2(c.sym, c.s, &c.m1, &id)
	if !hmac.Equal(m2[:], plain[1:33]) {
		return nil, c.fail(ErrNoProof)
	}
	c.sym.MixHash(plain)
	secret := c.sym.Final("sim/1 session", c.s[:])
	session := newSession(c.name, id, &secret, c.sym.Hash(), Client, now)
	c.Clear()
	return session, nil
}

// dh is X25519 (RFC 7748); a result of all zeros is refused (section 6.1).
func dh(key *ecdh.PrivateKey, peer []byte) ([]byte, error) {
	pub, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return nil, peerErrorf("a malformed X25519 key")
	}
	shared, err := key.ECDH(pub)
	if err != nil {
		return nil, peerErrorf("an X25519 result of all zeros")
	}
	return shared, nil
}
