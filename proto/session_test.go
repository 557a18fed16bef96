package proto

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"sim/proto/record"
	"sim/proto/ticket"
)

// channel is a session's two ends without a login before it.
func channel(now time.Time) (client, server *Session) {
	secret := func() *[32]byte { return &[32]byte{1, 2, 3} }
	name, id, h6 := Name{'a'}, [16]byte{4}, [32]byte{5}
	return newSession(name, id, secret(), h6, Client, now), newSession(name, id, secret(), h6, Server, now)
}

var start = time.Unix(1_800_000_000, 0)

// types are the types of the frames in a record that must open.
func types(t *testing.T, r *Receiver, sealed []byte) (out []Type) {
	t.Helper()
	frames, err := open(r, sealed)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all(frames) {
		out = append(out, f.Type)
	}
	return out
}

func isTypes(t *testing.T, what string, got []Type, want ...Type) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
}

func TestSecretOfASessionIsCleared(t *testing.T) {
	secret := &[32]byte{1}
	newSession(Name{}, [16]byte{}, secret, [32]byte{}, Client, start)
	if *secret != [32]byte{} {
		t.Error("S_A is still there")
	}
}

func TestSessionClear(t *testing.T) {
	c, s := channel(start)
	if c.Tickets == (ticket.Keys{}) || c.Resumption == [32]byte{} {
		t.Fatal("no keys")
	}
	c.Clear()
	if c.Tickets != (ticket.Keys{}) || c.Resumption != [32]byte{} {
		t.Error("keys are still there")
	}
	// The record keys belong to the two loops.
	isTypes(t, "after Clear", types(t, s.Receive, c.Send.Seal(nil, AppendClose(nil, CloseDone), start)), TypeClose)
	c.Send.Clear()
	s.Receive.Clear()
	panics(t, "Seal after Clear", func() { c.Send.Seal(nil, AppendLogout(nil), start) })
	panics(t, "Open after Clear", func() { open(s.Receive, make([]byte, 2+528)) })
}

func TestSealAppends(t *testing.T) {
	c, s := channel(start)
	head := []byte("head")
	out := c.Send.Seal(head, AppendLogout(nil), start)
	if !bytes.HasPrefix(out, head) {
		t.Fatal("Seal does not append")
	}
	isTypes(t, "one", types(t, s.Receive, out[len(head):]), TypeLogout)
	out = c.Send.SealLast(head, AppendClose(nil, CloseDone))
	if !bytes.HasPrefix(out, head) {
		t.Fatal("SealLast does not append")
	}
	isTypes(t, "the last", types(t, s.Receive, out[len(head):]), TypeClose)
}

func TestSealLastForgetsTheKey(t *testing.T) {
	c, s := channel(start)
	isTypes(t, "the last", types(t, s.Receive, c.Send.SealLast(nil, AppendClose(nil, CloseDone))), TypeClose)
	panics(t, "Seal after the last", func() { c.Send.Seal(nil, AppendLogout(nil), start) })
	panics(t, "SealLast twice", func() { c.Send.SealLast(nil, AppendClose(nil, CloseDone)) })
}

func TestSenderRekeysAfterAnHour(t *testing.T) {
	c, s := channel(start)
	at := func(after time.Duration) []Type {
		t.Helper()
		return types(t, s.Receive, c.Send.Seal(nil, AppendLogout(nil), start.Add(after)))
	}
	isTypes(t, "at once", at(0), TypeLogout)
	isTypes(t, "before the hour", at(time.Hour-time.Nanosecond), TypeLogout)
	isTypes(t, "at the hour", at(time.Hour), TypeLogout, TypeRekey)
	if c.Send.sealer.Count() != 0 {
		t.Fatal("numbers do not begin anew")
	}
	isTypes(t, "under the next key", at(time.Hour), TypeLogout)
	isTypes(t, "before the second hour", at(2*time.Hour-1), TypeLogout)
	isTypes(t, "long after", at(5*time.Hour), TypeLogout, TypeRekey)
	isTypes(t, "under the third key", at(6*time.Hour-1), TypeLogout)
	isTypes(t, "an hour later", at(6*time.Hour), TypeLogout, TypeRekey)

	// The other direction has a key and an hour of its own.
	isTypes(t, "the server", types(t, c.Receive, s.Send.Seal(nil, AppendLoggedOut(nil), start.Add(time.Minute))), TypeLoggedOut)
	isTypes(t, "the server", types(t, c.Receive, s.Send.Seal(nil, AppendLoggedOut(nil), start.Add(time.Hour))), TypeLoggedOut, TypeRekey)
	isTypes(t, "the server", types(t, c.Receive, s.Send.Seal(nil, AppendLoggedOut(nil), start.Add(time.Hour))), TypeLoggedOut)
}

func TestSenderRekeysBeforeTheLimitOfRecords(t *testing.T) {
	c, s := channel(start)
	if c.Send.most != 1<<20 || s.Send.most != 1<<20 {
		t.Fatal("another limit than the page's")
	}
	const most = 10
	c.Send.most = most
	for range 3 {
		for i := range most - 1 {
			if c.Send.sealer.Count() != uint64(i) {
				t.Fatalf("record %d is number %d", i, c.Send.sealer.Count())
			}
			isTypes(t, "a record", types(t, s.Receive, c.Send.Seal(nil, AppendLogout(nil), start)), TypeLogout)
		}
		isTypes(t, "the last under its key", types(t, s.Receive, c.Send.Seal(nil, AppendLogout(nil), start)), TypeLogout, TypeRekey)
	}
	// What comes last may be the last under its key.
	for range most - 1 {
		types(t, s.Receive, c.Send.Seal(nil, AppendLogout(nil), start))
	}
	isTypes(t, "Close", types(t, s.Receive, c.Send.SealLast(nil, AppendClose(nil, CloseDone))), TypeClose)
}

// A Rekey has room after the largest frames that a record takes, and does not write into the caller's buffer.
func TestRekeyHasRoom(t *testing.T) {
	c, s := channel(start)
	frames := padded(frameOf(0x07, 10000), frameOf(0x07, MaxFrames-10000-6))[:MaxFrames]
	buffer := append(bytes.Clone(frames), 0xaa, 0xbb, 0xcc)[:MaxFrames]
	got, err := open(s.Receive, c.Send.Seal(nil, buffer, start.Add(time.Hour)))
	if err != nil || len(all(got)) != 3 {
		t.Fatal(err)
	}
	if !bytes.Equal(buffer[:MaxFrames+3][MaxFrames:], []byte{0xaa, 0xbb, 0xcc}) {
		t.Error("the caller's buffer was written to")
	}
	isTypes(t, "the next", types(t, s.Receive, c.Send.Seal(nil, AppendLogout(nil), start.Add(time.Hour))), TypeLogout)
}

// A receiver never decides: it follows Rekey frames, and nothing else makes it step.
func TestReceiverFollowsRekey(t *testing.T) {
	c, s := channel(start)
	under := func(key *Sender, frames ...[]byte) []byte { return key.sealer.Seal(nil, bytes.Join(frames, nil)) }
	isTypes(t, "Rekey alone", types(t, s.Receive, under(c.Send, frameOf(0x14, 0))), TypeRekey)
	if _, err := open(s.Receive, under(c.Send, AppendLogout(nil))); err != record.ErrOpen {
		t.Fatal("the old key still opens:", err)
	}
	c.Send.sealer.Rekey()
	isTypes(t, "under the next key", types(t, s.Receive, under(c.Send, AppendLogout(nil))), TypeLogout)
	c.Send.sealer.Rekey() // without a word
	if _, err := open(s.Receive, under(c.Send, AppendLogout(nil))); err != record.ErrOpen {
		t.Fatal("a key that nobody announced opens:", err)
	}
}

// A Rekey in a record that is refused steps nothing.
func TestRefusedRekeyStepsNothing(t *testing.T) {
	c, s := channel(start)
	_, err := open(s.Receive, c.Send.sealer.Seal(nil, bytes.Join([][]byte{frameOf(0x14, 0), AppendLogout(nil)}, nil)))
	if !isPeer(err) {
		t.Fatal(err)
	}
	isTypes(t, "the old key", types(t, s.Receive, c.Send.Seal(nil, AppendLogout(nil), start)), TypeLogout)
}

// Each end takes what the other sends, and only that.
func TestReceiversTakeTheirDirection(t *testing.T) {
	c, s := channel(start)
	if _, err := open(s.Receive, c.Send.Seal(nil, AppendLoggedOut(nil), start)); !isPeer(err) {
		t.Error("the server takes LoggedOut:", err)
	}
	if _, err := open(c.Receive, s.Send.Seal(nil, AppendLogout(nil), start)); !isPeer(err) {
		t.Error("the client takes Logout:", err)
	}
	isTypes(t, "to the server", types(t, s.Receive, c.Send.Seal(nil, AppendLogout(nil), start)), TypeLogout)
	isTypes(t, "to the client", types(t, c.Receive, s.Send.Seal(nil, AppendLoggedOut(nil), start)), TypeLoggedOut)
}

func TestReceiverErrors(t *testing.T) {
	c, s := channel(start)
	sealed := c.Send.Seal(nil, AppendLogout(nil), start)
	bent := bytes.Clone(sealed)
	bent[100] ^= 1
	if frames, err := open(s.Receive, bent); !errors.Is(err, record.ErrOpen) || len(all(frames)) != 0 {
		t.Error(err)
	}
	isTypes(t, "the honest one", types(t, s.Receive, sealed), TypeLogout)
	if _, err := s.Receive.Open(nil); !errors.Is(err, record.ErrOpen) {
		t.Error(err)
	}
	for what, plaintext := range map[string][]byte{"no frame": {0}, "too much padding": append(AppendLogout(nil), make([]byte, 600)...), "unknown": {0x77, 0, 0}} {
		if _, err := open(s.Receive, c.Send.sealer.Seal(nil, plaintext)); !isPeer(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestErrorsSpeak(t *testing.T) {
	if got := peerErrorf("%d frames", 3).Error(); got != "peer: 3 frames" {
		t.Error(got)
	}
}
