package record

import (
	"crypto/rand"
	"runtime"
	"testing"

	"sim/internal/memwalk"
)

// After a rekey the old key is nowhere, after Clear none is; what is left of them is in AES's key schedules, until their memory is used again.
func TestForgetting(t *testing.T) {
	n := memwalk.New(t)
	var alice *Sealer
	var bob *Opener
	memwalk.Apart(func() {
		key := new([KeySize]byte)
		rand.Read(key[:])
		n.Note("the first key", key[:])
		alice, bob = NewSealer(*key), NewOpener(*key)
		clear(key[:])
		accepts(t, bob, alice.Seal(nil, text(100)), text(100))
		alice.Rekey()
		bob.Rekey()
		accepts(t, bob, alice.Seal(nil, text(100)), text(100))
	})
	n.Forgotten(t)

	m := memwalk.New(t)
	memwalk.Apart(func() { m.Note("the second key", alice.key[:]) })
	m.Alive(t)
	alice.Clear()
	bob.Clear()
	m.Forgotten(t)
	runtime.KeepAlive(alice)
	runtime.KeepAlive(bob)
}
