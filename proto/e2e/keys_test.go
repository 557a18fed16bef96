package e2e

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"sim/proto/box"
	"sim/proto/ticket"
)

// ledger holds every key that sealed something. All nonces are zero, so a key that comes twice is a (key, nonce) pair that
// comes twice. It derives the keys from the page, with crypto/hmac, and believes none that does not open what was sent.
type ledger struct {
	t    *testing.T
	keys map[string]string // key → what it sealed
	once map[string]bool   // other secrets
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(join(parts...))
	return h.Sum(nil)
}

func (l *ledger) open(what string, key, data, ciphertext []byte) []byte {
	l.t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		l.t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		l.t.Fatal(err)
	}
	plaintext, err := gcm.Open(nil, make([]byte, 12), ciphertext, data)
	if err != nil {
		l.t.Fatalf("%s is not under the key of the page", what)
	}
	if before, ok := l.keys[string(key)]; ok {
		l.t.Fatalf("one key seals %s and %s", before, what)
	}
	l.keys[string(key)] = what
	return plaintext
}

func (l *ledger) box(label string, direction byte, key []byte, context [32]byte, sealed []byte) []byte {
	l.t.Helper()
	boxKey := mac(mac(sealed[:32], key), []byte(label), []byte{direction}, context[:], []byte{1})
	return l.open(label, boxKey, nil, sealed[32:])
}

// A messageChain follows one direction of a conversation.
type messageChain struct {
	key       []byte
	share     []byte // what it carries
	direction byte
}

// conversationLedger follows a conversation.
type conversationLedger struct {
	*ledger
	h7, root []byte              // the root in version 2
	chains   [2]*messageChain    // by direction
	private  [2]*ecdh.PrivateKey // of the last share of each
}

func (l *ledger) conversation(version byte, kab, h7 []byte, eA *ecdh.PrivateKey) *conversationLedger {
	c := &conversationLedger{ledger: l, h7: h7, private: [2]*ecdh.PrivateKey{eA}}
	c.chains[0] = &messageChain{mac(kab, []byte("sim/1 chain initiator"), h7, []byte{1}), make([]byte, 32), 0}
	if version == 1 {
		c.chains[1] = &messageChain{mac(kab, []byte("sim/1 chain responder"), h7, []byte{1}), make([]byte, 32), 1}
	} else {
		c.chains[1] = &messageChain{direction: 1}
		c.root = mac(kab, []byte("sim/1 root"), h7, []byte{1})
	}
	return c
}

// message takes what from has just sealed.
func (l *conversationLedger) message(from *Conversation, msg []byte) {
	l.t.Helper()
	c := l.chains[from.role]
	if share := msg[25:57]; !bytes.Equal(share, c.share) {
		own, err := ecdh.X25519().NewPrivateKey(from.ratchet.own[:])
		if err != nil {
			l.t.Fatal(err)
		}
		if !bytes.Equal(own.PublicKey().Bytes(), share) {
			l.t.Fatal("the share is not of the private key that was kept")
		}
		d, err := own.ECDH(l.private[1-from.role].PublicKey())
		if err != nil {
			l.t.Fatal(err)
		}
		secret := mac(l.root, d)
		c.key, c.share = mac(secret, []byte("sim/1 turn"), l.h7, []byte{1}), share
		l.root = mac(secret, []byte("sim/1 root"), l.h7, []byte{1})
		l.private[from.role] = own
		for what, key := range map[string][]byte{"chain": c.key, "root": l.root, "private key": from.ratchet.own[:]} {
			if l.once[string(key)] {
				l.t.Fatalf("a %s comes twice", what)
			}
			l.once[string(key)] = true
		}
	}
	data := join(msg[1:17], []byte{c.direction}, msg[17:57])
	l.open("message", mac(c.key, []byte("sim/1 message"), []byte{1}), data, msg[57:])
	c.key = mac(c.key, []byte("sim/1 step"), []byte{1})
}

// Whole runs, among them one whose Want was replayed so that its cid comes twice, under the same keys of the users.
func TestNoKeySealsTwice(t *testing.T) { eachVersion(t, noKeySealsTwice) }

func noKeySealsTwice(t *testing.T) {
	l := &ledger{t, make(map[string]string), make(map[string]bool)}
	var replayed *opening
	for i := range 12 {
		o := play(t, atNonce)
		if i%3 == 2 { // alice's Want again: bob answers it once more, and she begins anew with that cid
			a := *o.a
			a.run, a.h = replayed.ca.run, replayed.ca.run.Transcript(spoken)
			o.a = &a
			var err error
			if o.b, o.nonce, err = Answer(bob, alice, replayed.want, spoken, &bobKeys.Nonce); err != nil {
				t.Fatal(err)
			}
		}
		intro, err := o.a.Nonce(o.nonce)
		if err != nil {
			t.Fatal(err)
		}
		o.introBox = issue(t, intro)
		if o.offer, err = o.a.Ticket(o.introBox, &aliceKeys.Intro); err != nil {
			t.Fatal(err)
		}
		if o.accept, err = o.b.Offer(o.offer, alice, &bobKeys.Ticket); err != nil {
			t.Fatal(err)
		}
		x, q := o.a.x.key(), o.b.q
		if o.confirm, o.ca, err = o.a.Accept(o.accept); err != nil {
			t.Fatal(err)
		}
		if o.cb, err = o.b.Confirm(o.confirm); err != nil {
			t.Fatal(err)
		}
		replayed = o

		h0 := o.ca.run.Transcript(spoken)
		h2 := box.MixHash(&h0, o.nonce)
		l.box("sim/1 box nonce", 0, bobKeys.Nonce[:], h0, o.nonce[18:])
		inside := l.box("sim/1 box intro", 1, aliceKeys.Intro[:], box.MixHash(&h2, intro.N1[:]), o.introBox)
		k, sealed := inside[96:128], inside[128:]
		if !bytes.Equal(sealed, o.offer[17:][:ticket.Size]) {
			t.Fatal("the Offer's ticket is not the intro box's")
		}
		l.box("sim/1 box ticket", 1, bobKeys.Ticket[:], h2, sealed)
		ht := box.MixHash(&h2, sealed)
		l.box("sim/1 box offer", 0, k, ht, o.offer[17+176:])
		h5 := box.MixHash(&ht, o.offer)
		accepted := l.box("sim/1 box accept", 1, k, h5, o.accept[17:])
		h6 := box.MixHash(&h5, o.accept)
		confirmed := l.box("sim/1 box confirm", 0, k, h6, o.confirm[17:1233])
		h7 := box.MixHash(&h6, o.confirm[:1233])

		dh, err := agree(x, accepted[32:64])
		if err != nil {
			t.Fatal(err)
		}
		kem, err := q.Decapsulate(confirmed[80:])
		if err != nil {
			t.Fatal(err)
		}
		kab := mac(mac(k, dh, kem), []byte("sim/1 conversation"), h7[:], []byte{1})
		both := l.conversation(o.ca.Version(), kab, h7[:], x)
		both.message(o.ca, o.confirm[1233:])
		say := func(from, to *Conversation, kind Kind) {
			_, msg, err := from.Seal(kind, []byte("hello")[:5*(kind/2)])
			if err != nil {
				t.Fatal(err)
			}
			both.message(from, msg)
			if _, err := to.Open(msg); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			for _, kind := range []Kind{KindText, KindAck} {
				for _, ends := range [][2]*Conversation{{o.ca, o.cb}, {o.cb, o.ca}} {
					for range 1 + i%2 {
						say(ends[0], ends[1], kind)
						if i%4 < 2 {
							ends[0].Prepare()
							ends[1].Prepare()
						}
					}
				}
			}
		}
	}
	if want := 12 * (6 + 1 + 120); len(l.keys) != want {
		t.Errorf("%d keys, want %d", len(l.keys), want)
	}
	if want := 12 * 3 * 79 * int(spoken[len(spoken)-1]-1); len(l.once) != want { // all turn but alice's first two
		t.Errorf("%d secrets of turns, want %d", len(l.once), want)
	}
}
