package memwalk

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"runtime"
	"testing"
)

var global [32]byte

// What is planted is found, wherever it is, and only as long as it is there: neither the notes nor an earlier walk count.
func TestPlantedSecretsAreFound(t *testing.T) {
	n := New(t)
	heap, large := make([]byte, 32), make([]byte, 3<<20)
	odd := large[chunk-7 : chunk+25] // not aligned
	rand.Read(heap)
	rand.Read(odd)
	rand.Read(global[:])
	n.Note("heap", heap)
	n.Note("large", odd)
	n.Note("global", global[:])

	noted, end := make(chan bool), make(chan bool)
	go func() {
		var local [32]byte
		rand.Read(local[:])
		n.Note("stack", local[:])
		noted <- true
		<-end
		clear(local[:])
		end <- true
	}()
	<-noted

	for range 2 {
		n.Alive(t)
	}
	end <- true
	<-end
	clear(heap[:16]) // half a secret is one too
	clear(global[:])
	if found := n.Find(t); found["heap"] == 0 || found["large"] == 0 || found["global"] != 0 {
		t.Errorf("half of one, one, and none of another are left, and found are:%s", lines(found))
	}
	clear(heap)
	clear(odd)
	collect()
	if found := n.Find(t); len(found) != 0 {
		t.Errorf("all are cleared, and found are:%s", lines(found))
	}
	runtime.KeepAlive(heap)
	runtime.KeepAlive(large)
}

var (
	held   cipher.AEAD
	copies [][]byte
)

// What crypto/aes keeps of a key can't be cleared from outside: it stays when it is dropped, and is gone when its memory is used again.
// The same goes for copies of our own that are dropped and not cleared; while they are held they stay whatever happens.
func TestDroppedSecrets(t *testing.T) {
	n := New(t)
	Apart(func() {
		key := make([]byte, 32)
		rand.Read(key)
		n.Note("AES key", key)
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Error(err)
			return
		}
		if held, err = cipher.NewGCM(block); err != nil {
			t.Error(err)
		}
		clear(key)
		for range 64 {
			dropped := make([]byte, 32)
			rand.Read(dropped)
			n.Note("dropped", dropped)
			copies = append(copies, dropped)
		}
	})
	reuse()
	n.Alive(t)
	held = nil
	clear(copies[1:])
	copies = copies[:1]
	collect()
	t.Logf("after the garbage collector:%s", lines(n.Find(t)))
	reuse()
	if found := n.Find(t); len(found) != 1 || found["dropped"] != 3 {
		t.Errorf("of one secret the three windows are held, and found are:%s", lines(found))
	}
	copies = nil
	reuse()
	if found := n.Find(t); len(found) != 0 {
		t.Errorf("nothing is held, and found are:%s", lines(found))
	}
}
