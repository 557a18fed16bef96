package proto

import (
	"bytes"
	"testing"
)

// The two fuzz tests give one end's messages to the other with one of them changed: a byte at an offset, or a cut, or more at its end.
// Nothing panics, nothing is taken that was not said, and the two ends never hold two sessions.

// changed is what mallory does to one message.
func changed(b []byte, offset int, xor byte, length int) []byte {
	b = bytes.Clone(b)
	if length > len(b) && length < 1<<16 {
		b = append(b, make([]byte, length-len(b))...)
	}
	if length >= 0 && length < len(b) {
		b = b[:length]
	}
	if len(b) > 0 && offset >= 0 {
		b[offset%len(b)] ^= xor
	}
	return b
}

func (w *world) meddled(t *testing.T, index, offset int, xor byte, length int) {
	w.lookups = nil
	same := false
	o := w.handshake(t, w.client(t, "alice"), NewLoginServer(w.config, w.now), passwordOf("alice"), func(at int, b []byte) []byte {
		if at != index {
			return b
		}
		bent := changed(b, offset, xor, length)
		if at == atChallenge && len(bent) == challengeLen && bent[35] > 12 {
			bent[35] = testBits // not the work of 2^26 hashes
		}
		same = bytes.Equal(b, bent)
		return bent
	})
	if same && !o.bothIn(t) {
		t.Fatalf("an honest login failed: %v, %v", o.clientErr, o.serverErr)
	}
	if same {
		return
	}
	if o.bothIn(t) || o.client != nil || o.server != nil && index != atWelcome || o.serverErr == nil && o.clientErr == nil {
		t.Fatalf("message %d was changed: %v, %v", index, o.clientErr, o.serverErr)
	}
	// Solution is not under Login's box: other right answers are found out by the client, at Salt.
	if len(w.lookups) > 0 && index <= atLogin && index != atSolution {
		t.Fatal("the store was asked for a Login that does not open")
	}
	if index == atHello && o.serverErr != ErrSilence {
		t.Fatalf("no silence before mac1: %v", o.serverErr)
	}
}

func FuzzLoginServer(f *testing.F) {
	w := newWorld(f)
	indices := []int{atHello, atSolution, atLogin, atProof}
	for i := range indices {
		for _, offset := range []int{0, 1, 2, 33, 40, 120, 1121, 1456, -1} {
			f.Add(byte(i), offset, byte(1), -1)
		}
		f.Add(byte(i), 0, byte(0), 0)
		f.Add(byte(i), 0, byte(0), 57)
		f.Add(byte(i), 0, byte(0), 65535)
	}
	f.Fuzz(func(t *testing.T, i byte, offset int, xor byte, length int) {
		w.meddled(t, indices[int(i)%len(indices)], offset, xor, length)
	})
}

func FuzzLoginClient(f *testing.F) {
	w := newWorld(f)
	indices := []int{atChallenge, atSalt, atWelcome}
	for i := range indices {
		for _, offset := range []int{0, 1, 2, 33, 34, 35, 36, 68, 97, 379, 1251, -1} {
			f.Add(byte(i), offset, byte(1), -1)
		}
		f.Add(byte(i), 0, byte(0), 0)
		f.Add(byte(i), 0, byte(0x0b), 3) // Busy in place of Challenge
		f.Add(byte(i), 0, byte(0), 65535)
	}
	f.Fuzz(func(t *testing.T, i byte, offset int, xor byte, length int) {
		w.meddled(t, indices[int(i)%len(indices)], offset, xor, length)
	})
}

// FuzzServerBody: a server in any state gets any body.
func FuzzServerBody(f *testing.F) {
	w := newWorld(f)
	at, _ := w.stages(f, w.config)
	indices := []int{atHello, atSolution, atLogin, atProof}
	for i, index := range indices {
		f.Add(byte(i), at[index].body)
		f.Add(byte(i), at[index].body[1:])
	}
	f.Fuzz(func(t *testing.T, i byte, body []byte) {
		index := indices[int(i)%len(indices)]
		if bytes.Equal(body, at[index].body) {
			return
		}
		out, session, err := cloneServer(at[index].server).Handle(w.now, body)
		if session != nil || err == nil && index != atSolution && index != atHello || index == atHello && err != nil && err != ErrSilence && out == nil {
			t.Fatalf("%s: %v", bodyNames[index], err)
		}
	})
}
