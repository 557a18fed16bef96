package proto

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzPasswordChange: of a whole change of password, each body may be changed: a byte at an offset, as often as the fuzzer likes. Nothing
// is stored and nothing is believed that was not said.
func FuzzPasswordChange(f *testing.F) {
	w := newWorld(f)
	c, s := w.sessions(f, "alice")
	turns := []Type{TypePasswordBegin, TypePasswordSalt, TypePasswordSet, TypeDone}
	f.Add([]byte{})
	for i := range turns {
		for _, at := range []byte{0, 1, 4, 32, 40, 41, 255} {
			f.Add([]byte{byte(i), 0, at, 1})
			f.Add([]byte{byte(i), 1, at, 0x80, 2, 0, 0, 1})
		}
	}
	f.Add([]byte{2, 0, 31, 1, 3, 0, 0, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		changed := map[Type]bool{}
		mallory := func(at Type, body []byte) {
			was := bytes.Clone(body)
			for ops := script; len(ops) >= 4; ops = ops[4:] { // which body, where, with what
				if turns[int(ops[0])%len(turns)] == at {
					body[(int(ops[1])<<8|int(ops[2]))%len(body)] ^= ops[3]
				}
			}
			changed[at] = !bytes.Equal(body, was)
		}
		ch, err := w.changePassword(t, c, s, passwordOf("alice"), newPassword, mallory)
		if err != nil {
			if !isPeer(err) || !changed[TypePasswordBegin] && !changed[TypePasswordSalt] {
				t.Fatalf("%v: %v", changed, err)
			}
			return
		}
		verifier, m2, err := ch.server.Set(ch.set)
		before := changed[TypePasswordBegin] || changed[TypePasswordSalt] || changed[TypePasswordSet]
		switch {
		case !before && err != nil:
			t.Fatal(err)
		case before && (err != ErrRefused || verifier != nil || m2 != nil):
			t.Fatalf("%v: %v", changed, err)
		}
		answer := bodyOf(t, AppendDone(nil, DoneChanged, m2))
		if before {
			answer = bodyOf(t, AppendDone(nil, DoneRefused, nil))
		}
		mallory(TypeDone, answer)
		switch err := ch.client.Done(answer); {
		case before && err == nil:
			t.Fatalf("%v: she believes in a change that was not made", changed)
		case !before && (err == nil) == changed[TypeDone]:
			t.Fatalf("%v: %v", changed, err)
		case err != nil && !isPeer(err) && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrNotSaved) && !errors.Is(err, ErrNoProof):
			t.Fatal(err)
		}
	})
}
