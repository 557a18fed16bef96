package proto

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	"sim/proto/srp"
)

const newPassword = "a new one"

// change is a change of alice's password up to PasswordSet.
type change struct {
	client           *PasswordClient
	server           *PasswordServer
	begin, salt, set []byte // bodies
}

// bodyOf is a single frame's body.
func bodyOf(t testing.TB, frame []byte) []byte {
	t.Helper()
	f, rest, ok := cutFrame(frame)
	if !ok || len(rest) != 0 {
		t.Fatalf("%x is no frame", frame)
	}
	if s := shapes[f.Type]; len(f.Body) < s.min || len(f.Body) > s.max {
		t.Fatalf("%v of %d bytes", f.Type, len(f.Body))
	}
	return bytes.Clone(f.Body)
}

// changePassword runs a change in a session; mallory, who may be nil, gets each body.
func (w *world) changePassword(t testing.TB, c, s *Session, old, fresh string, mallory func(at Type, body []byte)) (ch change, err error) {
	t.Helper()
	pass := func(typ Type, frame []byte) []byte {
		b := bodyOf(t, frame)
		if Type(frame[0]) != typ {
			t.Fatalf("%v, want %v", Type(frame[0]), typ)
		}
		if mallory != nil {
			mallory(typ, b)
		}
		return b
	}
	ch.client = NewPasswordClient(c)
	ch.begin = pass(TypePasswordBegin, ch.client.Begin(nil))
	var salt []byte
	if ch.server, salt, err = AnswerPasswordBegin(nil, w.config.Directory, s, ch.begin); err != nil {
		return ch, err
	}
	ch.salt = pass(TypePasswordSalt, salt)
	seed, params := ParsePasswordSalt(ch.salt)
	if mallory == nil && (seed != w.config.Directory.Salt(s.Name) || params != w.config.Directory.Argon2) {
		t.Fatal("not the account's salt and parameters")
	}
	a, b := derive(old, seed), derive(fresh, seed)
	set, err := ch.client.Set(nil, ch.salt, a, b)
	if *a != [32]byte{} || *b != [32]byte{} {
		t.Fatal("the derived passwords are still there")
	}
	if err != nil {
		return ch, err
	}
	ch.set = pass(TypePasswordSet, set)
	return ch, nil
}

func TestAliceChangesHerPassword(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	ch, err := w.changePassword(t, c, s, passwordOf("alice"), newPassword, nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier, m2, err := ch.server.Set(ch.set)
	if err != nil {
		t.Fatal(err)
	}
	salt := saltOf(w.config.Directory, "alice")
	if !bytes.Equal(verifier[:], refVerifier("alice", salt, derive(newPassword, [32]byte(salt))[:])) {
		t.Fatal("another verifier")
	}
	if err := ch.client.Done(bodyOf(t, AppendDone(nil, DoneChanged, m2))); err != nil {
		t.Fatal(err)
	}
	w.verifiers[s.Name] = *verifier
	if o := w.login(t, "alice", newPassword); !o.bothIn(t) {
		t.Error("the new password does not log in:", o.clientErr)
	}
	if o := w.login(t, "alice", passwordOf("alice")); o.clientErr != ErrRefused {
		t.Error("the old password still logs in:", o.clientErr)
	}

	// The session goes on, and can change the password again.
	if ch, err = w.changePassword(t, c, s, newPassword, "a third", nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err = ch.server.Set(ch.set); err != nil {
		t.Fatal(err)
	}
}

// The bytes are docs/PROTOCOL.md, section 9: a client and a server made from the page meet this package's.
func TestPasswordChangeIsThePage(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	salt := saltOf(w.config.Directory, "alice")
	keys := func(begin, answer, S []byte) *refState {
		st := refInit("sim/1 password")
		for _, x := range [][]byte{s.Transcript[:], refName("alice"), begin, answer} {
			st.mixHash(x)
		}
		st.mixKey("sim/1 srp", S)
		return st
	}

	// The page's client.
	a := draw(32)
	A := refPad(refExp(refG, refNumber(a)))
	server, frame, err := AnswerPasswordBegin(nil, w.config.Directory, s, A)
	if err != nil {
		t.Fatal(err)
	}
	answer := bodyOf(t, frame)
	x := refX("alice", salt, derive(passwordOf("alice"), [32]byte(salt))[:])
	st := keys(A, answer, refClientSecret(x, refNumber(a), A, answer[41:]))
	fresh := refVerifier("alice", salt, []byte("new"))
	sealed := refSeal(st.derive("sim/1 password key"), "sim/1 box password", 0, st.h, draw(32), fresh)
	st.mixHash(sealed)
	m1 := refHMAC(st.derive("sim/1 password M1"), st.h)
	verifier, m2, err := server.Set(cat(m1, sealed))
	if err != nil || !bytes.Equal(verifier[:], fresh) || !bytes.Equal(m2[:], refHMAC(st.derive("sim/1 password M2"), st.h, m1)) {
		t.Fatal("the page's client:", err)
	}

	// The page's server.
	client := NewPasswordClient(c)
	begin := bodyOf(t, client.Begin(nil))
	v, b := refNumber(refVerifier("alice", salt, derive(passwordOf("alice"), [32]byte(salt))[:])), refNumber(draw(32))
	B := refB(v, b)
	answer = cat(salt, w.config.Directory.Argon2.append(nil), B)
	frame, err = client.Set(nil, answer, derive(passwordOf("alice"), [32]byte(salt)), derive(newPassword, [32]byte(salt)))
	if err != nil {
		t.Fatal(err)
	}
	set := bodyOf(t, frame)
	st = keys(begin, answer, refServerSecret(v, b, begin, B))
	plain := must(refOpen(st.derive("sim/1 password key"), "sim/1 box password", 0, st.h, set[32:]))
	st.mixHash(set[32:])
	if !bytes.Equal(plain, refVerifier("alice", salt, derive(newPassword, [32]byte(salt))[:])) || !bytes.Equal(set[:32], refHMAC(st.derive("sim/1 password M1"), st.h)) {
		t.Fatal("the page's server does not take it")
	}
	if err := client.Done(cat([]byte{0}, refHMAC(st.derive("sim/1 password M2"), st.h, set[:32]))); err != nil {
		t.Fatal("the page's server:", err)
	}
}

func TestWrongOldPasswordIsRefused(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	for _, old := range []string{"wrong", passwordOf("bob"), newPassword, ""} {
		ch, err := w.changePassword(t, c, s, old, newPassword, nil)
		if err != nil {
			t.Fatal(err)
		}
		if verifier, m2, err := ch.server.Set(ch.set); err != ErrRefused || verifier != nil || m2 != nil {
			t.Errorf("%q: %v", old, err)
		}
		if err := ch.client.Done(bodyOf(t, AppendDone(nil, DoneRefused, nil))); err != ErrRefused {
			t.Error(err)
		}
	}
}

// Mallory, who can't get into the records, bends bodies all the same: nothing is stored.
func TestMalloryBendsAPasswordChange(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	for _, target := range []Type{TypePasswordBegin, TypePasswordSalt} {
		for pos := 0; pos < shapes[target].min; pos += 11 {
			ch, err := w.changePasswordBent(t, c, s, target, pos)
			if err != nil {
				if !isPeer(err) {
					t.Errorf("%v, byte %d: %v", target, pos, err)
				}
				continue
			}
			if verifier, m2, err := ch.server.Set(ch.set); err != ErrRefused || verifier != nil || m2 != nil {
				t.Errorf("%v, byte %d: %v", target, pos, err)
			}
		}
	}
	for pos := range shapes[TypePasswordSet].min {
		if pos > 80 && pos%16 != 0 {
			continue
		}
		ch, err := w.changePassword(t, c, s, passwordOf("alice"), newPassword, nil)
		if err != nil {
			t.Fatal(err)
		}
		ch.set[pos] ^= 0x10
		if verifier, m2, err := ch.server.Set(ch.set); err != ErrRefused || verifier != nil || m2 != nil {
			t.Errorf("PasswordSet, byte %d: %v", pos, err)
		}
	}
}

// changePasswordBent flips a byte between the two ends: the server keeps what it got, or what it said.
func (w *world) changePasswordBent(t *testing.T, c, s *Session, target Type, pos int) (change, error) {
	t.Helper()
	return w.changePassword(t, c, s, passwordOf("alice"), newPassword, func(at Type, body []byte) {
		if at == target {
			body[pos] ^= 1
		}
	})
}

// A PasswordSet is for one PasswordSalt of one session.
func TestMalloryReplaysAPasswordSet(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	_, other := w.sessions(t, "alice")
	ch, err := w.changePassword(t, c, s, passwordOf("alice"), newPassword, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, session := range map[string]*Session{"after another Begin": s, "in another session": other} {
		again, _, err := AnswerPasswordBegin(nil, w.config.Directory, session, ch.begin) // even the Begin is replayed
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := again.Set(ch.set); err != ErrRefused {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The same SRP in another session, or under another name: h6 and the name are in the transcript.
	for what, bend := range map[string]func(p *PasswordServer){"h6": func(p *PasswordServer) { p.session[0] ^= 1 }, "the name": func(p *PasswordServer) { p.name[5] = 'x' }} {
		ch, err := w.changePassword(t, c, s, passwordOf("alice"), newPassword, nil)
		if err != nil {
			t.Fatal(err)
		}
		bend(ch.server)
		if _, _, err := ch.server.Set(ch.set); err != ErrRefused {
			t.Errorf("another %s: %v", what, err)
		}
	}
	if _, _, err := ch.server.Set(ch.set); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ch.server.Set(ch.set); !isPeer(err) {
		t.Error("twice:", err)
	}
}

func TestPasswordBeginOutOfRange(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	for what, number := range outOfRange() {
		if server, out, err := AnswerPasswordBegin(nil, w.config.Directory, s, number); !isPeer(err) || server != nil || out != nil {
			t.Errorf("A = %s: %v", what, err)
		}
		client := NewPasswordClient(c)
		client.Begin(nil)
		answer := cat(make([]byte, 41), number)
		old, fresh := &[32]byte{1}, &[32]byte{2}
		if out, err := client.Set(nil, answer, old, fresh); !isPeer(err) || out != nil {
			t.Errorf("B = %s: %v", what, err)
		}
		if *old != [32]byte{} || *fresh != [32]byte{} {
			t.Errorf("B = %s: the derived passwords are still there", what)
		}
	}
}

// forged is a PasswordSet of somebody who knows the old password and bends what follows.
func (w *world) forged(t *testing.T, s *Session, plaintext []byte, bend func(sealed []byte) []byte) (*PasswordServer, []byte) {
	t.Helper()
	salt, a := saltOf(w.config.Directory, "alice"), draw(32)
	A := refPad(refExp(refG, refNumber(a)))
	server, frame, err := AnswerPasswordBegin(nil, w.config.Directory, s, A)
	if err != nil {
		t.Fatal(err)
	}
	answer := bodyOf(t, frame)
	x := refX("alice", salt, derive(passwordOf("alice"), [32]byte(salt))[:])
	st := refInit("sim/1 password")
	for _, b := range [][]byte{s.Transcript[:], refName("alice"), A, answer} {
		st.mixHash(b)
	}
	st.mixKey("sim/1 srp", refClientSecret(x, refNumber(a), A, answer[41:]))
	sealed := bend(refSeal(st.derive("sim/1 password key"), "sim/1 box password", 0, st.h, draw(32), plaintext))
	st.mixHash(sealed)
	return server, cat(refHMAC(st.derive("sim/1 password M1"), st.h), sealed)
}

// Whoever knows the old password still can't store what is no verifier.
func TestVerifierOutOfRange(t *testing.T) {
	w := newWorld(t)
	_, s := w.sessions(t, "alice")
	as := func(b []byte) []byte { return b }
	for what, number := range outOfRange() {
		server, set := w.forged(t, s, number, as)
		if verifier, m2, err := server.Set(set); !isPeer(err) || verifier != nil || m2 != nil {
			t.Errorf("v = %s: %v", what, err)
		}
	}
	for _, good := range []int64{2, 3} {
		server, set := w.forged(t, s, refPad(big.NewInt(good)), as)
		if _, _, err := server.Set(set); err != nil {
			t.Errorf("v = %d: %v", good, err)
		}
	}
	server, set := w.forged(t, s, refPad(big.NewInt(3)), func(b []byte) []byte { b[303] ^= 1; return b }) // a right M1 over a box that does not open
	if verifier, m2, err := server.Set(set); err != ErrRefused || verifier != nil || m2 != nil {
		t.Error(err)
	}
}

func TestDoneIsNotForged(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	ch, err := w.changePassword(t, c, s, passwordOf("alice"), newPassword, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, m2, err := ch.server.Set(ch.set)
	if err != nil {
		t.Fatal(err)
	}
	right := bodyOf(t, AppendDone(nil, DoneChanged, m2))
	for i := range 32 {
		bent := bytes.Clone(right)
		bent[1+i] ^= 1
		if err := ch.client.Done(bent); err != ErrNoProof {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	m1 := ch.set[:32]
	zeros := make([]byte, 32)
	for _, forged := range []struct {
		status byte
		m2     []byte
		err    error
	}{
		{DoneChanged, zeros, ErrNoProof}, {DoneChanged, m1, ErrNoProof}, {DoneRefused, zeros, ErrRefused}, {DoneNotSaved, zeros, ErrNotSaved},
		{DoneRefused, m2[:], nil}, {DoneNotSaved, m2[:], nil}, {DoneRefused, append(bytes.Clone(zeros[:31]), 1), nil}, {DoneNotSaved, append([]byte{1}, zeros[:31]...), nil},
		{3, zeros, nil}, {255, m2[:], nil},
	} {
		err := ch.client.Done(cat([]byte{forged.status}, forged.m2))
		if forged.err != nil && !errors.Is(err, forged.err) || forged.err == nil && !isPeer(err) {
			t.Errorf("status %d, %x: %v", forged.status, forged.m2, err)
		}
	}
	if err := ch.client.Done(right); err != nil {
		t.Fatal(err)
	}

	early := NewPasswordClient(c)
	early.Begin(nil)
	for _, forged := range [][]byte{zeros, right[1:]} { // before PasswordSet was sent
		if err := early.Done(cat([]byte{DoneChanged}, forged)); err != ErrNoProof {
			t.Error(err)
		}
	}
}

// The account was removed under the session: the change is answered by an invented verifier's steps, and refused.
func TestPasswordOfARemovedAccount(t *testing.T) {
	w := newWorld(t)
	c, s := w.sessions(t, "alice")
	delete(w.verifiers, s.Name)
	ch, err := w.changePassword(t, c, s, passwordOf("alice"), newPassword, nil)
	if err != nil {
		t.Fatal(err)
	}
	if verifier, _, err := ch.server.Set(ch.set); err != ErrRefused || verifier != nil {
		t.Fatal(err)
	}
	broken := errors.New("disk on fire")
	w.config.Directory.Lookup = func(Name) (Account, error) { return Account{}, broken }
	if _, _, err := AnswerPasswordBegin(nil, w.config.Directory, s, ch.begin); err != broken {
		t.Fatal(err)
	}
	w.config.Directory.Lookup = func(Name) (Account, error) { return Account{Exists: true}, nil }
	if _, _, err := AnswerPasswordBegin(nil, w.config.Directory, s, ch.begin); !errors.Is(err, srp.ErrVerifier) || isPeer(err) {
		t.Fatal(err)
	}
}
