package client

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"sim/proto"
)

// Limits of what a program writes.
const (
	maxObject  = 6*maxText + 1024 // bytes of a line: each byte of a text may be written as \u00XX
	maxMembers = 8                // of an object
	maxID      = 64               // characters
)

// What can be wrong with an object. As with lines, no error holds any part of it.
var (
	errNotObject  = errors.New("the line is not one JSON object")
	errSurrogate  = errors.New("a string has half a surrogate pair in it")
	errKeyTwice   = errors.New("a key stands twice in the object")
	errMembers    = fmt.Errorf("an object has at most %d keys", maxMembers)
	errNested     = errors.New("values are strings, whole numbers, true and false")
	errNoCommand  = errors.New(`the object has no "cmd"`)
	errUnknownCmd = errors.New(`unknown "cmd"; docs/json.md has them all`)
	errUnknownKey = errors.New("there is a key that it does not take; docs/json.md has those that it does")
	errID         = fmt.Errorf(`"id" is a string of at most %d characters, or a whole number of at most 15 digits`, maxID)
	errNoPassword = errors.New(`the first object has the password, and nothing else: {"password":"…"}`)
)

// A field is a key that a command takes.
type field struct {
	key    string
	kind   kind
	needed bool
	set    func(*command, []byte) error
}

// fields are the keys of each command's object, beside cmd and id. What is not here has no object.
var fields = map[verb][]field{
	verbLogin:      {{"user", kindString, true, setName}, {"password", kindString, true, setPassword}},
	verbList:       {{"prefix", kindString, false, setName}},
	verbSend:       {{"to", kindString, true, setName}, {"text", kindString, true, setText}},
	verbDisconnect: {{"with", kindString, true, setName}},
	verbVerify:     {{"with", kindString, true, setName}, {"yes", kindBool, false, setYes}},
	verbBlock:      {{"user", kindString, false, setName}},
	verbUnblock:    {{"user", kindString, true, setName}},
	verbWatch:      {{"user", kindString, false, setName}},
	verbUnwatch:    {{"user", kindString, true, setName}},
	verbRecv:       {{"count", kindNumber, false, setCount}, {"timeout", kindString, false, setTimeout}},
	verbPasswd:     {{"old", kindString, true, setPassword}, {"new", kindString, true, setFresh}},
	verbLogout:     {{"user", kindString, false, setName}},
	verbQuit:       nil,
}

func setName(c *command, value []byte) error {
	name, err := proto.ParseName(string(value))
	c.name = name.String()
	return err
}

func setPassword(c *command, value []byte) error {
	c.password = slices.Clone(value)
	return nil
}

func setFresh(c *command, value []byte) error {
	c.fresh = slices.Clone(value)
	return nil
}

func setText(c *command, value []byte) error {
	switch {
	case len(value) == 0:
		return errNoText
	case len(value) > maxText:
		return errTextTooLong
	}
	c.text = string(value)
	return nil
}

func setYes(c *command, value []byte) error {
	if string(value) == "true" {
		c.name2 = "yes"
	}
	return nil
}

func setCount(c *command, value []byte) (err error) {
	c.count, err = parseCount(string(value))
	return err
}

func setTimeout(c *command, value []byte) (err error) {
	c.timeout, err = parseTimeout(string(value))
	return err
}

// parseObject reads a command that is an object, and overwrites the line. A command that is wrong still has the id that it is to be answered with.
func parseObject(line []byte) (command, error) {
	if len(bytes.Trim(line, " \t\r")) == 0 {
		return command{}, nil
	}
	members, fault := parseMembers(line)
	var c command
	if i := index(members, "id"); i >= 0 {
		id, err := parseID(members[i])
		if err != nil {
			return command{}, cmp.Or(fault, err)
		}
		c.id, members = id, slices.Delete(members, i, i+1)
	}
	if fault != nil {
		return command{id: c.id}, fault
	}
	i := index(members, "cmd")
	if i < 0 {
		return command{id: c.id}, errNoCommand
	}
	name := string(members[i].value)
	for v, takes := range fields {
		if grammar[v].name != name || members[i].kind != kindString {
			continue
		}
		if c.verb = v; v == verbRecv {
			c.count = 1
		}
		if err := c.fill(takes, slices.Delete(members, i, i+1)); err != nil {
			clear(c.password)
			clear(c.fresh)
			return command{id: c.id}, fmt.Errorf("%s: %w", grammar[v].name, err)
		}
		return c, nil
	}
	return command{id: c.id}, errUnknownCmd
}

// fill takes what the members say.
func (c *command) fill(takes []field, members []member) error {
	for _, f := range takes {
		i := index(members, f.key)
		switch {
		case i < 0 && f.needed:
			return fmt.Errorf("%q is missing", f.key)
		case i < 0:
			continue
		case members[i].kind != f.kind:
			return fmt.Errorf("%q has to be %s", f.key, f.kind)
		}
		if err := f.set(c, members[i].value); err != nil {
			return err
		}
		members = slices.Delete(members, i, i+1)
	}
	if len(members) > 0 {
		return errUnknownKey
	}
	return nil
}

// parsePassword reads the object that has a password alone, and overwrites the line.
func parsePassword(line []byte) ([]byte, error) {
	members, err := parseMembers(line)
	if err != nil {
		return nil, err
	}
	if len(members) != 1 || string(members[0].key) != "password" || members[0].kind != kindString {
		return nil, errNoPassword
	}
	return slices.Clone(members[0].value), nil
}

// parseID returns an id as JSON.
func parseID(m member) (string, error) {
	switch {
	case m.kind == kindString && utf8.RuneCount(m.value) <= maxID:
		return string(ascii(string(m.value))), nil
	case m.kind == kindNumber && len(bytes.TrimPrefix(m.value, []byte("-"))) <= 15: // exact in every language
		return string(m.value), nil
	}
	return "", errID
}

// A member is a key and its value: the bytes that a string stands for, or a number or word as it is written.
type member struct {
	key, value []byte
	kind       kind
}

// kind is what a value is.
type kind int

const (
	kindString kind = iota
	kindNumber      // whole
	kindBool
	kindWrong
)

func (k kind) String() string {
	return [...]string{"a string", "a whole number", "true or false", "nothing"}[k]
}

func index(members []member, key string) int {
	return slices.IndexFunc(members, func(m member) bool { return string(m.key) == key })
}

// parseMembers reads an object of strings, whole numbers, true and false, as RFC 8259 writes them. It is stricter than encoding/json, which
// takes the last of two keys and mends what is no Unicode; and it leaves no copy of a password behind: strings are unescaped in the line itself.
// With the error come the members where the rest could be read: one of them may be an id.
func parseMembers(line []byte) ([]member, error) {
	if !utf8.Valid(line) {
		return nil, errNotUTF8
	}
	p := objectParser{rest: line}
	var members []member
	if !p.takes('{') {
		return nil, errNotObject
	}
	for end := p.takes('}'); !end; {
		m, err := p.member()
		if err != nil {
			return nil, err
		}
		if i := index(members, string(m.key)); i >= 0 {
			p.faults(errKeyTwice)
			members[i].kind = kindWrong // neither counts
		} else if members = append(members, m); len(members) > maxMembers {
			return nil, errMembers
		}
		if end = p.takes('}'); !end && !p.takes(',') {
			return nil, errNotObject
		}
	}
	if p.space(); len(p.rest) > 0 {
		return nil, errNotObject
	}
	return members, p.fault
}

// objectParser stands somewhere in a line.
type objectParser struct {
	rest  []byte
	fault error // the first thing that is wrong and can be read over
}

func (p *objectParser) faults(err error) { p.fault = cmp.Or(p.fault, err) }

func (p *objectParser) space() { p.rest = bytes.TrimLeft(p.rest, " \t\r\n") }

// takes passes over a character if it comes next, and over the space before it.
func (p *objectParser) takes(c byte) bool {
	p.space()
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *objectParser) member() (m member, err error) {
	if !p.takes('"') {
		return m, errNotObject
	}
	if m.key, err = p.text(); err != nil {
		return m, err
	}
	if !p.takes(':') {
		return m, errNotObject
	}
	if p.takes('"') {
		before := p.fault
		if m.value, err = p.text(); p.fault != before {
			m.kind = kindWrong
		}
		return m, err
	}
	end := bytes.IndexAny(p.rest, ",} \t\r\n")
	if end < 0 {
		return m, errNotObject
	}
	m.value, p.rest = p.rest[:end], p.rest[end:]
	switch word := string(m.value); {
	case word == "true" || word == "false":
		m.kind = kindBool
	case whole(word):
		m.kind = kindNumber
	case strings.ContainsAny(word, `"{}[]`):
		return m, errNested
	default:
		p.faults(errNested)
		m.kind = kindWrong
	}
	return m, nil
}

// whole says whether a word is an integer as JSON writes one.
func whole(word string) bool {
	digits := strings.TrimPrefix(word, "-")
	return digits != "" && strings.Trim(digits, "0123456789") == "" && (digits[0] != '0' || digits == "0")
}

// text reads a string behind its opening quote, and unescapes it where it stands: nothing gets longer by that.
func (p *objectParser) text() ([]byte, error) {
	b, n := p.rest, 0 // n bytes of the result are in b
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c == '"':
			p.rest = b[i+1:]
			return b[:n:n], nil
		case c < ' ':
			return nil, errNotObject
		case c != '\\':
			b[n], n, i = c, n+1, i+1
			continue
		}
		r, size, err := unescape(b[i:])
		if err == errSurrogate {
			p.faults(err)
		} else if err != nil {
			return nil, err
		}
		i += size
		n += utf8.EncodeRune(b[n:i], r)
	}
	return nil, errNotObject
}

// unescape reads one character that is written with a backslash, and says how many bytes that took.
func unescape(b []byte) (r rune, size int, err error) {
	if len(b) < 2 {
		return 0, 0, errNotObject
	}
	if b[1] != 'u' {
		i := strings.IndexByte(`"\/bfnrt`, b[1])
		if i < 0 {
			return 0, 0, errNotObject
		}
		return rune("\"\\/\b\f\n\r\t"[i]), 2, nil
	}
	r, err = codeUnit(b)
	if err != nil || !utf16.IsSurrogate(r) {
		return r, 6, err
	}
	low, err := codeUnit(b[6:])
	if err != nil {
		return utf8.RuneError, 6, errSurrogate
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return r, 6, errSurrogate
	}
	return r, 12, nil
}

// codeUnit reads \uXXXX.
func codeUnit(b []byte) (rune, error) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, errNotObject
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return 0, errNotObject
	}
	return rune(n), nil
}
