// Package memwalk searches the memory of its own process for secrets that should have been forgotten. It is for tests alone.
//
// A secret is noted while it is alive, under a mask, so that the note is no copy of it. After its end the walk reads every page that the
// process can write to (heap, stacks, variables; also what the runtime has freed and not given back) and says which secrets are there.
package memwalk

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"sim/internal/forget"
)

const (
	window = 16      // bytes of a secret that are searched for at a time: half a key is a find too
	stride = 8       // from one window to the next; so a scalar is found whose first and last byte were changed (clamped)
	chunk  = 1 << 20 // bytes that are read at a time
	tries  = 8       // to use again all that was freed: the runtime chooses what it hands out
)

// Notes are secrets under a mask.
type Notes struct {
	mask   [window]byte
	factor uint64 // makes the hash of a window's first 8 bytes
	notes  []note
	hashes [1 << 16 / 64]uint64 // of all windows, a bit each
	buffer []byte               // outside the Go heap, and left out of the walk
}

type note struct {
	label  string
	masked [window]byte
}

// New returns empty notes, for one test.
func New(t testing.TB) *Notes {
	t.Helper()
	buffer, err := syscall.Mmap(-1, 0, chunk, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(buffer) })
	n := &Notes{buffer: buffer}
	var b [8]byte
	rand.Read(n.mask[:])
	rand.Read(b[:])
	n.factor = binary.LittleEndian.Uint64(b[:]) | 1
	return n
}

// Note notes a secret of at least 16 bytes. It copies no two bytes of it that are not masked.
func (n *Notes) Note(label string, secret []byte) {
	if len(secret) < window {
		panic("memwalk: too short a secret")
	}
	for i := 0; i+window <= len(secret); i += stride {
		one := note{label: label}
		zeros := true
		for j := range window {
			zeros = zeros && secret[i+j] == 0
			one.masked[j] = secret[i+j] ^ n.mask[j]
		}
		if zeros {
			panic("memwalk: " + label + " is zeros: there is nothing to forget")
		}
		n.notes = append(n.notes, one)
		h := n.hash(secret[i:])
		n.hashes[h/64] |= 1 << (h % 64)
	}
}

//go:norace
func (n *Notes) hash(b []byte) uint64 { return binary.LittleEndian.Uint64(b) * n.factor >> 48 }

// Forgotten fails a test for every secret that is still there. The garbage collector does not clear what it frees; so what our own code had
// must be gone before anything is used again, and only the labels in library may be left: copies that the standard library has made, and
// that it has dropped, in builds in which the runtime does not clear them. When all that was freed has been used again they must be gone too, for otherwise something alive has them.
func (n *Notes) Forgotten(t testing.TB, library ...string) {
	t.Helper()
	collect()
	found := n.Find(t)
	if forget.Clears {
		library = nil
	}
	for _, label := range library {
		delete(found, label)
	}
	if len(found) > 0 {
		t.Errorf("not cleared:%s", lines(found))
	}
	for range tries {
		reuse()
		if found = n.Find(t); len(found) == 0 {
			return
		}
	}
	t.Errorf("held:%s", lines(found))
}

// Alive fails a test unless every secret is there: what was never there is not forgotten either.
func (n *Notes) Alive(t testing.TB) {
	t.Helper()
	found := n.Find(t)
	for _, note := range n.notes {
		if found[note.label] == 0 {
			t.Errorf("%s was noted and can't be found", note.label)
			found[note.label] = 1
		}
	}
}

// Find walks through the process's memory and returns how often a window of each noted secret is in it; those that are not there are left
// out.
func (n *Notes) Find(t testing.TB) map[string]int {
	t.Helper()
	if len(n.notes) == 0 {
		t.Fatal("nothing was noted")
	}
	found, err := n.walk()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (n *Notes) walk() (map[string]int, error) {
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	pages, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil, err
	}
	defer pages.Close()
	regions, err := writable()
	if err != nil {
		return nil, err
	}
	defer clear(n.buffer)
	found, read := make(map[string]int), 0
	own := uint64(uintptr(unsafe.Pointer(&n.buffer[0])))
	for _, r := range regions {
		for _, part := range r.without(own, own+chunk) {
			m, err := n.search(mem, pages, part, found)
			if err != nil {
				return nil, err
			}
			read += m
		}
	}
	if read < 64<<10 {
		return nil, fmt.Errorf("only %d bytes could be read", read)
	}
	return found, nil
}

// search reads the pages of a region that are there, and counts what it finds.
func (n *Notes) search(mem, pages *os.File, r region, found map[string]int) (read int, err error) {
	page := uint64(os.Getpagesize())
	entries := make([]byte, 8*chunk/page)
	kept := 0 // bytes from the end of what was read before, which adjoin
	for at := r.from; at < r.to; {
		size := min(chunk/2, r.to-at)
		there := entries[:8*(size/page)]
		if _, err := pages.ReadAt(there, int64(at/page*8)); err != nil {
			return read, err
		}
		for size > 0 {
			run, present := uint64(0), there[7]>>6 != 0 // in memory, or swapped out
			for ; len(there) > 0 && there[7]>>6 != 0 == present; there = there[8:] {
				run += page
			}
			if !present {
				kept = 0
			} else if m, err := mem.ReadAt(n.buffer[kept:kept+int(run)], int64(at)); err != nil {
				kept = 0 // guard pages, and what was unmapped meanwhile
			} else {
				read += m
				hay := n.buffer[:kept+m]
				n.count(hay, found)
				kept = copy(n.buffer, hay[max(0, len(hay)-(window-1)):])
			}
			at, size = at+run, size-run
		}
	}
	return read, nil
}

//go:norace
func (n *Notes) count(hay []byte, found map[string]int) {
	for i := 0; i+window <= len(hay); i++ {
		h := n.hash(hay[i:])
		if n.hashes[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for k := range n.notes {
			if n.notes[k].is(hay[i:], &n.mask) {
				found[n.notes[k].label]++
			}
		}
	}
}

//go:norace
func (o *note) is(b []byte, mask *[window]byte) bool {
	for j := range window {
		if b[j]^mask[j] != o.masked[j] {
			return false
		}
	}
	return true
}

type region struct{ from, to uint64 }

// without returns what is left of a region when another is taken out.
func (r region) without(from, to uint64) (parts []region) {
	if before := (region{r.from, min(r.to, from)}); before.from < before.to {
		parts = append(parts, before)
	}
	if after := (region{max(r.from, to), r.to}); after.from < after.to {
		parts = append(parts, after)
	}
	return parts
}

// writable returns the regions that the process can read and write.
func writable() (all []region, err error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r region
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &r.from, &r.to, &mode); err != nil {
			return nil, err
		}
		if strings.HasPrefix(mode, "rw") {
			all = append(all, r)
		}
	}
	return all, lines.Err()
}

// lines tells what was found, one secret a line.
func lines(found map[string]int) string {
	var b strings.Builder
	for _, label := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(&b, "\n\t%s (%d)", label, found[label])
	}
	return b.String()
}

// collect lets the garbage collector come by a few times. What it frees keeps its bytes.
func collect() {
	for range 3 {
		runtime.GC()
	}
}

// reuse is collect, and then all that was freed is used again, as it is in a program that goes on: the runtime clears memory when it hands
// it out. What is found after it is held by something that is alive.
func reuse() {
	collect()
	// Slots of the heap, on each P: it has free memory of its own.
	var filling sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		filling.Go(fill)
	}
	filling.Wait()
	// Stacks of goroutines that have ended, and of those that have grown or shrunk.
	const many = 256
	begin, done := make(chan bool), make(chan bool)
	for i := range many {
		go func() {
			<-begin // so that all are there together
			deep(1 << (i % 7))
			done <- true
		}()
	}
	close(begin)
	for range many {
		<-done
	}
	debug.FreeOSMemory() // and spans of which nothing is in use go back to the system
}

// fill takes memory in all sizes, a megabyte each.
func fill() {
	for size := 16; size <= 64<<10; size += max(16, size/16/8*8) {
		n := max(16, (512<<10)/size)
		bytes, pointers := make([][]byte, n), make([][]*byte, n)
		for i := range n {
			bytes[i], pointers[i] = make([]byte, size), make([]*byte, size/8)
		}
		runtime.KeepAlive(bytes)
		runtime.KeepAlive(pointers)
	}
}

// Apart runs f in a goroutine of its own, whose stack is overwritten when f has returned. So what is found later of f's secrets is in the
// heap or in variables: copies that calls leave on a stack are the runtime's, and f's caller has none.
func Apart(f func()) {
	done := make(chan bool)
	go func() {
		defer close(done)
		deep(128) // it grows now, and is not moved under f's secrets
		forget.Do(f)
		deep(128)
	}()
	<-done
}

// deep overwrites some stack.
//
//go:noinline
func deep(n int) byte {
	var b [1 << 10]byte
	for i := range b {
		b[i] = byte(n)
	}
	if n > 0 {
		return b[n] + deep(n-1)
	}
	return b[0]
}
