package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sim/client/editor"
	"sim/proto"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

func TestParseCommand(t *testing.T) {
	longName := strings.Repeat("a", proto.NameSize)
	longText := strings.Repeat("é", maxText/2)
	for _, tt := range []struct {
		line string
		want command
	}{
		{"", command{}},
		{"   ", command{}},
		{"login alice", command{verb: verbLogin, name: "alice"}},
		{"login ALICE.b_c-9", command{verb: verbLogin, name: "alice.b_c-9"}},
		{"login alice  ", command{verb: verbLogin, name: "alice"}},
		{"login " + longName, command{verb: verbLogin, name: longName}},
		{"list", command{verb: verbList}},
		{"list ", command{verb: verbList}},
		{"list Al", command{verb: verbList, name: "al"}},
		{"send bob hello", command{verb: verbSend, name: "bob", text: "hello"}},
		{"send Bob   -- hi \"there\" \\n  ", command{verb: verbSend, name: "bob", text: "  -- hi \"there\" \\n  "}},
		{"send bob  ", command{verb: verbSend, name: "bob", text: " "}},
		{"send bob a\x1b\tb\r", command{verb: verbSend, name: "bob", text: "a\x1b\tb\r"}},
		{"send " + longName + " " + longText, command{verb: verbSend, name: longName, text: longText}},
		{"talk Bob", command{verb: verbTalk, name: "bob"}},
		{"talk", command{verb: verbTalk}},
		{"block bob", command{verb: verbBlock, name: "bob"}},
		{"block", command{verb: verbBlock}},
		{"unblock bob", command{verb: verbUnblock, name: "bob"}},
		{"watch bob", command{verb: verbWatch, name: "bob"}},
		{"watch ", command{verb: verbWatch}},
		{"unwatch bob", command{verb: verbUnwatch, name: "bob"}},
		{"passwd", command{verb: verbPasswd}},
		{"disconnect bob", command{verb: verbDisconnect, name: "bob"}},
		{"disconnect Alice Bob", command{verb: verbDisconnect, name: "alice", name2: "bob"}},
		{"verify 7up", command{verb: verbVerify, name: "7up"}},
		{"recv", command{verb: verbRecv, count: 1}},
		{"recv 3", command{verb: verbRecv, count: 3}},
		{"recv 1000000", command{verb: verbRecv, count: maxRecv}},
		{"recv 1 30s", command{verb: verbRecv, count: 1, timeout: 30 * time.Second}},
		{"recv 1m30s ", command{verb: verbRecv, count: 1, timeout: 90 * time.Second}},
		{"logout", command{verb: verbLogout}},
		{"logout alice", command{verb: verbLogout, name: "alice"}},
		{"help", command{verb: verbHelp}},
		{"quit ", command{verb: verbQuit}},
	} {
		got, err := parseCommand([]byte(tt.line))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%.60q: %+v, %v; want %+v", tt.line, got, err, tt.want)
		}
	}
}

func TestParseCommandRefuses(t *testing.T) {
	for _, tt := range []struct {
		line string
		want error
	}{
		{" list", errLeadingSpace},
		{"hunter2", errUnknownVerb},
		{"LIST", errCapitals},
		{"Send bob hello", errCapitals},
		{"-h", errUnknownVerb},
		{"list\talice", errUnknownVerb},
		{"quit\r", errUnknownVerb},
		{"send bob \xff", errNotUTF8},
		{"send bob \xed\xa0\x80", errNotUTF8},
		{strings.Repeat("a", maxLine+1), errLineTooLong},
		{strings.Repeat("a", maxLine), errUnknownVerb},
		{"send bob " + strings.Repeat("a", maxText+1), errTextTooLong},

		{"login", errTooFewWords},
		{"login ", errTooFewWords},
		{"disconnect", errTooFewWords},
		{"verify", errTooFewWords},
		{"unblock", errTooFewWords},
		{"unwatch", errTooFewWords},
		{"passwd s3cret", errTooManyWords},
		{"talk bob hello", errTooManyWords},
		{"send", errTooFewWords},
		{"send ", errTooFewWords},
		{"send bob", errNoText},
		{"send bob ", errNoText},

		{"login alice bob", errTooManyWords},
		{"list a b", errTooManyWords},
		{"disconnect alice bob carol", errTooManyWords},
		{"recv 1 30s now", errTooManyWords},
		{"help send", errTooManyWords},
		{"quit now", errTooManyWords},

		{"login  alice", errSpaces},
		{"disconnect alice  bob", errSpaces},
		{"send  bob hello", errSpaces},

		{"login .alice", proto.ErrName},
		{"login -alice", proto.ErrName},
		{"login _alice", proto.ErrName},
		{"list --json", proto.ErrName},
		{"verify al/ice", proto.ErrName},
		{"verify \u212aelvin", proto.ErrName}, // the Kelvin sign
		{"verify al\x00ice", proto.ErrName},
		{"disconnect alice bøb", proto.ErrName},
		{"disconnect bøb alice", proto.ErrName},
		{"send b\u00f6b hello", proto.ErrName},
		{"login " + strings.Repeat("a", proto.NameSize+1), proto.ErrName},

		{"recv 0", errCount},
		{"recv -1", errCount},
		{"recv +1", errCount},
		{"recv -1 30s", errCount},
		{"recv 1000001", errCount},
		{"recv 99999999999999999999", errCount},
		{"recv 30s 1", errCount},
		{"recv 1 0s", errTimeout},
		{"recv 1 -1s", errTimeout},
		{"recv 1 30", errTimeout},
		{"recv soon", errTimeout},
		{"recv 1 9999999h", errTimeout},
	} {
		got, err := parseCommand([]byte(tt.line))
		if !errors.Is(err, tt.want) || !reflect.DeepEqual(got, command{}) {
			t.Errorf("%.60q: %+v, %v; want %v", tt.line, got, err, tt.want)
		}
	}
}

// While somebody is talked to, a line is a text; a slash makes it a command.
func TestParseLine(t *testing.T) {
	say := func(text string) command { return command{verb: verbSend, name: "bob", text: text} }
	for _, tt := range []struct {
		target, line string
		want         command
		err          error
	}{
		{"bob", "hello", say("hello"), nil},
		{"bob", "list", say("list"), nil},
		{"bob", "quit", say("quit"), nil},
		{"bob", "  - hi \"there\" ", say("  - hi \"there\" "), nil},
		{"bob", "two\nlines", say("two\nlines"), nil},
		{"bob", "//etc/passwd", say("/etc/passwd"), nil},
		{"bob", "//", say("/"), nil},
		{"bob", "", command{}, nil},
		{"bob", "   ", command{}, nil},
		{"bob", "/list", command{verb: verbList}, nil},
		{"bob", "/list al", command{verb: verbList, name: "al"}, nil},
		{"bob", "/send carol hello bob", command{verb: verbSend, name: "carol", text: "hello bob"}, nil},
		{"bob", "/", command{verb: verbTalk}, nil},
		{"bob", "/ ", command{verb: verbTalk}, nil},
		{"bob", "/talk", command{verb: verbTalk}, nil},
		{"bob", "/Carol ", command{verb: verbTalk, name: "carol"}, nil},
		{"bob", "/LIST", command{}, errCapitals},
		{"", "/Quit", command{}, errCapitals},
		{"bob", "/talk list", command{verb: verbTalk, name: "list"}, nil},
		{"bob", "/verify", command{verb: verbVerify, name: "bob"}, nil},
		{"bob", "/verify carol", command{verb: verbVerify, name: "carol"}, nil},
		{"bob", "/disconnect ", command{verb: verbDisconnect, name: "bob"}, nil},
		{"bob", "/block", command{verb: verbBlock}, nil},
		{"bob", "/unblock", command{}, errTooFewWords},
		{"bob", "/carol hello", command{}, errUnknownVerb},
		{"bob", "/no name!", command{}, errUnknownVerb},
		{"bob", "/ list", command{}, errLeadingSpace},
		{"bob", "hello \xff", command{}, errNotUTF8},
		{"bob", strings.Repeat("a", maxText), say(strings.Repeat("a", maxText)), nil},
		{"bob", strings.Repeat("a", maxText+1), command{}, errTextTooLong},

		{"", "list", command{verb: verbList}, nil},
		{"", "/list", command{verb: verbList}, nil},
		{"", "/bob", command{verb: verbTalk, name: "bob"}, nil},
		{"", "/verify", command{}, errTooFewWords},
		{"", "hello", command{}, errUnknownVerb},
		{"", "//hello", command{}, errUnknownVerb},
		{"", "/", command{verb: verbTalk}, nil},
		{"", "", command{}, nil},
	} {
		got, err := parseLine([]byte(tt.line), tt.target)
		if err == nil && !reflect.DeepEqual(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%q to %q: %+v, %v; want %+v, %v", tt.line, tt.target, got, err, tt.want, tt.err)
		}
	}
}

func TestParseCommandErrorTellsUsage(t *testing.T) {
	_, err := parseCommand([]byte("send bob"))
	if got, want := fmt.Sprint(err), "send: the message is missing; usage: send <receiver> <message>"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err = parseCommand([]byte("hunter2")); !strings.Contains(err.Error(), "help") {
		t.Errorf("%q doesn't tell of help", err)
	}
}

func TestHelpTellsEveryUsage(t *testing.T) {
	var table [][]string // the words left of each explanation
	if rows := 2 + strings.Count(editor.Wrap(helpText, 80), "\n"); rows > 24 {
		t.Errorf("with the command before and the prompt behind it, it takes %d rows", rows)
	}
	commands, _, _ := strings.Cut(helpText, "\n\n")
	for line := range strings.Lines(commands) {
		left, right, _ := strings.Cut(line, "  ")
		if left == "" || strings.TrimSpace(right) == "" || len(line) > 80 {
			t.Errorf("help line %q", line)
		}
		table = append(table, strings.Fields(left))
	}
	for _, g := range grammar[verbNone+1:] {
		for usage := range strings.SplitSeq(g.usage, ", or ") {
			found := false
			for _, words := range table {
				found = found || reflect.DeepEqual(words, strings.Fields(usage))
			}
			if !found {
				t.Errorf("help has no %q", usage)
			}
		}
	}
}

// knownErrors are the texts of all errors there are. One that held a part of
// the line would not be among them.
func knownErrors() map[string]bool {
	known := map[string]bool{}
	for _, err := range []error{errLineTooLong, errNotUTF8, errLeadingSpace, errUnknownVerb, errCapitals} {
		known[err.Error()] = true
	}
	for _, err := range []error{
		errTooFewWords, errTooManyWords, errSpaces, proto.ErrName, errNoText, errTextTooLong, errCount, errTimeout, errYes,
	} {
		for _, g := range grammar[verbNone+1:] {
			known[g.name+": "+err.Error()+"; usage: "+g.usage] = true
		}
	}
	return known
}

// line writes c as it would be typed.
func (c command) line() string {
	words := []string{grammar[c.verb].name}
	if c.count > 0 {
		words = append(words, fmt.Sprint(c.count))
	}
	if c.timeout > 0 {
		words = append(words, c.timeout.String())
	}
	for _, s := range []string{c.name, c.name2, c.text} {
		if s != "" {
			words = append(words, s)
		}
	}
	return strings.Join(words, " ")
}

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{
		"", " ", "login alice", "list", "list al", "send bob  - hi ", "send bob", "disconnect bob", "disconnect alice bob",
		"verify bob", "verify bob yes", "verify bob no", "passwd", "block bob", "recv", "recv 1 30s", "recv 5m", "recv 0", "recv 1 x", "logout", "logout alice", "help", "quit ", "quit now",
		"hunter2", " hunter2", "login hunter2 hunter3", "login Hünter", "liSt", "send bob \xff", strings.Repeat("a", maxLine+1),
		"send bob " + strings.Repeat("a", maxText), "send bob " + strings.Repeat("a", maxText+1),
	} {
		f.Add([]byte(s))
	}
	known := knownErrors()
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := parseCommand(line)
		if err != nil {
			if !known[err.Error()] {
				t.Fatalf("%q: the error %q is not one of ours", line, err)
			}
			return
		}
		if len(line) > maxLine || !utf8.Valid(line) {
			t.Fatalf("%q was taken", line)
		}
		if c.verb == verbSend {
			if c.text == "" || len(c.text) > maxText || !bytes.HasSuffix(line, []byte(" "+c.text)) {
				t.Fatalf("%q: the text is %q", line, c.text)
			}
		}
		for _, name := range []string{c.name, c.name2} {
			if again, err := proto.ParseName(name); name != "" && (err != nil || again.String() != name) {
				t.Fatalf("%q: the name is %q", line, name)
			}
		}
		again, err := parseCommand([]byte(c.line()))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%q: %+v, and of its own line %+v, %v", line, c, again, err)
		}
	})
}

// FuzzParseLine: while somebody is talked to, a line that begins with no slash is never a command, and reaches them as it stands; what begins
// with one is never a text, but for the second of two.
func FuzzParseLine(f *testing.F) {
	for _, s := range []string{"", " ", "hello", "quit", "/quit", "//quit", "/", "/bob", "/verify", "/send carol hi", "/ list", "/\xff", "\xff", "a\nb"} {
		f.Add([]byte(s))
	}
	known := knownErrors()
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := parseLine(line, "bob")
		text, slash := bytes.CutPrefix(line, []byte("/"))
		switch {
		case err != nil:
			if !known[err.Error()] && err != errTextTooLong {
				t.Fatalf("%q: the error %q is not one of ours", line, err)
			}
		case slash && !bytes.HasPrefix(text, []byte("/")):
			if c.verb == verbNone || c.verb == verbSend && !bytes.HasPrefix(text, []byte("send ")) {
				t.Fatalf("%q: %+v", line, c)
			}
		case slash && (c.verb != verbSend || c.text != string(text)):
			t.Fatalf("%q: %+v", line, c)
		case !slash && len(bytes.Trim(line, " ")) == 0:
			if c.verb != verbNone {
				t.Fatalf("%q: %+v", line, c)
			}
		case !slash && (c.verb != verbSend || c.name != "bob" || c.text != string(line)):
			t.Fatalf("%q: %+v", line, c)
		}
	})
}

// readLines reads r to its end. A line that is too long is shown as "!".
func readLines(t *testing.T, r io.Reader) (lines []string, err error) {
	t.Helper()
	l := newLineReader(r, maxLine)
	for {
		line, err := l.next()
		switch {
		case err == errLineTooLong:
			lines = append(lines, "!")
		case err != nil:
			if _, again := l.next(); again != err {
				t.Errorf("after %v came %v", err, again)
			}
			return lines, err
		default:
			lines = append(lines, string(line))
		}
	}
}

// cutLines says what the lines of data are, without a thought for memory.
func cutLines(data []byte) (lines []string) {
	for line := range bytes.Lines(data) {
		line, ended := bytes.CutSuffix(line, []byte("\n"))
		if ended {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		if len(line) > maxLine {
			line = []byte("!")
		}
		lines = append(lines, string(line))
	}
	return lines
}

func TestLines(t *testing.T) {
	full := strings.Repeat("x", maxLine)
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"one", "list\n", []string{"list"}},
		{"no LF at the end", "list\nquit", []string{"list", "quit"}},
		{"empty lines", "\n\r\n\n", []string{"", "", ""}},
		{"one CR is dropped", "a\r\nb\r\r\nc\rd\n", []string{"a", "b\r", "c\rd"}},
		{"CR without LF stays", "a\r", []string{"a\r"}},
		{"not UTF-8", "\xff\nlist\n", []string{"\xff", "list"}},
		{"at the limit", full + "\n" + full + "\r\n" + full, []string{full, full, full}},
		{"over the limit", full + "x\nlist\n", []string{"!", "list"}},
		{"over the limit with CR", full + "x\r\nlist\n", []string{"!", "list"}},
		{"over the limit with two CR", full + "\r\r\nlist\n", []string{"!", "list"}},
		{"over the limit at the end", full + "x", []string{"!"}},
		{"over the limit with CR inside", full + "\ryz\nlist\n", []string{"!", "list"}},
		{"CR over the limit at the end", full + "\r", []string{"!"}},
		{"far over the limit", full + full + full + "\nlist\n", []string{"!", "list"}},
		{"far over the limit at the end", full + full, []string{"!"}},
		{"two over the limit", full + full + "\n" + full + full + "\nlist", []string{"!", "!", "list"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readLines(t, strings.NewReader(tt.in))
			if err != io.EOF || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%.80q, %v; want %.80q", got, err, tt.want)
			}
			if model := cutLines([]byte(tt.in)); !reflect.DeepEqual(model, tt.want) {
				t.Errorf("the model says %.80q", model)
			}
		})
	}
}

func TestLinesOfABrokenStream(t *testing.T) {
	broken := errors.New("broken")
	for _, in := range []string{"list\nquit", "list\n", "list\n" + strings.Repeat("x", 2*maxLine)} {
		got, err := readLines(t, io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)))
		if err != broken || !reflect.DeepEqual(got, []string{"list"}) {
			t.Errorf("%.20q: %.20q, %v; a cut line is no command", in, got, err)
		}
	}
}

// A terminal may be read again after an end of input; the end stays the end.
func TestLinesEndOnce(t *testing.T) {
	r := &steps{[]byte("login al"), nil, []byte("ice\n"), []byte("list\n")}
	got, err := readLines(t, r)
	if err != io.EOF || !reflect.DeepEqual(got, []string{"login al"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// steps is a reader that gives one piece a call, and EOF for a nil one.
type steps [][]byte

func (s *steps) Read(p []byte) (int, error) {
	if len(*s) == 0 || (*s)[0] == nil {
		*s = (*s)[min(1, len(*s)):]
		return 0, io.EOF
	}
	n := copy(p, (*s)[0])
	if (*s)[0] = (*s)[0][n:]; len((*s)[0]) == 0 {
		*s = (*s)[1:]
	}
	return n, nil
}

// A person's line comes at once, not when a buffer is full.
func TestLinesDontWait(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go w.Write([]byte("list\n"))
	line, err := newLineReader(r, maxLine).next()
	if string(line) != "list" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}

// What is held stays small while a line without an end goes by.
func TestLinesMemory(t *testing.T) {
	l := newLineReader(io.LimitReader(endless{}, 1<<26), maxLine)
	if n := testing.AllocsPerRun(1, func() { l.next() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if l.r.Size() > 2*maxLine {
		t.Errorf("the buffer has %d bytes", l.r.Size())
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// FuzzLines: how a stream is cut never changes its lines.
func FuzzLines(f *testing.F) {
	full := strings.Repeat("x", maxLine)
	for _, s := range []string{
		"", "\n", "\r\n", "list\nquit", "a\r\r\nb\rc\n\n", "\xff\n", full + "\r\n" + full, full + "\r", full + "x\nlist\n", full + full + "\r\nlist",
	} {
		f.Add([]byte(s), []byte{1, 0, 2, 255})
		f.Add([]byte(s), []byte{})
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		want := cutLines(data)
		for name, r := range map[string]io.Reader{
			"cut":          &cutReader{data, cuts},
			"whole":        bytes.NewReader(data),
			"byte by byte": iotest.OneByteReader(bytes.NewReader(data)),
			"data and EOF": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			if got, err := readLines(t, r); err != io.EOF || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %.80q, %v; want %.80q", name, got, err, want)
			}
		}
	})
}

// A cutReader gives data in pieces as long as cuts says, then the rest.
type cutReader struct{ data, cuts []byte }

func (r *cutReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	if len(r.cuts) > 0 {
		p, r.cuts = p[:min(len(p), int(r.cuts[0]))], r.cuts[1:]
		if len(p) == 0 && len(r.cuts) > 50 {
			r.cuts = r.cuts[:50] // bufio gives up on a reader that is idle a hundred times
		}
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// Nobody is called as a command is: a line of a script could then mean either.
func TestCommandsAreReservedNames(t *testing.T) {
	for _, g := range grammar[1:] {
		if !mustName(g.name).Reserved() {
			t.Errorf("somebody can be called %s", g.name)
		}
	}
}
