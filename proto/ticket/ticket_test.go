package ticket

import (
	"bytes"
	"errors"
	"testing"

	"sim/proto/box"
)

// cast is who plays: alice and bob, eve the insider, and the keys that each has with the server.
var (
	alice, bob, eve = name("alice"), name("bob"), name("eve")

	aliceKeys = &Keys{Nonce: [32]byte{1}, Intro: [32]byte{2}, Ticket: [32]byte{3}}
	bobKeys   = &Keys{Nonce: [32]byte{4}, Intro: [32]byte{5}, Ticket: [32]byte{6}}
	eveKeys   = &Keys{Nonce: [32]byte{7}, Intro: [32]byte{8}, Ticket: [32]byte{9}}
)

func name(s string) (n Name) {
	copy(n[:], s)
	return n
}

// A scene is a run from alice to bob up to the Intro.
type scene struct {
	run   Run
	nb    [NonceSize]byte
	nonce []byte // the peer message
	intro *Intro
	h2    [32]byte
}

func play(t testing.TB, run Run) *scene {
	t.Helper()
	s := &scene{run: run, nb: [NonceSize]byte{10}}
	versions := []byte{1, 3}
	h0 := run.Transcript(versions)
	n := Nonce{CID: run.CID, Version: 3, Box: run.SealNonce(&bobKeys.Nonce, &h0, &s.nb)}
	s.nonce = n.Append(nil)
	s.h2 = box.MixHash(&h0, s.nonce)
	s.intro = &Intro{CID: run.CID, N1: [NonceSize]byte{11}, Responder: run.Responder, Versions: versions, Version: 3, NonceBox: n.Box}
	return s
}

var aliceToBob = Run{Initiator: alice, Responder: bob, CID: CID{12}}

func TestTicket(t *testing.T) {
	s := play(t, aliceToBob)
	sealed, err := Issue(alice, s.intro, &aliceKeys.Intro, bobKeys)
	if err != nil {
		t.Fatal(err)
	}
	ka, ticket, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, sealed[:])
	if err != nil {
		t.Fatal(err)
	}
	kb, err := s.run.OpenTicket(&bobKeys.Ticket, &s.h2, &s.nb, &ticket)
	if err != nil {
		t.Fatal(err)
	}
	if ka != kb || ka == [32]byte{} {
		t.Error("the two have not one K")
	}
	again, err := Issue(alice, s.intro, &aliceKeys.Intro, bobKeys)
	if err != nil {
		t.Fatal(err)
	}
	if k, _, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, again[:]); err != nil || k == ka {
		t.Error("K comes twice", err)
	}
	if NonceBoxSize != 144 || Size != 176 || IntroBoxSize != 352 || NonceMsgSize != 162 {
		t.Error("sizes are not those of the page")
	}
}

func TestServerRefuses(t *testing.T) {
	fake := func(h0Run, content Run, key *[32]byte) [NonceBoxSize]byte {
		h0 := h0Run.Transcript([]byte{1, 3})
		// SealNonce under one run's h0, with another's content.
		var sealed [NonceBoxSize]byte
		plaintext := join(content.CID[:], content.Initiator[:], content.Responder[:], make([]byte, NonceSize))
		copy(sealed[:], box.Seal(key, labelNonce, box.FromInitiator, &h0, plaintext))
		return sealed
	}
	otherCID := Run{Initiator: alice, Responder: bob, CID: CID{13}}
	for _, c := range []struct {
		what      string
		initiator Name
		change    func(in *Intro)
	}{
		{"eve sends alice's Intro", eve, func(*Intro) {}},
		{"another cid", alice, func(in *Intro) { in.CID[0] ^= 1 }},
		{"bob's box for eve's responder", alice, func(in *Intro) { in.Responder = eve }},
		{"mallory took a version from Want", alice, func(in *Intro) { in.Versions = []byte{1} }},
		{"mallory added a version to Want", alice, func(in *Intro) { in.Versions = []byte{1, 2, 3} }},
		{"a box under alice's own key", alice, func(in *Intro) { in.NonceBox = fake(aliceToBob, aliceToBob, &aliceKeys.Nonce) }},
		{"a box under bob's ticket key", alice, func(in *Intro) { in.NonceBox = fake(aliceToBob, aliceToBob, &bobKeys.Ticket) }},
		{"bob lies about the cid", alice, func(in *Intro) { in.NonceBox = fake(aliceToBob, otherCID, &bobKeys.Nonce) }},
		{"bob lies about the initiator", alice, func(in *Intro) {
			in.NonceBox = fake(aliceToBob, Run{Initiator: eve, Responder: bob, CID: aliceToBob.CID}, &bobKeys.Nonce)
		}},
		{"bob lies about the responder", alice, func(in *Intro) {
			in.NonceBox = fake(aliceToBob, Run{Initiator: alice, Responder: eve, CID: aliceToBob.CID}, &bobKeys.Nonce)
		}},
		{"bob asks for himself", bob, func(in *Intro) {
			self := Run{Initiator: bob, Responder: bob, CID: aliceToBob.CID}
			in.NonceBox = fake(self, self, &bobKeys.Nonce)
		}},
	} {
		in := play(t, aliceToBob).intro
		c.change(in)
		if got, err := Issue(c.initiator, in, &aliceKeys.Intro, bobKeys); !errors.Is(err, ErrRefused) || got != nil {
			t.Errorf("%s: got %v, want ErrRefused", c.what, err)
		}
	}
}

func TestMalloryFlipsABitOfTheNonceBox(t *testing.T) {
	s := play(t, aliceToBob)
	for i := range s.intro.NonceBox {
		in := *s.intro
		in.NonceBox[i] ^= 0x40
		if _, err := Issue(alice, &in, &aliceKeys.Intro, bobKeys); !errors.Is(err, ErrRefused) {
			t.Errorf("byte %d: got %v, want ErrRefused", i, err)
		}
	}
}

func TestIntroBoxOpensInItsPlaceOnly(t *testing.T) {
	s := play(t, aliceToBob)
	issue := func() []byte {
		sealed, err := Issue(alice, s.intro, &aliceKeys.Intro, bobKeys)
		if err != nil {
			t.Fatal(err)
		}
		return sealed[:]
	}
	good := issue()
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 0x40
		if _, _, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, flipped); !errors.Is(err, box.ErrOpen) {
			t.Errorf("byte %d: got %v, want ErrOpen", i, err)
		}
	}
	for _, sealed := range [][]byte{nil, good[:IntroBoxSize-1], append(bytes.Clone(good), 0)} {
		if _, _, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, sealed); !errors.Is(err, box.ErrOpen) {
			t.Errorf("%d bytes: got %v, want ErrOpen", len(sealed), err)
		}
	}
	otherN1, otherH2 := s.intro.N1, s.h2
	otherN1[0] ^= 1
	otherH2[0] ^= 1
	for _, c := range []struct {
		what string
		key  *[32]byte
		h2   *[32]byte
		n1   *[NonceSize]byte
	}{
		{"eve's key", &eveKeys.Intro, &s.h2, &s.intro.N1},
		{"alice's ticket key", &aliceKeys.Ticket, &s.h2, &s.intro.N1},
		{"another N_1: an old intro box", &aliceKeys.Intro, &s.h2, &otherN1},
		{"another Nonce", &aliceKeys.Intro, &otherH2, &s.intro.N1},
	} {
		if _, _, err := s.run.OpenIntro(c.key, c.h2, c.n1, good); !errors.Is(err, box.ErrOpen) {
			t.Errorf("%s: got %v, want ErrOpen", c.what, err)
		}
	}
	// A box of the right size, key and context, but of a ticket's or a nonce's label.
	context := box.MixHash(&s.h2, s.intro.N1[:])
	for _, label := range []string{labelTicket, labelNonce} {
		sealed := box.Seal(&aliceKeys.Intro, label, box.FromResponder, &context, make([]byte, IntroBoxSize-box.Overhead))
		if _, _, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, sealed); !errors.Is(err, box.ErrOpen) {
			t.Errorf("%s: got %v, want ErrOpen", label, err)
		}
	}
	// The server lies, and seals one of another length.
	for _, n := range []int{0, 96, 303, 305} {
		plaintext := append(join(s.intro.N1[:], alice[:], bob[:], s.run.CID[:]), make([]byte, 304)...)[:n]
		sealed := box.Seal(&aliceKeys.Intro, labelIntro, box.FromResponder, &context, plaintext)
		if _, _, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, sealed); !errors.Is(err, box.ErrOpen) {
			t.Errorf("%d bytes: got %v, want ErrOpen", n, err)
		}
	}
	// Reflected: a box that alice herself could have sealed.
	sealed := box.Seal(&aliceKeys.Intro, labelIntro, box.FromInitiator, &context, make([]byte, IntroBoxSize-box.Overhead))
	if _, _, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, sealed); !errors.Is(err, box.ErrOpen) {
		t.Errorf("reflected: got %v, want ErrOpen", err)
	}
}

func TestTicketOpensInItsPlaceOnly(t *testing.T) {
	s := play(t, aliceToBob)
	sealed, err := Issue(alice, s.intro, &aliceKeys.Intro, bobKeys)
	if err != nil {
		t.Fatal(err)
	}
	_, good, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, sealed[:])
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		flipped := good
		flipped[i] ^= 0x40
		if _, err := s.run.OpenTicket(&bobKeys.Ticket, &s.h2, &s.nb, &flipped); !errors.Is(err, box.ErrOpen) {
			t.Errorf("byte %d: got %v, want ErrOpen", i, err)
		}
	}
	otherH2 := s.h2
	otherH2[0] ^= 1
	for _, c := range []struct {
		what string
		key  *[32]byte
		h2   *[32]byte
	}{
		{"a ticket meant for another responder", &eveKeys.Ticket, &s.h2},
		{"bob's nonce key", &bobKeys.Nonce, &s.h2},
		{"bob's intro key", &bobKeys.Intro, &s.h2},
		{"Denning-Sacco: a ticket of an older Nonce", &bobKeys.Ticket, &otherH2},
	} {
		if _, err := s.run.OpenTicket(c.key, c.h2, &s.nb, &good); !errors.Is(err, box.ErrOpen) {
			t.Errorf("%s: got %v, want ErrOpen", c.what, err)
		}
	}
	for _, c := range []struct {
		label     string
		direction box.Direction
	}{{labelTicket, box.FromInitiator}, {labelNonce, box.FromResponder}, {labelIntro, box.FromResponder}} {
		fake := [Size]byte(box.Seal(&bobKeys.Ticket, c.label, c.direction, &s.h2, make([]byte, Size-box.Overhead)))
		if _, err := s.run.OpenTicket(&bobKeys.Ticket, &s.h2, &s.nb, &fake); !errors.Is(err, box.ErrOpen) {
			t.Errorf("%s %d: got %v, want ErrOpen", c.label, c.direction, err)
		}
	}
}

// A server that seals what is not of this run, under the right keys and in the right places.
func TestLyingServerMixesRuns(t *testing.T) {
	s := play(t, aliceToBob)
	k := [32]byte{14}
	for _, c := range []struct {
		what   string
		change func(run *Run, n1, nb *[NonceSize]byte)
		atA    bool // and so alice sees it too
	}{
		{"initiator", func(run *Run, _, _ *[NonceSize]byte) { run.Initiator = eve }, true},
		{"responder", func(run *Run, _, _ *[NonceSize]byte) { run.Responder = eve }, true},
		{"cid", func(run *Run, _, _ *[NonceSize]byte) { run.CID[15] ^= 1 }, true},
		{"N_B", func(_ *Run, _, nb *[NonceSize]byte) { nb[15] ^= 1 }, false},
	} {
		run, n1, nb := s.run, s.intro.N1, s.nb
		c.change(&run, &n1, &nb)
		sealed := run.issue(&k, &s.h2, &n1, nb[:], &aliceKeys.Intro, &bobKeys.Ticket)
		_, _, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, sealed[:])
		if c.atA && !errors.Is(err, ErrMismatch) {
			t.Errorf("another %s: alice got %v, want ErrMismatch", c.what, err)
		}
		_, ticket, err := run.OpenIntro(&aliceKeys.Intro, &s.h2, &n1, sealed[:])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.run.OpenTicket(&bobKeys.Ticket, &s.h2, &s.nb, &ticket); !errors.Is(err, ErrMismatch) || got != [32]byte{} {
			t.Errorf("another %s: bob got %v, want ErrMismatch", c.what, err)
		}
	}
	// N_1 in the content, against N_1 in the context.
	context := box.MixHash(&s.h2, s.intro.N1[:])
	forA := join(make([]byte, NonceSize), alice[:], bob[:], s.run.CID[:], k[:], make([]byte, Size))
	sealed := box.Seal(&aliceKeys.Intro, labelIntro, box.FromResponder, &context, forA)
	if _, _, err := s.run.OpenIntro(&aliceKeys.Intro, &s.h2, &s.intro.N1, sealed); !errors.Is(err, ErrMismatch) {
		t.Errorf("another N_1: got %v, want ErrMismatch", err)
	}
}

func TestTranscriptIsOfEverything(t *testing.T) {
	seen := map[[32]byte]bool{}
	for _, run := range []Run{
		aliceToBob,
		{Initiator: bob, Responder: alice, CID: aliceToBob.CID},
		{Initiator: eve, Responder: bob, CID: aliceToBob.CID},
		{Initiator: alice, Responder: eve, CID: aliceToBob.CID},
		{Initiator: alice, Responder: bob, CID: CID{15}},
	} {
		for _, versions := range [][]byte{{1}, {2}, {1, 2}, {1, 2, 3}} {
			seen[run.Transcript(versions)] = true
		}
	}
	if len(seen) != 5*4 {
		t.Errorf("%d transcripts of %d beginnings", len(seen), 5*4)
	}
}

func TestClearForgetsKeys(t *testing.T) {
	k := *aliceKeys
	k.Clear()
	if k != (Keys{}) {
		t.Errorf("left: %x", k)
	}
}
