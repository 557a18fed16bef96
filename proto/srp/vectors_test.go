package srp

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"sim/password"
)

// hexBytes is a JSON string of hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func load(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.Open(filepath.Join("../../docs/vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	decoder := json.NewDecoder(data)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// A rfc5054 is what docs/vectors has of RFC 5054.
type rfc5054 struct {
	Comment string
	Groups  map[string]struct {
		N      hexBytes
		G      byte
		Digest hexBytes `json:"sha256_of_N"`
		K      hexBytes `json:"k_sha256"`
	}
	AppendixB map[string]string `json:"appendix B"`
}

// given is a source that gives these draws, one after the other, and the last
// one again and again.
func given(draws ...[]byte) source {
	return func(b []byte) {
		if copy(b, draws[0]) != len(b) {
			panic("draw of another length")
		}
		if len(draws) > 1 {
			draws = draws[1:]
		}
	}
}

func equal(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

func TestGroupIsRFC5054(t *testing.T) {
	var file rfc5054
	load(t, "rfc5054.json", &file)
	for name, want := range file.Groups {
		group := newSuite(sha256.New, want.G, hex.EncodeToString(want.N))
		equal(t, name+": SHA-256(N)", group.digest(group.mod.Nat().Bytes(group.mod)), want.Digest)
		equal(t, name+": k", group.k.bytes(), pad(len(want.N), want.K))
	}
	want, ok := file.Groups["2048"]
	if !ok || len(file.Groups) != 2 {
		t.Fatal("not the groups of 1024 and of 2048 bits")
	}
	equal(t, "N", group2048.mod.Nat().Bytes(group2048.mod), want.N)
	equal(t, "PAD(g)", group2048.g.bytes(), pad(Size, []byte{want.G}))
	equal(t, "k", group2048.k.bytes(), pad(Size, want.K))
	if group2048.size != Size {
		t.Errorf("elements have %d bytes, want %d", group2048.size, Size)
	}
	equal(t, "hash", group2048.digest([]byte("ab"), []byte("c")), sum256("abc"))
}

// pad is PAD to n bytes.
func pad(n int, b []byte) []byte { return append(make([]byte, n-len(b)), b...) }

func sum256(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// RFC 5054 appendix B, through the arithmetic that is shipped: only the prime
// and the hash are others.
func TestRFC5054AppendixB(t *testing.T) {
	var file rfc5054
	load(t, "rfc5054.json", &file)
	rfc := file.AppendixB
	if len(rfc) != 14 || rfc["hash"] != "SHA-1" {
		t.Fatalf("%d values, %s", len(rfc), rfc["hash"])
	}
	of := func(key string) []byte {
		b, err := hex.DecodeString(rfc[key])
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return b
	}
	group := file.Groups[rfc["group"]]
	s := newSuite(sha1.New, group.G, hex.EncodeToString(group.N))
	name, password := rfc["I"], []byte(rfc["P"])

	equal(t, "k", s.k.bytes(), pad(s.size, of("k")))
	equal(t, "x", s.x(name, of("s"), password), of("x"))
	equal(t, "v", s.verifier(name, of("s"), password), of("v"))
	alice := s.begin(given(of("a")))
	equal(t, "A", alice.public, of("A"))
	server, err := s.answer(of("v"), alice.public, given(of("b")))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "B", server.public, of("B"))
	equal(t, "u", server.u, of("u"))
	S, err := server.finish()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "server's S", S, of("S"))
	S, err = alice.finish(name, of("s"), password, of("B"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "client's S", S, of("S"))
}

// A goldenCase is one run in the shipped group.
type goldenCase struct {
	Case             string
	name             string
	salt, secret     [32]byte
	a, b             []byte
	x, v, A, B, u, S []byte
	unpadded         []byte // u without PAD, where it is another
}

type invention struct {
	Case    string
	In, Out map[string]hexBytes
}

func golden(t testing.TB) (cases []goldenCase, invented []invention) {
	t.Helper()
	var file struct {
		Comment string
		Cases   []struct {
			Case, Name     string
			In, Out, Wrong map[string]hexBytes
		}
		Invented []invention
	}
	load(t, "srp.json", &file)
	for _, c := range file.Cases {
		if len(c.In) != 4 || len(c.Out) != 6 || len(c.Wrong) > 1 {
			t.Fatalf("%s: %d and %d values, %d wrong ones", c.Case, len(c.In), len(c.Out), len(c.Wrong))
		}
		cases = append(cases, goldenCase{
			Case: c.Case, name: c.Name, salt: [32]byte(c.In["salt"]), secret: [32]byte(c.In["T"]), a: c.In["a"], b: c.In["b"],
			x: c.Out["x"], v: c.Out["v"], A: c.Out["A"], B: c.Out["B"], u: c.Out["u"], S: c.Out["S"], unpadded: c.Wrong["u"],
		})
	}
	if len(cases) < 5 || len(file.Invented) < 7 {
		t.Fatalf("%d golden cases and %d inventions", len(cases), len(file.Invented))
	}
	return cases, file.Invented
}

func TestGolden(t *testing.T) {
	cases, invented := golden(t)
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			equal(t, "x", group2048.x(c.name, c.salt[:], c.secret[:]), c.x)
			equal(t, "v", Verifier(c.name, &c.salt, &c.secret)[:], c.v)

			client := &ClientStart{group2048.begin(given(c.a))}
			equal(t, "A", client.A()[:], c.A)
			answered, err := group2048.answer(c.v, client.A()[:], given(c.b))
			if err != nil {
				t.Fatal(err)
			}
			server := &ServerStart{answered}
			equal(t, "B", server.B()[:], c.B)
			equal(t, "u", answered.u, c.u)
			S, err := server.Finish()
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "server's S", S[:], c.S)
			S, err = client.Finish(c.name, &c.salt, &c.secret, server.B())
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "client's S", S[:], c.S)
			if c.unpadded != nil {
				equal(t, "u without PAD", group2048.digest(bytes.TrimLeft(c.A, "\x00"), bytes.TrimLeft(c.B, "\x00")), c.unpadded)
			}
		})
	}
	for _, c := range invented {
		t.Run("invent "+c.Case, func(t *testing.T) {
			equal(t, "v", InventVerifier((*[272]byte)(c.In["uniform"]))[:], c.Out["v"])
		})
	}
}

// From a password to x and the verifier, through package password.
func TestGoldenPassword(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case, Name string
			In         struct{ Password, Salt, Argon2 hexBytes }
			Out        struct{ Prepared, T, X, Verifier hexBytes }
		}
		Refused []struct {
			Password hexBytes
			Why      string
		}
	}
	load(t, "password.json", &file)
	if len(file.Cases) < 4 || len(file.Refused) < 5 {
		t.Fatalf("%d cases, %d refused", len(file.Cases), len(file.Refused))
	}
	for _, c := range file.Cases {
		t.Run(c.Case, func(t *testing.T) {
			prepared, err := password.Prepare(c.In.Password)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "prepared", prepared, c.Out.Prepared)
			salt, params := [32]byte(c.In.Salt), c.In.Argon2
			secret, err := password.Argon2id{}.Derive(prepared, &salt, password.Params{
				Time: binary.BigEndian.Uint32(params), Memory: binary.BigEndian.Uint32(params[4:]), Threads: params[8],
			})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "T", secret[:], c.Out.T)
			equal(t, "x", group2048.x(c.Name, salt[:], secret[:]), c.Out.X)
			equal(t, "verifier", Verifier(c.Name, &salt, secret)[:], c.Out.Verifier)
		})
	}
	for _, c := range file.Refused {
		if prepared, err := password.Prepare(c.Password); err == nil {
			t.Errorf("%s: prepared as %x", c.Why, prepared)
		}
	}
}
