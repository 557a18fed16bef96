package editor

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"sim/internal/vt"
)

const (
	testLimit  = 300
	testPrompt = "alice> "

	left, right, up, down, home, end, del = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B", "\x1b[H", "\x1b[F", "\x1b[3~"
	opens, closes                         = "\x1b[200~", "\x1b[201~"
)

// A desk is an editor with a terminal.
type desk struct {
	t       testing.TB
	editor  *Editor
	decoder Decoder
	screen  *vt.Screen
	events  []Event
	wrote   int // bytes to the terminal
}

func sitAt(t testing.TB, width, height int) *desk {
	complete := func(before string) (int, []string) {
		start := strings.LastIndexByte(before, ' ') + 1
		var fits []string
		for _, c := range []string{"send", "select", "quit", "bob", "bobby", "größe", "größer"} {
			if strings.HasPrefix(c, before[start:]) {
				fits = append(fits, c)
			}
		}
		return start, fits
	}
	d := &desk{t: t, editor: New(testLimit, complete), screen: vt.New(width, height)}
	d.editor.Resize(width, height)
	d.begins(testPrompt, Command)
	return d
}

func (d *desk) begins(prompt string, mode Mode) {
	d.editor.Begin(prompt, mode)
	d.shows()
}

func (d *desk) shows() {
	out := d.editor.Output()
	d.wrote += len(out)
	d.screen.Write(out)
	clear(out)
}

// types gives the editor what one read of the terminal gave.
func (d *desk) types(s string) {
	d.decoder.Decode([]byte(s), func(k Key) {
		if e := d.editor.Key(k); e.Kind != None {
			d.events = append(d.events, e)
		}
	})
	d.shows()
}

func (d *desk) line() string { return string(d.editor.line) }

// has checks the line, with | for the cursor.
func (d *desk) has(want string) {
	d.t.Helper()
	if got := string(d.editor.Before()) + "|" + string(d.editor.After()); got != want {
		d.t.Errorf("the line is %q, want %q", got, want)
	}
	d.seen()
}

// seen checks that the end of the screen is prompt and line, and the cursor where it should be.
func (d *desk) seen() {
	d.t.Helper()
	rows, row, col := reference(d.editor)
	all := d.screen.Text()
	gotRow, gotCol := d.screen.Cursor()
	first := gotRow - row
	if first < 0 {
		d.t.Fatalf("the cursor is in row %d, want at least %d", gotRow, row)
	}
	for len(all) < first+len(rows) {
		all = append(all, "")
	}
	if got := all[first:]; !slices.Equal(got, rows) || gotCol != col {
		d.t.Errorf("the screen is\n%q, column %d, want\n%q, column %d", got, gotCol, rows, col)
	}
	if d.screen.Unknown != nil {
		d.t.Errorf("sequences %q", d.screen.Unknown)
	}
}

// reference is what the screen should show, worked out in the plainest way: the rows, and the cursor.
func reference(e *Editor) (rows []string, row, col int) {
	rows = []string{""}
	at, cursorSet := 0, false
	put := func(face string, w int) {
		if at > 0 && at+widest(face) > e.width {
			rows, at = append(rows, ""), 0
		}
		rows[len(rows)-1] += face
		at += w
	}
	text := func(s string, offset, cursor int) {
		for g := uniseg.NewGraphemes(s); g.Next(); {
			from, to := g.Positions()
			if !cursorSet && cursor >= offset+from && cursor < offset+to {
				row, col, cursorSet = len(rows)-1, at, true
			}
			face, w := g.Str(), g.Width()
			switch {
			case face == "\n":
				face, w = "↵", 1
			case face == "\t":
				face, w = " ", 1
			case w == 0 || !visible([]byte(face)):
				for _, c := range escape([]byte(face)) {
					put(string(c), 1)
				}
				continue
			}
			put(face, w)
		}
	}
	text(e.prompt, 0, -1)
	if e.mode != Secret {
		text(string(e.line), 0, e.cursor)
	}
	if !cursorSet {
		row, col = len(rows)-1, at
	}
	if at == e.width {
		rows = append(rows, "")
	}
	if col == e.width {
		row, col = row+1, 0
	}
	for i := range rows {
		rows[i] = strings.TrimRight(rows[i], " ")
	}
	for len(rows) > row+1 && rows[len(rows)-1] == "" {
		rows = rows[:len(rows)-1]
	}
	return rows, row, col
}

// says checks the events since the last time, as "kind text".
func (d *desk) says(want ...string) {
	d.t.Helper()
	var got []string
	for _, e := range d.events {
		name := [...]string{None: "", Line: "line", Ended: "ended", Interrupted: "interrupted", Pasted: "pasted", TooLong: "too long", Yes: "yes", No: "no"}[e.Kind]
		got = append(got, strings.TrimSpace(name+" "+string(e.Text)))
	}
	if d.events = nil; !slices.Equal(got, want) {
		d.t.Errorf("events %q, want %q", got, want)
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct{ name, typed, want string }{
		{"text", "send bob hallo", "send bob hallo|"},
		{"not ASCII", "grüße, 世界", "grüße, 世界|"},
		{"left and right", "abc" + left + left + right + "x", "abx|c"},
		{"left and right, application mode", "abc\x1bOD\x1bOD\x1bOCx", "abx|c"},
		{"beyond the ends", "ab" + right + left + left + left + "x", "x|ab"},
		{"Ctrl-B, Ctrl-F", "abc\x02\x02\x06x", "abx|c"},
		{"home and end", "abc" + home + "x" + end + "y", "xabcy|"},
		{"home and end otherwise", "abc\x1b[1~x\x1b[4~y\x1bOHz\x1bOFw", "zxabcyw|"},
		{"Ctrl-A, Ctrl-E", "abc\x01x\x05y", "xabcy|"},
		{"Backspace", "abc\x7f\x08", "a|"},
		{"Delete", "abc" + left + left + del, "a|c"},
		{"Ctrl-D in a line", "abc" + left + "\x04\x04", "ab|"},
		{"Ctrl-K, Ctrl-Y", "one two\x1bb\x0b\x01\x19", "two|one "},
		{"Ctrl-U", "one two\x1bb\x15\x19\x19", "one one |two"},
		{"Ctrl-W", "send bob a-b  \x17", "send bob |"},
		{"Ctrl-W at the start", "\x17", "|"},
		{"Alt-B, Alt-F", "one, two-three\x1bb\x1bb\x1bfx", "one, twox|-three"},
		{"Ctrl-Left, Ctrl-Right", "one two three\x1b[1;5D\x1b[1;5D\x1b[1;5Cx", "one twox| three"},
		{"Alt-D", "one two\x01\x1bd", "| two"},
		{"Alt-Backspace", "one-two\x1b\x7f", "one-|"},
		{"words of others", "größe 世界\x1b\x7f", "größe |"},
		{"a combining mark", "ne\u0301\x7f", "n|"},
		{"a mark on what is there", "e" + left + right + "\u0301" + left, "|e\u0301"},
		{"a family", "a👨‍👩‍👧b" + left + "\x7f", "a|b"},
		{"a flag", "🇩🇪🇫🇷\x7f", "🇩🇪|"},
		{"a flag, letter by letter, before another", "🇩🇪" + home + "🇫🇷", "🇫🇷|🇩🇪"},
		{"Hangul from its parts", "\u1112\u1161\u11ab\x7f", "|"},
		{"unknown sequences", "a\x1b[15~\x1b[1;2P\x1b[?1;2c\x1bOS\x1b]11;rgb:00/00/00\x07\x1b]0;x\x1b\\\x1bP1$r0m\x1b\\\x1b[[Ab", "ab|"},
		{"Alt and a letter", "a\x1bqb", "ab|"},
		{"Alt and an umlaut", "a\x1büb", "aüb|"},
		{"a sequence that is cut by another", "a\x1b[12\x1b[Db", "b|a"},
		{"Escape twice", "a\x1b\x1b[Db", "b|a"},
		{"Alt-P by mistake", "a\x1bPlost\x7fb", "b|"},
		{"invalid UTF-8", "a\xff\xc3b\xe4\xb8\xf0\x9f\x98\x80", "ab😀|"},
		{"control characters", "a\x00\x07\x1d\u0085\u009bb", "ab|"},
		{"a wide one where a narrow one filled the row", "abcXYZ" + left + left + left + "世", "abc世|XYZ"},
		{"a paste", opens + "two\twords" + closes, "two\twords|"},
		{"a paste with its line break", opens + "one\r\n" + closes, "one|"},
		{"a paste in the middle", "ad" + left + opens + "bc" + closes, "abc|d"},
		{"keys in a paste", opens + "a\x04\x1b[D\x15\x1b[20\x7f\x9b\xff\u0090b" + closes + "c", "a[D[20bc|"},
		{"the half of an end in a paste", opens + "a\x1b[201\x1b[201x" + closes + "c", "a[201[201xc|"},
		{"a paste whose end is lost, and Ctrl-C", "ab" + opens + "lost\x1b[201\x03c", "abc|"},
		{"a paste whose end is lost, and another", "ab" + opens + "lost" + opens + "c" + closes, "abc|"},
		{"Ctrl-C", "abc\x03d", "d|"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, width := range []int{80, 20, 11, 9, 5, 2} {
				whole := sitAt(t, width, 200)
				whole.types(tt.typed)
				whole.has(tt.want)
				single := sitAt(t, width, 200)
				for i := range len(tt.typed) {
					single.types(tt.typed[i : i+1])
					single.seen()
				}
				single.has(tt.want)
			}
		})
	}
}

// Of what a terminal shows as several characters the cursor stands behind the whole, where the editor has it.
func TestNaiveTerminal(t *testing.T) {
	d := sitAt(t, 80, 24)
	d.screen.Naive = true
	for _, part := range []string{"e\u0301", "👨‍👩‍👧", "🇩🇪", "👍🏽", "\u1112\u1161\u11ab"} {
		d.types(part)
		_, row, col := reference(d.editor)
		if gotRow, gotCol := d.screen.Cursor(); gotRow != row || gotCol != col {
			t.Errorf("%q: the cursor is at %d, %d, want %d, %d", part, gotRow, gotCol, row, col)
		}
	}
}

// Whatever is typed and taken out again around such characters: nothing of what a naive terminal made of them stays behind.
func TestNaiveTerminalHasNoStaleCells(t *testing.T) {
	for _, width := range []int{80, 24, 18} {
		for _, wide := range []string{"👨‍👩‍👧", "👍🏽", "🇩🇪", "❤️"} {
			d := sitAt(t, width, 100)
			d.screen.Naive = true
			for _, keys := range []string{"ab", wide, "c", left, left, "\x7f", "\x7f", del, "x", wide, wide, "yz", home, del, "w", end, "\x7f", left, "\x7f", "\x15", wide, "\x7f"} {
				d.types(keys)
				fresh := sitAt(t, width, 100)
				fresh.screen.Naive = true
				fresh.types(d.line())
				if got, want := d.screen.Text(), fresh.screen.Text(); !slices.Equal(got, want) {
					t.Errorf("%q in %d columns shows %q, and %q when it is drawn anew", d.line(), width, got, want)
				}
			}
		}
	}
}

// What a naive terminal writes behind the cursor is taken away at once.
func TestNaiveTerminalBehindTheLine(t *testing.T) {
	d := sitAt(t, 80, 24)
	d.screen.Naive = true
	d.types("👍🏽")
	d.editor.Print("* news\n") // the line is drawn anew
	if d.shows(); strings.Contains(d.screen.Prompt(), "🏽") {
		t.Errorf("behind the cursor is what does not fit: %q", d.screen.Prompt())
	}
}

// A paste is cleared when it was used, with what was cut out of it.
func TestPasteIsCleared(t *testing.T) {
	d := sitAt(t, 80, 24)
	d.begins("password: ", Secret)
	var pastes [][]byte
	d.decoder.Decode([]byte(opens+"hun\x04\x04ter2\r"+closes+opens+strings.Repeat("long", maxPaste)+closes), func(k Key) {
		whole := k.Paste[:cap(k.Paste)]
		if rest := whole[len(k.Paste):]; len(bytes.Trim(rest, "\x00")) > 0 {
			t.Errorf("behind the paste is %q", rest[:10])
		}
		pastes = append(pastes, whole)
		d.editor.Key(k)
	})
	for _, p := range pastes {
		if len(bytes.Trim(p, "\x00")) > 0 {
			t.Error("a paste is still there")
		}
	}
	if len(pastes) != 2 || len(pastes[0]) != maxPaste {
		t.Errorf("the test looks at %d pastes", len(pastes))
	}
}

func TestEnter(t *testing.T) {
	d := sitAt(t, 20, 10)
	d.types("list\r")
	d.says("line list")
	d.begins(testPrompt, Command)
	d.types("a\n\r")
	d.says("line a")
	if row, col := d.screen.Cursor(); row != 2 || col != 0 {
		t.Errorf("the cursor is at %d, %d", row, col)
	}
	d.begins(testPrompt, Command)
	d.types("\x04x\r")
	d.says("ended")
	if got := d.screen.Text(); !slices.Equal(got, []string{"alice> list", "alice> a", "alice>"}) {
		t.Errorf("%q", got)
	}
	if row, col := d.screen.Cursor(); row != 3 || col != 0 {
		t.Errorf("the cursor is at %d, %d: what comes next is glued to the prompt", row, col)
	}
	d.begins(testPrompt, Command)
	d.types("\x04")
	d.says("ended")
}

// A line that fills its row exactly leaves no empty row behind.
func TestEnterAtTheMargin(t *testing.T) {
	for n := range 30 {
		d := sitAt(t, 10, 20)
		d.types(strings.Repeat("x", n) + home + "\r")
		d.editor.Print("= done\n")
		d.shows()
		rows := d.screen.Text()
		if got := rows[len(rows)-1]; got != "= done" || len(rows) != (len(testPrompt)+n+9)/10+1 {
			t.Errorf("%d: %q", n, rows)
		}
	}
}

func TestSecret(t *testing.T) {
	d := sitAt(t, 20, 10)
	d.begins("password: ", Secret)
	d.types("hunger2\x7f\x7fx\x01\x0b\x19hunter2" + up + down + "\t")
	d.has("hunter2|")
	row, col := d.screen.Cursor()
	if got := d.screen.Text(); len(got) != 1 || got[0] != "password:" || row != 0 || col != 10 {
		t.Errorf("%q, %d, %d", got, row, col)
	}
	memory := d.editor.line[:cap(d.editor.line)]
	d.types("\r")
	d.says("line hunter2")
	if bytes.Contains(memory, []byte("unter")) {
		t.Error("the password is still in the line")
	}
	d.begins(testPrompt, Command)
	d.types(up + "\x19")
	d.has("|")

	d.begins("password: ", Secret)
	d.types(opens + "hunter3\r\nmore" + closes)
	d.says("line hunter3")
}

func TestHistory(t *testing.T) {
	d := sitAt(t, 80, 24)
	for _, l := range []string{"one", "two", "two", "", "three"} {
		d.types(l + "\r")
		d.begins(testPrompt, Command)
	}
	d.types("dra")
	for _, step := range []struct{ key, want string }{
		{up, "three|"}, {up, "two|"}, {"\x10", "one|"}, {up, "one|"}, {down, "two|"}, {"x", "twox|"}, {up, "one|"}, {"\x0e", "two|"}, {down, "three|"}, {down, "dra|"}, {down, "dra|"}, {"ft", "draft|"},
	} {
		d.types(step.key)
		d.has(step.want)
	}
	d.types("\x03" + up)
	d.has("three|")

	d.begins("user name: ", Word)
	d.types("alice" + up + "\t")
	d.has("alice|")
	d.types("\r")
	d.begins(testPrompt, Command)
	d.types(up)
	d.has("three|")
}

// What one user typed, copied or recalled is overwritten, not merely let go.
func TestForget(t *testing.T) {
	d := sitAt(t, 80, 24)
	for i := range maxHistory + 20 {
		d.types(fmt.Sprintf("secret %d\r", i))
		d.begins(testPrompt, Command)
	}
	if len(d.editor.history) != maxHistory {
		t.Errorf("%d lines of history", len(d.editor.history))
	}
	d.types("secret one\x15secret two")
	d.types("!")
	d.types(up)
	e := d.editor
	memory := append([][]byte{e.killed, e.draft, e.line[:cap(e.line)], e.drawn.faces[:cap(e.drawn.faces)], e.spare.faces[:cap(e.spare.faces)], e.out[:cap(e.out)]}, e.history...)
	for i, m := range memory {
		if i < 5 && !bytes.Contains(m, []byte("secret")) {
			t.Errorf("%d: the test looks at the wrong memory: %q", i, m)
		}
	}
	e.Forget()
	if d.line() != "secret 119" {
		t.Errorf("the line that is being typed is %q", d.line())
	}
	e.Quit()
	d.shows()
	for i, m := range memory {
		if bytes.Contains(m, []byte("secret")) {
			t.Errorf("%d: still there: %q", i, m)
		}
	}
	d.begins(testPrompt, Command)
	d.types(up + down + "\x19")
	d.has("|")
}

func TestTab(t *testing.T) {
	d := sitAt(t, 24, 24)
	for _, tt := range []struct{ typed, want string }{
		{"q\t", "quit |"}, {"se\t", "se|"}, {"sen\t", "send |"}, {"x\t", "x|"}, {"send b\t", "send bob|"}, {"send bobb\t", "send bobby |"},
		{"gr\t", "größe|"}, {"größer\t", "größer |"}, {"sen bob" + home + right + right + right + "\t", "send| bob"}, {"sen bob\x01\x1bf\t", "send| bob"},
	} {
		d.types(tt.typed)
		d.has(tt.want)
		d.types("\x03")
	}
	d.events = nil

	bells := d.screen.Bells
	d.types("b\t")
	d.has("bob|")
	d.types("\t")
	if d.screen.Bells != bells+1 {
		t.Error("no bell for several")
	}
	d.types("\t")
	d.has("bob|")
	if d.screen.Above() != "bob    bobby" {
		t.Errorf("%q", d.screen.Text())
	}
	before := len(d.screen.Text())
	d.types("b\x7f\t") // not again: another key was between
	if len(d.screen.Text()) != before {
		t.Errorf("%q", d.screen.Text())
	}
	d.types("\x03" + strings.Repeat("x", testLimit-2) + " q\t")
	if !strings.HasSuffix(d.line(), " q") {
		t.Error("completed beyond the limit")
	}
}

func TestTabLists(t *testing.T) {
	for _, tt := range []struct{ width, many, rows int }{{80, 7, 1}, {80, 20, 3}, {9, 3, 3}, {2, 3, 12}, {80, 500, 10}} {
		d := sitAt(t, tt.width, 900)
		d.editor.complete = func(string) (int, []string) {
			var names []string
			for i := range tt.many {
				names = append(names, fmt.Sprintf("name-%03d", i))
			}
			return 0, names
		}
		d.types("\t\t\t")
		text, _, _ := strings.Cut(strings.Join(d.screen.Text(), "\n"), "alice> ")
		shown := min(tt.many, maxListed)
		if tt.width > 8 && (strings.Count(text, "name-0") != shown || (tt.many > maxListed) != strings.Contains(text, fmt.Sprintf("\nand %d more: type another letter\n", tt.many-maxListed))) {
			t.Errorf("%d of %d:\n%s", shown, tt.many, text)
		}
		if rows := strings.Count(text, "\n"); tt.width > 8 && rows != tt.rows {
			t.Errorf("%d rows, want %d:\n%s", rows, tt.rows, text)
		}
	}
}

// A paste of several lines is nobody's line, until a question was answered.
func TestPasteOfSeveralLines(t *testing.T) {
	d := sitAt(t, 30, 24)
	d.types("send bob " + opens + "one\rtwo\r\nthree\n" + closes)
	d.says("pasted one\ntwo\nthree")
	d.has("send bob |")
	for _, no := range []string{"n", "\r", "\x03", "x", opens + "y" + closes} {
		d.editor.Ask("send it? [y/N]")
		d.shows()
		if d.screen.Prompt() != "send it? [y/N] " {
			t.Errorf("%q", d.screen.Text())
		}
		d.types(no)
		d.says("no")
		d.has("send bob |")
	}
	d.editor.Ask("send it? [y/N]")
	d.types("y")
	d.says("yes")
	d.editor.Insert([]byte("one\ntwo"))
	d.types("")
	d.has("send bob one\ntwo|")
	d.types("\r")
	d.says("line send bob one\ntwo")
	if got := d.screen.Text(); !slices.Equal(got, []string{"alice> send bob one↵two"}) {
		t.Errorf("%q", got)
	}
}

func TestFullLine(t *testing.T) {
	d := sitAt(t, 80, 24)
	d.types(strings.Repeat("x", testLimit-1))
	d.types("ü")
	d.says("too long")
	d.types("y")
	d.types("zz\x19" + opens + "12" + closes)
	d.says()
	if len(d.line()) != testLimit || d.screen.Bells != 4 {
		t.Errorf("%d bytes, %d bells", len(d.line()), d.screen.Bells)
	}
	d.types("\x7f")
	d.types("12")
	d.says("too long")
	d.types(opens + strings.Repeat("x", maxPaste+1) + closes)
	d.types(opens + strings.Repeat("x", maxPaste+1) + closes)
	d.says("too long", "too long")
}

// What is printed stands above the line, and no row above is written again.
func TestPrint(t *testing.T) {
	d := sitAt(t, 10, 6)
	d.types("a line of three rows" + left + left)
	for i := range 20 {
		d.editor.Print(fmt.Sprintf("message %d of bob\n", i))
		d.shows()
		d.seen()
	}
	rows := d.screen.Text()
	if len(rows) != 2*20+3 || rows[0] != "message 0" || rows[1] != "  of bob" || strings.Count(strings.Join(rows, "\n"), "alice> ") != 1 {
		t.Errorf("%q", rows)
	}
}

// A key costs some bytes, however long the line is, and nothing is written twice.
func TestFewBytes(t *testing.T) {
	d := sitAt(t, 80, 24)
	d.types(strings.Repeat("x", 200))
	for _, tt := range []struct {
		key  string
		most int
	}{{"y", 1}, {left, 1}, {right, 4}, {"\x7f", 4}, {home, 9}, {end, 9}, {"\x00", 1}, {"", 0}} {
		d.wrote = 0
		if d.types(tt.key); d.wrote > tt.most {
			t.Errorf("%q: %d bytes", tt.key, d.wrote)
		}
	}
}

func TestStatus(t *testing.T) {
	d := sitAt(t, 40, 24)
	d.types("\r")
	d.editor.SetStatus("working…")
	d.shows()
	d.editor.Print("* news\n")
	d.editor.SetStatus("working on something longer…")
	d.shows()
	if got := d.screen.Text(); !slices.Equal(got, []string{"alice>", "* news", "working on something longer…"}) {
		t.Errorf("%q", got)
	}
	d.types("unasked")
	d.editor.SetStatus("")
	d.shows()
	if got := d.screen.Text(); !slices.Equal(got, []string{"alice>", "* news"}) {
		t.Errorf("%q", got)
	}
	d.begins(testPrompt, Command)
	d.editor.SetStatus("too late")
	d.shows()
	d.has("|")
	d.types("half" + left)
	d.editor.SetPrompt("sim> ")
	d.shows()
	d.has("hal|f")
	d.editor.Leave()
	d.shows()
	if row, col := d.screen.Cursor(); row != 3 || col != 0 {
		t.Errorf("the cursor is at %d, %d", row, col)
	}
}

func TestQuit(t *testing.T) {
	d := sitAt(t, 12, 24)
	d.editor.Quit()
	d.shows()
	if row, col := d.screen.Cursor(); row != 0 || col != 0 || len(d.screen.Text()) != 0 {
		t.Errorf("%q, the cursor is at %d, %d", d.screen.Text(), row, col)
	}
	d.begins(testPrompt, Command)
	d.types("half a line")
	d.editor.Quit()
	d.shows()
	if row, col := d.screen.Cursor(); row != 2 || col != 0 || len(d.screen.Text()) != 2 {
		t.Errorf("%q, the cursor is at %d, %d", d.screen.Text(), row, col)
	}
}

// After a stop the shell has written, and the line comes back below that.
func TestPause(t *testing.T) {
	d := sitAt(t, 12, 24)
	d.types("half a line" + left + left)
	d.editor.Pause()
	d.shows()
	d.types("\x1b[D")
	d.screen.Write([]byte("$ fg\r\nsim"))
	d.editor.Resume()
	d.shows()
	d.has("half a l|ine")
	if got := d.screen.Text(); !slices.Equal(got, []string{"alice> half", "a line", "$ fg", "alice> half", "a line"}) {
		t.Errorf("%q", got)
	}
}

func TestResize(t *testing.T) {
	for _, line := range []string{"", "short", "a line that takes more than one row", strings.Repeat("世界", 20), strings.Repeat("x", 33), strings.Repeat("x", 13)} {
		for _, from := range []int{80, 40, 20, 11, 7} {
			for _, to := range []int{80, 40, 20, 11, 7, 3} {
				for _, back := range []string{"", home, left + left + left} {
					d := sitAt(t, from, 60)
					d.editor.Print("*\n")
					d.types(line + back)
					d.screen.Resize(to, 60)
					d.editor.Resize(to, 60)
					d.shows()
					d.seen()
					row, _ := d.screen.Cursor()
					_, want, _ := reference(d.editor)
					if row-want != 1 {
						t.Errorf("%q%q from %d to %d: %q", line, back, from, to, d.screen.Text())
					}
					d.types("x")
					d.seen()
				}
			}
		}
	}
}

// A line that is higher than the screen shows the part with the cursor.
func TestHighLine(t *testing.T) {
	d := sitAt(t, 10, 4)
	d.types(strings.Repeat("0123456789", 8) + "end")
	for _, tt := range []struct{ keys, row string }{
		{"", ""}, {"x", "x"}, {home, "alice> 012"}, {right + right + right, "3456789012"}, {end, "x"}, {strings.Repeat(left, 41), "3456789012"}, {"yy", "3456789012"}, {"\r", ""},
	} {
		d.types(tt.keys)
		if got := strings.TrimRight(d.screen.Prompt(), " "); got != tt.row && tt.keys != "yy" {
			t.Errorf("%q: the cursor's row is %q, want %q, of\n%s", tt.keys, got, tt.row, strings.Join(d.screen.Text(), "\n"))
		}
	}
}

// The corpus of the fuzz test.
var typing = []string{
	"send bob hello" + left + left + "\x7f" + up + down + "\r", "世界😀e\u0301👨‍👩‍👧🇩🇪\x1bb\x1b[1;5Cx\x17", opens + "one\ntwo" + closes + "y\r", "b\t\t\t", "\x1b[1\x1b]x\x07\x1bOq\xff\xf0\x9f",
	"\u202e\u200d\u0301a\u1161\ufe0f❤️" + home + "x", "x\x03\x0c\x04y" + del, strings.Repeat("long ", 30) + "\x15\x19\x19",
}

func TestCorpusIsNotEmpty(t *testing.T) {
	if len(typing) < 5 {
		t.Error("nothing to begin with")
	}
}

// Whatever is typed, and however it is cut: the state is the same, the screen shows it, nothing else is on the terminal, and nobody panics.
func FuzzEditor(f *testing.F) {
	for i, s := range typing {
		f.Add([]byte(s), uint8(20-i), uint8(3))
		f.Add([]byte(s), uint8(80), uint8(1))
	}
	f.Fuzz(func(t *testing.T, typed []byte, columns, cut uint8) {
		columns, typed = max(columns, minWidth), typed[:min(len(typed), 2*testLimit)]
		one, cuts := sitAt(t, int(columns), 2000), sitAt(t, int(columns), 2000)
		for _, d := range []*desk{one, cuts} {
			step := len(typed)
			if d == cuts {
				step = int(cut%7) + 1
			}
			for part := range slices.Chunk(typed, max(step, 1)) {
				d.types(string(part))
				if !d.editor.active {
					d.begins(testPrompt, Command)
				}
				d.seen()
			}
		}
		for _, e := range one.events {
			if bytes.ContainsFunc(e.Text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 }) || !utf8.Valid(e.Text) {
				t.Errorf("a control character in %q", e.Text)
			}
		}
		// A line that ends in the middle of one piece throws what follows in it away, and then the two are not the same.
		ended := func(e Event) bool { return e.Kind == Line || e.Kind == Ended }
		if slices.ContainsFunc(cuts.events, ended) || slices.ContainsFunc(one.events, ended) {
			return
		}
		if one.line() != cuts.line() || one.editor.cursor != cuts.editor.cursor || fmt.Sprint(one.events) != fmt.Sprint(cuts.events) {
			t.Errorf("%q at %d, and cut %q at %d", one.line(), one.editor.cursor, cuts.line(), cuts.editor.cursor)
		}
	})
}
