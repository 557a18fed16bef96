//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"sim/internal/vt"
)

// The tour is what README shows: alice and bob at two terminals, recorded from the program itself. docs/tour/make writes it, and the test
// fails when the program looks otherwise than the recording.

const (
	tourColumns = 54 // of each terminal
	tourRows    = 21
)

// A take is what a terminal shows from a moment on.
type take struct {
	at   time.Duration
	side int // 0 for the left terminal
	rows []tourRow
}

type tourRow struct {
	text   string
	styles []string // of each character
	cursor int      // the column, -1 if it is in another row
}

type tour struct {
	t      *testing.T
	now    time.Duration
	people [2]*person
	takes  []take
}

// What is another in each recording is put in one form.
var (
	tourClock  = regexp.MustCompile(`^\d\d:\d\d `)
	tourDigits = regexp.MustCompile(`(\d{3} ){3}\d{3}`)
)

// shoot records a terminal, and then lets some time pass.
func (tr *tour) shoot(side int, wait time.Duration) {
	p := tr.people[side]
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.screen.Text()
	row, column := p.screen.Cursor()
	top := max(0, row+1-tourRows)
	var rows []tourRow
	for i := top; i < len(text); i++ {
		r := tourRow{text: text[i], cursor: -1}
		for j := range []rune(text[i]) { // the tour has no wide characters
			r.styles = append(r.styles, p.screen.Style(i, j))
		}
		r.text = tourClock.ReplaceAllString(r.text, "14:03 ")
		r.text = tourDigits.ReplaceAllString(r.text, "123 456 789 012")
		if i == row {
			r.cursor = column
		}
		rows = append(rows, r)
	}
	tr.takes = append(tr.takes, take{tr.now, side, rows})
	tr.now += wait
}

// types has somebody type a line, and see a row more that is a sign that it was done.
func (tr *tour) types(side int, line, sign string) {
	tr.t.Helper()
	p := tr.people[side]
	p.types(line)
	p.until("the line "+line, func(s *vt.Screen) bool { return strings.HasSuffix(strings.TrimRight(s.Prompt(), " "), line) })
	tr.shoot(side, 900*time.Millisecond)
	re := regexp.MustCompile("^(?:" + sign + ")$")
	p.mu.Lock()
	before := tourCount(p.screen, re)
	p.mu.Unlock()
	p.types("\r")
	p.until("a row more: "+sign, func(s *vt.Screen) bool { return tourCount(s, re) > before })
	tr.settle(side)
	tr.shoot(side, 700*time.Millisecond)
}

func tourCount(s *vt.Screen, re *regexp.Regexp) (n int) {
	for _, row := range s.Text() {
		if re.MatchString(row) {
			n++
		}
	}
	return n
}

// sees waits for what comes in.
func (tr *tour) sees(side int, pattern string) {
	tr.t.Helper()
	tr.people[side].seesRow(pattern)
	tr.settle(side)
	tr.shoot(side, 1200*time.Millisecond)
}

// settle waits until a prompt stands again under what was printed.
func (tr *tour) settle(side int) {
	tr.t.Helper()
	tr.people[side].until("a prompt", func(s *vt.Screen) bool { return strings.HasSuffix(strings.TrimRight(s.Prompt(), " "), ">") })
}

// sitDownOnTour starts a client in a small terminal, under the line that a shell would show.
func sitDownOnTour(t *testing.T, dir, address, name string) *person {
	t.Helper()
	p := sitDownWith(t, dir, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "SIM_SERVER="+address)
		if err := pty.Setsize(cmd.Stdin.(*os.File), &pty.Winsize{Rows: tourRows, Cols: tourColumns}); err != nil {
			t.Fatal(err)
		}
	}, "client", "--user", name)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.screen = vt.New(tourColumns, tourRows)
	p.screen.Write([]byte("$ sim client --user " + name + "\r\n"))
	p.screen.Write(p.raw.Bytes())
	return p
}

func TestTour(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	tr := &tour{t: t}
	for side, name := range []string{"alice", "bob"} {
		tr.people[side] = sitDownOnTour(t, dir, address, name)
		p := tr.people[side]
		p.seesPrompt("password for " + name + ": ")
		tr.shoot(side, 800*time.Millisecond)
	}
	for side, name := range []string{"alice", "bob"} {
		tr.people[side].types(people[name] + "\r")
		tr.sees(side, "= logged in as "+name)
	}
	const alice, bob = 0, 1
	tr.types(alice, "list", `= online \(2\): alice bob`)
	tr.types(alice, "/bob", `= talking to bob`)
	tr.sees(alice, `.* \* bob is online`)
	tr.types(alice, "the ship leaves at nine", "= bob: delivered")
	tr.sees(bob, ".*< alice: the ship leaves at nine")
	tr.types(bob, "/alice", `= talking to alice`)
	tr.types(bob, "good! is it really you?", "= alice: delivered")
	tr.sees(alice, ".*< bob: good! is it really you.")
	tr.types(alice, "/verify bob", `= verify bob: .*`)
	tr.types(bob, "/verify alice", `= verify alice: .*`)
	tr.sees(alice, ".*then type: .*")
	tr.sees(bob, ".*then type: .*")
	tr.types(alice, "/verify bob yes", `.*\(confirmed\)`)
	tr.types(bob, "/verify alice yes", `.*\(confirmed\)`)
	tr.types(bob, "the same digits: it is you", "= alice: delivered")
	tr.sees(alice, ".*< bob ✓: the same digits.*")
	tr.now += 3 * time.Second

	svg, text := tr.svg(), tr.text()
	if len(svg) > 100_000 {
		t.Errorf("the picture has %d bytes", len(svg))
	}
	folder := filepath.Join("docs", "tour")
	if os.Getenv("SIM_TOUR") == "write" {
		for name, content := range map[string]string{"tour.svg": svg, "tour.txt": text} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	// In the picture, two lines that come at once may be in one take or in two; at its end is what the text shows.
	if string(contents(t, filepath.Join(folder, "tour.txt"))) != text {
		t.Errorf("the program looks otherwise than docs/tour/tour.txt shows: docs/tour/make records it again. It is now:\n%s", text)
	}
}

// last returns what a side shows at the end.
func (tr *tour) last(side int) (rows []tourRow) {
	for _, take := range tr.takes {
		if take.side == side {
			rows = take.rows
		}
	}
	return rows
}

// text is both terminals at the end, side by side.
func (tr *tour) text() string {
	left, right := tr.last(0), tr.last(1)
	var b strings.Builder
	for i := range max(len(left), len(right)) {
		var l, r string
		if i < len(left) {
			l = left[i].text
		}
		if i < len(right) {
			r = right[i].text
		}
		pad := max(0, tourColumns-len([]rune(l)))
		b.WriteString(strings.TrimRight(l+strings.Repeat(" ", pad)+" | "+r, " ") + "\n")
	}
	return b.String()
}

// The picture: sizes in pixels.
const (
	svgChar   = 7.83 // the width of a character at 13 px, in a font where all are as wide
	svgLine   = 18
	svgMargin = 14
	svgBar    = 26
)

// svg is an animation of all takes, and where nothing is to move, the last one of each side.
func (tr *tour) svg() string {
	paneWidth, paneHeight := tourColumns*svgChar+2*svgMargin, float64(svgBar+tourRows*svgLine+svgMargin)
	width := 2*paneWidth + 3*svgMargin
	height := paneHeight + 2*svgMargin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="alice and bob talk with sim in two terminals">`+"\n", width, height, width, height)
	b.WriteString(`<!-- Made by docs/tour/make from the program itself. -->
<style>
text { font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328; white-space: pre }
.pane { fill: #fff; stroke: #c8ccd1 } .bar { fill: #eceef0 } .title { fill: #57606a } .dim { fill: #6e7781 } .cursor { fill: #57606a }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .pane { fill: #0d1117; stroke: #3d444d } .bar { fill: #21262d } .title, .dim { fill: #9198a1 } .cursor { fill: #9198a1 }
}
.take { visibility: hidden; animation-duration: ` + seconds(tr.now) + `; animation-timing-function: step-end; animation-iteration-count: infinite }
.last { visibility: visible }
@media (prefers-reduced-motion: reduce) { .take { animation-name: none !important } }
`)
	for i, take := range tr.takes {
		from, to := tr.percent(take.at), tr.percent(tr.end(i))
		fmt.Fprintf(&b, "@keyframes t%d { 0%% { visibility: %s } %s { visibility: visible }", i, map[bool]string{true: "visible", false: "hidden"}[take.at == 0], from)
		if tr.end(i) < tr.now {
			fmt.Fprintf(&b, " %s { visibility: hidden }", to)
		}
		fmt.Fprintf(&b, " 100%% { visibility: hidden } }\n")
	}
	b.WriteString("</style>\n")
	for side, title := range []string{"alice", "bob"} {
		x := svgMargin + float64(side)*(paneWidth+svgMargin)
		fmt.Fprintf(&b, `<g transform="translate(%.1f %d)"><rect class="pane" width="%.1f" height="%.1f" rx="6"/><rect class="bar" x="1" y="1" width="%.1f" height="%d" rx="5"/><text class="title" x="%d" y="18">%s</text>`+"\n",
			x, svgMargin, paneWidth, paneHeight, paneWidth-2, svgBar-2, svgMargin, title)
		for i, take := range tr.takes {
			if take.side == side {
				tr.drawTake(&b, i)
			}
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (tr *tour) drawTake(b *strings.Builder, i int) {
	class := "take"
	if tr.end(i) == tr.now {
		class += " last"
	}
	fmt.Fprintf(b, `<g class="%s" style="animation-name: t%d">`, class, i)
	for n, row := range tr.takes[i].rows {
		y := svgBar + (n+1)*svgLine
		if row.cursor >= 0 {
			fmt.Fprintf(b, `<rect class="cursor" x="%.1f" y="%d" width="%.1f" height="15"/>`, svgMargin+float64(row.cursor)*svgChar, y-12, svgChar)
		}
		if row.text == "" {
			continue
		}
		chars := []rune(row.text)
		fmt.Fprintf(b, `<text x="%d" y="%d" textLength="%.1f">`, svgMargin, y, float64(len(chars))*svgChar)
		for from := 0; from < len(chars); {
			to := from + 1
			for to < len(chars) && row.styles[to] == row.styles[from] {
				to++
			}
			run := svgEscape.Replace(string(chars[from:to]))
			switch style := row.styles[from]; {
			case style == "2":
				run = `<tspan class="dim">` + run + `</tspan>`
			case style != "":
				run = `<tspan style="fill: ` + svgColor(style) + `">` + run + `</tspan>`
			}
			b.WriteString(run)
			from = to
		}
		b.WriteString("</text>")
	}
	b.WriteString("</g>\n")
}

// end is when another take of the same side follows.
func (tr *tour) end(i int) time.Duration {
	for _, later := range tr.takes[i+1:] {
		if later.side == tr.takes[i].side {
			return later.at
		}
	}
	return tr.now
}

func (tr *tour) percent(at time.Duration) string {
	return fmt.Sprintf("%.2f%%", 100*float64(at)/float64(tr.now))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

var svgEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// svgColor is a colour of xterm's table of 256: its cube of 6 x 6 x 6, which is what the client uses.
func svgColor(style string) string {
	var n int
	if _, err := fmt.Sscanf(style, "38;5;%d", &n); err != nil || n < 16 || n > 231 {
		return "currentColor"
	}
	levels := [6]int{0, 95, 135, 175, 215, 255}
	n -= 16
	return fmt.Sprintf("#%02x%02x%02x", levels[n/36], levels[n/6%6], levels[n%6])
}
