package record

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// hexBytes is a JSON string of hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func TestGolden(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case   string
			Number uint64
			In     struct{ Key, Frames hexBytes }
			Out    struct {
				Record  hexBytes
				NextKey hexBytes `json:"next key"`
			}
		}
	}
	data, err := os.Open("../../docs/vectors/record.json")
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	decoder := json.NewDecoder(data)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 7 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	for _, v := range file.Cases {
		t.Run(v.Case, func(t *testing.T) {
			alice, bob := NewSealer([KeySize]byte(v.In.Key)), NewOpener([KeySize]byte(v.In.Key))
			alice.number, bob.number = v.Number, v.Number
			if got := alice.Seal(nil, v.In.Frames); !bytes.Equal(got, v.Out.Record) {
				t.Errorf("sealed %x", got)
			}
			accepts(t, bob, v.Out.Record, v.In.Frames)
			if alice.Rekey(); !bytes.Equal(alice.key[:], v.Out.NextKey) {
				t.Errorf("the next key is %x", alice.key)
			}
		})
	}
}
