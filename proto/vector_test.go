package proto

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sim/proto/box"
	"sim/proto/puzzle"
	"sim/proto/record"
	"sim/proto/srp"
	"sim/proto/ticket"
)

// The vectors of docs/vectors, recomputed by this package. What is random comes from the file, by way of crypto/rand, but for the
// keys of X25519 and ML-KEM, which crypto/ecdh and crypto/mlkem draw past it.

// hexBytes is a JSON string of hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// loadVectors reads a file of docs/vectors, in which there is nothing that v has no place for.
func loadVectors(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.Open(filepath.Join("../docs/vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	decoder := json.NewDecoder(data)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// values are what must come of a run. Each is looked at, or the test fails.
type values map[string]hexBytes

func (v values) check(t *testing.T) (is func(what string, got []byte)) {
	t.Helper()
	seen := make(map[string]bool)
	t.Cleanup(func() {
		for what := range v {
			if !seen[what] && !t.Failed() {
				t.Errorf("nothing checks %q", what)
			}
		}
	})
	return func(what string, got []byte) {
		t.Helper()
		seen[what] = true
		if want, ok := v[what]; !ok || !bytes.Equal(got, want) {
			t.Fatalf("%s:\n got %x\nwant %x", what, got, []byte(want))
		}
	}
}

// draws is what crypto/rand gives until the test ends: these bytes, one after the other, and then no more.
func draws(t *testing.T) func(next ...[]byte) {
	var queue bytes.Buffer
	was := rand.Reader
	rand.Reader = &queue
	t.Cleanup(func() { rand.Reader = was })
	return func(next ...[]byte) {
		t.Helper()
		if queue.Len() != 0 {
			t.Fatalf("%d random bytes were not drawn", queue.Len())
		}
		for _, b := range next {
			queue.Write(b)
		}
	}
}

func TestGoldenAddress(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case, Host, Address string
			In                  struct {
				PK hexBytes `json:"pk_S"`
			}
			Out struct{ Checksum hexBytes }
		}
		Refused []struct{ Address, Why string }
	}
	loadVectors(t, "address.json", &file)
	if len(file.Cases) < 4 || len(file.Refused) < 8 {
		t.Fatalf("%d cases, %d refused", len(file.Cases), len(file.Refused))
	}
	for _, v := range file.Cases {
		a := Address{[PublicKeySize]byte(v.In.PK), v.Host}
		if a.String() != v.Address || !bytes.Equal(addressChecksum(&a.Key), v.Out.Checksum) {
			t.Errorf("%s: %s, checksum %x", v.Case, a, addressChecksum(&a.Key))
		}
		if got, err := ParseAddress(v.Address); err != nil || got != a {
			t.Errorf("%s: %+v, %v", v.Case, got, err)
		}
	}
	for _, v := range file.Refused {
		if got, err := ParseAddress(v.Address); err == nil {
			t.Errorf("%s: %+v", v.Why, got)
		}
	}
}

func TestGoldenMAC1(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case    string
			In, Out values
		}
	}
	loadVectors(t, "mac1.json", &file)
	if len(file.Cases) < 2 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	for _, v := range file.Cases {
		t.Run(v.Case, func(t *testing.T) {
			is := v.Out.check(t)
			is("mac1", mac1(v.In["pk_S"], v.In["Hello without mac1"]))
			is("key", refHash([]byte("sim/1 mac1"), v.In["pk_S"])) // which mac1 does not give away
		})
	}
}

// account is the directory of a server that has one account.
func account(in values) *Directory {
	return &Directory{
		SaltSecret: [32]byte(in["salt secret"]), Argon2: parseArgon2(in["argon2"]),
		Lookup: func(Name) (Account, error) {
			return Account{Verifier: [srp.Size]byte(in["verifier"]), Exists: true}, nil
		},
	}
}

// The whole of both ends.
func TestGoldenLogin(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case, Name string
			Accepted   bool
			In, Out    values
		}
	}
	loadVectors(t, "login.json", &file)
	if len(file.Cases) != 2 || !file.Cases[0].Accepted || file.Cases[1].Accepted {
		t.Fatal("not one login that is accepted and one that is not")
	}
	for _, v := range file.Cases {
		t.Run(v.Case, func(t *testing.T) { goldenLogin(t, mustName(t, v.Name), v.Accepted, v.In, v.Out) })
	}
}

// A golden is both ends of a login, or of a resumption, and what it must come to.
type golden struct {
	*testing.T
	is         func(what string, got []byte)
	draw       func(next ...[]byte)
	now        time.Time
	key, e     *ecdh.PrivateKey // the server's static key; the client's share
	shared, ct []byte           // ML-KEM's
	puzzle     puzzle.Puzzle
	epoch      *Epoch
}

func newGolden(t *testing.T, in, out values) *golden {
	g := &golden{
		T: t, is: out.check(t), draw: draws(t), now: time.Unix(1_800_000_000, 0),
		key: must(x25519Key(in["sk_S"])), e: must(x25519Key(in["e_C private"])), puzzle: must(puzzle.Parse(in["Challenge's puzzle"])),
	}
	kem := must(mlkem.NewDecapsulationKey768(cat(in["ML-KEM d"], make([]byte, 32))))
	g.epoch = newEpoch(must(x25519Key(in["e_S private"])), kem)
	var err error
	g.shared, g.ct, err = mlkemtest.Encapsulate768(kem.EncapsulationKey(), in["ML-KEM m"])
	g.check(err)
	g.is("pk_S", g.key.PublicKey().Bytes())
	g.is("ML-KEM shared secret", g.shared)
	return g
}

func (g *golden) check(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

func (g *golden) is32(what string, got [32]byte) {
	g.Helper()
	g.is(what, got[:])
}

// throughLogin runs both ends up to where the server has Solution, and Login is due. It returns the transcript at h2, which they don't keep.
func (g *golden) throughLogin(c *LoginClient, s *LoginServer, in, out values) *box.State {
	g.Helper()
	g.draw(in["Hello's random"])
	wire, err := c.Hello(g.now)
	g.check(err)
	g.is("Hello", body(g.T, wire))
	g.draw(g.puzzle.Seed[:])
	wire, _, err = s.Handle(g.now, out["Hello"])
	g.check(err)
	g.is("Challenge", body(g.T, wire))

	g.draw(in["r of Login"])
	_, err = c.challengeWith(out["Challenge"], g.puzzle, out["Challenge"][36:68], bytes.Clone(g.shared), g.ct)
	g.check(err)
	g.is32("K", c.key)
	binding := [32]byte(refHash(out["Login"]))
	wire, err = c.Login(g.now, solve(g.T, &Task{Puzzle: g.puzzle, Binding: binding}))
	g.check(err)
	third := bodies(g.T, wire)
	g.is("Solution", third[0])
	g.is("Login", third[1])
	g.is32("h3", c.sym.Hash())
	es, err := dh(g.e, out["pk_S"])
	g.check(err)
	g.is("es", es)
	ee, err := dh(g.e, out["Challenge"][36:68])
	g.check(err)
	g.is("ee", ee)
	transcript := loginState(out["pk_S"], out["Hello"], out["Challenge"], out["Login"][1:loginHead], es, ee, g.shared)
	g.is32("h2", transcript.Hash())
	_, _, err = s.Handle(g.now, out["Solution"])
	g.check(err)
	return transcript
}

func goldenLogin(t *testing.T, name Name, accepted bool, in, out values) {
	g := newGolden(t, in, out)
	is, is32, check, draw, now, account := g.is, g.is32, g.check, g.draw, g.now, account(in)
	s := NewLoginServer(&LoginConfig{
		Key: g.key, Directory: account, PuzzleBits: g.puzzle.Bits, AccountPuzzleBits: in["account puzzle"][33], Epoch: func() *Epoch { return g.epoch },
	}, now)
	draw(in["a"])
	c := newLoginClient([PublicKeySize]byte(out["pk_S"]), name, g.e, srp.Begin())
	is("A", c.srp.A()[:])
	transcript := g.throughLogin(c, s, in, out)

	// Salt
	draw(in["b"], in["account puzzle"][:32], in["r of Salt"])
	wire, _, err := s.Handle(now, out["Login"])
	check(err)
	is("Salt", body(t, wire))
	is("B", s.srp.B()[:])
	is32("K", s.key)
	is("A", s.a[:])
	is32("salt", s.salt)
	if s.name != name {
		t.Errorf("%q logs in", s.name)
	}

	// Proof
	task, err := c.Salt(out["Salt"])
	check(err)
	is32("salt", task.Salt)
	is32("h4", task.Binding)
	if task.Argon2 != account.Argon2 || !bytes.Equal(task.Puzzle.Append(nil), in["account puzzle"]) {
		t.Errorf("%+v", task)
	}
	is("B", c.b[:])
	draw(in["r of Proof"])
	secret := [32]byte(in["T"])
	wire, err = c.Proof(now, solve(t, task), &secret)
	check(err)
	is("Proof", body(t, wire))
	is("S", c.s[:])
	is("T1", c.proof.t1)
	is32("M1", c.m1)
	is32("h5", c.sym.Hash())
	registered := srp.Verifier(name.String(), &task.Salt, (*[32]byte)(in["T"]))
	if bytes.Equal(registered[:], in["verifier"]) != accepted {
		t.Error("T and the verifier are not what the case says")
	}

	// Welcome
	if !accepted {
		draw(make([]byte, 16), in["r of Welcome"])
		wire, _, err = s.Handle(now, out["Proof"])
		is("Welcome", body(t, wire))
		if _, clientErr := c.Welcome(now, out["Welcome"]); err != ErrRefused || clientErr != ErrRefused {
			t.Error(err, clientErr)
		}
		draw()
		return
	}
	proof, S, m1 := c.proof, *c.s, c.m1
	draw(in["session id"], in["r of Welcome"])
	wire, atServer, err := s.Handle(now, out["Proof"])
	check(err)
	is("Welcome", body(t, wire))
	atClient, err := c.Welcome(now, out["Welcome"])
	check(err)
	draw()
	isReference(t, atClient, &refKeys{
		in["session id"], out["h6"], out["record client"], out["record server"], out["nonce"], out["intro"], out["ticket"], out["resumption"],
	}, Client)
	sameSession(t, atClient, atServer)

	// The record keys are in the sealers by now; the rest is the transcript once more.
	for _, x := range [][]byte{out["Login"][loginHead:], out["Solution"], out["Salt"], out["Proof"]} {
		transcript.MixHash(x)
	}
	m2 := proof.m2(transcript, &S, &m1, (*[16]byte)(in["session id"]))
	is32("M2", m2)
	transcript.MixHash([]byte{1}, m2[:], in["session id"])
	is32("h6", transcript.Hash())
	sA := transcript.Final("sim/1 session", S[:])
	is32("S_A", sA)
	for _, label := range []string{"record client", "record server", "nonce", "intro", "ticket", "resumption"} {
		is32(label, box.Expand(&sA, "sim/1 "+label, out["h6"]))
	}
}

// The whole of both ends, with the secrets that the one case leaves for the next.
func TestGoldenResume(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case     string
			Accepted bool
			Client   uint64 `json:"seen by the client"`
			Server   uint64 `json:"seen by the server"`
			In, Out  values
		}
	}
	loadVectors(t, "resume.json", &file)
	if len(file.Cases) != 3 || !file.Cases[0].Accepted || !file.Cases[1].Accepted || file.Cases[2].Accepted {
		t.Fatal("not two resumptions that are accepted and one that is not")
	}
	first := &Session{ID: [16]byte(file.Cases[0].In["session id"]), Resumption: [32]byte(file.Cases[0].In["R"])}
	atServer := *first
	client, server := NewResumption(first), NewResumption(&atServer)
	for _, v := range file.Cases {
		t.Run(v.Case, func(t *testing.T) {
			if !bytes.Equal(client.newest[:], v.In["R"]) || !bytes.Equal(server.newest[:], v.In["R"]) {
				t.Fatal("another R than the case before left")
			}
			if !v.Accepted {
				server.Clear()
			}
			goldenResume(t, client, server, v.Client, v.Server, v.In, v.Out)
		})
	}
}

func goldenResume(t *testing.T, atClient, atServer *Resumption, clientSeen, serverSeen uint64, in, out values) {
	g := newGolden(t, in, out)
	s := NewLoginServer(&LoginConfig{Key: g.key, PuzzleBits: g.puzzle.Bits, Epoch: func() *Epoch { return g.epoch }}, g.now)
	c := newResumeClient([PublicKeySize]byte(out["pk_S"]), atClient, clientSeen, g.e)
	transcript := g.throughLogin(c, s, in, out)
	g.is32("M_C", c.m1)

	wire, session, err := s.Handle(g.now, out["Login"])
	g.check(err)
	if wire != nil || session != nil {
		t.Fatal("an answer before the session was found")
	}
	g.is32("K", s.key)
	if request, ok := s.Resuming(); !ok || request != (ResumeRequest{[16]byte(in["session id"]), clientSeen}) {
		t.Fatalf("%+v, %v", request, ok)
	}
	g.draw(in["r of Resumed"])
	wire, serverLink, err := s.AnswerResume(g.now, atServer, serverSeen)
	g.is("Resumed", body(t, wire))
	clientLink, clientErr := c.Resumed(g.now, out["Resumed"])
	g.draw()
	if _, accepted := out["S_R"]; !accepted {
		if err != ErrRefused || clientErr != ErrRefused {
			t.Error(err, clientErr)
		}
		return
	}
	g.check(err)
	g.check(clientErr)
	g.is32("resumption", atClient.newest)
	g.is32("resumption", atServer.newest)
	if clientLink.Seen != serverSeen || serverLink.Seen != clientSeen {
		t.Error(clientLink.Seen, serverLink.Seen)
	}
	for _, way := range []struct {
		key      string
		from, to *Link
		frame    []byte
	}{
		{"record client", clientLink, serverLink, AppendPing(nil, [8]byte{1})},
		{"record server", serverLink, clientLink, AppendPong(nil, make([]byte, 8))},
	} {
		sealed := way.from.Send.Seal(nil, way.frame, g.now)
		if !bytes.Equal(sealed, record.NewSealer([32]byte(out[way.key])).Seal(nil, way.frame)) {
			t.Errorf("%s is another", way.key)
		}
		if _, err := open(way.to.Receive, sealed); err != nil {
			t.Errorf("%s: %v", way.key, err)
		}
	}

	// The record keys are in the sealers by now; the rest is the transcript once more.
	transcript.MixHash(out["Login"][loginHead:])
	transcript.MixHash(out["Solution"])
	plain := binary.BigEndian.AppendUint64([]byte{1}, serverSeen)
	mS := resumeMAC(transcript, "sim/1 resume server", (*[32]byte)(in["R"]), plain, out["M_C"])
	g.is32("M_S", mS)
	transcript.MixHash(plain, mS[:])
	g.is32("h4", transcript.Hash())
	sR := transcript.Final("sim/1 resumed", in["R"])
	g.is32("S_R", sR)
	for _, label := range []string{"record client", "record server", "resumption"} {
		g.is32(label, box.Expand(&sR, "sim/1 "+label, out["h4"]))
	}
}

func TestGoldenFrames(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case, Direction string
			Out             struct{ Frame hexBytes }
		}
	}
	loadVectors(t, "frames.json", &file)
	alice, bob, carol := mustName(t, "alice"), mustName(t, "bob"), mustName(t, "carol")
	counted := func(from, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(from + i)
		}
		return b
	}
	tag, cid, ref, decline := Tag(counted(1, 8)), ticket.CID(counted(0x10, 16)), uint32(0x01020304), cat([]byte{3}, counted(0x10, 16), []byte{2})
	intro := &ticket.Intro{
		CID: cid, N1: [16]byte(counted(0x20, 16)), Responder: bob, Versions: []byte{1, 2}, Version: 2, NonceBox: [144]byte(counted(0, 144)),
	}
	frames := map[string][]byte{
		"Ping":                         AppendPing(nil, [8]byte([]byte("12345678"))),
		"Pong":                         AppendPong(nil, []byte("12345678")),
		"List of everybody":            AppendList(nil, List{}),
		"List after bob of those in b": AppendList(nil, List{Prefix{'b'}, Prefix(bob)}),
		"Users, none":                  AppendUsers(nil, false, nil),
		"Users, and more":              AppendUsers(nil, true, []Name{alice, bob}),
		"Watch, nobody":                AppendWatch(nil, nil),
		"Watch":                        AppendWatch(nil, []Name{bob, carol}),
		"Presence":                     AppendPresence(nil, []Presence{{bob, true}, {carol, false}}),
		"Relay":                        AppendRelay(nil, Relay{ref, bob, tag, decline}),
		"Relayed":                      AppendRelayed(nil, Relayed{alice, tag, decline}),
		"Undeliverable":                AppendUndeliverable(nil, ref, Full),
		"Gone":                         AppendGone(nil, Gone{bob, tag, GoneLost}),
		"Intro":                        AppendIntro(nil, intro),
		"Ticket, issued":               AppendTicket(nil, Ticket{cid, TicketIssued, bytes.Repeat([]byte("x"), introBoxSize)}),
		"Ticket, busy":                 AppendTicket(nil, Ticket{CID: cid, Status: TicketBusy}),
		"Ticket, refused":              AppendTicket(nil, Ticket{CID: cid, Status: TicketRefused}),
		"Done, changed":                AppendDone(nil, DoneChanged, (*[32]byte)(counted(0, 32))),
		"Done, refused":                AppendDone(nil, DoneRefused, nil),
		"Done, not saved":              AppendDone(nil, DoneNotSaved, nil),
		"Logout":                       AppendLogout(nil),
		"LoggedOut":                    AppendLoggedOut(nil),
		"Notice":                       AppendNotice(nil, NoticeStopping),
		"Notice, choose a password":    AppendNotice(nil, NoticePassword),
		"Rekey":                        appendHeader(nil, TypeRekey, 0),
		"Close, stalled":               AppendClose(nil, CloseStalled),
		"Seen":                         AppendSeen(nil, 0x0102030405060708),
	}
	if len(file.Cases) != len(frames) {
		t.Errorf("%d cases, want %d", len(file.Cases), len(frames))
	}
	for _, v := range file.Cases {
		if got := frames[v.Case]; !bytes.Equal(got, v.Out.Frame) {
			t.Errorf("%s: %x", v.Case, got)
			continue
		}
		for _, side := range []struct {
			from Side
			name string
		}{{Client, "C→S"}, {Server, "S→C"}} {
			padded := append(bytes.Clone(v.Out.Frame), make([]byte, 512)...)[:512]
			_, _, err := splitRecord(padded, side.from)
			if allowed := v.Direction == side.name || v.Direction == "both"; (err == nil) != allowed {
				t.Errorf("%s from %s: %v", v.Case, side.name, err)
			}
		}
	}
}

// The whole of both ends.
func TestGoldenPasswordChange(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case, Name string
			Changed    bool
			In, Out    values
		}
	}
	loadVectors(t, "password_change.json", &file)
	if len(file.Cases) != 2 || !file.Cases[0].Changed || file.Cases[1].Changed {
		t.Fatal("not one change that is made and one that is not")
	}
	for _, v := range file.Cases {
		t.Run(v.Case, func(t *testing.T) { goldenPasswordChange(t, mustName(t, v.Name), v.Changed, v.In, v.Out) })
	}
}

func goldenPasswordChange(t *testing.T, name Name, changed bool, in, out values) {
	is, draw := out.check(t), draws(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	session := &Session{Name: name, Transcript: [32]byte(in["h6"])}
	directory := account(in)
	draw(in["a"])
	client := NewPasswordClient(session)
	is("PasswordBegin", bodyOf(t, client.Begin(nil)))

	draw(in["b"])
	server, frame, err := AnswerPasswordBegin(nil, directory, session, out["PasswordBegin"])
	check(err)
	is("PasswordSalt", bodyOf(t, frame))
	salt, params := ParsePasswordSalt(out["PasswordSalt"])
	is("salt", salt[:])
	if params != directory.Argon2 {
		t.Errorf("%+v", params)
	}
	old, fresh := [32]byte(in["T of the old password"]), [32]byte(in["T of the new password"])
	is("new verifier", srp.Verifier(name.String(), &salt, &fresh)[:])

	// S once more, since a client gives it once.
	draw(in["a"])
	start := srp.Begin()
	S, err := start.Finish(name.String(), &salt, &old, (*[srp.Size]byte)(out["PasswordSalt"][32+argon2Size:]))
	check(err)
	is("S", S[:])
	state := passwordState(&session.Transcript, name, out["PasswordBegin"], out["PasswordSalt"], S)
	h, key := state.Hash(), state.Derive("sim/1 password key")
	is("h", h[:])
	is("key", key[:])

	draw(in["r of PasswordSet"])
	frame, err = client.Set(nil, out["PasswordSalt"], &old, &fresh)
	check(err)
	is("PasswordSet", bodyOf(t, frame))
	is("M1", out["PasswordSet"][:32])
	draw()

	verifier, m2, err := server.Set(out["PasswordSet"])
	if !changed {
		is("Done", bodyOf(t, AppendDone(nil, DoneRefused, nil)))
		if clientErr := client.Done(out["Done"]); err != ErrRefused || clientErr != ErrRefused {
			t.Error(err, clientErr)
		}
		return
	}
	check(err)
	is("new verifier", verifier[:])
	is("Done", bodyOf(t, AppendDone(nil, DoneChanged, m2)))
	check(client.Done(out["Done"]))
}
