package record

import (
	"bytes"
	"testing"
)

// FuzzOpen: the one ciphertext that opens is the one that was sealed, and nothing else changes the state.
func FuzzOpen(f *testing.F) {
	alice, _ := pair(1)
	honest := alice.Seal(nil, []byte("frames"))[HeaderSize:]
	f.Add(bytes.Clone(honest))
	f.Add(honest[:len(honest)-1])
	f.Add(append(bytes.Clone(honest), 0))
	f.Add([]byte{})
	f.Add(make([]byte, 1040))
	f.Fuzz(func(t *testing.T, ciphertext []byte) {
		_, bob := pair(1)
		same := bytes.Equal(ciphertext, honest)
		if plaintext, err := bob.Open(bytes.Clone(ciphertext)); (err == nil) != same || err == nil && len(plaintext) != 512 {
			t.Fatalf("%d bytes: %v", len(ciphertext), err)
		}
		if !same {
			if _, err := bob.Open(bytes.Clone(honest)); err != nil {
				t.Fatal("the honest record does not open any more")
			}
		}
	})
}
