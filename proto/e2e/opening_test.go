package e2e

import (
	"bytes"
	"errors"
	"reflect"
	"regexp"
	"testing"

	"sim/proto/ticket"
)

var twelve = regexp.MustCompile(`^\d{3} \d{3} \d{3} \d{3}$`)

func TestOpening(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atEnd)
		if o.ca.Peer() != bob || o.cb.Peer() != alice {
			t.Error("wrong peers")
		}
		cid := ticket.CID(o.want[1:headerSize])
		if o.a.CID() != cid || o.b.CID() != cid || o.ca.CID() != cid || o.cb.CID() != cid {
			t.Error("wrong cid")
		}
		if version := spoken[len(spoken)-1]; o.ca.Version() != version || o.cb.Version() != version {
			t.Error("wrong version")
		}
		if !twelve.MatchString(o.ca.Digits()) {
			t.Errorf("digits: %q", o.ca.Digits())
		}
		for what, c := range map[string]struct {
			msg  []byte
			size int
		}{
			"Want": {o.want, 18 + len(spoken)}, "Nonce": {o.nonce, 162}, "Offer": {o.offer, []int{1: 289, 2: 305}[o.ca.Version()]},
			"Accept": {o.accept, []int{1: 1313, 2: 1314}[o.ca.Version()]}, "Confirm": {o.confirm, 1233 + 82}, "intro box": {o.introBox, 352},
		} {
			if len(c.msg) != c.size {
				t.Errorf("%s has %d bytes, want %d", what, len(c.msg), c.size)
			}
		}
		if _, msg, err := o.cb.Seal(KindAck, nil); err != nil {
			t.Error(err)
		} else if r, err := o.ca.Open(msg); err != nil || r.Number != 1 || r.Kind != KindAck || r.Acknowledged != 1 {
			t.Errorf("bob's answer to Confirm: %+v, %v", r, err)
		}
		converseBothWays(t, o.ca, o.cb)
	})
}

func TestOpeningsHaveNothingInCommon(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		one, two := play(t, atEnd), play(t, atEnd)
		if one.a.CID() == two.a.CID() || one.ca.Digits() == two.ca.Digits() || one.intro.N1 == two.intro.N1 {
			t.Error("cid, digits or N_1 come twice")
		}
		if one.cb.opening.key == two.cb.opening.key || one.cb.sending.key == one.cb.opening.key {
			t.Error("a chain comes twice")
		}
		if one.cb.sending.begun && one.cb.sending.key == two.cb.sending.key || one.cb.version == 2 && one.cb.ratchet.root == two.cb.ratchet.root {
			t.Error("a chain or a root comes twice")
		}
	})
}

func TestHighestCommonVersion(t *testing.T) {
	for _, c := range []struct {
		a, b []byte
		want byte
	}{
		{[]byte{1}, []byte{1}, 1},
		{[]byte{1, 2}, []byte{1}, 1},
		{[]byte{1}, []byte{1, 2}, 1},
		{[]byte{1, 2}, []byte{1, 2}, 2},
		{[]byte{2}, []byte{1, 2}, 2},
	} {
		o := playVersions(t, atEnd, c.a, c.b)
		if o.ca.Version() != c.want || o.cb.Version() != c.want {
			t.Errorf("%v and %v: got %d, want %d", c.a, c.b, o.ca.Version(), c.want)
		}
		for range 3 {
			converseBothWays(t, o.ca, o.cb)
		}
	}
	// Clients to come speak more than this package does.
	cid := ticket.CID{1}
	b, nonce, err := Answer(bob, alice, appendWant(&cid, []byte{2, 3, 200}), Versions, &bobKeys.Nonce)
	if err != nil || b.version != 2 || nonce[headerSize] != 2 {
		t.Errorf("a Want with 3 and 200: %v", err)
	}
	_, _, err = Answer(bob, alice, appendWant(&cid, []byte{2}), []byte{1}, &bobKeys.Nonce)
	refused(t, "no common version", err, ErrNoVersion)
	for _, versions := range [][]byte{nil, {0}, {2, 1}, {1, 1}, {3}, {1, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		_, _, err := Start(alice, bob, versions)
		refused(t, "no version list of ours", err, ErrNoVersion)
		_, _, err = Answer(bob, alice, appendWant(&cid, []byte{1, 2, 3}), versions, &bobKeys.Nonce)
		refused(t, "no version list of ours", err, ErrNoVersion)
	}
	if !bytes.Equal(Versions, []byte{1, 2}) {
		t.Errorf("Versions are %v", Versions)
	}
}

// What the caller does with its slices afterwards changes nothing.
func TestOpeningOwnsItsVersions(t *testing.T) {
	versions := []byte{1, 2}
	a, want, err := Start(alice, bob, versions)
	if err != nil {
		t.Fatal(err)
	}
	versions[1] = 3
	b, nonce, err := Answer(bob, alice, want, []byte{1, 2}, &bobKeys.Nonce)
	if err != nil {
		t.Fatal(err)
	}
	(&opening{a: a, b: b, nonce: nonce}).finish(t)
}

func TestNobodyOpensToHimself(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		_, _, err := Start(alice, alice, spoken)
		refused(t, "Start", err, ErrSelf)
		_, want, _ := Start(alice, bob, spoken)
		_, _, err = Answer(alice, alice, want, spoken, &aliceKeys.Nonce)
		refused(t, "Answer", err, ErrSelf)
	})
}

// Every state against every honest message of another: ErrTurn, and nothing changes.
func TestStepsOutOfTurn(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		for stage := atWant; stage <= atEnd; stage++ {
			// The messages of a whole run with these two ends, made ahead on copies of them.
			o := play(t, stage)
			ahead := play(t, atEnd)
			for what, c := range map[string]struct {
				due  bool
				step func(a *Initiator, b *Responder) error
			}{
				"Nonce": {o.a.step == awaitNonce, func(a *Initiator, _ *Responder) error { _, err := a.Nonce(ahead.nonce); return err }},
				"Ticket": {o.a.step == awaitTicket, func(a *Initiator, _ *Responder) error {
					_, err := a.Ticket(ahead.introBox, &aliceKeys.Intro)
					return err
				}},
				"Accept": {o.a.step == awaitAccept, func(a *Initiator, _ *Responder) error { _, _, err := a.Accept(ahead.accept); return err }},
				"Offer": {o.b != nil && o.b.step == awaitOffer, func(_ *Initiator, b *Responder) error {
					_, err := b.Offer(ahead.offer, alice, &bobKeys.Ticket)
					return err
				}},
				"Confirm": {o.b != nil && o.b.step == awaitConfirm, func(_ *Initiator, b *Responder) error { _, err := b.Confirm(ahead.confirm); return err }},
			} {
				a, b := *o.a, new(Responder)
				if o.b != nil {
					*b = *o.b
				}
				wasA, wasB := a, *b
				if err := c.step(&a, b); errors.Is(err, ErrTurn) == c.due || err == nil {
					t.Errorf("stage %d, %s: got %v", stage, what, err)
				}
				if !reflect.DeepEqual(a, wasA) || !reflect.DeepEqual(*b, wasB) {
					t.Errorf("stage %d, %s changed the state", stage, what)
				}
			}
		}
	})
}

// A machine that has ended has no secret left, and a cleared one takes nothing.
func TestEndedOpeningsForget(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atEnd)
		check := func(what string, a *Initiator, b *Responder) {
			t.Helper()
			if a.step != over || a.past != (past{}) || !zero(join(a.n1[:], a.n2[:], a.k[:], a.r[:], a.x[:])) {
				t.Errorf("%s: alice remembers %+v", what, a)
			}
			if b.step != over || b.past != (past{}) || b.q != nil || !zero(join(b.nb[:], b.n3[:], b.k[:], b.y[:])) {
				t.Errorf("%s: bob remembers %+v", what, b)
			}
		}
		check("done", o.a, o.b)

		o = play(t, atOffer)
		o.a.Clear()
		o.b.Clear()
		check("cleared before Offer", o.a, o.b)

		o = play(t, atConfirm)
		if !zero(o.b.nb[:]) {
			t.Error("bob remembers N_B after Offer")
		}
		o.a.Clear()
		o.b.Clear()
		check("cleared", o.a, o.b)
		_, _, err := o.a.Accept(o.accept)
		refused(t, "cleared initiator", err, ErrTurn)
		_, err = o.b.Confirm(o.confirm)
		refused(t, "cleared responder", err, ErrTurn)
	})
}

func TestMalloryFlipsEveryByteOfWant(t *testing.T) {
	honest := playVersions(t, atWant, []byte{1, 2}, nil)
	for i := range honest.want {
		a := *honest.a
		_, nonce, err := Answer(bob, alice, flip(honest.want, i), []byte{1, 2}, &bobKeys.Nonce)
		if err != nil {
			continue
		}
		intro, err := a.Nonce(nonce)
		if err != nil {
			continue
		}
		if _, err := ticket.Issue(alice, intro, &aliceKeys.Intro, bobKeys); !errors.Is(err, ticket.ErrRefused) {
			t.Errorf("byte %d: the server issues a ticket: %v", i, err)
		}
	}
}

func TestMalloryFlipsEveryByteOfNonce(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atNonce)
		for i := range o.nonce {
			a := *o.a
			intro, err := a.Nonce(flip(o.nonce, i))
			if (err == nil) != (i > headerSize) { // alice can't tell about the box
				t.Errorf("byte %d: got %v", i, err)
			}
			if err != nil {
				if a.step != awaitNonce {
					t.Errorf("byte %d changed the state", i)
				}
				continue
			}
			if _, err := ticket.Issue(alice, intro, &aliceKeys.Intro, bobKeys); !errors.Is(err, ticket.ErrRefused) {
				t.Errorf("byte %d: the server issues a ticket: %v", i, err)
			}
		}
		o.finish(t)
	})
}

func TestMalloryFlipsEveryByteOfTheIntroBox(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atTicket)
		for i := range o.introBox {
			_, err := o.a.Ticket(flip(o.introBox, i), &aliceKeys.Intro)
			refused(t, "flipped", err, ErrOpen)
		}
		for _, sealed := range [][]byte{nil, o.introBox[1:], append(bytes.Clone(o.introBox), 0)} {
			_, err := o.a.Ticket(sealed, &aliceKeys.Intro)
			refused(t, "of another length", err, ErrOpen)
		}
		_, err := o.a.Ticket(o.introBox, &aliceKeys.Ticket)
		refused(t, "under another key", err, ErrOpen)
		o.finish(t)
	})
}

func TestMalloryFlipsEveryByteOfOffer(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atOffer)
		for i := range o.offer {
			b := *o.b
			_, err := b.Offer(flip(o.offer, i), alice, &bobKeys.Ticket)
			if err == nil {
				t.Fatalf("byte %d: bob accepts", i)
			}
			// N_B is used up by a ticket that opens, whatever follows.
			want := awaitOffer
			if i >= headerSize+ticket.Size {
				want = over
				refused(t, "the box beside a good ticket", err, ErrOpen)
				_, err = b.Offer(o.offer, alice, &bobKeys.Ticket)
				refused(t, "the honest Offer then", err, ErrTurn)
			}
			if b.step != want {
				t.Errorf("byte %d: bob is at step %d, want %d", i, b.step, want)
			}
		}
		o.finish(t)
	})
}

func TestMalloryFlipsEveryByteOfAccept(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atAccept)
		for i := range o.accept {
			if _, _, err := o.a.Accept(flip(o.accept, i)); err == nil {
				t.Fatalf("byte %d: alice accepts", i)
			}
		}
		o.finish(t)
	})
}

func TestMalloryFlipsEveryByteOfConfirm(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atConfirm)
		for i := range o.confirm {
			if _, err := o.b.Confirm(flip(o.confirm, i)); err == nil {
				t.Fatalf("byte %d: bob accepts", i)
			}
		}
		o.finish(t)
	})
}

func TestMalloryCutsAndLengthens(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atEnd)
		_, text, _ := o.ca.Seal(KindText, []byte("hello"))
		for _, msg := range [][]byte{o.want, o.nonce, Decline(o.a.CID(), DeclineBusy), o.offer, o.accept, o.confirm, text} {
			if typ, cid, err := Header(msg); err != nil || typ != msg[0] || cid != o.a.CID() {
				t.Errorf("type %d: %v", msg[0], err)
			}
			for n := range msg {
				if _, _, err := Header(msg[:n]); msg[0] == TypeMessage && n == 82 || msg[0] == TypeOffer && n == 289 || msg[0] == TypeAccept && n == 1313 {
					continue // as long as an acknowledgement, or as in version 1
				} else if !errors.Is(err, ErrMalformed) {
					t.Errorf("%d bytes of type %d: got %v, want ErrMalformed", n, msg[0], err)
				}
			}
			if n := len(msg); msg[0] == TypeAccept && n == 1313 {
				continue // as long as in version 2
			}
			if _, _, err := Header(append(bytes.Clone(msg), 0)); !errors.Is(err, ErrMalformed) {
				t.Errorf("a byte after type %d: got %v, want ErrMalformed", msg[0], err)
			}
		}
		for _, typ := range []byte{0, 8, 255} {
			for _, size := range []int{18, 19, 82, 162, 289, 305, 1313, 1314, 1315} {
				msg := make([]byte, size)
				msg[0], msg[headerSize] = typ, 1
				if _, _, err := Header(msg); !errors.Is(err, ErrMalformed) {
					t.Errorf("type %d: got %v, want ErrMalformed", typ, err)
				}
			}
		}
	})
}

// Every message against every step that waits for another: its type is not taken.
func TestMessagesInThePlaceOfOthers(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atEnd)
		messages := map[byte][]byte{
			TypeWant: o.want, TypeNonce: o.nonce, TypeDecline: Decline(o.a.CID(), DeclineBusy),
			TypeOffer: o.offer, TypeAccept: o.accept, TypeConfirm: o.confirm,
		}
		for typ, msg := range messages {
			for place, other := range map[byte][]byte{TypeNonce: o.nonce, TypeOffer: o.offer, TypeAccept: o.accept, TypeConfirm: o.confirm} {
				if typ == place {
					continue
				}
				refused(t, "as it is", due(place, o.a.CID(), msg), ErrMalformed)
				relabelled := bytes.Clone(msg)
				relabelled[0] = place
				if due(place, o.a.CID(), relabelled) == nil {
					t.Errorf("type %d passes as %d", typ, place)
				}
				longer := append(bytes.Clone(other[:1]), make([]byte, len(msg)-1)...)
				if len(msg) != len(other) {
					refused(t, "of another type's length", due(place, o.a.CID(), longer), ErrMalformed)
				}
			}
			if typ != TypeWant {
				_, _, err := Answer(bob, alice, msg, spoken, &bobKeys.Nonce)
				refused(t, "in Want's place", err, ErrMalformed)
			}
		}
	})
}

func TestMalformedWants(t *testing.T) {
	cid := ticket.CID{1}
	for _, list := range []string{"", "\x00", "\x01\x00", "\x02\x01\x01", "\x02\x02\x01", "\x01\x01\x02", "\x02\x01", "\x09\x01\x02\x03\x04\x05\x06\x07\x08\x09"} {
		_, _, err := Answer(bob, alice, append(header(TypeWant, &cid, 0), list...), spoken, &bobKeys.Nonce)
		refused(t, list, err, ErrMalformed)
	}
}

func TestDecline(t *testing.T) {
	cid := ticket.CID{1, 2}
	for _, reason := range []DeclineReason{DeclineVersion, DeclineUnknown, DeclineBusy} {
		msg := Decline(cid, reason)
		gotCID, got, err := ParseDecline(msg)
		if err != nil || gotCID != cid || got != reason || len(msg) != 18 {
			t.Errorf("reason %d: got %d, %v", reason, got, err)
		}
	}
	for _, msg := range [][]byte{nil, Decline(cid, 0), Decline(cid, 4), append(Decline(cid, 1), 0), Decline(cid, 1)[:17], append([]byte{TypeOffer}, Decline(cid, 1)[1:]...)} {
		_, _, err := ParseDecline(msg)
		refused(t, "no Decline", err, ErrMalformed)
	}
	want := play(t, atWant).want
	want[0] = TypeWant
	_, _, err := ParseDecline(want)
	refused(t, "a Want", err, ErrMalformed)
}
