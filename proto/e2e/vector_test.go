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
	"reflect"
	"testing"

	"sim/proto/box"
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

// load reads a file of docs/vectors, in which there is nothing that v has no place for.
func load(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.Open(filepath.Join("../../docs/vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	decoder := json.NewDecoder(data)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// values are what must come of a run. Each is looked at, or the test fails.
type values map[string]hexBytes

func (v values) check(t *testing.T) (is func(what string, got []byte)) {
	t.Helper()
	seen := make(map[string]bool)
	t.Cleanup(func() {
		for what := range v {
			if !seen[what] && !t.Failed() {
				t.Errorf("nothing checks %q", what)
			}
		}
	})
	return func(what string, got []byte) {
		t.Helper()
		seen[what] = true
		if want, ok := v[what]; !ok || !bytes.Equal(got, want) {
			t.Fatalf("%s:\n got %x\nwant %x", what, got, []byte(want))
		}
	}
}

// An openingVector is a case of opening.json: a run from fixed keys and random bytes.
type openingVector struct {
	Case, Initiator, Responder string
	Offered, Spoken            hexBytes
	Version                    byte
	Continued                  bool
	Digits                     string
	In, Out                    values
}

func openings(t *testing.T) []openingVector {
	t.Helper()
	var file struct {
		Comment string
		Cases   []openingVector
	}
	load(t, "opening.json", &file)
	if len(file.Cases) < 6 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	return file.Cases
}

func TestGoldenOpening(t *testing.T) {
	cs := make(map[string]bool)
	continued := 0
	for _, v := range openings(t) {
		t.Run(v.Case, func(t *testing.T) { v.play(t) })
		for _, held := range []string{"CS held by A", "CS held by B"} {
			if secret, ok := v.In[held]; ok && !cs[string(secret)] {
				t.Errorf("%s: %s is of no case before it", v.Case, held)
			}
		}
		cs[string(v.Out["CS"])] = true
		if v.Continued {
			continued++
		}
	}
	if continued == 0 {
		t.Error("no conversation follows another")
	}
}

// play is the opening, and returns the conversation's ends.
func (v *openingVector) play(t *testing.T) (ca, cb *Conversation) {
	t.Helper()
	g, is, draw := v.In, v.Out.check(t), draws(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var kem, ct []byte
	forA := &fresh{
		encapsulate: func(ek *mlkem.EncapsulationKey768) (_, _ []byte) {
			var err error
			kem, ct, err = mlkemtest.Encapsulate768(ek, g["ML-KEM m"])
			check(err)
			return bytes.Clone(kem), ct
		},
	}
	forB := &fresh{
		kem: func() *mlkem.DecapsulationKey768 {
			key, err := mlkem.NewDecapsulationKey768(join(g["ML-KEM d"], make([]byte, 32)))
			check(err)
			return key
		},
	}
	from, to := name(v.Initiator), name(v.Responder)
	nonceKey, introKey, ticketKey := [32]byte(g["nonce key"]), [32]byte(g["intro key"]), [32]byte(g["ticket key"])
	x := scalar(g["e_A private"])

	draw(g["cid"])
	a, want, err := start(from, to, v.Offered, forA)
	check(err)
	is("Want", want)
	is("h0", a.h[:])

	draw(g["N_B"], g["r of nonce box"])
	b, nonce, err := answer(to, from, want, v.Spoken, &nonceKey, forB)
	check(err)
	is("Nonce", nonce)

	var past past // A's, once more
	for _, side := range []struct {
		held     hexBytes
		remember func(*[32]byte)
	}{{g["CS held by A"], a.Continue}, {g["CS held by A"], past.hold}, {g["CS held by B"], b.Continue}} {
		if side.held != nil {
			side.remember((*[32]byte)(side.held))
		}
	}
	draw(g["N_1"])
	intro, err := a.Nonce(nonce)
	check(err)
	is("Intro", intro.Append(nil))
	is("h2", a.h[:])

	draw(g["K"], g["r of ticket"], g["r of intro box"])
	sealed, err := ticket.Issue(from, intro, &introKey, &ticket.Keys{Nonce: nonceKey, Ticket: ticketKey})
	check(err)
	is("intro box", sealed[:])
	k, tk, err := a.run.OpenIntro(&introKey, &a.h, &a.n1, sealed[:])
	check(err)
	is("ticket", tk[:])
	ht := box.MixHash(&a.h, tk[:])
	is("ht", ht[:])

	draw(g["e_A private"], g["N_2"], g["r"], g["mark"], g["r of Offer"])
	offer, err := a.Ticket(sealed[:], &introKey)
	check(err)
	is("Offer", offer)
	is("h5", a.h[:])
	is("e_A", a.x.share())
	commitment := commit(&a.run, g["r"], a.x.share())
	is("commitment", commitment[:])
	if v.Version != plain && past.held {
		is("mark", past.mark(&a.run.CID))
	}

	draw(g["e_B private"], g["N_3"], g["r of Accept"])
	accept, err := b.Offer(offer, from, &ticketKey)
	check(err)
	is("Accept", accept)
	is("h6", b.h[:])
	is("e_B", b.y.share())
	is("ek_B", b.q.EncapsulationKey().Bytes())

	draw(g["r of Confirm"])
	confirm, ca, err := a.Accept(accept)
	check(err)
	is("Confirm", confirm)
	is("ct", ct)
	is("ML-KEM shared secret", kem)
	dh, err := x.agree(v.Out["e_B"])
	check(err)
	is("X25519", dh)
	h6 := [hashSize]byte(v.Out["h6"])
	h7 := box.MixHash(&h6, confirm[:confirmHead])
	is("h7", h7[:])

	draw()
	cb, err = b.Confirm(confirm)
	check(err)
	for _, c := range []*Conversation{ca, cb} {
		if c.Version() != v.Version || c.Digits() != v.Digits || c.Continued() != v.Continued {
			t.Errorf("version %d, digits %q, continued %t", c.Version(), c.Digits(), c.Continued())
		}
	}

	kab := conversationKey(&k, &h7, dh, kem, past.secret(v.Continued))
	is("K_AB", kab[:])
	again := converse(&a.run, box.FromInitiator, v.Version, &kab, &h7, &x, v.Out["e_A"])
	is("chain initiator", again.sending.key[:])
	if v.Version == plain {
		is("chain responder", again.opening.key[:])
	} else {
		is("root", again.ratchet.root[:])
		is("CS", again.cs[:])
	}
	again.sending.step()
	if again.sending != ca.sending || again.opening != ca.opening || again.ratchet != ca.ratchet || again.cs != ca.cs {
		t.Error("the initiator does not have these keys")
	}
	if cb.opening != ca.sending || cb.sending != ca.opening || cb.ratchet.root != ca.ratchet.root || cb.cs != ca.cs {
		t.Error("the responder has other keys")
	}
	return ca, cb
}

// A dialogue is a case of messages.json or ratchet.json: the messages that follow an opening.
type dialogue struct {
	Opening  string
	Messages []struct {
		From                 string
		Number, Acknowledged uint64
		Kind, Text           string
		In                   struct{ Private hexBytes } // of the share, if the message is a turn
		Out                  values
	}
}

func TestGoldenMessages(t *testing.T) { playDialogues(t, "messages.json", plain) }

func TestGoldenRatchet(t *testing.T) { playDialogues(t, "ratchet.json", 2) }

func playDialogues(t *testing.T, path string, version byte) {
	var file struct {
		Comment string
		Cases   []dialogue
	}
	load(t, path, &file)
	if len(file.Cases) == 0 {
		t.Fatal("no cases")
	}
	all := openings(t)
	for _, d := range file.Cases {
		t.Run(d.Opening, func(t *testing.T) {
			for _, v := range all {
				if v.Case == d.Opening && v.Version == version {
					d.play(t, &v)
					return
				}
			}
			t.Error("there is no such opening")
		})
	}
}

func (v *dialogue) play(t *testing.T, opening *openingVector) {
	kinds := map[string]Kind{"acknowledgement": KindAck, "text": KindText, "bye": KindBye}
	ca, cb := opening.play(t)
	draw := draws(t)
	if len(v.Messages) < 4 {
		t.Fatalf("%d messages", len(v.Messages))
	}
	for i, m := range v.Messages {
		is := m.Out.check(t)
		from, to := ca, cb
		switch m.From {
		case opening.Initiator:
		case opening.Responder:
			from, to = cb, ca
		default:
			t.Fatalf("message %d is from %q", i, m.From)
		}
		kind, ok := kinds[m.Kind]
		if !ok {
			t.Fatalf("message %d is of kind %q", i, m.Kind)
		}

		chain := from.sending
		if turns := from.ratchet.next == ours; turns != (m.In.Private != nil) {
			t.Fatalf("message %d: whether it turns is %t", i, turns)
		} else if turns {
			own := scalar(m.In.Private)
			d, err := own.agree(from.ratchet.share[:])
			if err != nil {
				t.Fatal(err)
			}
			is("d", d)
			var after ratchet
			after, chain = from.ratchet.turn(&own)
			is("root", after.root[:])
			is("turn", chain.key[:])
		}
		key := nextKey(chain)
		is("message key", key[:])

		from.HandedOut(m.Acknowledged)
		draw(m.In.Private)
		number, msg, err := from.Seal(kind, []byte(m.Text))
		if err != nil {
			t.Fatal(err)
		}
		is("message", msg)
		is("next chain", from.sending.key[:])
		got, err := to.Open(m.Out["message"])
		if err != nil {
			t.Fatal(err)
		}
		want := Received{Number: m.Number, Kind: kind, Acknowledged: m.Acknowledged}
		if kind == KindText {
			want.Text = []byte(m.Text)
		}
		if number != m.Number || !reflect.DeepEqual(got, want) {
			t.Errorf("message %d: number %d, %+v", i, number, got)
		}
		if to.opening != from.sending || to.ratchet.root != from.ratchet.root {
			t.Errorf("message %d: the two ends do not have the same keys", i)
		}
	}
	draw()
}

func TestGoldenDigits(t *testing.T) {
	var file struct {
		Comment string
		Cases   []struct {
			Case, Initiator, Responder, Digits string
			In, Out                            values
		}
	}
	load(t, "digits.json", &file)
	if len(file.Cases) < 4 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	for _, v := range file.Cases {
		t.Run(v.Case, func(t *testing.T) {
			is := v.Out.check(t)
			run := &ticket.Run{Initiator: name(v.Initiator), Responder: name(v.Responder), CID: ticket.CID(v.In["cid"])}
			sum := run.Hash("sim/1 digits", v.In["e_A"], v.In["e_B"], v.In["ek_B"])
			is("hash", sum[:])
			if got := digits(run, v.In["e_A"], v.In["e_B"], v.In["ek_B"]); got != v.Digits {
				t.Errorf("%q, want %q", got, v.Digits)
			}
		})
	}
}
