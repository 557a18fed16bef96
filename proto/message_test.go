package proto

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"sim/proto/ticket"
)

// reencode reads a frame's body and writes what it read. ok is false when the body is malformed.
func reencode(f Frame) (again []byte, ok bool) {
	body := f.Body
	switch f.Type {
	case TypePing:
		return AppendPing(nil, [8]byte(body)), true
	case TypePong:
		return AppendPong(nil, body), true
	case TypeList:
		l, ok := ParseList(body)
		return AppendList(nil, l), ok
	case TypeUsers:
		more, names, ok := ParseUsers(body)
		return AppendUsers(nil, more, names), ok
	case TypeWatch:
		names, ok := ParseWatch(body)
		return AppendWatch(nil, names), ok
	case TypePresence:
		entries, ok := ParsePresence(body)
		return AppendPresence(nil, entries), ok
	case TypeRelay:
		r, ok := ParseRelay(body)
		return AppendRelay(nil, r), ok
	case TypeRelayed:
		r, ok := ParseRelayed(body)
		return AppendRelayed(nil, r), ok
	case TypeUndeliverable:
		ref, reason, ok := ParseUndeliverable(body)
		return AppendUndeliverable(nil, ref, reason), ok
	case TypeGone:
		g, ok := ParseGone(body)
		return AppendGone(nil, g), ok
	case TypeIntro:
		in, ok := ParseIntro(body)
		if !ok {
			return nil, false
		}
		return AppendIntro(nil, in), true
	case TypeTicket:
		t, ok := ParseTicket(body)
		return AppendTicket(nil, t), ok
	case TypePasswordBegin, TypePasswordSalt, TypePasswordSet:
		return append(appendHeader(nil, f.Type, len(body)), body...), true // passwd_test.go
	case TypeDone:
		return AppendDone(nil, body[0], (*[32]byte)(body[1:])), true
	case TypeLogout:
		return AppendLogout(nil), true
	case TypeLoggedOut:
		return AppendLoggedOut(nil), true
	case TypeNotice:
		code, ok := ParseNotice(body)
		return AppendNotice(nil, code), ok
	case TypeRekey:
		return appendHeader(nil, TypeRekey, 0), true
	case TypeClose:
		reason, ok := ParseClose(body)
		return AppendClose(nil, reason), ok
	case TypeSeen:
		return AppendSeen(nil, ParseSeen(body)), true
	}
	panic(f.Type)
}

// examples are frames with their bytes, written by hand from docs/PROTOCOL.md.
func examples(t testing.TB) map[string]struct{ got, body []byte } {
	alice, bob := mustName(t, "alice"), mustName(t, "bob")
	a, b, zero := refName("alice"), refName("bob"), make([]byte, 32)
	tag, tagBytes := Tag{1, 2, 3, 4, 5, 6, 7, 8}, []byte{1, 2, 3, 4, 5, 6, 7, 8}
	cid := ticket.CID{0: 9, 15: 8}
	prefix := func(s string) Prefix {
		p, err := ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var many []Name
	var manyBytes, watched, present []byte
	var entries []Presence
	for i := range MaxUsersPage {
		many = append(many, mustName(t, fmt.Sprintf("user%03d", i)))
		manyBytes = append(manyBytes, many[i][:]...)
		if i < MaxWatched {
			watched = append(watched, many[i][:]...)
			entries = append(entries, Presence{many[i], i%2 == 1})
			present = append(append(present, many[i][:]...), byte(i%2))
		}
	}
	long := bytes.Repeat([]byte{7}, MaxPeerMessage)
	nonceBox := bytes.Repeat([]byte{0xee}, 144)
	introBox := bytes.Repeat([]byte{0xdd}, 352)
	intro := &ticket.Intro{CID: cid, N1: [16]byte{3}, Responder: bob, Versions: []byte{1, 2}, Version: 2, NonceBox: [144]byte(nonceBox)}
	intro8 := &ticket.Intro{CID: cid, Responder: bob, Versions: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Version: 1, NonceBox: [144]byte(nonceBox)}

	return map[string]struct{ got, body []byte }{
		"01 Ping":               {AppendPing(nil, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}), tagBytes},
		"02 Pong":               {AppendPong(nil, tagBytes), tagBytes},
		"03 List":               {AppendList(nil, List{prefix("Al"), prefix("")}), cat([]byte("al"), zero[:30], zero)},
		"03 List, further":      {AppendList(nil, List{Prefix{}, Prefix(alice)}), cat(zero, a)},
		"04 Users, none":        {AppendUsers(nil, false, nil), []byte{0}},
		"04 Users":              {AppendUsers(nil, true, []Name{alice, bob}), cat([]byte{1}, a, b)},
		"04 Users, 500":         {AppendUsers(nil, true, many), cat([]byte{1}, manyBytes)},
		"05 Watch, none":        {AppendWatch(nil, nil), nil},
		"05 Watch":              {AppendWatch(nil, []Name{bob, alice}), cat(b, a)},
		"05 Watch, 256":         {AppendWatch(nil, many[:256]), watched},
		"06 Presence":           {AppendPresence(nil, []Presence{{alice, true}, {bob, false}}), cat(a, []byte{1}, b, []byte{0})},
		"06 Presence, 256":      {AppendPresence(nil, entries), present},
		"07 Relay":              {AppendRelay(nil, Relay{0x01020304, bob, tag, []byte("x")}), cat([]byte{1, 2, 3, 4}, b, tagBytes, []byte("x"))},
		"07 Relay, tag 0":       {AppendRelay(nil, Relay{0, bob, Tag{}, long}), cat(zero[:4], b, zero[:8], long)},
		"08 Relayed":            {AppendRelayed(nil, Relayed{alice, tag, []byte("x")}), cat(a, tagBytes, []byte("x"))},
		"08 Relayed, long":      {AppendRelayed(nil, Relayed{alice, tag, long}), cat(a, tagBytes, long)},
		"09 Undeliverable":      {AppendUndeliverable(nil, 0xfffefdfc, Offline), []byte{0xff, 0xfe, 0xfd, 0xfc, 1}},
		"09 Undeliverable full": {AppendUndeliverable(nil, 1, Full), []byte{0, 0, 0, 1, 2}},
		"09 Undeliverable gone": {AppendUndeliverable(nil, 1, GoneAway), []byte{0, 0, 0, 1, 3}},
		"0a Gone":               {AppendGone(nil, Gone{bob, tag, GoneLogout}), cat(b, tagBytes, []byte{1})},
		"0a Gone, replaced":     {AppendGone(nil, Gone{bob, tag, GoneReplaced}), cat(b, tagBytes, []byte{2})},
		"0a Gone, lost":         {AppendGone(nil, Gone{bob, tag, GoneLost}), cat(b, tagBytes, []byte{3})},
		"0b Intro":              {AppendIntro(nil, intro), cat(cid[:], []byte{3}, zero[:15], b, []byte{2, 1, 2, 2}, nonceBox)},
		"0b Intro, 8 versions":  {AppendIntro(nil, intro8), cat(cid[:], zero[:16], b, []byte{8, 1, 2, 3, 4, 5, 6, 7, 8, 1}, nonceBox)},
		"0c Ticket":             {AppendTicket(nil, Ticket{cid, TicketIssued, introBox}), cat(cid[:], []byte{0}, introBox)},
		"0c Ticket, busy":       {AppendTicket(nil, Ticket{cid, TicketBusy, nil}), cat(cid[:], []byte{1})},
		"0c Ticket, refused":    {AppendTicket(nil, Ticket{cid, TicketRefused, nil}), cat(cid[:], []byte{2})},
		"10 Done":               {AppendDone(nil, DoneChanged, (*[32]byte)(a)), cat([]byte{0}, a)},
		"10 Done, refused":      {AppendDone(nil, DoneRefused, nil), cat([]byte{1}, zero)},
		"10 Done, not saved":    {AppendDone(nil, DoneNotSaved, nil), cat([]byte{2}, zero)},
		"11 Logout":             {AppendLogout(nil), nil},
		"12 LoggedOut":          {AppendLoggedOut(nil), nil},
		"13 Notice":             {AppendNotice(nil, NoticeStopping), []byte{1}},
		"15 Close, done":        {AppendClose(nil, CloseDone), []byte{0}},
		"15 Close, replaced":    {AppendClose(nil, CloseReplaced), []byte{1}},
		"15 Close, stopping":    {AppendClose(nil, CloseStopping), []byte{2}},
		"15 Close, idle":        {AppendClose(nil, CloseIdle), []byte{3}},
		"15 Close, protocol":    {AppendClose(nil, CloseProtocol), []byte{4}},
		"15 Close, stalled":     {AppendClose(nil, CloseStalled), []byte{5}},
		"15 Close, removed":     {AppendClose(nil, CloseRemoved), []byte{6}},
		"16 Seen":               {AppendSeen(nil, 1<<40|5), []byte{0, 0, 1, 0, 0, 0, 0, 5}},
	}
}

// Every frame goes through both ends of a channel and comes out as the bytes that it was.
func TestEveryFrameRoundTrip(t *testing.T) {
	w := newWorld(t)
	types := map[Type]bool{}
	for name, e := range examples(t) {
		var typ byte
		fmt.Sscanf(name, "%x", &typ)
		want := cat([]byte{typ, byte(len(e.body) >> 8), byte(len(e.body))}, e.body)
		if !bytes.Equal(e.got, want) {
			t.Errorf("%s is\n%x, want\n%x", name, e.got, want)
			continue
		}
		c, s := w.sessions(t, "alice")
		send, receive := c.Send, s.Receive
		if shapes[typ].from == Server {
			send, receive = s.Send, c.Receive
		}
		frames, err := open(receive, send.Seal(nil, e.got, w.now))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := all(frames)
		if len(got) != 1 {
			t.Errorf("%s: %d frames", name, len(got))
			continue
		}
		if again, ok := reencode(got[0]); !ok || !bytes.Equal(again, e.got) {
			t.Errorf("%s is written again as %x, %v", name, again, ok)
		}
		types[Type(typ)] = true
	}
	for typ := range shapes {
		if typ != 0 && !types[Type(typ)] && !slices.Contains([]Type{TypePasswordBegin, TypePasswordSalt, TypePasswordSet, TypeRekey}, Type(typ)) {
			t.Errorf("no example of %v", Type(typ))
		}
	}
}

func TestValuesOfFrames(t *testing.T) {
	e := examples(t)
	alice, bob, tag := mustName(t, "alice"), mustName(t, "bob"), Tag{1, 2, 3, 4, 5, 6, 7, 8}
	same := func(name string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	l, _ := ParseList(e["03 List"].body)
	same("prefix", l.Prefix.String(), "al")
	same("after", l.After.String(), "")
	more, names, _ := ParseUsers(e["04 Users"].body)
	same("more", more, true)
	same("users", names, []Name{alice, bob})
	names, _ = ParseWatch(e["05 Watch"].body)
	same("watched", names, []Name{bob, alice})
	entries, _ := ParsePresence(e["06 Presence"].body)
	same("presence", entries, []Presence{{alice, true}, {bob, false}})
	relay, _ := ParseRelay(e["07 Relay"].body)
	same("relay", relay, Relay{0x01020304, bob, tag, []byte("x")})
	relayed, _ := ParseRelayed(e["08 Relayed"].body)
	same("relayed", relayed, Relayed{alice, tag, []byte("x")})
	ref, reason, _ := ParseUndeliverable(e["09 Undeliverable"].body)
	same("ref", ref, uint32(0xfffefdfc))
	same("reason", reason, Offline)
	gone, _ := ParseGone(e["0a Gone, lost"].body)
	same("gone", gone, Gone{bob, tag, GoneLost})
	in, _ := ParseIntro(e["0b Intro"].body)
	same("intro", in.Versions, []byte{1, 2})
	same("responder", in.Responder, ticket.Name(bob))
	got, _ := ParseTicket(e["0c Ticket, busy"].body)
	same("ticket", got.Status, byte(TicketBusy))
	same("box", len(got.Box), 0)
	if RelayedFrameSize(MaxPeerMessage) != len(e["08 Relayed, long"].got) || MaxRelayFrame != len(e["07 Relay, tag 0"].got) ||
		MaxUsersFrame != len(e["04 Users, 500"].got) || UndeliverableFrame != len(e["09 Undeliverable"].got) {
		t.Error("the sizes of frames are not what they are")
	}
	if MaxFrames < MaxUsersFrame || MaxFrames < MaxRelayFrame {
		t.Error("a frame that fits into no record")
	}
}

// A field that is not exactly as the page has it is refused.
func TestMalformedFields(t *testing.T) {
	e := examples(t)
	try := func(name string, at int, values ...byte) {
		t.Helper()
		var typ byte
		fmt.Sscanf(name, "%x", &typ)
		for _, v := range values {
			body := bytes.Clone(e[name].body)
			body[at] = v
			if _, ok := reencode(Frame{Type(typ), body}); ok {
				t.Errorf("%s with %#x at %d is taken", name, v, at)
			}
		}
	}
	badByte := []byte{'A', ' ', '/', '@', '`', '{', 0x7f, 0x80, 0xff, '\n', 0x1b}
	badFirst := append([]byte{'.', '-', '_', 0}, badByte...)
	name := func(frame string, at int) {
		t.Helper()
		try(frame, at, badFirst...)
		try(frame, at+1, append([]byte{0}, badByte...)...) // a zero inside
		try(frame, at+31, 'a', 1, 0xff)                    // something in the padding
		clear(e[frame].body[at : at+32])
		try(frame, at, 0)
	}
	name("04 Users", 1)
	name("05 Watch", 0)
	name("05 Watch", 32)
	name("06 Presence", 0)
	name("06 Presence", 33)
	name("07 Relay", 4)
	name("08 Relayed", 0)
	name("0a Gone", 0)
	name("0b Intro", 32)

	e = examples(t)
	try("03 List", 0, badFirst[:3]...)
	try("03 List", 0, 0) // not empty, and with no beginning
	try("03 List", 1, badByte...)
	try("03 List", 31, 'a')
	try("03 List, further", 32, badFirst...)
	try("03 List, further", 63, 'a')
	try("04 Users", 0, 2, 3, 0x80, 0xff)
	try("04 Users, none", 0, 1) // more, after nobody
	try("04 Users", 1, 'c', 'z')
	try("04 Users, 500", 1+4+32*100, '0', '2', '9')
	try("06 Presence", 32, 2, 0x80, 0xff)
	try("06 Presence", 65, 2, 0x80, 0xff)
	try("09 Undeliverable", 4, 0, 4, 5, 255)
	try("0a Gone", 40, 0, 4, 255)
	try("0b Intro", 64, 0, 1, 3, 9, 255)
	try("0b Intro", 65, 0, 2, 3)
	try("0c Ticket", 16, 1, 2, 3, 255)
	try("0c Ticket, busy", 16, 0, 3, 255)
	try("13 Notice", 0, 0, 3, 255)
	try("15 Close, done", 0, 7, 8, 255)

	for _, frame := range []struct {
		name string
		at   int
	}{{"08 Relayed", 32}, {"0a Gone", 32}} { // a session's tag is never zero
		clear(e[frame.name].body[frame.at : frame.at+8])
		try(frame.name, frame.at, 0)
	}
	// Two of the same name are not ascending.
	users := e["04 Users"].body
	copy(users[33:], users[1:33])
	try("04 Users", 0, 0, 1)
}

func TestAppendFunctionsAppend(t *testing.T) {
	head := []byte("head")
	for name, got := range map[string][]byte{
		"Ping": AppendPing(head, [8]byte{}), "Pong": AppendPong(head, make([]byte, 8)), "List": AppendList(head, List{}), "Users": AppendUsers(head, false, nil),
		"Watch": AppendWatch(head, nil), "Presence": AppendPresence(head, nil), "Relay": AppendRelay(head, Relay{}), "Relayed": AppendRelayed(head, Relayed{}),
		"Undeliverable": AppendUndeliverable(head, 0, Full), "Gone": AppendGone(head, Gone{}), "Ticket": AppendTicket(head, Ticket{}),
		"Intro": AppendIntro(head, &ticket.Intro{Versions: []byte{1}}), "Logout": AppendLogout(head), "LoggedOut": AppendLoggedOut(head),
		"Notice": AppendNotice(head, 1), "Close": AppendClose(head, 0), "Done": AppendDone(head, 1, nil),
	} {
		n := len(got) - len(head) - FrameHeaderSize
		if !bytes.HasPrefix(got, head) || n < 0 || Type(got[4]).String() != name || int(got[5])<<8|int(got[6]) != n {
			t.Errorf("%s: %x", name, got)
		}
	}
}
