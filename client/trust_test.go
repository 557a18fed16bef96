package client

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"sim/proto"
	"sim/proto/e2e"
)

// compare lets two users show each other the digits of their conversation, and say whether they are the same.
func (b *board) compare(x, y *user) bool {
	b.t.Helper()
	at, there := x.verifies(y), y.verifies(x)
	b.delivers()
	if x.digits[at].digits == "" || y.digits[there].digits == "" {
		b.t.Fatalf("no digits: %+v, %+v", x.digits[at], y.digits[there])
	}
	return x.digits[at].digits == y.digits[there].digits
}

// trusting logs alice and bob in, who have compared the digits of their conversation.
func trusting(t *testing.T) (b *board, alice, bob *user) {
	b, alice, bob = talking(t)
	if !b.compare(alice, bob) {
		t.Fatal("other digits")
	}
	for _, why := range []string{alice.confirms(bob), bob.confirms(alice)} {
		if why != "" {
			t.Fatal(why)
		}
	}
	b.chat(alice, bob, " ✓")
	return b, alice, bob
}

// chat sends a text each way, the first one's first, and checks the mark that both see.
func (b *board) chat(x, y *user, mark string) {
	b.t.Helper()
	b.passes(wantEvery)
	x.sends(y, "hello")
	b.delivers()
	y.sends(x, "hello")
	b.delivers()
	y.sees(x.name + mark + ": hello")
	x.sees(y.name + mark + ": hello")
}

// loses makes one side lose a conversation without the other's knowledge, as a Decline of the server's own does.
func (u *user) loses(with *user) {
	u.b.t.Helper()
	decline := e2e.Decline(u.cid(with), e2e.DeclineUnknown)
	u.handle(u.b.now, frameOf(proto.AppendRelayed(nil, proto.Relayed{From: with.self, Tag: with.line.tag, Message: decline})))
	u.works()
	u.notices(lostTouch(with, "disconnected"))
}

func (u *user) secret(with *user) *[32]byte { return u.recall(with.self) }

func refused(t *testing.T, why, part string) {
	t.Helper()
	if !strings.Contains(why, part) {
		t.Errorf("refused with %q, want %q", why, part)
	}
}

// What the users of it see.
func TestVerifyYes(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		alice, bob := s.comes("alice"), s.comes("bob")
		alice.types("verify bob yes")
		alice.complains("line 1: there is no conversation whose digits could be confirmed")
		alice.types("send bob hello", "verify bob yes")
		alice.prints("= bob: delivered")
		alice.complains("line 3: the digits of this conversation were not shown yet")
		alice.types("verify bob")
		shown := alice.out.lines()[0]
		digits, ok := strings.CutSuffix(shown, " (not confirmed)")
		if !ok {
			t.Errorf("%q", shown)
		}
		bob.types("send alice before")
		alice.types("verify bob yes")
		bob.types("send alice after")
		alice.types("verify bob")
		alice.prints("< bob: before", digits+" (confirmed)", "< bob ✓: after", digits+" (confirmed)")

		alice.types("send bob hello")
		bob.types("verify alice", "verify alice yes")
		bob.prints("< alice: hello", "= alice: delivered", "= alice: delivered", "< alice: hello",
			"= verify alice: "+strings.TrimPrefix(digits, "= verify bob: ")+" (not confirmed)", "= verify alice: "+strings.TrimPrefix(digits, "= verify bob: ")+" (confirmed)")
		alice.types("logout", "login alice", passwordOf("alice"))
		time.Sleep(wantEvery)
		alice.types("send bob it is me", "send bob again")
		bob.prints("* alice logged out", "* alice is no longer confirmed: the conversation whose digits you compared is over, and what comes does not continue it; verify alice again", "< alice: it is me", "< alice: again")
		bob.types("send alice welcome")
		alice.prints("= bob: delivered", "= logged out alice", "= logged in as alice", "= bob: delivered", "= bob: delivered", "< bob: welcome")
	})
}

// The digits of one conversation, compared, say nothing of the next, even where it continues the first.
func TestYesIsOfTheConversationThatWasShown(t *testing.T) {
	b, alice, bob := talking(t)
	alice.verifies(bob)
	bob.loses(alice)
	b.chat(bob, alice, "")
	if !alice.peers[bob.self].talk.conv.Continued() {
		t.Error("it was not continued")
	}
	refused(t, alice.confirms(bob), "not shown yet")
	b.chat(alice, bob, "")
	alice.verifies(bob)
	alice.loses(bob)
	refused(t, alice.confirms(bob), "there is no conversation")
	alice.verifies(bob) // opens one, and shows its digits
	b.passes(wantEvery)
	if why := alice.confirms(bob); why != "" {
		t.Error(why)
	}
	bob.sends(alice, "hello")
	b.delivers()
	alice.sees("bob ✓: hello")
}

// A conversation begins beside the open one, which one side has lost: both know that the new one continues it.
func TestRekeyContinues(t *testing.T) {
	b, alice, bob := trusting(t)
	for i := range 6 {
		loser, other := alice, bob
		if i&1 == 1 {
			loser, other = bob, alice
		}
		was := loser.cid(other)
		loser.loses(other)
		b.chat(loser, other, " ✓")
		b.agree(alice, bob)
		if loser.cid(other) == was {
			t.Fatal("no new conversation")
		}
		if i > 3 { // both lose it at once
			loser.loses(other)
			other.loses(loser)
			b.chat(other, loser, " ✓")
		}
		if *alice.secret(bob) != *bob.secret(alice) {
			t.Error("the continuity secrets differ")
		}
		if v := alice.digits[alice.verifies(bob)]; !v.confirmed {
			t.Errorf("%+v", v)
		}
	}
	alice.notices()
	bob.notices()
}

// Whichever message of an attempt is lost, the one after it continues what was.
func TestAttemptDiesHalfWay(t *testing.T) {
	for _, step := range []string{"Want", "Nonce", "Offer", "Accept", "Confirm"} {
		for _, bobOpens := range []bool{false, true} {
			b, alice, bob := trusting(t)
			if bobOpens {
				alice, bob = bob, alice
			}
			was := *alice.secret(bob)
			alice.loses(bob)
			b.passes(wantEvery)
			b.at(step, 1, swallowed)
			alice.sends(bob, "into the dark")
			b.delivers()
			if *alice.secret(bob) != was || *bob.secret(alice) != was {
				t.Fatalf("%s: the secret has changed", step)
			}
			b.passes(time.Minute)
			bob.shown, alice.shown = nil, nil
			b.chat(alice, bob, " ✓")
			if *alice.secret(bob) == was || *alice.secret(bob) != *bob.secret(alice) {
				t.Errorf("%s: the secret stays", step)
			}
			alice.notices()
			bob.notices()
		}
	}
}

// A text waits until the other side was heard in a conversation that continues another: until then that is somebody's word. If nobody is
// heard, the text never left.
func TestTextsWaitInAContinuedConversation(t *testing.T) {
	b, alice, bob := trusting(t)
	alice.loses(bob)
	b.passes(wantEvery)
	texts := 0
	b.relays = func(from *subscriber, r proto.Relay) fate {
		if r.Message[0] == e2e.TypeMessage {
			texts++
			return swallowed
		}
		return relayed
	}
	id := alice.sends(bob, "for bob alone")
	b.delivers()
	if !alice.open(bob) || texts != 1 { // bob's acknowledgement
		t.Fatalf("%d messages beside the opening's", texts)
	}
	b.passes(ackWait)
	alice.hears(id, failed, "no answer")
	if alice.open(bob) {
		t.Error("the conversation goes on")
	}
	bob.sees()
}

// The initiator keeps its old secret until it hears the other side. If that side has taken the new one and was never heard, they have nothing
// in common any more, and are told.
func TestResponderIsNotHeard(t *testing.T) {
	b, alice, bob := trusting(t)
	was := *alice.secret(bob)
	alice.loses(bob)
	b.passes(wantEvery)
	b.relays = func(from *subscriber, r proto.Relay) fate {
		if r.Message[0] == e2e.TypeMessage {
			return swallowed
		}
		return relayed
	}
	id := alice.sends(bob, "held back")
	b.delivers() // all that bob hears is Confirm
	bob.sees()
	if !alice.open(bob) || *alice.secret(bob) != was || *bob.secret(alice) == was {
		t.Fatal("who holds which secret?")
	}
	b.relays = nil
	alice.loses(bob)
	b.passes(wantEvery)
	b.delivers()
	bob.sees()
	alice.hears(id, failed, noLongerConfirmed)
	b.chat(alice, bob, "")
	alice.notices(unconfirmed{bob.self})
	bob.notices(unconfirmed{alice.self})
}

// A peer that has lost its memory, or speaks an older version now: the mark goes, and the user is told, once.
func TestRekeyThatIsNotContinued(t *testing.T) {
	for name, happens := range map[string]func(b *board, opener, bob, other *user) *user{
		"logged in anew": func(b *board, _, bob, _ *user) *user {
			bob.goes(proto.GoneLost)
			b.delivers()
			return b.logsIn("bob")[0]
		},
		"logged in anew, unseen": func(b *board, _, bob, _ *user) *user { // its session goes on
			bob.end(b.now, "crash", math.MaxUint64)
			bob.take()
			keys := bob.line.keys
			bob.session = newSession(bob.self, &keys)
			return bob
		},
		"version 1": func(_ *board, opener, bob, other *user) *user {
			opener.loses(other)
			bob.versions = []byte{1}
			return bob
		},
	} {
		for _, aliceOpens := range []bool{true, false} {
			b, alice, bob := trusting(t)
			if aliceOpens {
				bob = happens(b, alice, bob, bob)
			} else {
				bob = happens(b, bob, bob, alice)
			}
			alice.told, bob.told = nil, nil
			x, y := alice, bob
			if !aliceOpens {
				x, y = bob, alice
			}
			if name == "logged in anew, unseen" && aliceOpens {
				x.sends(y, "lost")
				b.delivers() // bob declines what he does not know
				alice.notices(lostTouch(bob, "disconnected"))
			}
			b.passes(wantEvery)
			id := x.sends(y, "hello")
			b.delivers()
			if x == alice { // it was written to the bob who was confirmed
				x.hears(id, failed, noLongerConfirmed)
				y.sees()
				x.sends(y, "hello")
				b.delivers()
			} else if o := x.tells[id]; len(o) == 1 && o[0].why == noLongerConfirmed { // bob held the other end of the confirmation, too
				x.sends(y, "hello")
				b.delivers()
			}
			y.sends(x, "hello")
			b.delivers()
			y.sees(x.name + ": hello")
			x.sees(y.name + ": hello")
			if !slices.Contains(alice.told, event(unconfirmed{bob.self})) {
				t.Errorf("%s, alice opens: %v: alice is told %+v", name, aliceOpens, alice.told)
			}
			if v := alice.digits[alice.verifies(bob)]; v.confirmed {
				t.Errorf("%s: %+v", name, v)
			}
			alice.told = nil
			alice.loses(bob)
			b.chat(alice, bob, "") // and not again
			alice.notices()
		}
	}
}

// Disconnect, on either side, and log-out end what was confirmed; both are told that the mark is gone.
func TestConfirmationIsForgotten(t *testing.T) {
	for _, byAlice := range []bool{true, false} {
		b, alice, bob := trusting(t)
		x, y := alice, bob
		if !byAlice {
			x, y = bob, alice
		}
		secrets := []*[32]byte{alice.secret(bob), bob.secret(alice)}
		if *secrets[0] == [32]byte{} || *secrets[0] != *secrets[1] {
			t.Fatal("no secrets")
		}
		x.parts(y)
		b.delivers()
		y.notices(lostTouch(x, "disconnected"), unconfirmed{x.self})
		x.notices(unconfirmed{y.self})
		for _, s := range secrets {
			if *s != [32]byte{} {
				t.Error("a secret is still there")
			}
		}
		if len(alice.trusts) != 0 || len(bob.trusts) != 0 {
			t.Error("a trust is still there")
		}
		b.chat(alice, bob, "")
		alice.notices()
		bob.notices()

		s := alice.secret(bob)
		alice.goes(proto.GoneLogout)
		if *s != [32]byte{} || len(alice.trusts) != 0 {
			t.Error("after log-out: a secret is still there")
		}
	}

	b, alice, bob := trusting(t) // without a conversation
	s := alice.secret(bob)
	alice.loses(bob)
	b.passes(time.Minute)
	alice.parts(bob)
	if *s != [32]byte{} || alice.secret(bob) != nil {
		t.Error("disconnect without a conversation forgets nothing")
	}
}

// A secret that another takes the place of is cleared, and so are the copies of attempts.
func TestSecretIsReplaced(t *testing.T) {
	b, alice, bob := trusting(t)
	s := alice.secret(bob)
	alice.loses(bob)
	b.chat(alice, bob, " ✓")
	if *s != [32]byte{} || *alice.secret(bob) == [32]byte{} {
		t.Error("the old secret is still there")
	}
	bob.loses(alice)
	b.passes(wantEvery)
	bob.sends(alice, "hello")
	b.serves(bob)
	alice.receives()
	if alice.peers[bob.self].answering == nil {
		t.Fatal("no attempt")
	}
	alice.forget(bob.self)
	if alice.peers[bob.self].answering != nil {
		t.Error("an attempt holds what was forgotten")
	}
	if _, kept := alice.trusts[bob.self]; kept {
		t.Error("a trust is still there")
	}
}

// Strangers, however many, fill no memory, and take nobody's confirmation away.
func TestTrustsAreBounded(t *testing.T) {
	b, alice, bob := trusting(t)
	alice.loses(bob)
	b.passes(time.Minute)
	if alice.peers[bob.self] != nil {
		t.Fatal("bob has a slot")
	}
	var secrets []*[32]byte
	for _, name := range names(3 * maxPeers) {
		made := alice.trust(name)
		made.secret = &[32]byte{1}
		secrets = append(secrets, made.secret)
		if len(alice.trusts) > maxPeers {
			t.Fatalf("%d trusts", len(alice.trusts))
		}
	}
	kept := 0
	for _, s := range secrets {
		if *s != [32]byte{} {
			kept++
		}
	}
	if kept != maxPeers-1 {
		t.Errorf("%d secrets of strangers", kept)
	}
	b.chat(alice, bob, " ✓")

	for _, t := range alice.trusts {
		t.confirmed = true
	}
	alice.trust(mustName("zoe"))
	if len(alice.trusts) > maxPeers || alice.trusts[bob.self] == nil {
		t.Error("who has a slot goes first")
	}
}

// One side speaks version 1: they talk and verify as ever, and no conversation continues another.
func TestVersionOneTalksToVersionTwo(t *testing.T) {
	for _, older := range []string{"the initiator", "the responder", "both"} {
		b, alice, bob := two(t)
		if older != "the responder" {
			alice.versions = []byte{1}
		}
		if older != "the initiator" {
			bob.versions = []byte{1}
		}
		for i := range 40 {
			first, second := alice.sends(bob, fmt.Sprint(i)), bob.sends(alice, fmt.Sprint(-i))
			b.passes(stepWait) // both may have opened at once
			alice.hears(first, delivered)
			bob.hears(second, delivered)
		}
		alice.shown, bob.shown = nil, nil
		if v := alice.peers[bob.self].talk.conv.Version(); v != 1 {
			t.Fatalf("version %d", v)
		}
		if !b.compare(alice, bob) {
			t.Error("other digits")
		}
		if why := alice.confirms(bob); why != "" {
			t.Error(why)
		}
		bob.sends(alice, "hello")
		b.delivers()
		alice.sees("bob ✓: hello")
		if alice.secret(bob) != nil || bob.secret(alice) != nil {
			t.Error("version 1 has no secrets of continuity")
		}
		bob.loses(alice)
		b.chat(bob, alice, "")
		alice.notices(unconfirmed{bob.self})
		bob.notices()
	}
}

// Mallory is a server that sits between two users: towards each it plays the other, with a share of its own.
type mallory struct {
	*board
	alice, bob     *user
	asBob, asAlice *user // what mallory is to alice, and to bob
	between        bool  // and not an honest server
	mute           bool  // bob's messages get lost
}

func lying(b *board, alice, bob *user) *mallory {
	m := &mallory{board: b, alice: alice, bob: bob}
	m.asBob, m.asAlice = m.plays(bob), m.plays(alice)
	reaches := map[*subscriber]*user{alice.line: m.asBob, bob.line: m.asAlice, m.asBob.line: alice, m.asAlice.line: bob}
	b.relays = func(from *subscriber, r proto.Relay) fate {
		switch {
		case m.between:
			reaches[from].line.send(proto.AppendRelayed(nil, proto.Relayed{From: from.name, Tag: from.tag, Message: slices.Clone(r.Message)}))
			return swallowed
		case from == m.asBob.line || from == m.asAlice.line:
			return swallowed
		case from == bob.line && m.mute && r.Message[0] == e2e.TypeMessage:
			return swallowed
		}
		return relayed
	}
	return m
}

// plays makes a session with all that the server has of a user's: name, tag and ticket keys.
func (m *mallory) plays(u *user) *user {
	keys := u.line.keys
	p := &user{b: m.board, name: u.name, tells: make(map[uint64][]outcome), digits: make(map[uint64]verified), session: newSession(u.self, &keys)}
	p.line = &subscriber{name: u.self, tag: u.line.tag, keys: keys, knows: make(map[proto.Tag]*subscriber), send: func(frame []byte) { p.down = append(p.down, frame) }}
	m.users = append(m.users, p)
	return p
}

// cuts ends the conversations of all four ends, as the server can.
func (m *mallory) cuts() {
	for u, with := range map[*user]*user{m.alice: m.bob, m.bob: m.alice, m.asBob: m.alice, m.asAlice: m.bob} {
		if u.open(with) {
			u.loses(with)
		}
	}
	m.passes(wantEvery)
}

// Before verify it reads and writes what it likes; and the digits differ.
func TestLyingServerSitsBetween(t *testing.T) {
	b, alice, bob := two(t)
	m := lying(b, alice, bob)
	m.between = true
	id := alice.sends(bob, "my secret")
	b.delivers()
	alice.hears(id, delivered)
	m.asBob.sees("alice: my secret")
	m.asAlice.sends(bob, "another text")
	b.delivers()
	bob.sees("alice: another text")
	if b.compare(alice, bob) {
		t.Error("the digits agree")
	}
	if !b.compare(alice, m.asBob) || !b.compare(bob, m.asAlice) {
		t.Error("mallory has other digits than the one it talks with")
	}

	m.between = false // an honest server from here on: what it was part of is not continued
	m.cuts()
	b.chat(alice, bob, "")
	if alice.peers[bob.self].talk.conv.Continued() {
		t.Error("bob continues what was mallory's")
	}
	if !b.compare(alice, bob) {
		t.Error("the digits differ")
	}
}

// After a confirmation it can have a conversation of its own, and none that continues: it is told, and has no mark.
func TestLyingServerAfterAConfirmation(t *testing.T) {
	b, alice, bob := trusting(t)
	m := lying(b, alice, bob)
	m.between = true
	for i := range 3 {
		m.cuts()
		id := alice.sends(bob, "who are you?")
		m.asAlice.sends(bob, "who are you?")
		b.delivers()
		if i == 0 { // written to the bob who was confirmed: mallory never gets it
			alice.hears(id, failed, noLongerConfirmed)
			m.asBob.sees()
			alice.sends(bob, "who are you?")
			b.delivers()
		}
		m.asBob.sees("alice: who are you?")
		bob.sees("alice: who are you?")
		m.asBob.sends(alice, "bob")
		bob.sends(alice, "bob")
		b.delivers()
		alice.sees("bob: bob")
		m.asAlice.sees("bob: bob")
		if i == 0 {
			alice.notices(unconfirmed{bob.self})
			bob.notices(unconfirmed{alice.self})
			if alice.peers[bob.self].talk.conv.Continued() || bob.peers[alice.self].talk.conv.Continued() {
				t.Error("mallory continues what it had no part in")
			}
		}
		alice.notices() // mallory's second conversation continues mallory's first: nothing new
		bob.notices()
	}
}

// Mallory was in the conversation before, and so holds its continuity secret. The users compare the digits of an honest one; that it keeps
// bob's messages from alice does not make hers go on from mallory's.
func TestYesBeforeThePeerIsHeard(t *testing.T) {
	for _, before := range []bool{true, false} {
		b, alice, bob := two(t)
		m := lying(b, alice, bob)
		m.between = true
		alice.sends(bob, "hello")
		b.delivers()
		if !alice.open(m.asBob) || alice.secret(bob) == nil {
			t.Fatal("mallory is not in between")
		}
		m.cuts()
		m.between, m.mute = false, true
		alice.verifies(bob)
		b.delivers()
		honest := alice.cid(bob)
		if !b.compare(alice, bob) {
			t.Fatal("the digits differ")
		}
		if before { // mallory's Want comes before she says yes, and the rest after it
			m.between = true
			b.passes(wantEvery)
			m.asBob.sends(alice, "let me in")
			b.serves(m.asBob)
			alice.receives()
			if alice.peers[bob.self].answering == nil {
				t.Fatal("the Want is not answered")
			}
		}
		if why := alice.confirms(bob); why != "" {
			t.Fatal(why)
		}
		m.between = true
		b.delivers()
		if before {
			if alice.cid(bob) != honest {
				t.Error("mallory's conversation took the place of the one that was confirmed")
			}
			alice.sees()
		}
		alice.loses(bob)
		b.passes(time.Minute)
		alice.shown, alice.told = nil, slices.DeleteFunc(alice.told, func(e event) bool { _, told := e.(unconfirmed); return !told })
		alice.sends(bob, "hello")
		b.delivers()
		m.asBob.sends(alice, "it is me")
		b.delivers()
		alice.sees("bob: it is me")
		alice.notices(unconfirmed{bob.self})
	}
}

// The initiator chooses the cid. Mallory, as bob, takes that of the conversation whose digits alice has just compared.
func TestYesUnderTheSameCID(t *testing.T) {
	b, alice, bob := two(t)
	m := lying(b, alice, bob)
	cryptotest.SetGlobalRandom(t, 1) // the cid is the first that an initiator draws
	bob.sends(alice, "hello")
	cryptotest.SetGlobalRandom(t, 2)
	b.delivers()
	cid := alice.cid(bob)
	if !b.compare(alice, bob) {
		t.Fatal("the digits differ")
	}
	m.cuts()
	m.between = true
	cryptotest.SetGlobalRandom(t, 1)
	m.asBob.sends(alice, "hello")
	cryptotest.SetGlobalRandom(t, 3)
	b.delivers()
	if alice.cid(bob) != cid {
		t.Fatal("another cid")
	}
	refused(t, alice.confirms(bob), "not shown yet")
	m.asBob.sends(alice, "it is me")
	b.delivers()
	alice.sees("bob: hello", "bob: hello", "bob: it is me")
}
