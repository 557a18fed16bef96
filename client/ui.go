package client

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sim/proto"
)

// The rules of what is printed. Nothing else in this package prints.
//
//   - "< alice: text", or "< alice ✓: text" from somebody who is confirmed, is a message, "= …" a result, "* …" an event; whatever a peer or the server sent stands behind these, made harmless.
//     So no message can look like a result.
//   - Results, messages and events go to the output; errors go to the error output, as sentences that say what to do.
//   - With --json everything is an object on the output, which has the exact text in it, escaped: the program that reads it makes it harmless.
//   - No line that was typed, and no part of one, is ever in an error.
//   - The words of results are an interface: scripts rest on them (README, "Lines").
//   - One goroutine prints, whatever the output does; what waits for it is bounded by whoever adds to it (full).

// line is one line to be printed.
type line struct {
	text    string
	err     bool               // for the error output
	message *message           // whose text this is: it is handed out when it was printed
	on      func(screen) error // in place of a line: done to the terminal
}

// printout is a line that was printed, or the error of printing it.
type printout struct {
	line
	failed error
}

// ui turns what happened into lines. Its methods belong to the runner's goroutine.
type ui struct {
	screen screen // nil when commands are piped
	look   *look  // of the screen; nil: as it is
	json   bool   // objects in place of lines
	recent []recent
	queue  []line
	busy   bool // a line is with the printer
	lines  chan line
	shown  chan printout
}

func newUI(out, errOut io.Writer, s screen, json bool) *ui {
	u := &ui{screen: s, json: json, lines: make(chan line), shown: make(chan printout, 1)}
	if s != nil {
		out, errOut = s, s
	}
	go u.print(out, errOut)
	return u
}

// print owns the outputs.
func (u *ui) print(out, errOut io.Writer) {
	for l := range u.lines {
		if l.on != nil {
			u.shown <- printout{l, l.on(u.screen)}
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

// say tells one thing.
func (u *ui) say(s said) { u.answer("", s) }

// answer tells what came of the command with an id.
func (u *ui) answer(id string, s said) {
	l := line{text: s.line()}
	switch s := s.(type) {
	case saidMessage:
		l.message = &s.of
	case saidError:
		l.err = !u.json && s.Code != faultUndone
	}
	if u.look != nil {
		now := time.Now()
		l.text = u.look.dress(s, now)
		u.recall(s, now)
	}
	if u.json {
		if l.text = object(s, id); l.text == "" {
			return
		}
	}
	u.add(l)
}

// complain is for what can't be told on the output, since that is broken.
func (u *ui) complain(text string) { u.add(line{text: text, err: true}) }

// user says who is logged in, to whom history and the names belong that Tab completes.
func (u *ui) user(name string) {
	u.recent = nil
	if u.screen != nil {
		u.screen.user(name)
	}
}

// reprompt changes the prompt of the line that is being typed.
func (u *ui) reprompt(p prompt) {
	u.do(func(s screen) error { return s.reprompt(p) })
}

// takeBack makes the prompt another than a command's: what is asked for next has its own. A line of which something was typed stays.
func (u *ui) takeBack() {
	u.do(func(s screen) error {
		if err := s.reprompt(prompt{}); err != nil {
			return err
		}
		s.takeBack()
		return nil
	})
}

// progress says what a log-in works on; "" that it is over.
func (u *ui) progress(step string) {
	u.do(func(s screen) error { return s.progress(step) })
}

// do does something to the terminal when its turn comes.
func (u *ui) do(on func(screen) error) {
	if u.screen != nil {
		u.add(line{on: on})
	}
}

// know adds names to what Tab completes.
func (u *ui) know(names ...proto.Name) {
	if u.screen != nil {
		u.screen.know(names)
	}
}

// wipe makes the terminal forget what one user saw, before the next one logs in; what is unread is summed up.
func (u *ui) wipe(unread string) {
	u.recent = nil
	u.do(func(s screen) error { return s.wipe(unread) })
}

// recent is an outcome that was told at a terminal.
type recent struct {
	said said
	at   time.Time
}

func (u *ui) recall(s said, now time.Time) {
	switch s := s.(type) {
	case saidSend, saidPasswd:
	case saidError:
		if s.Code != faultPassword {
			return
		}
	default:
		return
	}
	if len(u.recent) == maxRecent {
		u.recent = u.recent[1:]
	}
	u.recent = append(u.recent, recent{s, now})
}

// unread sums up the outcomes that nobody had the time to read: those of the last seconds, and those that came since the user asked to leave. It
// says nothing of whom they are about: the next user sees it.
func (u *ui) unread(asked time.Time) string {
	since := time.Now().Add(-readWait)
	if !asked.IsZero() && asked.Before(since) {
		since = asked
	}
	var lines []string
	sent := map[string]int{}
	for _, r := range u.recent {
		if r.at.Before(since) {
			continue
		}
		switch s := r.said.(type) {
		case saidSend:
			sent[s.Outcome]++
		default:
			lines = append(lines, u.look.dress(s, r.at)) // of the password
		}
	}
	var counts []string
	for _, e := range []ending{delivered, failed, unknown} {
		if n := sent[e.String()]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, e))
		}
	}
	if counts != nil {
		lines = append(lines, u.look.dress(saidHint{"of your last messages: " + strings.Join(counts, ", ")}, time.Now()))
	}
	if lines == nil {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
