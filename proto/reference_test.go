package proto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"
)

// This file is docs/PROTOCOL.md, sections 2 and 4, once more, from the page alone: nothing here calls what it is the reference for.
// The tests let it talk to this package, and give its two ends to mallory, who bends a plaintext before it is sealed. All its randomness
// is given.

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func refHash(parts ...[]byte) []byte {
	sum := sha256.Sum256(cat(parts...))
	return sum[:]
}

func refHMAC(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(cat(parts...))
	return mac.Sum(nil)
}

func refHKDF(secret, salt []byte, info ...[]byte) []byte {
	return must(hkdf.Key(sha256.New, secret, salt, string(cat(info...)), 32))
}

func refExpand(key []byte, info ...[]byte) []byte {
	return must(hkdf.Expand(sha256.New, key, string(cat(info...)), 32))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func refLP(x []byte) []byte { return cat(binary.BigEndian.AppendUint16(nil, uint16(len(x))), x) }

// refState is section 2.1.
type refState struct{ h, ck []byte }

func refInit(label string) *refState {
	h := refHash([]byte(label))
	return &refState{h, h}
}

func (s *refState) mixHash(x []byte) { s.h = refHash(s.h, x) }
func (s *refState) mixKey(label string, secret []byte) {
	s.ck = refHKDF(secret, s.ck, []byte(label), s.h)
}
func (s *refState) derive(label string) []byte { return refExpand(s.ck, []byte(label), s.h) }

// refAEAD is section 2.2's cipher for the box with the salt r.
func refAEAD(k []byte, label string, direction byte, context, r []byte) cipher.AEAD {
	key := refHKDF(k, r, []byte(label), []byte{direction}, context)
	return must(cipher.NewGCM(must(aes.NewCipher(key))))
}

func refSeal(k []byte, label string, direction byte, context, r, plaintext []byte) []byte {
	return cat(r, refAEAD(k, label, direction, context, r).Seal(nil, make([]byte, 12), plaintext, nil))
}

func refOpen(k []byte, label string, direction byte, context, sealed []byte) ([]byte, error) {
	return refAEAD(k, label, direction, context, sealed[:32]).Open(nil, make([]byte, 12), sealed[32:], nil)
}

// refSolve is section 2.3.
func refSolve(wire, binding []byte) (solution []byte) {
	seed, count, bits := wire[:32], wire[32], wire[33]
	if bits == 0 {
		return make([]byte, 128)
	}
	p := refHash([]byte("sim/1 puzzle"), seed, binding)
	for i := range count {
		for a := uint64(0); ; a++ {
			answer := binary.BigEndian.AppendUint64(nil, a)
			if sum := new(big.Int).SetBytes(refHash(p, []byte{i}, answer)); sum.BitLen() <= 256-int(bits-4) {
				solution = append(solution, answer...)
				break
			}
		}
	}
	return solution
}

// refN is the prime of RFC 5054's 2048-bit group.
var refN, _ = new(big.Int).SetString(""+
	"ac6bdb41324a9a9bf166de5e1389582faf72b6651987ee07fc3192943db56050a37329cbb4a099ed8193e0757767a13dd52312ab4b03310dcd7f48a9da04fd50"+
	"e8083969edb767b0cf6095179a163ab3661a05fbd5faaae82918a9962f0b93b855f97993ec975eeaa80d740adbf4ff747359d041d5c33ea71d281e446b14773b"+
	"ca97b43a23fb801676bd207a436c6481f1d2b9078717461a5b9d32e688f87748544523b524b0d57d5ea77a2775d2ecfa032cfbdbf52fb3786160279004e57ae6"+
	"af874e7303ce53299ccc041c7bc308d82a5698f3a8d0c38271ae35f8e9dbfbb694b5c803d89f7ae435de236d525f54759b65e372fcd68ef20fa7111f9e4aff73", 16)

func refNumber(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
func refPad(n *big.Int) []byte    { return n.FillBytes(make([]byte, 256)) }
func refExp(b, e *big.Int) *big.Int {
	return new(big.Int).Exp(b, e, refN)
}

var (
	refG = big.NewInt(2)
	refK = refNumber(refHash(refPad(refN), refPad(refG)))
)

func refX(name string, salt, secret []byte) *big.Int {
	return refNumber(refHash(salt, refHash([]byte(name+":"), secret)))
}

// refVerifier is g^x.
func refVerifier(name string, salt, secret []byte) []byte {
	return refPad(refExp(refG, refX(name, salt, secret)))
}

func refClientSecret(x, a *big.Int, A, B []byte) []byte {
	u := refNumber(refHash(A, B))
	base := new(big.Int).Mul(refK, refExp(refG, x))
	base.Sub(refNumber(B), base).Mod(base, refN)
	return refPad(refExp(base, new(big.Int).Add(a, new(big.Int).Mul(u, x))))
}

func refB(v, b *big.Int) []byte {
	B := new(big.Int).Mul(refK, v)
	return refPad(B.Add(B, refExp(refG, b)).Mod(B, refN))
}

func refServerSecret(v, b *big.Int, A, B []byte) []byte {
	base := refExp(v, refNumber(refHash(A, B)))
	base.Mul(base, refNumber(A))
	return refPad(refExp(base.Mod(base, refN), b))
}

func refDH(private, public []byte) []byte {
	key, peer := must(ecdh.X25519().NewPrivateKey(private)), must(ecdh.X25519().NewPublicKey(public))
	return must(key.ECDH(peer))
}

func refPublic(private []byte) []byte {
	return must(ecdh.X25519().NewPrivateKey(private)).PublicKey().Bytes()
}

func refName(name string) []byte { return append([]byte(name), make([]byte, 32-len(name))...) }

// refKeys is what a session is made of.
type refKeys struct {
	ID, H6, Client, Server, Nonce, Intro, Ticket, Resumption []byte
}

// refEnd is what both ends compute from what both have seen.
type refEnd struct {
	t              *refState
	h2, h3, h4, h5 []byte
	k              []byte // the key of the four boxes
	s, t1, m1, m2  []byte
}

func (e *refEnd) begin(pk, hello, challenge, shares []byte) {
	e.t = refInit("sim/1 login")
	for _, x := range [][]byte{pk, hello, challenge, shares} {
		e.t.mixHash(x)
	}
}

func (e *refEnd) mixShared(es, ee, kem []byte) {
	e.t.mixKey("sim/1 es", es)
	e.t.mixKey("sim/1 ee", ee)
	e.t.mixKey("sim/1 kem", kem)
	e.k, e.h2 = e.t.derive("sim/1 handshake"), e.t.h
}

func (e *refEnd) proofs(name string, salt, argon2, A, B []byte) {
	e.t1 = cat(refLP([]byte(name)), refLP(salt), refLP(argon2), refLP(A), refLP(B), refLP(e.h4))
	e.m1 = refHMAC(refHKDF(e.s, e.t.ck, []byte("sim/1 M1"), e.h4), e.t1)
}

func (e *refEnd) proof2(id []byte) {
	key := refHKDF(e.s, e.t.ck, []byte("sim/1 M2"), e.h5)
	e.m2 = refHMAC(key, e.t1, refLP(e.m1), refLP(id), refLP(e.h5))
}

func (e *refEnd) session(welcome []byte) *refKeys {
	e.t.mixHash(welcome)
	h6 := e.t.h
	sa := refHKDF(e.s, e.t.ck, []byte("sim/1 session"), h6)
	key := func(label string) []byte { return refExpand(sa, []byte("sim/1 "+label), h6) }
	return &refKeys{welcome[33:], h6, key("record client"), key("record server"), key("nonce"), key("intro"), key("ticket"), key("resumption")}
}

// bend changes a plaintext before it is sealed, or a body before it is sent.
type bend func([]byte)

func (f bend) apply(b []byte) []byte {
	if f != nil {
		f(b)
	}
	return b
}

// refClient is the client's side of section 4.
type refClient struct {
	refEnd
	PK, Random, EC, M, A []byte // EC and A are private; M is what ML-KEM encapsulates with
	Salts                [2][]byte
	Name                 string
	Secret               func(salt []byte) []byte // Argon2id's output

	bendHello, bendShares, bendLogin, bendProof bend

	hello, public []byte
}

func (c *refClient) Hello() []byte {
	head := c.bendHello.apply(cat([]byte{1, 1, 1}, c.Random))
	c.hello = cat(head, refHMAC(refHash([]byte("sim/1 mac1"), c.PK), head)[:16])
	return c.hello
}

func (c *refClient) Login(challenge []byte) (solution, login []byte) {
	puzzle, eS, ek := challenge[2:36], challenge[36:68], challenge[68:]
	shared, ct, err := mlkemtest.Encapsulate768(must(mlkem.NewEncapsulationKey768(ek)), c.M)
	if err != nil {
		panic(err)
	}
	shares := c.bendShares.apply(cat(refPublic(c.EC), ct))
	c.begin(c.PK, c.hello, challenge, shares)
	c.mixShared(refDH(c.EC, c.PK), refDH(c.EC, eS), shared)
	c.public = refPad(refExp(refG, refNumber(c.A)))
	plaintext := c.bendLogin.apply(cat(refName(c.Name), c.public))
	sealed := refSeal(c.k, "sim/1 box login", 0, c.h2, c.Salts[0], plaintext)
	login = cat([]byte{4}, shares, sealed)
	solution = cat([]byte{3}, refHash(login), refSolve(puzzle, refHash(login)))
	c.t.mixHash(sealed)
	c.t.mixHash(solution)
	c.h3 = c.t.h
	return solution, login
}

func (c *refClient) Proof(salt []byte) ([]byte, error) {
	plaintext, err := refOpen(c.k, "sim/1 box salt", 1, c.h3, salt[1:])
	if err != nil {
		return nil, err
	}
	c.t.mixHash(salt)
	c.h4 = c.t.h
	s, argon2, B, puzzle := plaintext[:32], plaintext[32:41], plaintext[41:297], plaintext[297:]
	c.s = refClientSecret(refX(c.Name, s, c.Secret(s)), refNumber(c.A), c.public, B)
	c.proofs(c.Name, s, argon2, c.public, B)
	plaintext = c.bendProof.apply(cat(refSolve(puzzle, c.h4), c.m1))
	proof := cat([]byte{6}, refSeal(c.k, "sim/1 box proof", 0, c.h4, c.Salts[1], plaintext))
	c.t.mixHash(proof)
	c.h5 = c.t.h
	return proof, nil
}

// Welcome returns nil for a refusal and for a wrong M2.
func (c *refClient) Welcome(welcome []byte) (*refKeys, error) {
	plaintext, err := refOpen(c.k, "sim/1 box welcome", 1, c.h5, welcome[1:])
	if err != nil || plaintext[0] != 1 {
		return nil, err
	}
	if c.proof2(plaintext[33:]); !bytes.Equal(c.m2, plaintext[1:33]) {
		return nil, nil
	}
	return c.session(plaintext), nil
}

// refServer is the server's side of section 4.
type refServer struct {
	refEnd
	Key, ES, KEM, B, ID  []byte // Key, ES and B are private; KEM is the 64 bytes of seed
	Puzzle, Account      []byte // the two puzzles, 34 bytes each
	Salts                [2][]byte
	Salt, Argon2         []byte
	Verifier             func(name string) []byte
	bendChallenge        bend
	bendSalt, bendAnswer bend

	hello, challenge []byte
	name             string
	a, public        []byte
}

func (s *refServer) Challenge(hello []byte) []byte {
	kem := must(mlkem.NewDecapsulationKey768(s.KEM))
	s.hello = hello
	s.challenge = s.bendChallenge.apply(cat([]byte{2, 1}, s.Puzzle, refPublic(s.ES), kem.EncapsulationKey().Bytes()))
	return s.challenge
}

func (s *refServer) Answer(solution, login []byte) ([]byte, error) {
	eC, ct, sealed := login[1:33], login[33:1121], login[1121:]
	s.begin(refPublic(s.Key), s.hello, s.challenge, login[1:1121])
	s.mixShared(refDH(s.Key, eC), refDH(s.ES, eC), must(must(mlkem.NewDecapsulationKey768(s.KEM)).Decapsulate(ct)))
	plaintext, err := refOpen(s.k, "sim/1 box login", 0, s.h2, sealed)
	if err != nil {
		return nil, err
	}
	s.t.mixHash(sealed)
	s.t.mixHash(solution)
	s.h3 = s.t.h
	s.name, s.a = string(bytes.TrimRight(plaintext[:32], "\x00")), plaintext[32:]
	v, b := refNumber(s.Verifier(s.name)), refNumber(s.B)
	s.public = refB(v, b)
	plaintext = s.bendSalt.apply(cat(s.Salt, s.Argon2, s.public, s.Account))
	s.public = plaintext[41:297]
	salt := cat([]byte{5}, refSeal(s.k, "sim/1 box salt", 1, s.h3, s.Salts[0], plaintext))
	s.t.mixHash(salt)
	s.h4 = s.t.h
	s.s = refServerSecret(v, b, s.a, s.public)
	s.proofs(s.name, plaintext[:32], plaintext[32:41], s.a, s.public)
	return salt, nil
}

// Welcome returns a session if M1 is right.
func (s *refServer) Welcome(proof []byte) ([]byte, *refKeys, error) {
	plaintext, err := refOpen(s.k, "sim/1 box proof", 0, s.h4, proof[1:])
	if err != nil {
		return nil, nil, err
	}
	s.t.mixHash(proof)
	s.h5 = s.t.h
	answer := make([]byte, 49)
	right := bytes.Equal(plaintext[128:], s.m1)
	if right {
		s.proof2(s.ID)
		answer = cat([]byte{1}, s.m2, s.ID)
	}
	answer = s.bendAnswer.apply(answer)
	welcome := cat([]byte{7}, refSeal(s.k, "sim/1 box welcome", 1, s.h5, s.Salts[1], answer))
	if !right {
		return welcome, nil, nil
	}
	return welcome, s.session(answer), nil
}

func x25519Key(private []byte) (*ecdh.PrivateKey, error) {
	return ecdh.X25519().NewPrivateKey(private)
}
