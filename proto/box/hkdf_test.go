package box

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

// The standard library's HKDF gives the same.
func TestHKDFIsTheStandardLibrarys(t *testing.T) {
	for size := range 300 {
		secret, salt, context, label := make([]byte, size), make([]byte, 32), new([32]byte), string(make([]byte, size%70))
		rand.Read(secret)
		rand.Read(salt)
		rand.Read(context[:])
		want, err := hkdf.Key(sha256.New, secret, salt, label+string(context[:]), KeySize)
		if err != nil {
			t.Fatal(err)
		}
		if got := HKDF(secret, salt, label, context); !bytes.Equal(got[:], want) {
			t.Errorf("a secret of %d bytes: %x, want %x", size, got, want)
		}
		if want, err = hkdf.Expand(sha256.New, salt, label+string(secret), KeySize); err != nil {
			t.Fatal(err)
		}
		if got := Expand((*[32]byte)(salt), label, secret); !bytes.Equal(got[:], want) {
			t.Errorf("a context of %d bytes: %x, want %x", size, got, want)
		}
	}
}
