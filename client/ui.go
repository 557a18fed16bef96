package client

import (
	"fmt"
	"io"
	"strings"

	"sim/proto"
)

// The rules of what is printed. Nothing else in this package prints.
//
//   - "< alice: text", or "< alice ✓: text" from somebody who is confirmed, is a message, "= …" a result, "* …" an event; whatever a peer or the server sent stands behind these, made harmless.
//     So no message can look like a result.
//   - Results, messages and events go to the output; errors go to the error output, as sentences that say what to do.
//   - No line that was typed, and no part of one, is ever in an error.
//   - The words of results are an interface: scripts rest on them (README, "Lines").
//   - One goroutine prints, whatever the output does; what waits for it is bounded by whoever adds to it (full).

// line is one line to be printed.
type line struct {
	text    string
	err     bool     // for the error output
	message *message // whose text this is: it is handed out when it was printed
	prompt  string   // in place of a line: the terminal's prompt from here on
}

// printout is a line that was printed, or the error of printing it.
type printout struct {
	line
	failed error
}

// ui turns what happened into lines. Its methods belong to the runner's goroutine.
type ui struct {
	screen *screen // nil when commands are piped
	queue  []line
	busy   bool // a line is with the printer
	lines  chan line
	shown  chan printout
}

func newUI(out, errOut io.Writer, s *screen) *ui {
	u := &ui{screen: s, lines: make(chan line), shown: make(chan printout, 1)}
	if s != nil {
		out, errOut = s, s
	}
	go u.print(out, errOut)
	return u
}

// print owns the outputs.
func (u *ui) print(out, errOut io.Writer) {
	for l := range u.lines {
		if l.prompt != "" {
			u.screen.term.SetPrompt(l.prompt)
			_, err := u.screen.Write(nil) // what is being typed moves behind it
			u.shown <- printout{l, err}
			continue
		}
		w := out
		if l.err {
			w = errOut
		}
		_, err := io.WriteString(w, l.text+"\n")
		u.shown <- printout{l, err}
	}
}

// give hands the next line to the printer, when the runner's select chooses to.
func (u *ui) give() (chan<- line, line) {
	if u.busy || len(u.queue) == 0 {
		return nil, line{}
	}
	return u.lines, u.queue[0]
}

func (u *ui) given()      { u.queue, u.busy = u.queue[1:], true }
func (u *ui) printed()    { u.busy = false }
func (u *ui) empty() bool { return !u.busy && len(u.queue) == 0 }

// full says that nothing more should be asked for until the output has taken what waits.
func (u *ui) full() bool { return len(u.queue) >= maxQueuedLines }

func (u *ui) add(l line) { u.queue = append(u.queue, l) }

// event tells something that nobody asked for.
func (u *ui) event(format string, args ...any) {
	u.add(line{text: "* " + fmt.Sprintf(format, args...)})
}

// fault tells what went wrong, and what to do.
func (u *ui) fault(text string) { u.add(line{text: text, err: true}) }

// message shows a text. Behind the name of somebody whose digits were confirmed stands a mark.
func (u *ui) message(m message) {
	from := m.from.String()
	if m.confirmed {
		from += " ✓"
	}
	u.add(line{text: "< " + from + ": " + harmless(m.text), message: &m})
}

// result is a line that a script may wait for.
func (u *ui) result(text string) { u.add(line{text: text}) }

func loginLine(name proto.Name) string      { return "= logged in as " + name.String() }
func logoutLine(name proto.Name) string     { return "= logged out " + name.String() }
func disconnectLine(name proto.Name) string { return "= disconnected from " + name.String() }

func outcomeLine(to proto.Name, o outcome) string {
	switch o.end {
	case delivered:
		return fmt.Sprintf("= %s: delivered", to)
	case failed:
		return fmt.Sprintf("= %s: failed: %s", to, o.why)
	}
	return fmt.Sprintf("= %s: unknown: %s", to, o.why)
}

func verifyLine(with proto.Name, v verified) string {
	if v.digits == "" {
		return fmt.Sprintf("= verify %s: failed: %s", with, v.why)
	}
	confirmed := "not confirmed"
	if v.confirmed {
		confirmed = "confirmed"
	}
	return fmt.Sprintf("= verify %s: %s (%s)", with, v.digits, confirmed)
}

// meaning says at a terminal what to do with digits. Scripts get the line alone.
func (u *ui) meaning(with proto.Name) {
	u.event("compare the digits with %s by voice or face to face: if both see the same, nobody sits in between, not even the server; then type: verify %s yes", with, with)
}

func listLine(names []proto.Name) string {
	var b strings.Builder
	fmt.Fprintf(&b, "= online (%d):", len(names))
	for _, n := range names {
		b.WriteByte(' ')
		b.WriteString(n.String())
	}
	return b.String()
}

func recvLine(n int, why string) string {
	if why != "" {
		return fmt.Sprintf("= received %d: %s", n, why)
	}
	return fmt.Sprintf("= received %d", n)
}

// help shows the commands.
func (u *ui) help() { u.result(strings.TrimSuffix(helpText, "\n")) }

// user says who is logged in, to whom history and the names belong that Tab completes.
func (u *ui) user(name string) {
	if u.screen != nil {
		u.screen.user(name)
	}
}

// reprompt changes the prompt of the line that is being typed.
func (u *ui) reprompt(name string) {
	if u.screen != nil {
		u.add(line{prompt: promptOf(name)})
	}
}

// know adds names to what Tab completes.
func (u *ui) know(names ...proto.Name) {
	if u.screen != nil {
		u.screen.know(names)
	}
}

// wipe makes the terminal forget what one user saw, before the next one logs in.
func (u *ui) wipe() {
	if u.screen != nil {
		u.queue = append(u.queue, line{text: wipeSequence})
	}
}
