package e2e

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"sim/proto/ticket"
)

// honest are the messages of an opening and a few more, as seeds.
func honest(f *testing.F) [][]byte {
	o := play(f, atEnd)
	seeds := [][]byte{
		o.want, o.nonce, Decline(o.a.CID(), DeclineUnknown), o.offer, o.accept, o.confirm,
		appendWant(&o.a.run.CID, []byte{1, 2, 3, 4, 5, 6, 7, 8}),
	}
	two := playVersions(f, atEnd, Versions, Versions)
	seeds = append(seeds, two.offer, two.accept, two.confirm, seal(f, two.cb, "a share"))
	for _, text := range []string{"a", "hello", string(make([]byte, 257)), string(make([]byte, MaxText))} {
		seeds = append(seeds, seal(f, o.ca, text))
	}
	for _, kind := range []Kind{KindAck, KindBye} {
		_, msg, err := o.cb.Seal(kind, nil)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, msg)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	return seeds
}

// What parses encodes to the same bytes.
func FuzzHeader(f *testing.F) {
	for _, seed := range honest(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		typ, cid, err := Header(msg)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || typ != 0 || cid != (ticket.CID{}) {
				t.Errorf("got %d, %x, %v", typ, cid, err)
			}
			return
		}
		if !bytes.HasPrefix(msg, header(typ, &cid, 0)) || len(msg) > 10240 {
			t.Errorf("type %d, cid %x of %x", typ, cid, msg)
		}
		var again []byte
		switch typ {
		case TypeWant:
			cid, versions, err := parseWant(msg)
			if err != nil {
				return
			}
			again = appendWant(&cid, versions)
		case TypeNonce:
			nonce, err := ticket.ParseNonce(msg)
			if err != nil {
				t.Fatal("Header takes a Nonce that does not parse")
			}
			again = nonce.Append(nil)
		case TypeDecline:
			cid, reason, err := ParseDecline(msg)
			if err != nil {
				return
			}
			again = Decline(cid, reason)
		default:
			return
		}
		if !bytes.Equal(again, msg) {
			t.Errorf("%x encodes to %x", msg, again)
		}
	})
}

func FuzzPlaintext(f *testing.F) {
	f.Add(said(0, KindAck))
	f.Add(said(1, KindOpen))
	f.Add(said(1<<64-1, KindBye))
	f.Add(said(3, KindText, []byte{0, 1, 'a'}, make([]byte, 255)))
	f.Add(said(3, KindText, []byte{1, 1}, bytes.Repeat([]byte{'a'}, 257), make([]byte, 255)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parsePlaintext(b)
		if err != nil {
			if !errors.Is(err, ErrViolation) || !reflect.DeepEqual(r, Received{}) {
				t.Errorf("got %+v, %v", r, err)
			}
			return
		}
		if r.Kind != KindText {
			if again := said(r.Acknowledged, r.Kind); !bytes.Equal(again, b) {
				t.Errorf("%x encodes to %x", b, again)
			}
			return
		}
		n := len(r.Text)
		if n == 0 || n > MaxText || !utf8.Valid(r.Text) {
			t.Errorf("a text that is none: %x", r.Text)
		}
		again := said(r.Acknowledged, r.Kind, []byte{byte(n >> 8), byte(n)}, r.Text, make([]byte, padded(n)-n))
		if !bytes.Equal(again, b) {
			t.Errorf("%x encodes to %x", b, again)
		}
	})
}

// mutate is the honest message with some bytes changed, cut or added, so that the fuzzer gets past the type and the cid.
func mutate(msg, mask []byte, cut int16) []byte {
	changed := bytes.Clone(msg)
	for i := range min(len(mask), len(changed)) {
		changed[i] ^= mask[i]
	}
	switch {
	case cut < 0 && int(-cut) <= len(changed):
		changed = changed[:len(changed)+int(cut)]
	case cut > 0:
		changed = append(changed, make([]byte, cut)...)
	}
	return changed
}

func seeds(f *testing.F) {
	f.Add([]byte{}, int16(0), false)
	f.Add([]byte{1}, int16(0), false)
	f.Add([]byte{16: 1}, int16(0), false)
	f.Add([]byte{17: 3}, int16(0), false)
	f.Add([]byte{100: 1}, int16(0), false)
	f.Add([]byte{200: 0x80}, int16(0), false)
	f.Add([]byte{1240: 0x80}, int16(0), false)
	f.Add([]byte{}, int16(-1), false)
	f.Add([]byte{}, int16(1), false)
	for _, msg := range honest(f) {
		f.Add(msg, int16(0), true)
	}
}

// Whatever comes in whichever state: either it is the honest message, or it is refused and changes nothing.
func FuzzInitiator(f *testing.F) {
	seeds(f)
	atN, atT := play(f, atNonce), play(f, atTicket)
	atA := [2]*opening{play(f, atAccept), playVersions(f, atAccept, Versions, Versions)}
	accept := func(a *Initiator, msg []byte) (any, error) { _, c, err := a.Accept(msg); return c, err }
	f.Fuzz(func(t *testing.T, mask []byte, cut int16, raw bool) {
		for _, c := range []struct {
			o     *opening
			msg   []byte
			given func(a *Initiator, msg []byte) (any, error)
		}{
			{atN, atN.nonce, func(a *Initiator, msg []byte) (any, error) { return a.Nonce(msg) }},
			{atT, atT.introBox, func(a *Initiator, msg []byte) (any, error) { return a.Ticket(msg, &aliceKeys.Intro) }},
			{atA[0], atA[0].accept, accept},
			{atA[1], atA[1].accept, accept},
		} {
			msg := mask
			if !raw {
				msg = mutate(c.msg, mask, cut)
			}
			a := *c.o.a
			got, err := c.given(&a, msg)
			same := bytes.Equal(msg, c.msg)
			if c.o == atN && len(msg) == len(c.msg) && bytes.Equal(msg[:18], c.msg[:18]) {
				same = true // alice can't tell about the box
			}
			if (err == nil) != same {
				t.Errorf("%x: got %v, %v", msg, got, err)
			}
			if err != nil && !reflect.DeepEqual(a, *c.o.a) {
				t.Errorf("%x changed the state", msg)
			}
		}
	})
}

func FuzzResponder(f *testing.F) {
	seeds(f)
	atO := [2]*opening{play(f, atOffer), playVersions(f, atOffer, Versions, Versions)}
	atC := [2]*opening{play(f, atConfirm), playVersions(f, atConfirm, Versions, Versions)}
	f.Fuzz(func(t *testing.T, mask []byte, cut int16, raw bool) {
		for version := range atO {
			change := func(msg []byte) []byte {
				if raw {
					return mask
				}
				return mutate(msg, mask, cut)
			}
			fuzzWant(t, change(atO[version].want))
			fuzzOffer(t, atO[version], change(atO[version].offer))
			fuzzConfirm(t, atC[version], change(atC[version].confirm))
		}
	})
}

func fuzzWant(t *testing.T, want []byte) {
	b, _, err := Answer(bob, alice, want, Versions, &bobKeys.Nonce)
	if _, versions, malformed := parseWant(want); malformed != nil {
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("Want %x: %v", want, err)
		}
	} else if _, ok := highest(versions, Versions); ok != (err == nil) || ok != (b != nil) {
		t.Errorf("Want %x: %v", want, err)
	}
}

func fuzzOffer(t *testing.T, o *opening, offer []byte) {
	b := *o.b
	_, err := b.Offer(offer, alice, &bobKeys.Ticket)
	if (err == nil) != bytes.Equal(offer, o.offer) {
		t.Errorf("Offer %x: %v", offer, err)
	}
	usedUp := len(offer) == len(o.offer) && bytes.Equal(offer[:headerSize+ticket.Size], o.offer[:headerSize+ticket.Size])
	if err != nil && !usedUp && !reflect.DeepEqual(b, *o.b) {
		t.Errorf("Offer %x changed the state", offer)
	}
	if err != nil && usedUp && b.step != over {
		t.Errorf("Offer %x left N_B in use", offer)
	}
}

func fuzzConfirm(t *testing.T, o *opening, confirm []byte) {
	b := *o.b
	got, err := b.Confirm(confirm)
	if same := bytes.Equal(confirm, o.confirm); (err == nil) != same || (got != nil) != same {
		t.Errorf("Confirm %x: %v", confirm, err)
	}
	if err != nil && !reflect.DeepEqual(b, *o.b) {
		t.Errorf("Confirm %x changed the state", confirm)
	}
}

// In version 1, and in version 2 with a share that is the last one's and with a new one.
func FuzzConversationOpen(f *testing.F) {
	seeds(f)
	type end struct {
		c    *Conversation
		next []byte
	}
	var ends []end
	for _, versions := range [][]byte{{plain}, Versions} {
		o := playVersions(f, atEnd, versions, versions)
		say(f, o.ca, o.cb, "one")
		ends = append(ends, end{o.cb, seal(f, o.ca, "two")}, end{o.ca, seal(f, o.cb, "one")})
	}
	f.Fuzz(func(t *testing.T, mask []byte, cut int16, raw bool) {
		for _, e := range ends {
			msg := mask
			if !raw {
				msg = mutate(e.next, mask, cut)
			}
			c := *e.c
			r, err := c.Open(msg)
			if (err == nil) != bytes.Equal(msg, e.next) {
				t.Errorf("%x: %+v, %v", msg, r, err)
			}
			if err != nil && c != *e.c {
				t.Errorf("%x changed the conversation", msg)
			}
		}
	})
}
