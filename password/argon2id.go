package password

import (
	"fmt"
	"runtime"

	"golang.org/x/crypto/argon2"
)

// Params are the costs of Argon2id (RFC 9106 §3.1).
type Params struct {
	Time    uint32 // t, passes over the memory
	Memory  uint32 // m, KiB
	Threads uint8  // p, lanes
}

// Default is what a new database is made with.
var Default = Params{Time: 3, Memory: 64 * 1024, Threads: 4}

// What a client accepts from a server. Below, a guess at the password would be
// cheap for whoever asked; above, a server could exhaust the client.
const (
	minMemory  = 19 * 1024   // KiB
	minWork    = 38 * 1024   // m·t, KiB·pass
	maxMemory  = 1024 * 1024 // KiB
	maxTime    = 16          // passes
	maxThreads = 16          // lanes
)

// Check returns an error, a sentence for a person, when p is not what a client
// accepts from a server: m below 19 MiB or above 1 GiB, m·t below 38 MiB·pass,
// t above 16, p above 16, or one of them zero.
func (p Params) Check() error {
	switch {
	case p.Time == 0 || p.Memory == 0 || p.Threads == 0:
		return p.refuse("none of them may be zero")
	case p.Memory < minMemory:
		return p.refuse("too little memory to protect a password")
	case p.Memory > maxMemory:
		return p.refuse("too much memory to ask for")
	case p.Time > maxTime:
		return p.refuse("too many passes to ask for")
	case p.Threads > maxThreads:
		return p.refuse("too many lanes to ask for")
	case p.Memory*p.Time < minWork: // can't wrap: both are bounded by now
		return p.refuse("too little work to protect a password")
	}
	return nil
}

func (p Params) refuse(why string) error {
	return fmt.Errorf("the parameters of Argon2id are refused (time %d, memory %d KiB, threads %d): %s", p.Time, p.Memory, p.Threads, why)
}

// A Deriver makes T, the 32 secret bytes that stand for a password, from a
// prepared password and the name's salt.
type Deriver interface {
	Derive(password []byte, salt *[32]byte, p Params) (*[32]byte, error)
}

// Argon2id derives with Argon2id, version 0x13, without a secret or associated
// data (RFC 9106 §3.1). Its zero value is ready, and safe for concurrent use: at
// most GOMAXPROCS derivations run at once in the process, since each takes all
// of its memory, and further ones wait.
type Argon2id struct{}

// slots holds a token per derivation that runs.
var slots = make(chan struct{}, runtime.GOMAXPROCS(0))

// idKey is a variable so that a test can count who runs at once.
var idKey = argon2.IDKey

// Derive returns the 32 bytes; the caller clears them. The error is Params.Check's.
func (Argon2id) Derive(password []byte, salt *[32]byte, p Params) (*[32]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	slots <- struct{}{}
	defer func() { <-slots }()
	key := idKey(password, salt[:], p.Time, p.Memory, p.Threads, 32)
	t := [32]byte(key)
	clear(key)
	return &t, nil
}
