package password

import (
	"bytes"
	"encoding/hex"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

// cheap is the least a client accepts.
var cheap = Params{Time: 2, Memory: 19 * 1024, Threads: 1}

func counted() *[32]byte {
	var salt [32]byte
	for i := range salt {
		salt[i] = byte(i)
	}
	return &salt
}

// The golden values are those of the C reference implementation (argon2_hash of
// libargon2, type 2, version 0x13).
func TestDeriveKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		params Params
		want   string
	}{
		{cheap, "092d6e91987840e63e2fac5e187ac5d29b489f05597971fd6554555a1a20ce2a"},
		{Default, "0b220637b2f1ea0425e3c3e4ea5c5c14fd91b0f26b5726839a04f2e387f75f73"},
	} {
		got, err := Argon2id{}.Derive([]byte("correct horse battery staple"), counted(), c.params)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got[:]) != c.want {
			t.Errorf("%+v: %x, want %s", c.params, *got, c.want)
		}
	}
}

func TestDeriveAgreesWithTheLibrary(t *testing.T) {
	params := Params{Time: 3, Memory: 20 * 1024, Threads: 2}
	salt := counted()
	salt[31] ^= 0x80 // all 32 bytes count
	password := []byte("pässwörd \x00 \xff")
	got, err := Argon2id{}.Derive(password, salt, params)
	if err != nil {
		t.Fatal(err)
	}
	if want := argon2.IDKey(password, salt[:], 3, 20*1024, 2, 32); !bytes.Equal(got[:], want) {
		t.Errorf("%x, want %x", *got, want)
	}
	if string(password) != "pässwörd \x00 \xff" {
		t.Error("the caller's password was changed")
	}
}

func TestParamsCheck(t *testing.T) {
	const mib = 1024
	for _, c := range []struct {
		name string
		p    Params
		ok   bool
	}{
		{"default", Default, true},
		{"least", Params{2, 19 * mib, 1}, true},
		{"one pass", Params{1, 38 * mib, 1}, true},
		{"greatest", Params{16, 1024 * mib, 16}, true},
		{"no passes", Params{0, 64 * mib, 4}, false},
		{"no memory", Params{3, 0, 4}, false},
		{"no lanes", Params{3, 64 * mib, 0}, false},
		{"all zero", Params{}, false},
		{"memory below 19 MiB", Params{16, 19*mib - 1, 1}, false},
		{"work below 38 MiB passes", Params{1, 38*mib - 1, 1}, false},
		{"memory above 1 GiB", Params{1, 1024*mib + 1, 1}, false},
		{"most memory", Params{1, math.MaxUint32, 1}, false},
		{"17 passes", Params{17, 64 * mib, 4}, false},
		{"most passes", Params{math.MaxUint32, 64 * mib, 4}, false},
		{"17 lanes", Params{3, 64 * mib, 17}, false},
	} {
		err := c.p.Check()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		zero := c.p.Time == 0 || c.p.Memory == 0 || c.p.Threads == 0
		if err != nil && strings.Contains(err.Error(), "zero") != zero {
			t.Errorf("%s: the wrong reason: %v", c.name, err)
		}
	}
}

func TestDeriveRefusesWhatCheckRefuses(t *testing.T) {
	real := idKey
	defer func() { idKey = real }()
	idKey = func([]byte, []byte, uint32, uint32, uint8, uint32) []byte {
		t.Error("derived")
		return make([]byte, 32)
	}
	if key, err := (Argon2id{}).Derive([]byte("x"), counted(), Params{1, 8, 1}); err == nil || key != nil {
		t.Errorf("%v, %v", key, err)
	}
}

func TestDerivationsAtOnceAreBounded(t *testing.T) {
	real := idKey
	defer func() { idKey = real }()
	var mu sync.Mutex
	running, most := 0, 0
	idKey = func([]byte, []byte, uint32, uint32, uint8, uint32) []byte {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		running--
		mu.Unlock()
		return make([]byte, 32)
	}
	bound := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for range 4 * bound {
		wg.Go(func() { Argon2id{}.Derive(nil, counted(), Default) })
	}
	wg.Wait()
	if most != bound {
		t.Errorf("%d derivations at once, want %d", most, bound)
	}
}
