package record

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

// hexBytes is a JSON string of hexadecimal digits.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// vector is one record of testdata/record.json. Under a key the numbers count from 0; next_key is the one after a Rekey.
type vector struct {
	Key     hexBytes `json:"key"`
	Number  uint64   `json:"number"`
	Frames  hexBytes `json:"frames"`
	Record  hexBytes `json:"record"`
	NextKey hexBytes `json:"next_key"`
}

// byThePage makes a vector from docs/PROTOCOL.md, section 5, with nothing of this package.
func byThePage(key []byte, number uint64, frames []byte) vector {
	size := 512
	for size < len(frames) {
		size *= 2
	}
	plaintext := make([]byte, size)
	copy(plaintext, frames)
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], number)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	header := binary.BigEndian.AppendUint16(nil, uint16(size+16))
	record := gcm.Seal(bytes.Clone(header), nonce[:], plaintext, header)

	expand := hmac.New(sha256.New, key) // HKDF-Expand's only block (RFC 5869, section 2.3)
	expand.Write([]byte("sim/1 rekey\x01"))
	return vector{key, number, frames, record, expand.Sum(nil)}
}

func TestGolden(t *testing.T) {
	const path = "testdata/record.json"
	if *update {
		key := sha256.Sum256([]byte("a record key"))
		vectors := []vector{
			byThePage(key[:], 0, []byte{0x11, 0, 0}),
			byThePage(key[:], 1, text(512)),
			byThePage(key[:], 2, text(513)),
			byThePage(key[:], 0x0fffff, []byte{0x14, 0, 0}),
		}
		vectors = append(vectors, byThePage(vectors[0].NextKey, 0, []byte{0x15, 0, 1, 0}))
		data, err := json.MarshalIndent(vectors, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 5 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for i, v := range vectors {
		if page := byThePage(v.Key, v.Number, v.Frames); !bytes.Equal(page.Record, v.Record) || !bytes.Equal(page.NextKey, v.NextKey) {
			t.Errorf("vector %d is not what the page says", i)
		}
		alice, bob := NewSealer([KeySize]byte(v.Key)), NewOpener([KeySize]byte(v.Key))
		alice.number, bob.number = v.Number, v.Number
		if got := alice.Seal(nil, v.Frames); !bytes.Equal(got, v.Record) {
			t.Errorf("vector %d: sealed %x", i, got)
		}
		accepts(t, bob, v.Record, v.Frames)
		if alice.Rekey(); !bytes.Equal(alice.key[:], v.NextKey) {
			t.Errorf("vector %d: the next key is %x", i, alice.key)
		}
	}
}
