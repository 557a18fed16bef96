// Package chaos judges what two clients tell each other over a network that does its worst: tests of the client alone, and of the program, use it.
package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Witness is what one of two clients has told. Each sends texts that begin with their numbers: 0, 1, 2 …
type Witness struct {
	Outcomes []string // of the texts, in order
	Shown    []int    // the numbers of the other side's
	Lost     int      // connections
	Again    int      // the session went on over another
}

// Hear takes a line that the client printed.
func (w *Witness) Hear(line string) error {
	fields := strings.Fields(line)
	switch {
	case line == "* reconnecting …":
		w.Lost++
	case line == "* connected again":
		w.Again++
	case len(fields) > 2 && fields[0] == "<":
		n, err := strconv.Atoi(fields[2])
		if err != nil {
			return fmt.Errorf("a text without a number: %s", line)
		}
		w.Shown = append(w.Shown, n)
	case len(fields) > 2 && fields[0] == "=":
		w.Outcomes = append(w.Outcomes, strings.TrimSuffix(fields[2], ":"))
	default:
		return fmt.Errorf("an unexpected line: %s", line)
	}
	return nil
}

func (w *Witness) String() string {
	count := map[string]int{}
	for _, is := range w.Outcomes {
		count[is]++
	}
	told := fmt.Sprintf("%d losses, %d times connected again, %d texts shown", w.Lost, w.Again, len(w.Shown))
	for _, is := range slices.Sorted(maps.Keys(count)) {
		told += fmt.Sprintf(", %d %s", count[is], is)
	}
	return told
}

// A Verdict counts what must not be.
type Verdict struct {
	Silent     int // texts without an outcome
	Lost       int // delivered, it was said, and they were not shown
	Untrue     int // failed, it was said, and they were shown; or an outcome that is none
	Twice      int // shown
	Misordered int // shown after a later one
}

// Judge compares what a client told of its texts with what the other side was shown.
func (w *Witness) Judge(texts int, other *Witness) (v Verdict) {
	shown := map[int]bool{}
	last := -1
	for _, n := range other.Shown {
		switch {
		case shown[n]:
			v.Twice++
		case n < last:
			v.Misordered++
		}
		shown[n], last = true, max(last, n)
	}
	v.Silent = max(0, texts-len(w.Outcomes))
	for i, is := range w.Outcomes {
		switch {
		case is == "delivered" && !shown[i]:
			v.Lost++
		case is == "failed" && shown[i], i >= texts, !slices.Contains([]string{"delivered", "failed", "unknown"}, is):
			v.Untrue++
		}
	}
	return v
}

// Delivered is how many texts were, by their sender's word.
func (w *Witness) Delivered() (n int) {
	for _, is := range w.Outcomes {
		if is == "delivered" {
			n++
		}
	}
	return n
}

// Texts returns how many texts each of the two sends in one of several schedules: short, or what asked says that they send in all.
func Texts(asked string, schedules, short int) (int, error) {
	if asked == "" {
		return short, nil
	}
	n, err := strconv.Atoi(asked)
	if err != nil || n < 2*schedules {
		return 0, fmt.Errorf("a number of texts is asked for, at least %d", 2*schedules)
	}
	return n / 2 / schedules, nil
}
