package client

import (
	"fmt"
	"strings"
)

// doubt returns the question that a person is asked before a line goes to target as a text, if it looks like a command whose slash was forgotten: a
// command's word alone, or a command about somebody who is known. Otherwise it returns "".
func doubt(line, target string, known func(name string) bool, utf8 bool) string {
	word, _, more := strings.Cut(strings.TrimRight(line, " "), " ")
	if target == "" || !isCommand(word) {
		return ""
	}
	shown := word
	if more {
		c, err := parseCommand([]byte(line))
		confirms := c.verb == verbVerify && (c.name2 != "" || c.name == "yes")
		if err != nil || !confirms && c.verb != verbDisconnect && c.name != target && !known(c.name) {
			return ""
		}
		shown += " " + dots(utf8)
	}
	return fmt.Sprintf(`send "%s" to %s as a message? [y/N]  (/%s is the command)`, shown, target, word)
}

func isCommand(word string) bool {
	for _, g := range grammar[verbNone+1:] {
		if g.name == word {
			return true
		}
	}
	return false
}
