package store

import (
	"encoding/binary"
	"time"
)

const (
	schemaVersion = 2

	identitySize = 3*32 + 4 + 4 + 1 + 8
	accountSize  = 256 + 8 + 8 + 1 + 8 + 8
	entrySize    = 8 + 1 + 1 // and the actor and the name

	accountSize1 = 256 + 8 + 8 // in schema 1
)

var (
	metaBucket     = []byte("sim.meta")
	accountsBucket = []byte("sim.accounts")
	auditBucket    = []byte("sim.audit")
	schemaKey      = []byte("schema")
	identityKey    = []byte("identity")
)

// The bits of an account's state.
const (
	stateDisabled = 1 << iota
	stateCode
)

// storedTime is t as it comes back from the database.
func storedTime(t time.Time) time.Time { return decodeTime(appendTime(nil, t)) }

// appendTime writes no time as 0.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.BigEndian.AppendUint64(b, 0)
	}
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixMilli()))
}

func decodeTime(b []byte) time.Time {
	ms := int64(binary.BigEndian.Uint64(b))
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func encodeSchema(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func encodeIdentity(id *Identity) []byte {
	b := make([]byte, 0, identitySize)
	b = append(b, id.PrivateKey[:]...)
	b = append(b, id.SaltSecret[:]...)
	b = append(b, id.InventSecret[:]...)
	b = binary.BigEndian.AppendUint32(b, id.ArgonTime)
	b = binary.BigEndian.AppendUint32(b, id.ArgonMemory)
	b = append(b, id.ArgonThreads)
	return appendTime(b, id.Created)
}

// decodeIdentity refuses another length, and zeros where there are never any: a
// disk gives them for what it has lost.
func decodeIdentity(b []byte) (Identity, bool) {
	if len(b) != identitySize {
		return Identity{}, false
	}
	id := Identity{
		PrivateKey:   [32]byte(b[0:32]),
		SaltSecret:   [32]byte(b[32:64]),
		InventSecret: [32]byte(b[64:96]),
		ArgonTime:    binary.BigEndian.Uint32(b[96:100]),
		ArgonMemory:  binary.BigEndian.Uint32(b[100:104]),
		ArgonThreads: b[104],
		Created:      decodeTime(b[105:113]),
	}
	zero := [32]byte{}
	if id.PrivateKey == zero || id.SaltSecret == zero || id.InventSecret == zero ||
		id.ArgonTime == 0 || id.ArgonMemory == 0 || id.ArgonThreads == 0 {
		return Identity{}, false
	}
	return id, true
}

func encodeAccount(a *Account) []byte {
	var state byte
	if a.Disabled {
		state |= stateDisabled
	}
	if a.Code {
		state |= stateCode
	}
	b := make([]byte, 0, accountSize)
	b = append(b, a.Verifier[:]...)
	b = appendTime(b, a.Created)
	b = appendTime(b, a.Changed)
	b = append(b, state)
	b = appendTime(b, a.Expires)
	return binary.BigEndian.AppendUint64(b, a.Generation)
}

// sizeOf returns the size of an account. A database that is only looked at may be
// of schema 1.
func sizeOf(schema uint32) int {
	if schema == 1 {
		return accountSize1
	}
	return accountSize
}

func decodeAccount(schema uint32, b []byte) (Account, bool) {
	if len(b) != sizeOf(schema) {
		return Account{}, false
	}
	a := Account{
		Verifier: [256]byte(b[:256]),
		Created:  decodeTime(b[256:264]),
		Changed:  decodeTime(b[264:272]),
	}
	if schema == 1 {
		return a, true
	}
	a.Disabled = b[272]&stateDisabled != 0
	a.Code = b[272]&stateCode != 0
	a.Expires = decodeTime(b[273:281])
	a.Generation = binary.BigEndian.Uint64(b[281:289])
	return a, b[272] < 4 && a.Generation != 0
}

func encodeSeq(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func encodeEntry(e *Entry) []byte {
	b := make([]byte, 0, entrySize+len(e.Actor)+len(e.Name))
	b = appendTime(b, e.Time)
	b = append(b, byte(e.Act), byte(len(e.Actor)))
	b = append(b, e.Actor...)
	return append(b, e.Name...)
}

func decodeEntry(k, v []byte) (Entry, bool) {
	if len(k) != 8 || len(v) < entrySize || len(v) > entrySize+maxActor+maxName || len(v) < entrySize+int(v[9]) {
		return Entry{}, false
	}
	name := entrySize + int(v[9])
	e := Entry{
		Seq:   binary.BigEndian.Uint64(k),
		Time:  decodeTime(v[:8]),
		Act:   Act(v[8]),
		Actor: Actor(v[entrySize:name]),
		Name:  string(v[name:]),
	}
	return e, e.Actor.check() == nil && len(e.Name) <= maxName
}
