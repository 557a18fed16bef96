package proto

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"sim/proto/record"
)

// page is docs/PROTOCOL.md, section 6, once more: who sends a frame, and the lengths of its body.
var page = []struct {
	typ     byte
	name    string
	from    string // C, S or both
	lengths []int  // good ones, the least and the greatest among them
	bad     []int
}{
	{0x01, "Ping", "C", []int{8}, []int{0, 7, 9, 16}},
	{0x02, "Pong", "S", []int{8}, []int{0, 7, 9, 16}},
	{0x03, "List", "C", []int{64}, []int{0, 32, 63, 65, 96, 128}},
	{0x04, "Users", "S", []int{1, 33, 65, 1 + 499*32, 1 + 500*32}, []int{0, 2, 32, 34, 64, 500 * 32, 2 + 500*32, 1 + 501*32}},
	{0x05, "Watch", "C", []int{0, 32, 64, 255 * 32, 256 * 32}, []int{1, 31, 33, 256*32 - 1, 256*32 + 1, 257 * 32}},
	{0x06, "Presence", "S", []int{33, 66, 255 * 33, 256 * 33}, []int{0, 1, 32, 34, 65, 256*33 - 1, 256*33 + 1, 257 * 33}},
	{0x07, "Relay", "C", []int{45, 46, 44 + 10239, 44 + 10240}, []int{0, 1, 43, 44, 44 + 10241}},
	{0x08, "Relayed", "S", []int{41, 42, 40 + 10239, 40 + 10240}, []int{0, 1, 39, 40, 40 + 10241}},
	{0x09, "Undeliverable", "S", []int{5}, []int{0, 4, 6, 10}},
	{0x0a, "Gone", "S", []int{41}, []int{0, 40, 42, 82}},
	{0x0b, "Intro", "C", []int{211, 212, 217, 218}, []int{0, 210, 219}},
	{0x0c, "Ticket", "S", []int{17, 369}, []int{0, 16, 18, 352, 368, 370, 17 + 2*352}},
	{0x0d, "PasswordBegin", "C", []int{256}, []int{0, 255, 257, 512}},
	{0x0e, "PasswordSalt", "S", []int{297}, []int{0, 296, 298, 594}},
	{0x0f, "PasswordSet", "C", []int{336}, []int{0, 335, 337, 672}},
	{0x10, "Done", "S", []int{33}, []int{0, 32, 34, 66}},
	{0x11, "Logout", "C", []int{0}, []int{1, 2, 512}},
	{0x12, "LoggedOut", "S", []int{0}, []int{1, 2, 512}},
	{0x13, "Notice", "S", []int{1}, []int{0, 2}},
	{0x14, "Rekey", "both", []int{0}, []int{1, 2, 512}},
	{0x15, "Close", "both", []int{1}, []int{0, 2}},
	{0x16, "Seen", "both", []int{8}, []int{0, 7, 9, 16}},
}

var both = map[string][]Side{"C": {Client}, "S": {Server}, "both": {Client, Server}}

// frameOf is a frame with a body that no type looks into here.
func frameOf(typ byte, n int) []byte {
	return append([]byte{typ, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{0xa5}, n)...)
}

// padded is the plaintext of a record with frames.
func padded(frames ...[]byte) []byte {
	b := slices.Concat(frames...)
	return append(b, make([]byte, record.PaddedSize(len(b))-len(b))...)
}

// all are the frames of a record, or nil.
func all(f Frames) (out []Frame) {
	for {
		frame, ok := f.Next()
		if !ok {
			return out
		}
		out = append(out, frame)
	}
}

func refusesRecord(t *testing.T, what string, plaintext []byte, from Side) {
	t.Helper()
	frames, rekey, err := splitRecord(plaintext, from)
	if !isPeer(err) || rekey || len(all(frames)) != 0 {
		t.Errorf("%s: %v", what, err)
	}
}

func TestFramesArePageSix(t *testing.T) {
	for i, p := range page {
		if Type(p.typ) != Type(i+1) || Type(p.typ).String() != p.name {
			t.Errorf("%#x is %s, want %s", p.typ, Type(p.typ), p.name)
		}
		for _, from := range []Side{Client, Server} {
			good := slices.Contains(both[p.from], from)
			for _, n := range p.lengths {
				plaintext := padded(frameOf(p.typ, n))
				if !good {
					refusesRecord(t, p.name+" in the wrong direction", plaintext, from)
					continue
				}
				frames, rekey, err := splitRecord(plaintext, from)
				if err != nil || rekey != (p.name == "Rekey") {
					t.Errorf("%s of %d bytes: %v", p.name, n, err)
					continue
				}
				if got := all(frames); len(got) != 1 || got[0].Type != Type(p.typ) || !bytes.Equal(got[0].Body, frameOf(p.typ, n)[3:]) {
					t.Errorf("%s of %d bytes comes out as another", p.name, n)
				}
			}
			for _, n := range p.bad {
				if 3+n <= record.MaxPlaintext {
					refusesRecord(t, fmt.Sprintf("%s of %d bytes", p.name, n), padded(frameOf(p.typ, n)), from)
				}
			}
		}
	}
	if len(page) != len(shapes)-1 || shapes[0].name != "" {
		t.Error("a type that is not on the page")
	}
}

func TestUnknownTypes(t *testing.T) {
	for typ := len(page) + 1; typ < 256; typ++ {
		for _, n := range []int{0, 1, 8} {
			for _, from := range []Side{Client, Server} {
				refusesRecord(t, fmt.Sprint("type ", typ), padded(frameOf(byte(typ), n)), from)
			}
		}
		if s := Type(typ).String(); s != "unknown" {
			t.Error(typ, s)
		}
	}
	if TypePadding.String() != "unknown" {
		t.Error(TypePadding)
	}
}

func TestManyFramesInARecord(t *testing.T) {
	var parts [][]byte
	for i := range 700 {
		parts = append(parts, AppendPing(nil, [8]byte{byte(i), 1}))
		parts = append(parts, AppendLogout(nil))
	}
	frames, _, err := splitRecord(padded(parts...), Client)
	if err != nil {
		t.Fatal(err)
	}
	got := all(frames)
	if len(got) != 1400 {
		t.Fatal(len(got))
	}
	for i, f := range got {
		if f.Type != []Type{TypePing, TypeLogout}[i%2] || i%2 == 0 && f.Body[0] != byte(i/2) || cap(f.Body) != len(f.Body) {
			t.Fatalf("frame %d: %v", i, f)
		}
	}
}

func TestNothingAfterRekeyAndClose(t *testing.T) {
	rekey, last := frameOf(0x14, 0), AppendClose(nil, CloseDone)
	for _, from := range []Side{Client, Server} {
		before := AppendLogout(nil)
		if from == Server {
			before = AppendLoggedOut(nil)
		}
		for what, plaintext := range map[string][]byte{
			"a frame after Rekey": padded(rekey, before), "a frame after Close": padded(last, before), "Rekey after Close": padded(last, rekey),
			"Close after Rekey": padded(rekey, last), "Rekey twice": padded(rekey, rekey), "Close twice": padded(last, last),
			"an unknown type after Close": padded(last, frameOf(0x77, 0)), "a cut frame after Close": padded(last, []byte{1}),
		} {
			refusesRecord(t, what, plaintext, from)
		}
		if frames, isRekey, err := splitRecord(padded(before, rekey), from); err != nil || !isRekey || len(all(frames)) != 2 {
			t.Error(err)
		}
		if frames, isRekey, err := splitRecord(padded(before, last), from); err != nil || isRekey || len(all(frames)) != 2 {
			t.Error(err)
		}
	}
}

func TestRecordWithoutAFrame(t *testing.T) {
	for size := record.MinPlaintext; size <= record.MaxPlaintext; size *= 2 {
		refusesRecord(t, "all zeros", make([]byte, size), Client)
		late := make([]byte, size)
		late[size-1] = 1
		refusesRecord(t, "padding first", late, Client)
	}
	refusesRecord(t, "nothing", nil, Client)
}

func TestPaddingIsTheLeastOfZeros(t *testing.T) {
	frame := AppendPing(nil, [8]byte{1})
	for size := 1024; size <= record.MaxPlaintext; size *= 2 {
		refusesRecord(t, fmt.Sprint("padded to ", size), append(bytes.Clone(frame), make([]byte, size-len(frame))...), Client)
	}
	refusesRecord(t, "not padded", frame, Client)
	refusesRecord(t, "padded to 511", padded(frame)[:511], Client)
	for i := len(frame) + 1; i < 512; i++ {
		bent := padded(frame)
		bent[i] = 0x80
		refusesRecord(t, fmt.Sprint("a byte of padding at ", i), bent, Client)
	}
	// Frames that leave no padding, or one byte, or two, too few for a header.
	for _, left := range []int{0, 1, 2} {
		relay := frameOf(0x07, 512-3-left)
		if frames, _, err := splitRecord(padded(relay), Client); err != nil || len(all(frames)) != 1 {
			t.Errorf("%d bytes left: %v", left, err)
		}
		if left > 0 {
			bent := padded(relay)
			bent[511] = 1
			refusesRecord(t, fmt.Sprint("the last of ", left), bent, Client)
		}
	}
	for _, n := range []int{508, 509, 510, 1021, 1022} { // 1021 + 3 = 1024
		if _, _, err := splitRecord(padded(frameOf(0x07, n)), Client); err != nil {
			t.Error(n, err)
		}
	}
}

func TestFrameIsCutOff(t *testing.T) {
	bent := padded(AppendPing(nil, [8]byte{1}))
	bent[1] = 0xff
	refusesRecord(t, "longer than the record", bent, Client)
	exact := padded(frameOf(0x07, 509))
	exact[2]++
	refusesRecord(t, "a byte longer than the record", exact, Client)
	first := padded(frameOf(0x07, 512-3-2))
	copy(first[510:], []byte{1, 0})
	refusesRecord(t, "a header of two bytes", first, Client)
	copy(first[510:], []byte{0, 1})
	refusesRecord(t, "padding that is not zero", first, Client)
}

// FuzzSplitRecord: what is taken, written again frame by frame and padded, is what came.
func FuzzSplitRecord(f *testing.F) {
	seeds := 0
	for _, p := range page {
		f.Add(padded(frameOf(p.typ, p.lengths[0])), p.from != "S")
		f.Add(padded(frameOf(p.typ, p.lengths[len(p.lengths)-1])), p.from != "C")
		seeds++
	}
	f.Add(padded(AppendLogout(nil), AppendPing(nil, [8]byte{}), frameOf(0x14, 0)), true)
	f.Add([]byte{}, true)
	f.Add([]byte{1, 0}, false)
	if seeds < 21 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, plaintext []byte, client bool) {
		if len(plaintext) > record.MaxPlaintext {
			return
		}
		from := Server
		if client {
			from = Client
		}
		frames, rekey, err := splitRecord(plaintext, from)
		if err != nil {
			if !isPeer(err) || rekey || len(all(frames)) != 0 {
				t.Fatalf("%v with %d frames", err, len(all(frames)))
			}
			return
		}
		var again [][]byte
		for i, frame := range all(frames) {
			again = append(again, append(appendHeader(nil, frame.Type, len(frame.Body)), frame.Body...))
			if back, ok := reencode(frame); ok && !bytes.Equal(back, again[i]) {
				t.Fatalf("%v is read as %x and written as %x", frame.Type, again[i], back)
			}
		}
		if len(again) == 0 || !bytes.Equal(padded(again...), plaintext) {
			t.Fatal("what is taken is not what is written")
		}
	})
}
