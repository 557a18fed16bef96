package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// With --json every line of the output is one object, errors too. docs/json.md is the reference, docs/client.schema.json the schema.

const (
	jsonVersion = 1
	jsonTime    = "2006-01-02T15:04:05.000Z"
)

// envelope is what every object begins with.
type envelope struct {
	Version int             `json:"v"`
	Type    string          `json:"type"`
	Time    string          `json:"time"`
	ID      json.RawMessage `json:"id,omitempty"`
}

// object writes what is said, and the id of the command that it answers, as an object of ASCII. What is for people at a terminal alone has none.
func object(s said, id string) string {
	switch s.(type) {
	case saidHint, saidHelp, saidTalk:
		return ""
	}
	head := ascii(envelope{jsonVersion, s.word(), time.Now().UTC().Format(jsonTime), json.RawMessage(id)})
	body := ascii(s) // it has a key at least
	return string(head[:len(head)-1]) + "," + string(body[1:])
}

// ascii returns the JSON of a value with every other character escaped.
func ascii(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // of our own types, none fails
	}
	wide := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	narrow := make([]byte, 0, len(wide))
	for len(wide) > 0 {
		r, n := utf8.DecodeRune(wide)
		wide = wide[n:]
		switch {
		case r < 0x7f:
			narrow = append(narrow, byte(r))
		case r <= 0xffff:
			narrow = fmt.Appendf(narrow, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			narrow = fmt.Appendf(narrow, `\u%04x\u%04x`, high, low)
		}
	}
	return narrow
}
