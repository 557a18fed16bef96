package client

import (
	"fmt"
	"slices"
	"testing"

	"sim/proto"
)

func names(n int) []proto.Name {
	all := make([]proto.Name, n)
	for i := range all {
		all[i] = mustName(fmt.Sprintf("u%06d", i))
	}
	return all
}

func TestListAcrossPages(t *testing.T) {
	b := newBoard(t)
	b.page = 2
	all := b.logsIn("bob", "alice", "bert", "carol", "dora")
	b.delivers()
	alice := all[1]
	alice.told = nil
	alice.list(7, proto.Prefix{})
	alice.list(8, proto.Prefix(mustName("b")))
	alice.list(9, proto.Prefix(mustName("zz")))
	alice.works()
	b.delivers()
	alice.notices(
		users{7, []proto.Name{mustName("alice"), mustName("bert"), mustName("bob"), mustName("carol"), mustName("dora")}},
		users{8, []proto.Name{mustName("bert"), mustName("bob")}},
		users{9, nil},
	)
}

func TestTooManyLists(t *testing.T) {
	_, alice, _ := two(t)
	for i := range maxLists {
		if !alice.list(uint64(i), proto.Prefix{}) {
			t.Fatal("no room")
		}
	}
	if alice.list(99, proto.Prefix{}) {
		t.Fatal("a list too many")
	}
	if frames, _ := alice.take(); len(frames) != 1 {
		t.Errorf("%d lists at a time", len(frames))
	}
}

// What no honest server sends ends the connection.
func TestServerBreaksTheProtocol(t *testing.T) {
	page := func(more bool, names ...proto.Name) []byte { return proto.AppendUsers(nil, more, names) }
	a, bb, c := mustName("a"), mustName("b"), mustName("c")
	for name, frames := range map[string][][]byte{
		"a page that nobody asked for":  {page(false, a), page(false, a)},
		"a page out of order":           {page(false, bb, a)},
		"a name twice":                  {page(false, a, a)},
		"a page that goes back":         {page(true, a, bb), page(false, a, c)},
		"a page that repeats":           {page(true, a, bb), page(false, bb, c)},
		"an empty page that promises":   {page(true)},
		"a name that is none":           {slices.Concat(page(false, a)[:4], make([]byte, 32))},
		"a more that is neither":        {{byte(proto.TypeUsers), 0, 1, 2}},
		"a Pong that nobody asked for":  {proto.AppendPong(nil, []byte{0, 0, 0, 0, 0, 0, 0, 2})},
		"a Pong twice":                  {proto.AppendPong(nil, []byte{0, 0, 0, 0, 0, 0, 0, 1})},
		"a message from myself":         {proto.AppendRelayed(nil, proto.Relayed{From: mustName("alice"), Tag: proto.Tag{1}, Message: []byte{1}})},
		"a message from nobody":         {proto.AppendRelayed(nil, proto.Relayed{Tag: proto.Tag{1}, Message: []byte{1}})},
		"a message without a tag":       {proto.AppendRelayed(nil, proto.Relayed{From: mustName("bob"), Message: []byte{1}})},
		"Undeliverable without reason":  {proto.AppendUndeliverable(nil, 1, 0)},
		"Gone without a name":           {proto.AppendGone(nil, proto.Gone{Tag: proto.Tag{1}, Reason: 1})},
		"Gone of unknown reason":        {proto.AppendGone(nil, proto.Gone{Name: mustName("bob"), Tag: proto.Tag{1}, Reason: 9})},
		"a Ticket of no known status":   {proto.AppendTicket(nil, proto.Ticket{Status: 9})},
		"a Ticket without a box":        {proto.AppendTicket(nil, proto.Ticket{Status: proto.TicketIssued})},
		"LoggedOut, and nobody asked":   {proto.AppendLoggedOut(nil)},
		"a Done out of turn":            {proto.AppendDone(nil, proto.DoneRefused, nil)},
		"more names than anybody needs": slowPages(),
	} {
		_, alice, _ := two(t)
		alice.list(1, proto.Prefix{})
		alice.works()
		alice.up, alice.down, alice.told = nil, frames, nil
		for alice.receives() {
		}
		if !alice.broken {
			t.Errorf("%s: taken", name)
		}
		if !alice.ended || len(alice.peers) != 0 {
			t.Errorf("%s: the session goes on", name)
		}
	}
}

// slowPages are pages that never end.
func slowPages() (frames [][]byte) {
	all := names(maxNames + proto.MaxUsersPage)
	for len(all) >= proto.MaxUsersPage {
		frames = append(frames, proto.AppendUsers(nil, true, all[:proto.MaxUsersPage]))
		all = all[proto.MaxUsersPage:]
	}
	return frames
}

// What a session has no use for, and does no harm.
func TestUselessFramesAreDropped(t *testing.T) {
	b, alice, bob := talking(t)
	alice.down = append(alice.down,
		proto.AppendPresence(nil, []proto.Presence{{Name: bob.self, Online: true}}),
		proto.AppendTicket(nil, proto.Ticket{Status: proto.TicketBusy}),
		proto.AppendUndeliverable(nil, 4711, proto.Full),
		proto.AppendUndeliverable(nil, 0, proto.Offline),
		proto.AppendRelayed(nil, proto.Relayed{From: bob.self, Tag: bob.line.tag, Message: []byte("garbage")}),
		proto.AppendRelayed(nil, proto.Relayed{From: mustName("carol"), Tag: bob.line.tag, Message: make([]byte, proto.MaxPeerMessage)}),
	)
	b.delivers()
	if alice.broken {
		t.Fatal("the connection was ended")
	}
	id := alice.sends(bob, "still here")
	b.delivers()
	alice.hears(id, delivered)
	alice.notices()
}

func TestNoticeCloseAndLogout(t *testing.T) {
	b, alice, _ := two(t)
	alice.told = nil
	alice.logout()
	alice.works()
	if f := frameOf(alice.up[len(alice.up)-1]); f.Type != proto.TypeLogout {
		t.Errorf("%v", f.Type)
	}
	alice.down = [][]byte{proto.AppendNotice(nil, proto.NoticeStopping), proto.AppendLoggedOut(nil), proto.AppendClose(nil, proto.CloseStopping)}
	b.delivers()
	alice.notices(notice{}, loggedOut{}, closed{proto.CloseStopping})
}
