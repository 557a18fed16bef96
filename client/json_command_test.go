package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseObject(t *testing.T) {
	for _, tt := range []struct {
		line string
		want command
	}{
		{``, command{}},
		{" \t\r", command{}},
		{`{"cmd":"list"}`, command{verb: verbList}},
		{` { "cmd" : "list" , "prefix" : "AL" } `, command{verb: verbList, name: "al"}},
		{`{"cmd":"send","to":"Bob","text":"a\nb"}`, command{verb: verbSend, name: "bob", text: "a\nb"}},
		{`{"text":" \"\\\/\b\f\n\r\t\u0000 ","to":"bob","cmd":"send"}`, command{verb: verbSend, name: "bob", text: " \"\\/\b\f\n\r\t\x00 "}},
		{`{"\u0063md":"send","to":"bob","text":"gr\u00fcn \uD83D\ude00 grün 😀"}`, command{verb: verbSend, name: "bob", text: "grün 😀 grün 😀"}},
		{`{"cmd":"send","to":"bob","text":"` + strings.Repeat(`\u0001`, maxText) + `"}`, command{verb: verbSend, name: "bob", text: strings.Repeat("\x01", maxText)}},
		{`{"cmd":"login","user":"alice","password":"p\u00e4ss word"}`, command{verb: verbLogin, name: "alice", password: []byte("päss word")}},
		{`{"cmd":"disconnect","with":"bob"}`, command{verb: verbDisconnect, name: "bob"}},
		{`{"cmd":"verify","with":"bob"}`, command{verb: verbVerify, name: "bob"}},
		{`{"cmd":"verify","with":"bob","yes":true}`, command{verb: verbVerify, name: "bob", name2: "yes"}},
		{`{"cmd":"verify","with":"bob","yes":false}`, command{verb: verbVerify, name: "bob"}},
		{`{"cmd":"recv"}`, command{verb: verbRecv, count: 1}},
		{`{"cmd":"recv","count":3,"timeout":"1m30s"}`, command{verb: verbRecv, count: 3, timeout: 90 * time.Second}},
		{`{"cmd":"logout"}`, command{verb: verbLogout}},
		{`{"cmd":"logout","user":"alice"}`, command{verb: verbLogout, name: "alice"}},
		{`{"cmd":"quit","id":7}`, command{verb: verbQuit, id: "7"}},
		{`{"id":-999999999999999,"cmd":"quit"}`, command{verb: verbQuit, id: "-999999999999999"}},
		{`{"id":"a \"b\" \u00fc","cmd":"quit"}`, command{verb: verbQuit, id: `"a \"b\" \u00fc"`}},
		{`{"cmd":"quit","id":"` + strings.Repeat("ü", maxID) + `"}`, command{verb: verbQuit, id: `"` + strings.Repeat(`\u00fc`, maxID) + `"`}},
	} {
		got, err := parseObject([]byte(tt.line))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%.80s: %+v, %v; want %+v", tt.line, got, err, tt.want)
		}
	}
}

func TestParseObjectRefuses(t *testing.T) {
	for _, tt := range []struct {
		line string
		want error  // nil: one without a name
		id   string // that the answer has
	}{
		{`list`, errNotObject, ""},
		{`{`, errNotObject, ""},
		{`[]`, errNotObject, ""},
		{`"cmd"`, errNotObject, ""},
		{`{"cmd":"list"`, errNotObject, ""},
		{`{"cmd":"list"}}`, errNotObject, ""},
		{`{"cmd":"list"} {"cmd":"list"}`, errNotObject, ""},
		{`{"cmd":"list",}`, errNotObject, ""},
		{`{"cmd" "list"}`, errNotObject, ""},
		{`{cmd:"list"}`, errNotObject, ""},
		{`{"cmd":"list"}` + "\xff", errNotUTF8, ""},
		{`{"cmd":"send","to":"bob","text":"` + "a\tb" + `"}`, errNotObject, ""},
		{`{"cmd":"send","to":"bob","text":"\x"}`, errNotObject, ""},
		{`{"cmd":"send","to":"bob","text":"\u12`, errNotObject, ""},
		{`{"cmd":"send","to":"bob","text":"\u+123"}`, errNotObject, ""},
		{`{"cmd":"send","to":"bob","text":"\`, errNotObject, ""},
		{`{"cmd":"send","to":"bob","text":"\ud83d"}`, errSurrogate, ""},
		{`{"cmd":"send","to":"bob","text":"\ude00"}`, errSurrogate, ""},
		{`{"cmd":"send","to":"bob","text":"\ude00\ud83d"}`, errSurrogate, ""},
		{`{"cmd":"send","to":"bob","text":"\ud83d\u0041"}`, errSurrogate, ""},
		{`{"cmd":"send","to":"bob","text":"\ud83d","id":7}`, errSurrogate, "7"},
		{`{"id":"a","cmd":"send","to":"bob","text":"\ude00 x"}`, errSurrogate, `"a"`},
		{`{"cmd":"list","id":"\ud83d"}`, errSurrogate, ""},
		{`{"cmd":"list","cmd":"list"}`, errKeyTwice, ""},
		{`{"cmd":"list","cmd":"list","id":3}`, errKeyTwice, "3"},
		{`{"cmd":"list","id":3,"id":4}`, errKeyTwice, ""},
		{`{"cmd":"recv","count":1.0,"id":3}`, errNested, "3"},
		{`{"cmd":"list","id":3.0}`, errNested, ""},
		{`{"cmd":"list","\u0063md":"quit"}`, errKeyTwice, ""},
		{`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`, errMembers, ""},
		{`{"cmd":["list"]}`, errNested, ""},
		{`{"cmd":"list","prefix":{"a":"b"}}`, errNested, ""},
		{`{"cmd":"list","prefix":null}`, errNested, ""},
		{`{"cmd":"recv","count":1.0}`, errNested, ""},
		{`{"cmd":"recv","count":1e3}`, errNested, ""},
		{`{"cmd":"recv","count":01}`, errNested, ""},
		{`{"cmd":"recv","count":-}`, errNested, ""},
		{`{}`, errNoCommand, ""},
		{`{"Cmd":"list"}`, errNoCommand, ""},
		{`{"id":5}`, errNoCommand, "5"},
		{`{"cmd":"help","id":5}`, errUnknownCmd, "5"},
		{`{"cmd":"","id":"a"}`, errUnknownCmd, `"a"`},
		{`{"cmd":1}`, errUnknownCmd, ""},
		{`{"cmd":"List"}`, errUnknownCmd, ""},
		{`{"cmd":"list","id":1234567890123456}`, errID, ""},
		{`{"cmd":"list","id":true}`, errID, ""},
		{`{"cmd":"list","id":"` + strings.Repeat("x", maxID+1) + `"}`, errID, ""},
		{`{"cmd":"list","Prefix":"a"}`, errUnknownKey, ""},
		{`{"cmd":"send","to":"bob","text":"hello","txt":"hello","id":5}`, errUnknownKey, "5"},
		{`{"cmd":"send","to":"bob","id":5}`, nil, "5"},
		{`{"cmd":"send","to":"bob","text":5}`, nil, ""},
		{`{"cmd":"send","to":true,"text":"hello"}`, nil, ""},
		{`{"cmd":"send","to":"b b","text":"hello"}`, nil, ""},
		{`{"cmd":"send","to":"bob","text":""}`, errNoText, ""},
		{`{"cmd":"send","to":"bob","text":"` + strings.Repeat("x", maxText+1) + `"}`, errTextTooLong, ""},
		{`{"cmd":"login","user":"alice"}`, nil, ""},
		{`{"cmd":"verify","with":"bob","yes":"yes"}`, nil, ""},
		{`{"cmd":"recv","count":0}`, errCount, ""},
		{`{"cmd":"recv","count":1000001}`, errCount, ""},
		{`{"cmd":"recv","timeout":"30"}`, errTimeout, ""},
		{`{"cmd":"recv","timeout":30}`, nil, ""},
	} {
		got, err := parseObject([]byte(tt.line))
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !reflect.DeepEqual(got, command{id: tt.id}) {
			t.Errorf("%.80s: %+v, %v; want %v", tt.line, got, err, tt.want)
		}
	}
}

func TestParsePassword(t *testing.T) {
	if pw, err := parsePassword([]byte(` {"password":"p\u00e4ss\"word"}`)); string(pw) != `päss"word` || err != nil {
		t.Errorf("%q, %v", pw, err)
	}
	for _, line := range []string{``, `turnip-lantern`, `{}`, `{"password":12345678901}`, `{"Password":"turnip"}`, `{"password":"turnip","id":1}`, `{"password":"\udead"}`} {
		if pw, err := parsePassword([]byte(line)); pw != nil || err == nil {
			t.Errorf("%s: %q", line, pw)
		}
	}
}

// A password is nowhere but in the slice that is given out.
func TestParseObjectKeepsNoPassword(t *testing.T) {
	line := []byte(`{"cmd":"login","user":"alice","password":"turnip","x":1}`)
	pw := line[bytes.Index(line, []byte("turnip")):][:6]
	if c, err := parseObject(line); err == nil || c.password != nil {
		t.Errorf("%+v, %v", c, err)
	}
	clear(line)
	if string(pw) == "turnip" {
		t.Error("the line is not what is parsed")
	}
}

// Whatever is taken, encoding/json takes, and finds the same in it; what it refuses is refused.
func FuzzParseMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"cmd":"list","id":-5}`, `{"a":true,"b":false,"c":"\u00fc\ud83d\ude00\n"}`, `{"a":"\ud83d"}`, `{"a":1,"a":2}`, ` { "a" : 0 } `, `{"a":"` + "\x7f\xff" + `"}`,
		`{"a":[1,2]}`, `{"a":null}`, `{"a":1.5}`, `{"a":"b"}x`, `{"a":-0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var want map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		wantErr := d.Decode(&want)
		if _, err := d.Token(); wantErr == nil && (err != io.EOF || want == nil) {
			wantErr = errNotObject
		}
		got, err := parseMembers(bytes.Clone(line))
		if err != nil {
			return
		}
		if wantErr != nil || len(want) != len(got) {
			t.Fatalf("%q is taken as %v, and by encoding/json as %q, %v", line, got, want, wantErr)
		}
		for _, m := range got {
			var same bool
			switch v := want[string(m.key)].(type) {
			case string:
				same = m.kind == kindString && v == string(m.value) && utf8.ValidString(v)
			case json.Number:
				same = m.kind == kindNumber && v.String() == string(m.value)
			case bool:
				same = m.kind == kindBool && v == (string(m.value) == "true")
			}
			if !same {
				t.Fatalf("%q: %q is %q, and to encoding/json %v", line, m.key, m.value, want[string(m.key)])
			}
		}
	})
}

// What encoding/json writes of strings, integers and booleans is taken.
func FuzzParseWritten(f *testing.F) {
	f.Add("text", "a\nb", int64(5), true)
	f.Add("\u2028", "😀\x00\"", int64(-1), false)
	f.Fuzz(func(t *testing.T, key, text string, n int64, b bool) {
		if !utf8.ValidString(key) || !utf8.ValidString(text) || key == "n" || key == "b" {
			return
		}
		line, err := json.Marshal(map[string]any{key: text, "n": n, "b": b})
		if err != nil {
			t.Fatal(err)
		}
		members, err := parseMembers(line)
		if i := index(members, key); err != nil || len(members) != 3 || string(members[i].value) != text {
			t.Fatalf("%q: %v, %v", text, members, err)
		}
	})
}
