package record

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

var sizes = []int{512, 1024, 2048, 4096, 8192, 16384}

// pair is alice's end of one direction and bob's.
func pair(seed byte) (alice *Sealer, bob *Opener) {
	key := [KeySize]byte{seed, 1, 2, 3}
	return NewSealer(key), NewOpener(key)
}

// text is n bytes that are not zero, the same for every run.
func text(n int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + rng.IntN(255))
	}
	return b
}

// opens says what bob gets from a record, whose bytes stay as they are.
func opens(bob *Opener, record []byte) ([]byte, error) {
	return bob.Open(bytes.Clone(record[HeaderSize:]))
}

// refuses asserts that bob refuses a ciphertext.
func refuses(t *testing.T, bob *Opener, ciphertext []byte, what string) {
	t.Helper()
	if plaintext, err := bob.Open(bytes.Clone(ciphertext)); !errors.Is(err, ErrOpen) || plaintext != nil {
		t.Fatalf("%s: %d bytes, %v", what, len(plaintext), err)
	}
}

// accepts asserts that a record opens to frames and their padding.
func accepts(t *testing.T, bob *Opener, record, frames []byte) {
	t.Helper()
	plaintext, err := opens(bob, record)
	if err != nil {
		t.Fatalf("a record of %d bytes: %v", len(record), err)
	}
	if len(plaintext) != PaddedSize(len(frames)) || !bytes.Equal(plaintext[:len(frames)], frames) {
		t.Fatalf("a record of %d bytes holds something else", len(record))
	}
	for _, b := range plaintext[len(frames):] {
		if b != 0 {
			t.Fatal("padding that is not zero")
		}
	}
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s does not panic", what)
		}
	}()
	f()
}

func TestBobReadsWhatAliceSealed(t *testing.T) {
	alice, bob := pair(1)
	lengths := []int{1, 2, 15, 16, 17, 1023 + 512}
	for _, size := range sizes {
		lengths = append(lengths, size-1, size)
		if size < MaxPlaintext {
			lengths = append(lengths, size+1)
		}
	}
	for i, n := range lengths {
		frames := text(n)
		head := []byte("before")
		out := alice.Seal(head, frames)
		if !bytes.HasPrefix(out, head) {
			t.Fatal("Seal does not append")
		}
		record := out[len(head):]
		want := 0
		for _, size := range sizes {
			if n <= size {
				want = size
				break
			}
		}
		if len(record) != HeaderSize+want+TagSize || int(record[0])<<8|int(record[1]) != want+TagSize {
			t.Fatalf("%d bytes: a record of %d, length %x", n, len(record), record[:2])
		}
		if bytes.Contains(record, frames[:min(n, 16)]) && n > 8 {
			t.Fatal("a record shows its plaintext")
		}
		accepts(t, bob, record, frames)
		if alice.Count() != uint64(i+1) {
			t.Fatalf("Count %d after %d records", alice.Count(), i+1)
		}
	}
}

func TestPaddedSize(t *testing.T) {
	for n := 1; n <= MaxPlaintext; n++ {
		size := PaddedSize(n)
		if size < n || size > 512 && size/2 >= n || !ValidLength(size+TagSize) {
			t.Fatalf("PaddedSize(%d) = %d", n, size)
		}
	}
}

func TestValidLengthsAreSix(t *testing.T) {
	var valid []int
	for n := -2; n <= 1<<16; n++ {
		if ValidLength(n) {
			valid = append(valid, n)
		}
	}
	if fmt.Sprint(valid) != "[528 1040 2064 4112 8208 16400]" {
		t.Error(valid)
	}
	if MaxSize != 2+16400 {
		t.Error(MaxSize)
	}
}

// A record of a length that no record has is refused even when it was sealed under the right key for that length.
func TestLengthThatNoRecordHas(t *testing.T) {
	alice, bob := pair(1)
	for _, n := range []int{0, 1, 256, 511, 513, 768, 1023, 16383, 16385, 32768} {
		plaintext := make([]byte, n)
		length := n + TagSize
		sealed := alice.aead.Seal(nil, make([]byte, 12), plaintext, []byte{byte(length >> 8), byte(length)})
		refuses(t, bob, sealed, fmt.Sprint(n))
	}
	for n := range TagSize + 2 {
		refuses(t, bob, make([]byte, n), fmt.Sprint(n))
	}
	accepts(t, bob, alice.Seal(nil, []byte("honest")), []byte("honest"))
}

func TestMalloryFlipsAByte(t *testing.T) {
	alice, bob := pair(1)
	accepts(t, bob, alice.Seal(nil, []byte("one")), []byte("one")) // so that the number is not 0
	record := alice.Seal(nil, text(100))
	for i := HeaderSize; i < len(record); i++ {
		for _, flip := range []byte{0x01, 0x80} {
			record[i] ^= flip
			refuses(t, bob, record[HeaderSize:], fmt.Sprintf("byte %d", i))
			record[i] ^= flip
		}
	}
	accepts(t, bob, record, text(100))
}

// The length is associated data: the same ciphertext sealed for another length does not open.
func TestMalloryLiesAboutTheLength(t *testing.T) {
	alice, bob := pair(1)
	plaintext := make([]byte, 512)
	for _, header := range [][]byte{{2, 0x11}, {4, 0x10}, {0x10, 2}, {0, 0}, {}} {
		refuses(t, bob, alice.aead.Seal(nil, make([]byte, 12), plaintext, header), fmt.Sprintf("%x", header))
	}
	right := alice.aead.Seal(nil, make([]byte, 12), plaintext, []byte{2, 0x10})
	refuses(t, bob, append(bytes.Clone(right), make([]byte, 512)...), "longer")

	long := alice.Seal(nil, text(1000))
	refuses(t, bob, long[HeaderSize:][:512+TagSize], "shorter")
	if _, err := bob.Open(right); err != nil {
		t.Fatal(err)
	}
}

func TestMallorySwapsReplaysAndDrops(t *testing.T) {
	alice, bob := pair(1)
	var records [][]byte
	for i := range 4 {
		records = append(records, alice.Seal(nil, []byte{byte(i + 1)}))
	}
	refuses(t, bob, records[1][HeaderSize:], "the second first")
	accepts(t, bob, records[0], []byte{1})
	refuses(t, bob, records[0][HeaderSize:], "a replay")
	refuses(t, bob, records[2][HeaderSize:], "after a drop")
	accepts(t, bob, records[1], []byte{2})
	refuses(t, bob, records[3][HeaderSize:], "swapped")
	accepts(t, bob, records[2], []byte{3})
	accepts(t, bob, records[3], []byte{4})

	_, carol := pair(2)
	refuses(t, carol, records[0][HeaderSize:], "another key")
}

// A refused record changes nothing: whatever mallory puts in between, the honest one still opens.
func TestRefusalLeavesTheStateAsItWas(t *testing.T) {
	alice, bob := pair(1)
	for i := range 50 {
		for _, size := range sizes {
			refuses(t, bob, text(size+TagSize), "noise")
		}
		refuses(t, bob, text(3), "noise")
		accepts(t, bob, alice.Seal(nil, text(1+i)), text(1+i))
	}
}

func TestRekey(t *testing.T) {
	alice, bob := pair(1)
	accepts(t, bob, alice.Seal(nil, []byte("old")), []byte("old"))
	old := alice.Seal(nil, []byte("old, held back"))
	last := *bob
	accepts(t, bob, old, []byte("old, held back"))

	alice.Rekey()
	if alice.Count() != 0 {
		t.Fatal("numbers do not begin anew")
	}
	fresh := alice.Seal(nil, []byte("new"))
	refuses(t, bob, fresh[HeaderSize:], "before bob's rekey")
	bob.Rekey()
	refuses(t, bob, old[HeaderSize:], "a record of the old key")
	accepts(t, bob, fresh, []byte("new"))
	if last.key == bob.key || alice.key != bob.key {
		t.Fatal("the keys are not what they should be")
	}

	one := alice.key
	alice.Rekey()
	if alice.key == one || alice.key == last.key {
		t.Fatal("a key twice")
	}
	refuses(t, bob, alice.Seal(nil, []byte("two steps"))[HeaderSize:], "one step behind")
}

func TestKeyEndsAtMaxRecords(t *testing.T) {
	alice, bob := pair(1)
	alice.number, bob.number = MaxRecords-1, MaxRecords-1
	accepts(t, bob, alice.Seal(nil, []byte("last")), []byte("last"))
	if alice.Count() != MaxRecords {
		t.Fatal(alice.Count())
	}
	panics(t, "a record over the limit", func() { alice.Seal(nil, []byte("one more")) })

	// Sealed all the same, by one that does not know the limit.
	forged := alice.aead.Seal(nil, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0}, make([]byte, 512), []byte{2, 0x10})
	refuses(t, bob, forged, "record 2^20")

	alice.Rekey()
	bob.Rekey()
	accepts(t, bob, alice.Seal(nil, []byte("under the next key")), []byte("under the next key"))
}

func TestSealTakesOneToMaxPlaintextBytes(t *testing.T) {
	alice, bob := pair(1)
	panics(t, "Seal of nothing", func() { alice.Seal(nil, nil) })
	panics(t, "Seal of too much", func() { alice.Seal(nil, make([]byte, MaxPlaintext+1)) })
	if alice.Count() != 0 {
		t.Fatal("a panic used up a number")
	}
	accepts(t, bob, alice.Seal(nil, text(MaxPlaintext)), text(MaxPlaintext))
}

func TestClear(t *testing.T) {
	alice, bob := pair(1)
	record := alice.Seal(nil, []byte("hello"))
	alice.Clear()
	bob.Clear()
	if alice.key != [KeySize]byte{} || bob.key != [KeySize]byte{} || alice.aead != nil || bob.aead != nil {
		t.Error("a key is still there")
	}
	panics(t, "Seal after Clear", func() { alice.Seal(nil, []byte("hello")) })
	panics(t, "Open after Clear", func() { opens(bob, record) })
	panics(t, "Rekey after Clear", alice.Rekey) // or the key would be one that everybody can derive
	panics(t, "Rekey after Clear", bob.Rekey)
	alice.Clear()
}

// No (key, nonce) pair seals twice, whatever the order of records, refusals and rekeys.
func TestNoNonceTwice(t *testing.T) {
	type pairOf struct {
		key   [KeySize]byte
		nonce [12]byte
	}
	seen := map[pairOf]bool{}
	alice, bob := pair(1)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		record := alice.Seal(nil, []byte{1})
		used := pairOf{alice.key, alice.nonce}
		if seen[used] {
			t.Fatalf("nonce %x twice", used.nonce)
		}
		seen[used] = true
		if rng.IntN(8) == 0 {
			refuses(t, bob, make([]byte, 528), "noise")
		}
		accepts(t, bob, record, []byte{1})
		if rng.IntN(100) == 0 {
			alice.Rekey()
			bob.Rekey()
		}
	}
	keys := map[[KeySize]byte]bool{}
	for used := range seen {
		keys[used.key] = true
	}
	if len(keys) < 100 {
		t.Fatalf("%d keys", len(keys))
	}
}

func TestNoAllocations(t *testing.T) {
	alice, bob := pair(1)
	for _, size := range sizes {
		frames, dst := text(size), make([]byte, 0, MaxSize)
		n := testing.AllocsPerRun(100, func() {
			record := alice.Seal(dst, frames)
			if _, err := bob.Open(record[HeaderSize:]); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}
