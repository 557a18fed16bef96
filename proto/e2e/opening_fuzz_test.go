package e2e

import (
	"bytes"
	"testing"

	"sim/proto/ticket"
)

// FuzzOpening: a whole opening, the server's step included, and a text each way, of which a relay changes what it likes: a script of
// changes, each a message, a place and what to do with that byte. A message that a side refuses is lost, and the honest one comes after
// it, as a sender would repeat it. Whatever is done, the two ends never differ in their keys, digits or version, and nobody reads a text
// that was not said.
func FuzzOpening(f *testing.F) {
	const said = 8 // Want, Nonce, Intro, intro box, Offer, Accept, Confirm, text
	f.Add([]byte{}, false)
	f.Add([]byte{}, true)
	for i := range byte(said) {
		for _, at := range []byte{0, 1, 16, 17, 18, 60, 200} {
			f.Add([]byte{i, 0, at, 1}, i%2 == 0)
			f.Add([]byte{i, 3, at, 0x80, (i + 2) % said, 0, 20, 4}, i%2 == 1)
		}
	}
	f.Fuzz(func(t *testing.T, script []byte, ratchets bool) {
		versions := []byte{plain}
		if ratchets {
			versions = Versions
		}
		turn := byte(0)
		untouched := true
		relay := func(msg []byte) []byte {
			bent := bytes.Clone(msg)
			for ops := script; len(ops) >= 4; ops = ops[4:] {
				if ops[0]%said == turn {
					bent[(int(ops[1])<<8|int(ops[2]))%len(bent)] ^= ops[3]
				}
			}
			turn++
			untouched = untouched && bytes.Equal(bent, msg)
			return bent
		}
		// over fails the test unless somebody has meddled.
		over := func(what string, err error) {
			t.Helper()
			if untouched {
				t.Fatalf("%s: an honest opening ends: %v", what, err)
			}
		}

		a, want, err := Start(alice, bob, versions)
		if err != nil {
			t.Fatal(err)
		}
		b, nonce, err := Answer(bob, alice, relay(want), versions, &bobKeys.Nonce)
		if err != nil {
			over("Want", err)
			return
		}
		intro, err := a.Nonce(relay(nonce))
		if err != nil {
			if intro, err = a.Nonce(nonce); err != nil {
				over("Nonce", err)
				return
			}
		}
		asked, err := ticket.ParseIntro(relay(intro.Append(nil)))
		if err != nil {
			over("Intro", err)
			return
		}
		sealed, err := ticket.Issue(alice, asked, &aliceKeys.Intro, bobKeys)
		if err != nil {
			over("Issue", err)
			return
		}
		offer, err := a.Ticket(relay(sealed[:]), &aliceKeys.Intro)
		if err != nil {
			if offer, err = a.Ticket(sealed[:], &aliceKeys.Intro); err != nil {
				over("Ticket", err)
				return
			}
		}
		accept, err := b.Offer(relay(offer), alice, &bobKeys.Ticket)
		if err != nil {
			if accept, err = b.Offer(offer, alice, &bobKeys.Ticket); err != nil {
				over("Offer", err)
				return
			}
		}
		confirm, ca, err := a.Accept(relay(accept))
		if err != nil {
			if confirm, ca, err = a.Accept(accept); err != nil {
				over("Accept", err)
				return
			}
		}
		cb, err := b.Confirm(relay(confirm))
		if err != nil {
			if cb, err = b.Confirm(confirm); err != nil {
				over("Confirm", err)
				return
			}
		}
		// Bob has opened: from here on nothing that the relay did may show.
		text := seal(t, ca, "hello bob")
		bent := relay(text)
		if r, err := cb.Open(bent); err == nil != bytes.Equal(bent, text) {
			t.Fatalf("bob opens %x: %+v, %v", bent, r, err)
		} else if err != nil {
			if r, err = cb.Open(text); err != nil || string(r.Text) != "hello bob" {
				t.Fatalf("the honest text: %+v, %v", r, err)
			}
		}
		converseBothWays(t, ca, cb)
		if ca.Version() != versions[len(versions)-1] {
			t.Fatalf("version %d", ca.Version())
		}
	})
}
