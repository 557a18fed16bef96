package box

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
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

// randomness makes crypto/rand give these bytes until the test ends.
func randomness(t testing.TB, r io.Reader) {
	was := rand.Reader
	rand.Reader = r
	t.Cleanup(func() { rand.Reader = was })
}

// oracleHKDF is RFC 5869, sections 2.2 and 2.3, written once more for one block of output.
func oracleHKDF(secret, salt, info []byte) []byte {
	return oracleExpand(mac(salt, secret), info)
}

func oracleExpand(key, info []byte) []byte {
	return mac(key, append(bytes.Clone(info), 1))
}

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

func sum(parts ...[]byte) []byte {
	s := sha256.Sum256(bytes.Join(parts, nil))
	return s[:]
}

// oracleSeal is section 2.2, from the page alone.
func oracleSeal(t testing.TB, key, salt []byte, label string, direction byte, context, plaintext []byte) []byte {
	t.Helper()
	info := append(append([]byte(label), direction), context...)
	block, err := aes.NewCipher(oracleHKDF(key, salt, info))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(salt), gcm.Seal(nil, make([]byte, 12), plaintext, nil)...)
}

var (
	testKey     = [KeySize]byte{1, 2, 3}
	testContext = [32]byte{4, 5, 6}
	testPlain   = []byte("a name, a nonce")
)

const testLabel = "sim/1 box test"

func TestBoxIsItsPlaintextAndOverhead(t *testing.T) {
	for _, n := range []int{0, 1, 16, 304, 4096} {
		plaintext := bytes.Repeat([]byte{'x'}, n)
		sealed := Seal(&testKey, testLabel, FromServer, &testContext, plaintext)
		if len(sealed) != n+Overhead || Overhead != 48 {
			t.Errorf("a box of %d bytes has %d", n, len(sealed))
		}
		got, err := Open(&testKey, testLabel, FromServer, &testContext, sealed)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestBoxOpensInItsPlaceOnly(t *testing.T) {
	sealed := Seal(&testKey, testLabel, FromInitiator, &testContext, testPlain)
	if _, err := Open(&testKey, testLabel, FromInitiator, &testContext, sealed); err != nil {
		t.Fatal(err)
	}
	otherKey, otherContext := testKey, testContext
	otherKey[31] ^= 1
	otherContext[31] ^= 1
	for _, c := range []struct {
		what      string
		key       *[KeySize]byte
		label     string
		direction Direction
		context   *[32]byte
	}{
		{"another key", &otherKey, testLabel, FromInitiator, &testContext},
		{"another label", &testKey, "sim/1 box text", FromInitiator, &testContext},
		{"a longer label", &testKey, testLabel + "\x00", FromInitiator, &testContext},
		{"no label", &testKey, "", FromInitiator, &testContext},
		{"reflected", &testKey, testLabel, FromResponder, &testContext},
		{"another context", &testKey, testLabel, FromInitiator, &otherContext},
	} {
		if _, err := Open(c.key, c.label, c.direction, c.context, sealed); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: got %v, want ErrOpen", c.what, err)
		}
	}
}

func TestMalloryFlipsABit(t *testing.T) {
	sealed := Seal(&testKey, testLabel, FromClient, &testContext, testPlain)
	for i := range len(sealed) * 8 {
		sealed[i/8] ^= 1 << (i % 8)
		if _, err := Open(&testKey, testLabel, FromClient, &testContext, sealed); !errors.Is(err, ErrOpen) {
			t.Errorf("bit %d: got %v, want ErrOpen", i, err)
		}
		sealed[i/8] ^= 1 << (i % 8)
	}
}

func TestMalloryCuts(t *testing.T) {
	sealed := Seal(&testKey, testLabel, FromClient, &testContext, testPlain)
	for n := range sealed {
		if _, err := Open(&testKey, testLabel, FromClient, &testContext, sealed[:n]); !errors.Is(err, ErrOpen) {
			t.Errorf("%d bytes of a box: got %v, want ErrOpen", n, err)
		}
	}
	for _, longer := range [][]byte{append(bytes.Clone(sealed), 0), append([]byte{0}, sealed...)} {
		if _, err := Open(&testKey, testLabel, FromClient, &testContext, longer); !errors.Is(err, ErrOpen) {
			t.Errorf("a byte too many: got %v, want ErrOpen", err)
		}
	}
}

// With nonce 0 always, a key that comes back would be fatal.
func TestKeyNeverRepeats(t *testing.T) {
	keys := make(map[string]bool)
	for range 1000 {
		for _, direction := range []Direction{FromInitiator, FromResponder} {
			for _, label := range []string{"sim/1 box a", "sim/1 box b"} {
				sealed := Seal(&testKey, label, direction, &testContext, testPlain)
				info := append(append([]byte(label), byte(direction)), testContext[:]...)
				key := oracleHKDF(testKey[:], sealed[:SaltSize], info)
				if again := oracleSeal(t, testKey[:], sealed[:SaltSize], label, byte(direction), testContext[:], testPlain); !bytes.Equal(again, sealed) {
					t.Fatal("the box is not under that key")
				}
				if keys[string(key)] {
					t.Fatal("a key sealed two boxes")
				}
				keys[string(key)] = true
			}
		}
	}
}

// The key depends on each of its inputs, even with one salt.
func TestKeyIsOfItsInputs(t *testing.T) {
	salt := make([]byte, SaltSize)
	keys := make(map[string]bool)
	key, context := testKey, testContext
	for _, label := range []string{"", "a", "b"} {
		for direction := range Direction(2) {
			for i := range byte(2) {
				for j := range byte(2) {
					key[0], context[0] = i, j
					keys[string(onceKey(&key, salt, label, direction, &context))] = true
				}
			}
		}
	}
	if len(keys) != 3*2*2*2 {
		t.Errorf("%d keys of %d inputs", len(keys), 3*2*2*2)
	}
}

func TestGoldenBox(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case, Label string
			Direction   byte
			In          struct{ K, Context, Plaintext, R hexBytes }
			Out         struct{ Key, Box hexBytes }
		}
	}
	load(t, "box.json", &file)
	if len(file.Cases) < 3 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	for _, v := range file.Cases {
		t.Run(v.Case, func(t *testing.T) {
			key, context := [KeySize]byte(v.In.K), [32]byte(v.In.Context)
			if got := oracleSeal(t, v.In.K, v.In.R, v.Label, v.Direction, v.In.Context, v.In.Plaintext); !bytes.Equal(got, v.Out.Box) {
				t.Errorf("the oracle:\n got %x\nwant %x", got, v.Out.Box)
			}
			if got := onceKey(&key, v.In.R, v.Label, Direction(v.Direction), &context); !bytes.Equal(got, v.Out.Key) {
				t.Errorf("the key is %x, want %x", got, v.Out.Key)
			}
			randomness(t, bytes.NewReader(v.In.R))
			if got := Seal(&key, v.Label, Direction(v.Direction), &context, v.In.Plaintext); !bytes.Equal(got, v.Out.Box) {
				t.Errorf("\n got %x\nwant %x", got, v.Out.Box)
			}
			got, err := Open(&key, v.Label, Direction(v.Direction), &context, v.Out.Box)
			if err != nil || !bytes.Equal(got, v.In.Plaintext) {
				t.Errorf("opens to %x, %v", got, err)
			}
		})
	}
}

func TestAEADIsGCM256(t *testing.T) {
	// The GCM specification (McGrew and Viega), test case 14: key, nonce and plaintext of zeros.
	want, _ := hex.DecodeString("cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919")
	if got := NewAEAD(make([]byte, 32)).Seal(nil, make([]byte, 12), make([]byte, 16), nil); !bytes.Equal(got, want) {
		t.Errorf("got %x", got)
	}
}

func BenchmarkBox(b *testing.B) {
	b.ReportAllocs()
	plaintext := make([]byte, 288)
	for b.Loop() {
		sealed := Seal(&testKey, testLabel, FromClient, &testContext, plaintext)
		if _, err := Open(&testKey, testLabel, FromClient, &testContext, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
