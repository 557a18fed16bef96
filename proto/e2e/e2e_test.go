package e2e

import (
	"testing"

	"sim/proto/ticket"
)

// story is the cast: alice opens to bob, each with the keys of a session at the server.
type story struct {
	alice, bob         ticket.Name
	aliceKeys, bobKeys ticket.Keys
}

func name(s string) (n ticket.Name) {
	copy(n[:], s)
	return n
}

func TestOpening(t *testing.T) {
	alice, bob := name("alice"), name("bob")
	ak := &ticket.Keys{Nonce: [32]byte{1}, Intro: [32]byte{2}, Ticket: [32]byte{3}}
	bk := &ticket.Keys{Nonce: [32]byte{4}, Intro: [32]byte{5}, Ticket: [32]byte{6}}
	a, want, err := Start(alice, bob, Versions)
	if err != nil {
		t.Fatal(err)
	}
	b, nonce, err := Answer(bob, alice, want, Versions, &bk.Nonce)
	if err != nil {
		t.Fatal(err)
	}
	intro, err := a.Nonce(nonce)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ticket.Issue(alice, intro, &ak.Intro, bk)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := a.Ticket(sealed[:], &ak.Intro)
	if err != nil {
		t.Fatal(err)
	}
	accept, err := b.Offer(offer, alice, &bk.Ticket)
	if err != nil {
		t.Fatal(err)
	}
	confirm, ca, err := a.Accept(accept)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := b.Confirm(confirm)
	if err != nil {
		t.Fatal(err)
	}
	if ca.Digits() != cb.Digits() {
		t.Error("digits differ")
	}
	n, m, err := cb.Seal(KindText, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ca.Open(m)
	if err != nil || string(r.Text) != "hello" || n != 1 || r.Acknowledged != 1 {
		t.Fatal(r, err)
	}
	t.Log(ca.Digits())
}
