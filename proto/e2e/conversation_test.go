package e2e

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"sim/proto/box"
	"sim/proto/ticket"
)

// talk is an open conversation between alice and bob.
func talk(t testing.TB) (ca, cb *Conversation) {
	t.Helper()
	o := play(t, atEnd)
	return o.ca, o.cb
}

func seal(t testing.TB, c *Conversation, text string) []byte {
	t.Helper()
	_, msg, err := c.Seal(KindText, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// unopened fails the test unless c refuses msg with this error and stays as it was.
func unopened(t *testing.T, what string, c *Conversation, msg []byte, want error) {
	t.Helper()
	was := *c
	got, err := c.Open(msg)
	refused(t, what, err, want)
	if !reflect.DeepEqual(got, Received{}) {
		t.Errorf("%s: an error, and %+v", what, got)
	}
	if *c != was {
		t.Errorf("%s changed the conversation", what)
	}
}

func TestMessagesInOrder(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		for i := range uint64(20) {
			if r := say(t, ca, cb, "from alice"); r.Number != i+2 {
				t.Errorf("alice's number is %d, want %d", r.Number, i+2)
			}
			if r := say(t, cb, ca, "from bob"); r.Number != i+1 {
				t.Errorf("bob's number is %d, want %d", r.Number, i+1)
			}
		}
	})
}

func TestMalloryRepeatsSwapsAndDrops(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		one, two, three := seal(t, ca, "one"), seal(t, ca, "two"), seal(t, ca, "three")

		unopened(t, "swapped", cb, two, ErrLater)
		unopened(t, "two dropped", cb, three, ErrLater)
		for _, msg := range [][]byte{one, two} {
			if _, err := cb.Open(msg); err != nil {
				t.Fatal(err)
			}
			unopened(t, "repeated", cb, msg, ErrEarlier)
			unopened(t, "an older one", cb, one, ErrEarlier)
		}
		if r, err := cb.Open(three); err != nil || string(r.Text) != "three" || r.Number != 4 {
			t.Errorf("three: %+v, %v", r, err)
		}
		// Numbers that no message has.
		for _, c := range []struct {
			number uint64
			want   error
		}{{0, ErrEarlier}, {6, ErrLater}, {1<<64 - 1, ErrLater}} {
			msg := seal(t, ca, "four")
			binary.BigEndian.PutUint64(msg[headerSize:], c.number)
			unopened(t, "made-up number", cb, msg, c.want)
		}
	})
}

func TestMalloryFlipsEveryByteOfMessage(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		msg := seal(t, ca, "hello")
		for i := range msg {
			was := *cb
			if r, err := cb.Open(flip(msg, i)); err == nil || r.Text != nil || *cb != was {
				t.Fatalf("byte %d: got %+v, %v", i, r, err)
			}
		}
		for n := range msg {
			if _, err := cb.Open(msg[:n]); err == nil {
				t.Fatalf("%d bytes open", n)
			}
		}
		unopened(t, "longer", cb, append(bytes.Clone(msg), 0), ErrMalformed)
		if _, err := cb.Open(msg); err != nil {
			t.Errorf("the honest message: %v", err)
		}
	})
}

func TestAssociatedDataIsOfEverything(t *testing.T) {
	c := Conversation{run: ticket.Run{CID: ticket.CID{1: 2}}}
	got := c.data(box.FromResponder, 0x0102030405060708, &[shareSize]byte{9, 31: 8})
	want := join(c.run.CID[:], []byte{1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 40: 8})
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestMessageOfAnotherConversation(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, _ := talk(t)
		_, cb := talk(t)
		msg := seal(t, ca, "hello")
		unopened(t, "as it is", cb, msg, ErrOther)
		unopened(t, "with the cid", cb, withCID(msg, cb.CID()), ErrOpen)
	})
}

func TestMessageOfTheOtherDirection(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		say(t, cb, ca, "one") // now each waits for the other's 2
		ofAlice, ofBob := seal(t, ca, "two"), seal(t, cb, "two")
		unopened(t, "alice's own", ca, ofAlice, ErrOpen)
		unopened(t, "bob's own", cb, ofBob, ErrOpen)
		if _, err := ca.Open(ofBob); err != nil {
			t.Error(err)
		}
		if _, err := cb.Open(ofAlice); err != nil {
			t.Error(err)
		}
	})
}

func TestOtherPeerMessagesAreNoMessages(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		o := play(t, atEnd)
		for _, msg := range [][]byte{nil, {TypeMessage}, o.want, o.nonce, Decline(o.ca.CID(), DeclineUnknown), o.offer, o.accept, o.confirm} {
			unopened(t, "in a Message's place", o.cb, msg, ErrMalformed)
		}
	})
}

// The length tells a text's class and no more.
func TestPadding(t *testing.T) {
	ca, cb := talk(t)
	for _, c := range []struct{ from, to, size int }{
		{1, 256, 340}, {257, 512, 596}, {513, 1024, 1108}, {1025, 2048, 2132}, {2049, 4096, 4180}, {4097, 8192, 8276},
	} {
		for _, n := range []int{c.from, (c.from + c.to) / 2, c.to} {
			text := strings.Repeat("a", n)
			_, msg, err := ca.Seal(KindText, []byte(text))
			if err != nil || len(msg) != c.size {
				t.Fatalf("a text of %d bytes: %d, %v, want %d", n, len(msg), err, c.size)
			}
			if r, err := cb.Open(msg); err != nil || string(r.Text) != text {
				t.Errorf("a text of %d bytes: heard %d, %v", n, len(r.Text), err)
			}
			if typ, _, err := Header(msg); err != nil || typ != TypeMessage {
				t.Errorf("a text of %d bytes: %v", n, err)
			}
		}
	}
	for _, kind := range []Kind{KindAck, KindBye} {
		_, msg, err := ca.Seal(kind, nil)
		if err != nil || len(msg) != 82 {
			t.Fatalf("kind %d: %d bytes, %v", kind, len(msg), err)
		}
		if r, err := cb.Open(msg); err != nil || r.Kind != kind || r.Text != nil {
			t.Errorf("kind %d: %+v, %v", kind, r, err)
		}
	}
	if MaxMessage != 8276 {
		t.Errorf("the largest message is %d", MaxMessage)
	}
}

func TestTextsThatAreNone(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, _ := talk(t)
		was := *ca
		for what, c := range map[string]struct {
			kind Kind
			text string
			want error
		}{
			"empty":                        {KindText, "", ErrText},
			"too long":                     {KindText, strings.Repeat("a", 8193), ErrText},
			"no UTF-8":                     {KindText, "a\xff", ErrText},
			"cut within a rune":            {KindText, "é"[:1], ErrText},
			"an encoded surrogate":         {KindText, "\xed\xa0\x80", ErrText},
			"a text in an acknowledgement": {KindAck, "a", ErrText},
			"a text in a bye":              {KindBye, "a", ErrText},
			"open":                         {KindOpen, "", ErrTurn},
			"an unknown kind":              {4, "", ErrTurn},
		} {
			number, msg, err := ca.Seal(c.kind, []byte(c.text))
			refused(t, what, err, c.want)
			if number != 0 || msg != nil || *ca != was {
				t.Errorf("%s is sealed, or uses up a number", what)
			}
		}
	})
}

// nextKey is the key of a chain's next message; the chain does not step.
func nextKey(c chain) [box.KeySize]byte { return c.step() }

// forged is c's next message with this plaintext, and with another share unless that is nil: what a dishonest peer can send.
func forged(c *Conversation, share *[shareSize]byte, plaintext []byte) []byte {
	d := *c
	if d.ratchet.next == ours {
		own := newScalar()
		d.ratchet, d.sending = d.ratchet.turn(&own)
	}
	if share == nil {
		share = &d.sending.share
	}
	number, key := d.sealed+1, d.sending.step()
	msg := binary.BigEndian.AppendUint64(header(TypeMessage, &d.run.CID, 0), number)
	msg = append(msg, share[:]...)
	return box.NewAEAD(key[:]).Seal(msg, nonce[:], plaintext, d.data(d.role, number, share))
}

// said is the plaintext of a message.
func said(acknowledged uint64, kind Kind, body ...[]byte) []byte {
	return join(binary.BigEndian.AppendUint64(nil, acknowledged), []byte{byte(kind)}, join(body...))
}

func TestDishonestPeer(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		say(t, ca, cb, "so that alice has sent 2")
		say(t, cb, ca, "and bob 1")
		padding := func(text string, size int) []byte { return append([]byte(text), make([]byte, size-len(text))...) }
		length := func(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
		var none *[shareSize]byte
		for what, c := range map[string]struct {
			share     *[shareSize]byte
			plaintext []byte
			want      error
		}{
			"a share":                     {&[shareSize]byte{1}, said(0, KindAck), ErrViolation},
			"a share's last byte":         {&[shareSize]byte{31: 0x80}, said(0, KindAck), ErrViolation},
			"acknowledged, but not sent":  {none, said(3, KindAck), ErrViolation},
			"everything acknowledged":     {none, said(1<<64-1, KindAck), ErrViolation},
			"open once more":              {none, said(0, KindOpen), ErrViolation},
			"kind 4":                      {none, said(0, 4), ErrViolation},
			"kind 255":                    {none, said(0, 255), ErrViolation},
			"kind 4 with a body":          {none, said(0, 4, length(1), padding("a", 256)), ErrViolation},
			"a text without a body":       {none, said(0, KindText), ErrViolation},
			"an acknowledgement's body":   {none, said(0, KindAck, length(1), padding("a", 256)), ErrViolation},
			"a bye's body":                {none, said(0, KindBye, length(0), padding("", 256)), ErrViolation},
			"an open with a body":         {none, said(0, KindOpen, length(0), padding("", 256)), ErrViolation},
			"an empty text":               {none, said(0, KindText, length(0), padding("", 256)), ErrViolation},
			"a text beyond its body":      {none, said(0, KindText, length(257), padding("a", 256)), ErrViolation},
			"a text far beyond its body":  {none, said(0, KindText, length(65535), padding("a", 8192)), ErrViolation},
			"more padding than need be":   {none, said(0, KindText, length(256), padding(strings.Repeat("a", 256), 512)), ErrViolation},
			"much more":                   {none, said(0, KindText, length(1), padding("a", 8192)), ErrViolation},
			"padding that isn't zero":     {none, said(0, KindText, length(1), padding("ab", 256)), ErrViolation},
			"its last byte":               {none, said(0, KindText, length(1), padding("a", 255), []byte{1}), ErrViolation},
			"no UTF-8":                    {none, said(0, KindText, length(1), padding("\xff", 256)), ErrViolation},
			"a body of no class":          {none, said(0, KindText, length(1), padding("a", 255)), ErrMalformed},
			"a body that is too long":     {none, said(0, KindText, length(8193), padding("a", 16384)), ErrMalformed},
			"a plaintext that is cut off": {none, said(0, KindAck)[:8], ErrMalformed},
		} {
			unopened(t, "bob: "+what, ca, forged(cb, c.share, c.plaintext), c.want)
			unopened(t, "alice: "+what, cb, forged(ca, c.share, c.plaintext), c.want)
		}
		unopened(t, "alice: acknowledged, but not sent", cb, forged(ca, none, said(2, KindAck)), ErrViolation) // bob has sent 1
		if _, err := parsePlaintext(make([]byte, plainSize-1)); err != ErrViolation {
			t.Errorf("a plaintext that is cut off: %v", err)
		}
		// What is right at its limits opens, and the honest message of that number too.
		for _, plaintext := range [][]byte{said(2, KindAck), said(0, KindText, length(256), padding(strings.Repeat("a", 256), 256)), said(2, KindBye)} {
			c := *ca
			if _, err := c.Open(forged(cb, none, plaintext)); err != nil {
				t.Errorf("%x: %v", plaintext, err)
			}
		}
		say(t, cb, ca, "an honest message")
		say(t, ca, cb, "an honest message")
	})
}

// Bob can't begin with open either: that is the initiator's.
func TestRespondersFirstIsNotOpen(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		unopened(t, "open from bob", ca, forged(cb, nil, said(1, KindOpen)), ErrViolation)
		say(t, cb, ca, "hello")
	})
}

func TestAcknowledging(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		if r := say(t, cb, ca, "bob has alice's open"); r.Acknowledged != 1 {
			t.Errorf("acknowledges %d, want 1", r.Acknowledged)
		}
		if r := say(t, ca, cb, "alice has it, but has not shown it"); r.Acknowledged != 0 {
			t.Errorf("acknowledges %d, want 0", r.Acknowledged)
		}
		say(t, cb, ca, "two")
		say(t, cb, ca, "three")
		for _, c := range []struct{ handed, want uint64 }{
			{2, 2},
			{1, 2}, // never back
			{3, 3},
			{100, 3}, // never beyond what was opened
		} {
			ca.HandedOut(c.handed)
			if r := say(t, ca, cb, "a text"); r.Acknowledged != c.want {
				t.Errorf("handed out %d: acknowledges %d, want %d", c.handed, r.Acknowledged, c.want)
			}
		}
		for _, kind := range []Kind{KindAck, KindBye} {
			if _, msg, err := ca.Seal(kind, nil); err != nil {
				t.Error(err)
			} else if r, err := cb.Open(msg); err != nil || r.Acknowledged != 3 {
				t.Errorf("kind %d: %+v, %v", kind, r, err)
			}
		}
	})
}

// What has no text is handed out with what precedes it.
func TestAcknowledgementsAreHandedOut(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		ack := func() {
			t.Helper()
			_, msg, err := cb.Seal(KindAck, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ca.Open(msg); err != nil {
				t.Fatal(err)
			}
		}
		ack()
		if ca.handed != 1 {
			t.Errorf("handed out up to %d, want 1", ca.handed)
		}
		say(t, cb, ca, "two")
		ack()
		if ca.handed != 1 {
			t.Errorf("handed out up to %d, want 1: the text waits", ca.handed)
		}
		ca.HandedOut(2)
		if ca.handed != 3 {
			t.Errorf("handed out up to %d, want 3: what came behind the text has none", ca.handed)
		}
		ack()
		if ca.handed != 4 {
			t.Errorf("handed out up to %d, want 4", ca.handed)
		}
		say(t, cb, ca, "five")
		ack()
		if ca.handed != 4 {
			t.Errorf("handed out up to %d, want 4: the text waits", ca.handed)
		}
		ca.HandedOut(5)
		if ca.handed != 6 {
			t.Errorf("handed out up to %d, want 6", ca.handed)
		}
	})
}

func TestClosedConversation(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		msg := seal(t, ca, "hello")
		text := ca.Digits()
		for _, c := range []*Conversation{ca, cb, {}} {
			c.Prepare()
			c.Clear()
			c.Prepare() // nothing any more
			if c.sending != (chain{}) || c.opening != (chain{}) || c.ratchet != (ratchet{}) || c.cs != [32]byte{} {
				t.Error("keys are left")
			}
			_, _, err := c.Seal(KindText, []byte("hello"))
			refused(t, "Seal", err, ErrClosed)
			_, err = c.Open(msg)
			refused(t, "Open", err, ErrClosed)
			c.HandedOut(9)
		}
		_, _, err := new(Conversation).Seal(KindAck, nil)
		refused(t, "zero value", err, ErrClosed)
		if ca.Digits() != text {
			t.Error("digits are gone")
		}
	})
}

// A key is gone when its message has been sealed, or opened: the chain gives no way back to it.
func TestChainSteps(t *testing.T) {
	eachVersion(t, func(t *testing.T) {
		ca, cb := talk(t)
		seen := map[[32]byte]bool{}
		for range 100 {
			if ca.sending != cb.opening {
				t.Fatal("the chains differ")
			}
			for _, key := range [][32]byte{ca.sending.key, nextKey(ca.sending)} {
				if seen[key] {
					t.Fatal("a key comes twice")
				}
				seen[key] = true
			}
			say(t, ca, cb, "tick")
		}
	})
}
