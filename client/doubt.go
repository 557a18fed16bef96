package client

import (
	"fmt"
	"strings"

	"sim/password"
)

// doubt returns the question that a person is asked before a line goes to the prompt's target as a text, if it looks like a command whose slash was
// forgotten: a command's word alone, or a command about somebody who is known; or if it is the first that they say after the connection was lost,
// and could be the password that they think is asked for. Otherwise it returns "".
func doubt(line string, at prompt, known func(name string) bool, utf8 bool) string {
	target := at.target
	word, _, more := strings.Cut(strings.TrimRight(line, " "), " ")
	switch {
	case target == "":
		return ""
	case at.cutOff && couldBePassword(line) && (line[0] != '/' || strings.HasPrefix(line, "//")):
		return "no password is asked for: send this to " + target + " as a message? [y/N]"
	case !isCommand(word):
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

// couldBePassword says that a line is as long as passwords are, and has no more words than people remember.
func couldBePassword(line string) bool {
	const mostWords = 8
	return len(line) >= password.MinBytes && len(line) <= password.MaxBytes && strings.Count(line, " ") < mostWords
}

// betterForgotten says that a line, which was typed where no text to anybody is, is no command but could be a password: a word alone, or whatever was
// typed when one might be expected. It is not to be recalled by the next who sits there.
func betterForgotten(line string, at prompt) bool {
	word, _, more := strings.Cut(strings.TrimPrefix(line, "/"), " ")
	return at.target == "" && at.question == "" && !isCommand(word) && couldBePassword(line) && (!more || at.cutOff || at.user == "")
}

func isCommand(word string) bool {
	for _, g := range grammar[verbNone+1:] {
		if g.name == word {
			return true
		}
	}
	return false
}
