package client

import (
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// A look is how lines are shown to a person: with times, and colours. Their words are those that scripts get. It belongs to the runner's goroutine.
type look struct {
	colors bool
	day    string // of the last time that was shown
}

// Colours of xterm's table of 256. Each can be read on black and on white.
const (
	colorResult  = 28  // green
	colorEvent   = 136 // a dark yellow
	colorFailure = 160 // red
)

// colorsOfPeople are for who a message is from.
var colorsOfPeople = [...]int{32, 133, 30, 166, 64, 97}

// dress returns the line that a person sees.
func (l *look) dress(s said, now time.Time) string {
	text := s.line()
	switch s := s.(type) {
	case saidMessage:
		from, rest, _ := strings.Cut(text, ": ") // a name has no colon
		if s.ring {
			rest += "\a"
		}
		return l.clock(now) + l.paint(colorOf(s.From), from+":") + " " + rest
	case saidEvent:
		return l.clock(now) + l.paint(colorEvent, text)
	case saidHint:
		return l.dim(text)
	case saidError:
		if s.word() == "warning" {
			return l.paint(colorEvent, text)
		}
		return l.paint(colorFailure, text)
	case saidHelp:
		return text
	case saidSend:
		switch s.Outcome {
		case delivered.String():
			return l.dim(text)
		case failed.String():
			return l.paint(colorFailure, text)
		}
		return l.paint(colorEvent, text)
	}
	return l.paint(colorResult, text)
}

// clock is the time in front of what came by itself. A new day is told on a line before.
func (l *look) clock(now time.Time) string {
	before, day := l.day, now.Format("Monday, 2 January 2006")
	l.day = day
	clock := l.dim(now.Format("15:04")) + " "
	if before == "" || before == day {
		return clock
	}
	return l.dim("-- "+day+" --") + "\n" + clock
}

// colorOf is the same for a name every time.
func colorOf(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return colorsOfPeople[h.Sum32()%uint32(len(colorsOfPeople))]
}

func (l *look) paint(color int, text string) string {
	return l.sgr("38;5;"+strconv.Itoa(color), text)
}

func (l *look) dim(text string) string { return l.sgr("2", text) }

// sgr shows text in another way (ECMA-48's Select Graphic Rendition).
func (l *look) sgr(how, text string) string {
	if !l.colors {
		return text
	}
	return "\x1b[" + how + "m" + text + "\x1b[m"
}

// dots stand behind what goes on.
func dots(utf8 bool) string {
	if utf8 {
		return "…"
	}
	return "..."
}

// A prompt says who is logged in, and whom plain lines go to; or it is a question.
type prompt struct {
	user, target string
	confirmed    bool // the target
	cutOff       bool // the connection was lost, and nothing was said to anybody since
	question     string
}

// text is what stands before the line. utf8 says that the terminal shows more than ASCII.
func (p prompt) text(utf8 bool) string {
	arrow, mark := " -> ", " (confirmed)"
	if utf8 {
		arrow, mark = " → ", " ✓"
	}
	switch {
	case p.question != "":
		return p.question
	case p.user == "":
		return "sim> "
	case p.target == "":
		return p.user + "> "
	case p.confirmed:
		return p.user + arrow + p.target + mark + "> "
	}
	return p.user + arrow + p.target + "> "
}
