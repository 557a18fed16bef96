package proto

import (
	"crypto/hmac"
	"crypto/sha256"
	"time"

	"sim/proto/box"
	"sim/proto/puzzle"
	"sim/proto/srp"
)

// Version is the version of the login that this package speaks.
const Version = 1

// The types of the login's messages: the first byte of each body.
const (
	msgHello     = 0x01 // C→S  version list ‖ random (32) ‖ mac1 (16)
	msgChallenge = 0x02 // S→C  version ‖ puzzle (34) ‖ e_S (32) ‖ ek (1184)
	msgSolution  = 0x03 // C→S  SHA-256(Login) (32) ‖ solution (128)
	msgLogin     = 0x04 // C→S  e_C (32) ‖ ct (1088) ‖ box{ name (32) ‖ A (256) }, or the box of resume.go
	msgSalt      = 0x05 // S→C  box{ salt (32) ‖ argon2 (9) ‖ B (256) ‖ puzzle (34) }
	msgProof     = 0x06 // C→S  box{ solution (128) ‖ M1 (32) }
	msgWelcome   = 0x07 // S→C  box{ accepted (1) ‖ M2 (32) ‖ session id (16) }
	msgRefusal   = 0x08 // S→C  version list
	msgBusy      = 0x09 // S→C  seconds (2)
	msgResumed   = 0x0a // S→C  box{ accepted (1) ‖ seen (8) ‖ M_S (32) }
)

// Lengths of bodies in bytes. Hello's depends on how many versions it offers.
const (
	helloFixed   = 1 + 1 + 32 + mac1Size
	helloMin     = helloFixed + 1
	helloMax     = helloFixed + maxVersions
	challengeLen = 1 + 1 + puzzle.WireSize + 32 + 1184
	solutionLen  = 1 + 32 + puzzle.SolutionSize
	loginHead    = 1 + 32 + 1088
	loginLen     = loginHead + box.Overhead + NameSize + srp.Size
	saltLen      = 1 + box.Overhead + 32 + argon2Size + srp.Size + puzzle.WireSize
	proofLen     = 1 + box.Overhead + puzzle.SolutionSize + 32
	welcomeLen   = 1 + box.Overhead + welcomePlain
	welcomePlain = 1 + 32 + 16
	busyLen      = 3

	mac1Size    = 16
	maxVersions = 8

	// MaxLoginBody is the largest body that a server reads before Welcome, and MaxUnsolvedBody before a right solution.
	MaxLoginBody    = loginLen
	MaxUnsolvedBody = solutionLen
	// MaxServerBody is the largest body that a client reads before Welcome.
	MaxServerBody = challengeLen
)

// Deadlines of the login. Partial bytes never extend one.
const (
	HelloDeadline = 5 * time.Second  // from accept
	LoginDeadline = 45 * time.Second // from Challenge
	ProofDeadline = 90 * time.Second // from Salt
	PingDeadline  = 30 * time.Second // from Welcome to the first record

	ChallengeWait = 10 * time.Second // the client's
	SaltWait      = 45 * time.Second
	WelcomeWait   = 60 * time.Second
)

// What a client is willing to solve: bits of a puzzle, 2^bits expected hashes.
const (
	MaxPuzzleBits        = 26
	MaxAccountPuzzleBits = 22
)

// mac1 is the keyed hash that shows that whoever said Hello knows the server's public key:
// HMAC-SHA-256(SHA-256("sim/1 mac1" ‖ pk_S), hello without it), 16 bytes.
func mac1(publicKey, hello []byte) []byte {
	key := sha256.Sum256(append([]byte("sim/1 mac1"), publicKey...))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(hello)
	return mac.Sum(nil)[:mac1Size]
}

// loginState begins the transcript, up to and including e_C and the ciphertext, and mixes the three shared secrets. The result
// derives the handshake key. It clears the secrets.
func loginState(publicKey, hello, challenge, shares []byte, es, ee, kem []byte) *box.State {
	s := box.NewState("sim/1 login")
	s.MixHash(publicKey)
	s.MixHash(hello)
	s.MixHash(challenge)
	s.MixHash(shares)
	s.MixKey("sim/1 es", es)
	s.MixKey("sim/1 ee", ee)
	s.MixKey("sim/1 kem", kem)
	clear(es)
	clear(ee)
	clear(kem)
	return s
}

// proofs collects what M1 and M2 cover.
type proofs struct {
	t1 []byte // T1 of docs/PROTOCOL.md, section 4.2
}

func newProofs(name Name, salt *[32]byte, params Argon2, a, b *[srp.Size]byte, h4 [32]byte) proofs {
	var t []byte
	for _, part := range [][]byte{[]byte(name.String()), salt[:], params.append(nil), a[:], b[:], h4[:]} {
		t = appendLP(t, part)
	}
	return proofs{t}
}

// m1 is the client's proof; the state is at h4 and s is SRP's premaster secret (256 bytes).
func (p proofs) m1(state *box.State, s *[srp.Size]byte) [32]byte {
	return p.mac(state, "sim/1 M1", s, p.t1)
}

// m2 is the server's proof; the state is at h5.
func (p proofs) m2(state *box.State, s *[srp.Size]byte, m1 *[32]byte, id *[16]byte) [32]byte {
	h5 := state.Hash()
	t := appendLP(append([]byte(nil), p.t1...), m1[:])
	t = appendLP(t, id[:])
	return p.mac(state, "sim/1 M2", s, appendLP(t, h5[:]))
}

func (p proofs) mac(state *box.State, label string, s *[srp.Size]byte, over []byte) [32]byte {
	key := state.Final(label, s[:])
	mac := hmac.New(sha256.New, key[:])
	mac.Write(over)
	clear(key[:])
	return [32]byte(mac.Sum(nil))
}

// appendLP appends a 2-byte length and x.
func appendLP(b, x []byte) []byte {
	return append(append(b, byte(len(x)>>8), byte(len(x))), x...)
}

// AppendBusy appends what a server says in place of Challenge, Salt or Welcome when it has no time: when to try again. Then it closes.
func AppendBusy(b []byte, seconds uint16) []byte {
	return appendBody(b, []byte{msgBusy, byte(seconds >> 8), byte(seconds)})
}

// appendBody appends a body of the login as it goes over the wire: its length and itself.
func appendBody(b, body []byte) []byte { return appendLP(b, body) }
