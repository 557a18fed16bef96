package proto

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"sim/proto/box"
	"sim/proto/puzzle"
	"sim/proto/record"
	"sim/proto/srp"
)

var update = flag.Bool("update", false, "write testdata anew")

func draw(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (w *world) refClient(name, password string) *refClient {
	return &refClient{
		PK: w.public[:], Random: draw(32), EC: draw(32), M: draw(32), A: draw(32), Salts: [2][]byte{draw(32), draw(32)}, Name: name,
		Secret: func(salt []byte) []byte { return derive(password, [32]byte(salt))[:] },
	}
}

// refServer is a server with w's key.
func (w *world) refServer() *refServer {
	d := w.config.Directory
	return &refServer{
		Key: w.config.Key.Bytes(), ES: draw(32), KEM: draw(64), B: draw(32), ID: draw(16),
		Puzzle: cat(draw(32), []byte{16, testBits}), Account: cat(draw(32), []byte{16, 0}),
		Salts: [2][]byte{draw(32), draw(32)}, Argon2: d.Argon2.append(nil), Salt: saltOf(d, "alice"),
		Verifier: func(name string) []byte {
			var n Name
			copy(n[:], name)
			v := w.verifiers[n]
			return v[:]
		},
	}
}

func saltOf(d *Directory, name string) []byte { return refHMAC(d.SaltSecret[:], refName(name)) }

// isReference says whether a session is what the page says.
func isReference(t *testing.T, s *Session, ref *refKeys, side Side) {
	t.Helper()
	if s == nil || ref == nil {
		t.Fatal("no session")
	}
	for _, field := range []struct {
		name      string
		got, want []byte
	}{
		{"session id", s.ID[:], ref.ID}, {"h6", s.Transcript[:], ref.H6}, {"nonce key", s.Tickets.Nonce[:], ref.Nonce}, {"intro key", s.Tickets.Intro[:], ref.Intro},
		{"ticket key", s.Tickets.Ticket[:], ref.Ticket}, {"resumption", s.Resumption[:], ref.Resumption},
	} {
		if !bytes.Equal(field.got, field.want) {
			t.Errorf("%s: %x, want %x", field.name, field.got, field.want)
		}
	}
	client, server := record.NewSealer([32]byte(ref.Client)), record.NewSealer([32]byte(ref.Server))
	send, receive, frame := client, server, AppendClose(nil, CloseDone)
	if side == Server {
		send, receive = server, client
	}
	if !bytes.Equal(s.Send.Seal(nil, frame, s.Send.since), send.Seal(nil, frame)) {
		t.Error("the key to send with is another")
	}
	if _, err := open(s.Receive, receive.Seal(nil, frame)); err != nil {
		t.Error("the key to receive with is another")
	}
}

// Somebody else's client, made from the page alone, logs in.
func TestClientMadeFromThePageLogsIn(t *testing.T) {
	w := newWorld(t)
	w.config.AccountPuzzleBits = 6
	for _, password := range []string{passwordOf("alice"), "wrong"} {
		c, s := w.refClient("alice", password), NewLoginServer(w.config, w.now)
		out, _, err := s.Handle(w.now, c.Hello())
		if err != nil {
			t.Fatal(err)
		}
		solution, login := c.Login(body(t, out))
		if _, _, err = s.Handle(w.now, solution); err != nil {
			t.Fatal(err)
		}
		if out, _, err = s.Handle(w.now, login); err != nil {
			t.Fatal(err)
		}
		proof, err := c.Proof(body(t, out))
		if err != nil {
			t.Fatal(err)
		}
		out, session, err := s.Handle(w.now, proof)
		if password == "wrong" {
			if plain, err := refOpen(c.k, "sim/1 box welcome", 1, c.h5, body(t, out)[1:]); err != nil || !bytes.Equal(plain, make([]byte, 49)) {
				t.Errorf("the refusal is %x, %v", plain, err)
			}
			if err != ErrRefused || session != nil {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		ref, err := c.Welcome(body(t, out))
		if err != nil {
			t.Fatal(err)
		}
		isReference(t, session, ref, Server)
	}
}

// Somebody else's server, made from the page alone, is logged in to.
func TestServerMadeFromThePageIsLoggedInTo(t *testing.T) {
	w := newWorld(t)
	s := w.refServer()
	s.Account[33] = 6
	session, ref, err := w.meet(t, s, passwordOf("alice"))
	if err != nil {
		t.Fatal(err)
	}
	isReference(t, session, ref, Client)

	if _, _, err = w.meet(t, w.refServer(), "wrong"); err != ErrRefused {
		t.Fatal(err)
	}
}

// meet runs alice's login with a server made from the page, which mallory may have bent, until she gives up.
func (w *world) meet(t *testing.T, s *refServer, password string) (*Session, *refKeys, error) {
	t.Helper()
	c := w.client(t, "alice")
	wire, err := c.Hello(w.now)
	if err != nil {
		t.Fatal(err)
	}
	task, err := c.Challenge(s.Challenge(body(t, wire)))
	if err != nil {
		return nil, nil, err
	}
	if wire, err = c.Login(w.now, solve(t, task)); err != nil {
		t.Fatal(err)
	}
	third := bodies(t, wire)
	salt, err := s.Answer(third[0], third[1])
	if err != nil {
		t.Fatal(err)
	}
	if task, err = c.Salt(salt); err != nil {
		return nil, nil, err
	}
	if wire, err = c.Proof(w.now, solve(t, task), derive(password, task.Salt)); err != nil {
		return nil, nil, err
	}
	welcome, ref, err := s.Welcome(body(t, wire))
	if err != nil {
		t.Fatal(err)
	}
	session, err := c.Welcome(w.now, welcome)
	return session, ref, err
}

// hexBytes is a JSON string of hexadecimal digits.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// loginVector is testdata/login.json: a whole login, its randomness given. Bodies are without their lengths.
type loginVector struct {
	Comment string              `json:"comment"`
	Name    string              `json:"name"`
	In      map[string]hexBytes `json:"in"`
	Out     map[string]hexBytes `json:"out"`
}

// runByThePage makes what the vector's inputs lead to.
func runByThePage(t *testing.T, v *loginVector) map[string]hexBytes {
	t.Helper()
	in := v.In
	verifier := refVerifier(v.Name, in["salt"], in["T"])
	c := &refClient{
		PK: refPublic(in["sk_S"]), Random: in["hello random"], EC: in["e_C private"], M: in["ML-KEM m"], A: in["a"], Name: v.Name,
		Salts: [2][]byte{in["r login"], in["r proof"]}, Secret: func([]byte) []byte { return in["T"] },
	}
	s := &refServer{
		Key: in["sk_S"], ES: in["e_S private"], KEM: in["ML-KEM d z"], B: in["b"], ID: in["session id"], Puzzle: in["puzzle"], Account: in["account puzzle"],
		Salts: [2][]byte{in["r salt"], in["r welcome"]}, Salt: in["salt"], Argon2: in["argon2"], Verifier: func(string) []byte { return verifier },
	}
	hello := c.Hello()
	challenge := s.Challenge(hello)
	solution, login := c.Login(challenge)
	salt, err := s.Answer(solution, login)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := c.Proof(salt)
	if err != nil {
		t.Fatal(err)
	}
	welcome, keys, err := s.Welcome(proof)
	if err != nil || keys == nil {
		t.Fatal("M1 is wrong: ", err)
	}
	theirs, err := c.Welcome(welcome)
	if err != nil || theirs == nil || !bytes.Equal(c.s, s.s) || !bytes.Equal(theirs.H6, keys.H6) {
		t.Fatal("the two ends of the page disagree: ", err)
	}
	return map[string]hexBytes{
		"pk_S": c.PK, "verifier": verifier, "A": c.public, "B": s.public, "S": c.s,
		"Hello": hello, "Challenge": challenge, "Solution": solution, "Login": login, "Salt": salt, "Proof": proof, "Welcome": welcome,
		"h2": c.h2, "h3": c.h3, "h4": c.h4, "h5": c.h5, "h6": keys.H6, "K": c.k, "M1": c.m1, "M2": c.m2,
		"record client": keys.Client, "record server": keys.Server, "nonce": keys.Nonce, "intro": keys.Intro, "ticket": keys.Ticket, "resumption": keys.Resumption,
	}
}

// kemOf is ML-KEM's shared secret and ciphertext in a vector.
func kemOf(t *testing.T, v *loginVector) (shared, ct []byte) {
	t.Helper()
	kem := must(mlkem.NewDecapsulationKey768(v.In["ML-KEM d z"]))
	shared, ct, err := mlkemtest.Encapsulate768(kem.EncapsulationKey(), v.In["ML-KEM m"])
	if err != nil {
		t.Fatal(err)
	}
	return shared, ct
}

func loadLoginVector(t *testing.T) *loginVector {
	t.Helper()
	const path = "testdata/login.json"
	if *update {
		v := &loginVector{Comment: "docs/PROTOCOL.md, section 4: one login", Name: "alice", In: map[string]hexBytes{}}
		for _, name := range []string{
			"sk_S", "e_S private", "e_C private", "a", "b", "T", "salt", "hello random", "ML-KEM m", "r login", "r salt", "r proof", "r welcome",
		} {
			v.In[name] = refHash([]byte("login.json " + name))
		}
		v.In["session id"] = refHash([]byte("login.json session id"))[:16]
		v.In["ML-KEM d z"] = cat(refHash([]byte("login.json d")), refHash([]byte("login.json z")))
		v.In["puzzle"] = cat(refHash([]byte("login.json puzzle")), []byte{16, 8})
		v.In["account puzzle"] = cat(refHash([]byte("login.json account puzzle")), []byte{16, 5})
		v.In["argon2"] = []byte{0, 0, 0, 3, 0, 1, 0, 0, 4}
		v.Out = runByThePage(t, v)
		data := must(json.MarshalIndent(v, "", "  "))
		if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := new(loginVector)
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The vector is what the page says.
func TestLoginVectorIsThePage(t *testing.T) {
	v := loadLoginVector(t)
	page := runByThePage(t, v)
	if len(v.Out) != len(page) || len(page) < 20 {
		t.Fatalf("%d values, want %d", len(v.Out), len(page))
	}
	for name, want := range page {
		if !bytes.Equal(v.Out[name], want) {
			t.Errorf("%s: the page gives %x", name, []byte(want))
		}
	}
}

// The vector is what this package does, as far as its randomness can be given: A, B and the salts of boxes are the vector's.
func TestLoginVector(t *testing.T) {
	v := loadLoginVector(t)
	in, out := v.In, v.Out
	w := newWorld(t)
	w.config.Key = must(x25519Key(in["sk_S"]))
	w.public = [32]byte(out["pk_S"])
	name := mustName(t, v.Name)
	is := func(what string, got []byte) {
		t.Helper()
		if !bytes.Equal(got, out[what]) {
			t.Errorf("%s: %x", what, got)
		}
	}
	// transcript is the state before something is taken in, made from the vector's bodies.
	shared, ct := kemOf(t, v)
	transcript := func(until string) *box.State {
		es, ee := refDH(in["e_C private"], out["pk_S"]), refDH(in["e_S private"], refPublic(in["e_C private"]))
		state := loginState(out["pk_S"], out["Hello"], out["Challenge"], out["Login"][1:loginHead], es, ee, bytes.Clone(shared))
		if !bytes.Equal(cat(es, ee), make([]byte, 64)) {
			t.Error("loginState leaves its secrets")
		}
		for _, step := range []struct {
			name string
			x    []byte
		}{{"h2", out["Login"][loginHead:]}, {"", out["Solution"]}, {"h3", out["Salt"]}, {"h4", out["Proof"]}, {"h5", nil}} {
			if step.name == until {
				break
			}
			state.MixHash(step.x)
		}
		return state
	}
	for _, point := range []string{"h2", "h3", "h4", "h5"} {
		h := transcript(point).Hash()
		is(point, h[:])
	}
	k := transcript("h2").Derive("sim/1 handshake")
	is("K", k[:])
	is("verifier", srp.Verifier(v.Name, (*[32]byte)(in["salt"]), (*[32]byte)(in["T"]))[:])
	proof := newProofs(name, (*[32]byte)(in["salt"]), parseArgon2(in["argon2"]), (*[256]byte)(out["A"]), (*[256]byte)(out["B"]), [32]byte(out["h4"]))
	m1 := proof.m1(transcript("h4"), (*[256]byte)(out["S"]))
	is("M1", m1[:])
	m2 := proof.m2(transcript("h5"), (*[256]byte)(out["S"]), &m1, (*[16]byte)(in["session id"]))
	is("M2", m2[:])

	// The server, up to Login's plaintext.
	s := NewLoginServer(w.config, w.now)
	p := must(puzzle.Parse(in["puzzle"]))
	wire, _, err := s.greet(w.now, out["Hello"], p, newEpoch(must(x25519Key(in["e_S private"])), must(mlkem.NewDecapsulationKey768(in["ML-KEM d z"]))))
	if err != nil {
		t.Fatal(err)
	}
	s.greeted = true
	is("Challenge", body(t, wire))
	if _, _, err = s.Handle(w.now, out["Solution"]); err != nil {
		t.Fatal(err)
	}
	if _, _, err = s.Handle(w.now, out["Login"]); err != nil {
		t.Fatal(err)
	}
	is("K", s.key[:])
	is("A", s.a[:])
	if s.name != name {
		t.Error(s.name)
	}

	// The client, in all its messages that it takes.
	c := newLoginClient(w.public, name, must(x25519Key(in["e_C private"])), srp.Begin())
	if wire, err = c.helloWith(w.now, (*[32]byte)(in["hello random"])); err != nil {
		t.Fatal(err)
	}
	is("Hello", body(t, wire))
	if _, err = c.challengeWith(out["Challenge"], p, out["Challenge"][36:68], bytes.Clone(shared), ct); err != nil {
		t.Fatal(err)
	}
	is("K", c.key[:])
	c.login, c.sym = out["Login"], transcript("h2")
	c.sym.MixHash(out["Login"][loginHead:])
	task := &Task{Puzzle: p, Binding: [32]byte(refHash(out["Login"]))}
	if wire, err = c.Login(w.now, solve(t, task)); err != nil {
		t.Fatal(err)
	}
	third := bodies(t, wire)
	is("Solution", third[0])
	is("Login", third[1])
	if task, err = c.Salt(out["Salt"]); err != nil {
		t.Fatal(err)
	}
	if task.Salt != [32]byte(in["salt"]) || task.Argon2 != (Argon2{3, 65536, 4}) || !bytes.Equal(task.Binding[:], out["h4"]) || task.Puzzle.Bits != 5 {
		t.Errorf("%+v", task)
	}
	is("B", c.b[:])
	c.s, c.proof, c.m1, c.state = (*[256]byte)(out["S"]), proof, m1, clientAwaitsWelcome
	c.sym.MixHash(out["Proof"])
	session, err := c.Welcome(w.now, out["Welcome"])
	if err != nil {
		t.Fatal(err)
	}
	isReference(t, session, &refKeys{
		in["session id"], out["h6"], out["record client"], out["record server"], out["nonce"], out["intro"], out["ticket"], out["resumption"],
	}, Client)
}
