package proto

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"testing"

	"sim/proto/srp"
)

func TestOneReplyForEveryRefusedLogin(t *testing.T) {
	w := newWorld(t)
	for _, who := range [][2]string{{"alice", "not alice's"}, {"alice", passwordOf("bob")}, {"nobody", passwordOf("alice")}, {"admin", ""}} {
		o := w.login(t, who[0], who[1])
		if o.clientErr != ErrRefused || o.serverErr != ErrRefused || o.client != nil || o.server != nil {
			t.Errorf("%s: %v, %v", who, o.clientErr, o.serverErr)
		}
	}
}

// A name without an account takes the same steps: one look-up, the puzzles, an answer of the same length at each.
func TestInventedUserTakesTheSameSteps(t *testing.T) {
	w := newWorld(t)
	w.config.AccountPuzzleBits = 5
	run := func(name string) (lengths []int, lookups int) {
		w.lookups = nil
		o := w.login(t, name, "wrong")
		if o.serverErr != ErrRefused || o.clientErr != ErrRefused {
			t.Fatal(o.serverErr, o.clientErr)
		}
		for _, b := range o.sent {
			lengths = append(lengths, len(b))
		}
		if len(w.lookups) != 1 || w.lookups[0] != mustName(t, name) {
			t.Errorf("%s: looked up %v", name, w.lookups)
		}
		return lengths, len(w.lookups)
	}
	known, _ := run("alice")
	unknown, _ := run("nobody")
	for i := range known {
		if known[i] != unknown[i] || known[i] == 0 {
			t.Errorf("%s: %d bytes for alice, %d for nobody", bodyNames[i], known[i], unknown[i])
		}
	}
}

// What Salt holds for a name without an account looks like anybody's: the salt and the parameters of the database, a usable B.
func TestInventedUsersSalt(t *testing.T) {
	w := newWorld(t)
	d := w.config.Directory
	plainOf := func(name string) []byte {
		c, s := w.refClient(name, ""), NewLoginServer(w.config, w.now)
		out, _, _ := s.Handle(w.now, c.Hello())
		solution, login := c.Login(body(t, out))
		s.Handle(w.now, solution)
		out, _, err := s.Handle(w.now, login)
		if err != nil {
			t.Fatal(err)
		}
		return must(refOpen(c.k, "sim/1 box salt", 1, c.h3, body(t, out)[1:]))
	}
	for _, name := range []string{"nobody", "alice"} {
		one, two := plainOf(name), plainOf(name)
		if !bytes.Equal(one[:32], saltOf(d, name)) || !bytes.Equal(one[:41], two[:41]) || !bytes.Equal(one[32:41], []byte{0, 0, 0, 3, 0, 1, 0, 0, 4}) {
			t.Errorf("%s: %x", name, one[:41])
		}
		if bytes.Equal(one[297:329], two[297:329]) || bytes.Equal(one[297:329], make([]byte, 32)) {
			t.Errorf("%s: an account puzzle twice", name)
		}
		if bytes.Equal(one[41:297], two[41:297]) || srp.CheckVerifier((*[256]byte)(one[41:])) != nil {
			t.Errorf("%s: B is %x", name, one[41:297])
		}
	}
}

// Neither a restart nor an adduser shows: the salt of a name depends on nothing but the name and the secret.
func TestSaltIsStable(t *testing.T) {
	w := newWorld(t)
	d := w.config.Directory
	nobody := mustName(t, "nobody")
	salt := d.Salt(nobody)
	if salt == d.Salt(mustName(t, "nobod")) || salt == d.Salt(mustName(t, "alice")) || salt == ([32]byte{}) {
		t.Error("two names with one salt")
	}
	again := &Directory{SaltSecret: d.SaltSecret, InventSecret: d.InventSecret, Argon2: d.Argon2, Lookup: d.Lookup}
	if again.Salt(nobody) != salt {
		t.Error("a restart changes the salt")
	}
	v, exists, _, err := again.account(nobody)
	if err != nil || exists != 0 {
		t.Fatal(err)
	}
	one := *v
	if v, _, _, _ = d.account(nobody); *v != one {
		t.Error("a restart changes the invented verifier")
	}
	w.register("nobody", "a password")
	if again.Salt(nobody) != salt {
		t.Error("adduser changes the salt")
	}
	if v, exists, _, _ = again.account(nobody); exists != 1 || *v != w.verifiers[nobody] {
		t.Error("adduser does not give the account's verifier")
	}
	other := &Directory{SaltSecret: [32]byte{1}, InventSecret: [32]byte{2}, Lookup: d.Lookup}
	if other.Salt(nobody) == salt {
		t.Error("the salt needs no secret")
	}
}

func TestInventedVerifierIsUniformModuloN(t *testing.T) {
	w := newWorld(t)
	d := w.config.Directory
	seen := map[[srp.Size]byte]bool{}
	for _, name := range []string{"nobody", "nobody2", "n"} {
		v, exists, _, err := d.account(mustName(t, name))
		if err != nil || exists != 0 {
			t.Fatal(err)
		}
		uniform := must(hkdf.Expand(sha256.New, d.InventSecret[:], "sim/1 invented"+string(refName(name)), 272))
		wide := refNumber(uniform)
		if !bytes.Equal(v[:], refPad(wide.Mod(wide, refN))) || srp.CheckVerifier(v) != nil {
			t.Errorf("%s: %x", name, v)
		}
		seen[*v] = true
	}
	if len(seen) != 3 {
		t.Error("two names with one verifier")
	}
	d.InventSecret[0] ^= 1
	if v, _, _, _ := d.account(mustName(t, "nobody")); seen[*v] {
		t.Error("the verifier needs no secret")
	}
}

// What the store leaves in the verifier of a name that it does not have is not taken.
func TestLeftoversOfTheStoreAreNotTaken(t *testing.T) {
	w := newWorld(t)
	left := w.verifiers[mustName(t, "alice")]
	w.config.Directory.Lookup = func(Name) (Account, error) { return Account{Verifier: left}, nil }
	v, exists, _, err := w.config.Directory.account(mustName(t, "alice"))
	if err != nil || exists != 0 || *v == left {
		t.Fatal(exists, err)
	}
	if o := w.login(t, "alice", passwordOf("alice")); o.serverErr != ErrRefused {
		t.Fatal(o.serverErr)
	}
}

// Even the right proof for an invented verifier is refused. Nobody can make one, so this server is told of alice that she does not exist
// after it has taken her verifier.
func TestRightProofForNoAccountIsRefused(t *testing.T) {
	w := newWorld(t)
	s := NewLoginServer(w.config, w.now)
	var out []byte
	o := w.handshake(t, w.client(t, "alice"), s, passwordOf("alice"), func(at int, b []byte) []byte {
		if at == atProof {
			if s.exists != 1 {
				t.Fatal("alice does not exist")
			}
			s.exists = 0
		}
		if at == atWelcome {
			out = b
		}
		return b
	})
	if o.serverErr != ErrRefused || o.clientErr != ErrRefused || o.server != nil || o.client != nil || len(out) != welcomeLen {
		t.Fatal(o.serverErr, o.clientErr)
	}
}

// A session knows the account that was proved, and a change of password the one of its beginning: whoever changes an account meanwhile is noticed.
func TestSessionKnowsItsAccount(t *testing.T) {
	w := newWorld(t)
	w.generation = 7
	w.codes = map[Name]bool{mustName(t, "bob"): true}
	for name, code := range map[string]bool{"alice": false, "bob": true} {
		o := w.login(t, name, passwordOf(name))
		if o.serverErr != nil || o.server.Generation != 7 || o.server.Enrol != code {
			t.Errorf("%s: %v, %+v", name, o.serverErr, o.server)
		}
		w.generation = 8
		ch, err := w.changePassword(t, o.client, o.server, passwordOf(name), newPassword, nil)
		if err != nil || ch.server.Generation != 8 {
			t.Errorf("%s: %v", name, err)
		}
		w.generation = 7
	}
}
