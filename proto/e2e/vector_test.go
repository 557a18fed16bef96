package e2e

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"sim/proto/ticket"
)

// hexBytes is a JSON string of hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// draws is what crypto/rand gives until the test ends: these bytes, one after the other, and then no more.
func draws(t *testing.T) func(next ...hexBytes) {
	var queue bytes.Buffer
	was := rand.Reader
	rand.Reader = &queue
	t.Cleanup(func() { rand.Reader = was })
	return func(next ...hexBytes) {
		if queue.Len() != 0 {
			t.Fatalf("%d random bytes were not drawn", queue.Len())
		}
		for _, b := range next {
			queue.Write(b)
		}
	}
}

// A vector is a whole conversation from fixed keys and random bytes.
type vector struct {
	Initiator, Responder        string
	Versions, SpokenByResponder hexBytes
	Given                       struct {
		CID, NonceKey, IntroKey, TicketKey                                   hexBytes
		NB, N1, N2, N3, R, K                                                 hexBytes
		X, Y, Seed, M                                                        hexBytes
		NonceSalt, TicketSalt, IntroSalt, OfferSalt, AcceptSalt, ConfirmSalt hexBytes
		Mark                                                                 hexBytes // if it is random
	}
	Want, Nonce, Intro, IntroBox, Offer, Accept, Confirm hexBytes
	Digits                                               string
	Continued                                            bool
	Continuity                                           hexBytes // in version 2
	Messages                                             []struct {
		From         string
		Acknowledged uint64
		Kind         Kind
		Text         string
		Private      hexBytes // of the share, if the message is a turn
		Message      hexBytes
	}
}

func load(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// The files were made from docs/PROTOCOL.md alone, by programs in another language with other libraries.
func TestGoldenConversation(t *testing.T) {
	var v vector
	load(t, "opening.json", &v)
	v.play(t, nil)
}

// In version 2, and the second follows the first.
func TestGoldenRatchet(t *testing.T) {
	var vectors []vector
	load(t, "ratchet.json", &vectors)
	if len(vectors) != 2 || vectors[0].Continued || !vectors[1].Continued {
		t.Fatal("not two conversations, of which the second follows the first")
	}
	vectors[1].play(t, vectors[0].play(t, nil))
}

// play is the conversation, of two who hold this continuity secret, and returns theirs for the next.
func (v *vector) play(t *testing.T, held *[32]byte) *[32]byte {
	t.Helper()
	same := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Fatalf("%s:\n got %x\nwant %x", what, got, want)
		}
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	g := v.Given
	forA := &fresh{
		encapsulate: func(ek *mlkem.EncapsulationKey768) (secret, ciphertext []byte) {
			secret, ciphertext, err := mlkemtest.Encapsulate768(ek, g.M)
			check(err)
			return secret, ciphertext
		},
	}
	forB := &fresh{
		kem: func() *mlkem.DecapsulationKey768 {
			key, err := mlkem.NewDecapsulationKey768(g.Seed)
			check(err)
			return key
		},
	}
	from, to := name(v.Initiator), name(v.Responder)
	nonceKey, introKey, ticketKey := [32]byte(g.NonceKey), [32]byte(g.IntroKey), [32]byte(g.TicketKey)
	draw := draws(t)

	draw(g.CID)
	a, want, err := start(from, to, v.Versions, forA)
	check(err)
	same("Want", want, v.Want)

	draw(g.NB, g.NonceSalt)
	b, nonce, err := answer(to, from, want, v.SpokenByResponder, &nonceKey, forB)
	check(err)
	same("Nonce", nonce, v.Nonce)

	a.Continue(held)
	b.Continue(held)
	draw(g.N1)
	intro, err := a.Nonce(nonce)
	check(err)
	same("Intro", intro.Append(nil), v.Intro)

	draw(g.K, g.TicketSalt, g.IntroSalt)
	sealed, err := ticket.Issue(from, intro, &introKey, &ticket.Keys{Nonce: nonceKey, Ticket: ticketKey})
	check(err)
	same("intro box", sealed[:], v.IntroBox)

	draw(g.X, g.N2, g.R, g.Mark, g.OfferSalt)
	offer, err := a.Ticket(sealed[:], &introKey)
	check(err)
	same("Offer", offer, v.Offer)

	draw(g.Y, g.N3, g.AcceptSalt)
	accept, err := b.Offer(offer, from, &ticketKey)
	check(err)
	same("Accept", accept, v.Accept)

	draw(g.ConfirmSalt)
	confirm, ca, err := a.Accept(accept)
	check(err)
	same("Confirm", confirm, v.Confirm)

	draw()
	cb, err := b.Confirm(confirm)
	check(err)
	if ca.Digits() != v.Digits || cb.Digits() != v.Digits {
		t.Errorf("digits are %q and %q, want %q", ca.Digits(), cb.Digits(), v.Digits)
	}

	if ca.Continued() != v.Continued || cb.Continued() != v.Continued {
		t.Errorf("continued is %t and %t, want %t", ca.Continued(), cb.Continued(), v.Continued)
	}
	if v.Continuity != nil {
		same("the initiator's continuity secret", ca.Continuity()[:], v.Continuity)
		same("the responder's continuity secret", cb.Continuity()[:], v.Continuity)
	}

	if len(v.Messages) == 0 {
		t.Fatal("no messages")
	}
	for i, m := range v.Messages {
		from, to := ca, cb
		if m.From == v.Responder {
			from, to = cb, ca
		}
		from.HandedOut(m.Acknowledged)
		draw(m.Private)
		_, msg, err := from.Seal(m.Kind, []byte(m.Text))
		check(err)
		same("message", msg, m.Message)
		r, err := to.Open(m.Message)
		check(err)
		if r.Kind != m.Kind || string(r.Text) != m.Text || r.Acknowledged != m.Acknowledged {
			t.Errorf("message %d: %+v", i, r)
		}
	}
	draw()
	return ca.Continuity()
}
