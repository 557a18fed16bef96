package srp

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// hexBytes is a JSON string of hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func load(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
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
	var file struct {
		Groups map[string]struct {
			N hexBytes
			G byte
			K hexBytes `json:"k_sha256"`
		}
	}
	load(t, "rfc5054_groups.json", &file)
	want, ok := file.Groups["2048"]
	if !ok {
		t.Fatal("no 2048-bit group in testdata")
	}
	equal(t, "N", group2048.mod.Nat().Bytes(group2048.mod), want.N)
	equal(t, "PAD(g)", group2048.g.bytes(), append(make([]byte, Size-1), want.G))
	equal(t, "k", group2048.k.bytes(), append(make([]byte, Size-len(want.K)), want.K...))
	if group2048.size != Size {
		t.Errorf("elements have %d bytes, want %d", group2048.size, Size)
	}
	equal(t, "hash", group2048.digest([]byte("ab"), []byte("c")), sum256("abc"))
}

func sum256(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// RFC 5054 appendix B, through the arithmetic that is shipped: only the prime
// and the hash are others.
func TestRFC5054AppendixB(t *testing.T) {
	var rfc struct {
		N, S, A, B, V, X, U, K hexBytes
		Salt                   hexBytes `json:"s"`
		LowerA                 hexBytes `json:"a"`
		LowerB                 hexBytes `json:"b"`
		I, P                   string
	}
	// Go's JSON matches keys without regard to case where no exact one is
	// found, and this file has s and S, a and A, b and B.
	var raw map[string]json.RawMessage
	load(t, "rfc5054_appendix_b.json", &raw)
	for key, into := range map[string]any{
		"N": &rfc.N, "S": &rfc.S, "A": &rfc.A, "B": &rfc.B, "v": &rfc.V, "x": &rfc.X, "u": &rfc.U, "k": &rfc.K,
		"s": &rfc.Salt, "a": &rfc.LowerA, "b": &rfc.LowerB, "I": &rfc.I, "P": &rfc.P,
	} {
		if err := json.Unmarshal(raw[key], into); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	s := newSuite(sha1.New, 2, hex.EncodeToString(rfc.N))

	equal(t, "k", s.k.bytes(), append(make([]byte, len(rfc.N)-len(rfc.K)), rfc.K...))
	equal(t, "x", s.x(rfc.I, rfc.Salt, []byte(rfc.P)), rfc.X)
	equal(t, "v", s.verifier(rfc.I, rfc.Salt, []byte(rfc.P)), rfc.V)
	alice := s.begin(given(rfc.LowerA))
	equal(t, "A", alice.public, rfc.A)
	server, err := s.answer(rfc.V, alice.public, given(rfc.LowerB))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "B", server.public, rfc.B)
	equal(t, "u", server.u, rfc.U)
	S, err := server.finish()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "server's S", S, rfc.S)
	S, err = alice.finish(rfc.I, rfc.Salt, []byte(rfc.P), rfc.B)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "client's S", S, rfc.S)
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
	Case       string
	Uniform, V hexBytes
}

func golden(t testing.TB) (cases []goldenCase, invented []invention) {
	t.Helper()
	var file struct {
		Cases    []map[string]string
		Invented []invention
	}
	load(t, "srp6a_2048_sha256.json", &file)
	for _, c := range file.Cases {
		get := func(key string) []byte {
			b, err := hex.DecodeString(c[key])
			if err != nil {
				t.Fatalf("%s: %s: %v", c["case"], key, err)
			}
			return b
		}
		cases = append(cases, goldenCase{
			Case: c["case"], name: c["I"], salt: [32]byte(get("s")), secret: [32]byte(get("T")), a: get("a"), b: get("b"),
			x: get("x"), v: get("v"), A: get("A"), B: get("B"), u: get("u"), S: get("S"), unpadded: get("u_without_pad_WRONG"),
		})
	}
	if len(cases) < 4 || len(file.Invented) < 7 {
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
		})
	}
	for _, c := range invented {
		t.Run("invent "+c.Case, func(t *testing.T) {
			equal(t, "v", InventVerifier((*[272]byte)(c.Uniform))[:], c.V)
		})
	}
}
