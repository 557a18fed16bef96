package client

import (
	"slices"
	"strings"
)

// fitting returns what the word at the end of a line that is being typed may become, and where it begins: a command, or a name where the
// command has one. While somebody is talked to, only what begins with a slash is a command, and a name may follow the slash itself.
func fitting(before string, talking bool, names []string) (start int, fits []string) {
	start = strings.LastIndexByte(before, ' ') + 1
	first, rest, more := strings.Cut(before, " ")
	command, slash := strings.CutPrefix(first, "/")
	if talking && !slash {
		return start, nil
	}
	var candidates []string
	switch {
	case !more:
		for _, g := range grammar[verbNone+1:] {
			candidates = append(candidates, g.name)
		}
		if slash {
			start = len("/")
			candidates = append(candidates, names...)
		}
	case strings.Count(rest, " ") < namesAfter(command):
		candidates = names
	}
	word := strings.ToLower(before[start:])
	for _, c := range candidates {
		if strings.HasPrefix(c, word) {
			fits = append(fits, c)
		}
	}
	slices.Sort(fits)
	return start, slices.Compact(fits)
}

// namesAfter says how many of the words behind a command are names.
func namesAfter(command string) int {
	for _, g := range grammar[verbNone+1:] {
		if g.name == command {
			return g.names
		}
	}
	return 0
}
