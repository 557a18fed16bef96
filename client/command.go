package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sim/proto"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what is typed, piped or read from a file.
const (
	maxText = 8192         // bytes of a message
	maxLine = maxText + 64 // bytes of a line, its end not counted
	maxRecv = 1_000_000    // messages one recv waits for
)

// helpText has every command, one a line, and what stands in place of one.
const helpText = `login <username>                  log in; the password is asked for
list [prefix]                     who is logged in
send <receiver> <message>         send the rest of the line as it stands
talk <user>                       lines go to them from here on; also /<user>
talk                              to nobody any more; also /
disconnect <receiver>             end the conversation and forget its keys
disconnect <sender> <receiver>    the same, with your own name first
verify <user>                     twelve digits to compare with the other side
verify <user> yes                 you have compared them, and they are the same
block <user>                      take no conversation of theirs until log-out
block                             who is blocked
unblock <user>                    take them again
watch <user>                      tell when they come and go
watch                             who is watched
unwatch <user>                    tell it no more
recv [count] [timeout]            wait for messages: recv 1 30s
passwd                            change your password; the old is asked for
logout [username]                 log out; the next user can log in
help                              these lines
quit                              log out and end

While you talk to somebody, a command begins with a slash: /list; // sends one.
`

// A verb is what a command asks for.
type verb uint8

const (
	verbNone verb = iota // an empty line: nothing to do
	verbLogin
	verbList
	verbSend
	verbTalk
	verbDisconnect
	verbVerify
	verbBlock
	verbUnblock
	verbWatch
	verbUnwatch
	verbRecv
	verbPasswd
	verbLogout
	verbHelp
	verbQuit
)

// grammar says how each verb is written, how many words may follow it, and how
// many of these, the first ones, are names: Tab completes them. The last of
// verbSend's is the text, which has its own rules.
var grammar = [...]struct {
	name, usage string
	least, most int
	names       int
}{
	verbLogin:      {"login", "login <username>", 1, 1, 1},
	verbList:       {"list", "list [prefix]", 0, 1, 1},
	verbSend:       {"send", "send <receiver> <message>", 2, 2, 1},
	verbTalk:       {"talk", "talk <user>, or talk", 0, 1, 1},
	verbDisconnect: {"disconnect", "disconnect <receiver>, or disconnect <sender> <receiver>", 1, 2, 2},
	verbVerify:     {"verify", "verify <user>, or verify <user> yes", 1, 2, 1},
	verbBlock:      {"block", "block <user>, or block", 0, 1, 1},
	verbUnblock:    {"unblock", "unblock <user>", 1, 1, 1},
	verbWatch:      {"watch", "watch <user>, or watch", 0, 1, 1},
	verbUnwatch:    {"unwatch", "unwatch <user>", 1, 1, 1},
	verbRecv:       {"recv", "recv [count] [timeout]", 0, 2, 0},
	verbPasswd:     {"passwd", "passwd", 0, 0, 0},
	verbLogout:     {"logout", "logout [username]", 0, 1, 1},
	verbHelp:       {"help", "help", 0, 0, 0},
	verbQuit:       {"quit", "quit", 0, 0, 0},
}

// A command is one line, understood. What its verb doesn't take is zero.
type command struct {
	verb    verb
	name    string        // who it is about, or the prefix of list; folded to lower case
	name2   string        // disconnect with two names: the receiver, and name is the sender; verify: "yes", or nothing
	text    string        // send: 1 to maxText bytes of valid UTF-8, verbatim
	count   int           // recv: how many messages, at least 1
	timeout time.Duration // recv: how long to wait; 0 is without limit

	// With --json.
	id       string // what the program calls the command, as JSON; "" if it does not
	password []byte // login, and the old one of passwd: to be cleared by whoever runs it
	fresh    []byte // passwd: the new password; likewise
}

// errLineTooLong is returned when a line has more bytes than a command can. Reading
// goes on with the next line.
var errLineTooLong = fmt.Errorf("the line is too long: a message has at most %d bytes", maxText)

// What can be wrong with a line. No error about one holds any part of it: the
// line may be a message, or a password that was meant for another prompt.
var (
	errNotUTF8      = errors.New("the line is not valid UTF-8")
	errLeadingSpace = errors.New("a command starts at the start of its line, without a space before it")
	errUnknownVerb  = errors.New("unknown command: /help lists them all, and /talk <user> sends lines as they are")
	errCapitals     = errors.New("commands are written in small letters: /help lists them all")

	errTooFewWords  = errors.New("something is missing")
	errTooManyWords = errors.New("there is too much on the line")
	errSpaces       = errors.New("the words are one space apart")
	errYes          = errors.New("all that may follow the name is yes")
	errNoText       = errors.New("the message is missing")
	errTextTooLong  = fmt.Errorf("a message has at most %d bytes", maxText)
	errCount        = fmt.Errorf("the count comes first and is a number from 1 to %d", maxRecv)
	errTimeout      = errors.New("the timeout is longer than nothing and has a unit, as in 30s or 5m")
)

// parseLine reads a line, without its end, as it is meant while target is talked
// to; "" is nobody. Then the whole line is a text, and a command begins with a
// slash. Without a target it is parseCommand's, and a slash before a command
// does no harm. A slash and a name talk to somebody, a slash alone to nobody.
// A blank line is nothing.
func parseLine(line []byte, target string) (command, error) {
	rest, slash := bytes.CutPrefix(line, []byte("/"))
	switch {
	case target == "" && !slash:
		return parseCommand(line)
	case slash && (target == "" || !bytes.HasPrefix(rest, []byte("/"))):
		return parseSlash(rest, target)
	case slash: // two of them are one that is meant
		line = rest
	}
	switch {
	case len(bytes.Trim(line, " ")) == 0:
		return command{}, nil
	case len(line) > maxText:
		return command{}, errTextTooLong
	case !utf8.Valid(line):
		return command{}, errNotUTF8
	}
	return command{verb: verbSend, name: target, text: string(line)}, nil
}

// parseSlash reads what stands behind the slash.
func parseSlash(rest []byte, target string) (command, error) {
	c, err := parseCommand(rest)
	words := strings.TrimRight(string(rest), " ")
	switch {
	case target != "" && words == "verify yes":
		return parseCommand([]byte("verify " + target + " yes"))
	case err == nil && c.verb == verbNone:
		return command{verb: verbTalk}, nil
	case err == errUnknownVerb:
		if name, err := proto.ParseName(words); err == nil {
			return command{verb: verbTalk, name: name.String()}, nil
		}
	case errors.Is(err, errTooFewWords) && target != "" && (words == "verify" || words == "disconnect"):
		return parseCommand([]byte(words + " " + target)) // whom else
	}
	return c, err
}

// parseCommand reads a line, without its end:
//
//	verb, one space, name, one space, and the text verbatim to the end
//
// The text keeps every space and dash; nothing is quoted. Spaces at the end of
// any other command are ignored, since some shells add one before a pipe, and
// so is a line that has nothing else. Of recv's words, digits alone are the
// count and a duration is the timeout; the count comes first, and either may be
// left out.
func parseCommand(line []byte) (command, error) {
	if len(line) > maxLine {
		return command{}, errLineTooLong
	}
	if !utf8.Valid(line) {
		return command{}, errNotUTF8
	}
	word, rest, _ := strings.Cut(string(line), " ")
	if word == "" {
		if strings.Trim(rest, " ") != "" {
			return command{}, errLeadingSpace
		}
		return command{}, nil
	}
	for v, g := range grammar {
		if g.name != word {
			continue
		}
		c, err := parseWords(verb(v), rest)
		if err != nil {
			return command{}, fmt.Errorf("%s: %w; usage: %s", g.name, err, g.usage)
		}
		return c, nil
	}
	if isCommand(strings.ToLower(word)) {
		return command{}, errCapitals // and no name to talk to
	}
	return command{}, errUnknownVerb
}

// parseWords reads what follows the verb and its space.
func parseWords(v verb, rest string) (command, error) {
	if v == verbSend {
		return parseSend(rest)
	}
	var words []string
	if rest = strings.TrimRight(rest, " "); rest != "" {
		words = strings.Split(rest, " ")
	}
	switch {
	case slices.Contains(words, ""):
		return command{}, errSpaces
	case len(words) < grammar[v].least:
		return command{}, errTooFewWords
	case len(words) > grammar[v].most:
		return command{}, errTooManyWords
	case v == verbRecv:
		return parseRecv(words)
	}
	c := command{verb: v}
	for i, to := range []*string{&c.name, &c.name2}[:len(words)] {
		name, err := proto.ParseName(words[i])
		if err != nil {
			return command{}, err
		}
		*to = name.String()
	}
	if v == verbVerify && c.name2 != "" && c.name2 != "yes" {
		return command{}, errYes
	}
	return c, nil
}

func parseSend(rest string) (command, error) {
	if rest == "" {
		return command{}, errTooFewWords
	}
	to, text, _ := strings.Cut(rest, " ")
	if to == "" {
		return command{}, errSpaces
	}
	name, err := proto.ParseName(to)
	switch {
	case err != nil:
		return command{}, err
	case text == "":
		return command{}, errNoText
	case len(text) > maxText:
		return command{}, errTextTooLong
	}
	return command{verb: verbSend, name: name.String(), text: text}, nil
}

func parseRecv(words []string) (command, error) {
	c := command{verb: verbRecv, count: 1}
	if len(words) > 0 && strings.Trim(words[0], "+-0123456789") == "" {
		n, err := parseCount(words[0])
		if err != nil {
			return command{}, err
		}
		c.count, words = n, words[1:]
	}
	switch len(words) {
	case 0:
		return c, nil
	case 1:
		var err error
		c.timeout, err = parseTimeout(words[0])
		return c, err
	default:
		return command{}, errCount
	}
}

func parseCount(word string) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > maxRecv || word[0] == '+' {
		return 0, errCount
	}
	return n, nil
}

func parseTimeout(word string) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || d <= 0 {
		return 0, errTimeout
	}
	return d, nil
}

// A lineReader cuts a stream into lines. It holds one line at most, whatever
// the stream does. One goroutine uses it.
type lineReader struct {
	r    *bufio.Reader
	most int   // bytes of a line
	err  error // of the stream, to be returned from now on
}

func newLineReader(r io.Reader, most int) *lineReader {
	// A line at the limit fits with CR and LF, so what doesn't fit is too long.
	return &lineReader{r: bufio.NewReaderSize(r, most+len("\r\n")), most: most}
}

// next returns the next line without its LF and without one CR before that; the
// slice is good until the call after. A line over the limit is errLineTooLong,
// and the next call goes on behind it. At the end comes what stands after the
// last LF, if anything does, then io.EOF for ever. Another error of the stream
// takes the place of the line it cut: half a command is none.
func (l *lineReader) next() ([]byte, error) {
	if l.err != nil {
		return nil, l.err
	}
	line, err := l.r.ReadSlice('\n')
	tooLong := err == bufio.ErrBufferFull
	for err == bufio.ErrBufferFull {
		_, err = l.r.ReadSlice('\n')
	}
	l.err = err
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case tooLong:
		return nil, errLineTooLong
	case err == nil:
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
	case len(line) == 0:
		return nil, io.EOF
	}
	if len(line) > l.most {
		return nil, errLineTooLong
	}
	return line, nil
}
