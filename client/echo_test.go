package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"sim/proto"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// No error has anything in it of what was typed, piped or written by a program: a line may be a message, or a password in the wrong place.

// ours are the words that errors are made of: the strings in the source of what makes them, and the limits.
var ours = sync.OnceValue(func() string {
	words := []string{fmt.Sprint(maxText, maxRecv, maxMembers, maxID)}
	for _, dir := range []string{".", "../proto", "../password"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			panic(errors.Join(err, errors.New("no source of "+dir)))
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			if err != nil {
				panic(err)
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
			if err != nil {
				panic(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
					words = append(words, s.Value)
				}
				return true
			})
		}
	}
	for _, g := range grammar { // and where they meet
		for _, err := range []error{errTooFewWords, errTooManyWords, errSpaces, errYes, errNoText, errTextTooLong, errCount, errTimeout, errUnknownKey, proto.ErrName} {
			words = append(words, fmt.Sprintf("%s: %v; usage: %s", g.name, err, g.usage))
		}
	}
	for v, takes := range fields {
		for _, f := range takes {
			words = append(words, fmt.Sprintf("%s: %q is missing", grammar[v].name, f.key), fmt.Sprintf("%q has to be %s", f.key, f.kind))
		}
	}
	return strings.Join(words, "\n")
})

// echoed returns four bytes of the input that are in an error and in nothing of ours.
func echoed(text string, input []byte, known ...string) string {
	own := ours() + strings.Join(known, "\n")
	for i := 0; i+4 <= len(input); i++ {
		if part := string(input[i : i+4]); strings.Contains(text, part) && !strings.Contains(own, part) {
			return part
		}
	}
	return ""
}

var echoSeeds = []string{
	"s3cret", "send s3cret!", "send bob", "recv s3cret", "recv 1 s3cret", "list ?s3cret", "login s3cret x", "passwd s3cret s3cret", "verify s3cret yes", "verify bob s3cret",
	"logout s3cret", "disconnect s3cret bob", " s3cret", "s3cret\xff", "login s3cret\ns3cret2", "send alice s3cret", "disconnect s3cret bob\n\nlist\nverify s3cret yes",
	"talk s3cret\ns3cret2\n/s3cret3 s\n/", "/s3cret", "/s3cret x", "block s3cret\nsend s3cret x\ntalk s3cret", "watch s3cret\nunwatch s3cret", "passwd\ns3cret\ns3cret2\ns3cret3",
	`{"cmd":"block","user":"s3cret"}` + "\n" + `{"cmd":"send","to":"s3cret","text":"x"}`, `{"cmd":"passwd","old":"s3cret","new":"s3cret2"}`,
	`{"cmd":"s3cret"}`, `{"s3cret":1}`, `{"cmd":"send","s3cret":"bob"}`, `{"cmd":"recv","timeout":"s3cret"}`, `{"cmd":"list","id":s3cret}`, `{"cmd":"list","prefix":"s3cret!"}`,
	`{"password":["s3cret"]}`, `{"cmd":"login","user":"s3cret","password":"s3cret2"}`, `{"cmd":"verify","with":"s3cret","yes":true}`, `{"cmd":"logout","user":"s3cret"}`,
	`{"cmd":"send","to":"alice","text":"s3cret"}`,
}

func FuzzErrorsEchoNothing(f *testing.F) {
	for _, seed := range echoSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		_, asLine := parseCommand(bytes.Clone(line))
		_, asObject := parseObject(bytes.Clone(line))
		_, asPassword := parsePassword(bytes.Clone(line))
		for _, err := range []error{asLine, asObject, asPassword} {
			if err == nil {
				continue
			}
			if part := echoed(err.Error(), line); part != "" {
				t.Fatalf("%q: %q is in %q", line, part, err)
			}
		}
	})
}

// The same of all that a client says, with alice logged in, and of a password in the place of a command.
func FuzzClientEchoesNothing(f *testing.F) {
	for _, seed := range echoSeeds {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, input []byte, objects bool) {
		if len(input) > 4*maxObject {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			s := newFakeServer(t)
			p := s.starts(func(c *Config) {
				c.User, c.PasswordFile, c.JSON = "alice", passwordFile(t, "alice", 0o600), objects
			})
			p.keyboard.adds(string(input) + "\n")
			p.leaves()
			select {
			case <-p.done:
			case <-time.After(time.Hour): // it waits for messages
			}
			for _, text := range p.errors(objects) {
				if part := echoed(text, input, "alice"); part != "" {
					t.Fatalf("%q: %q is in %q", input, part, text)
				}
			}
		})
	})
}

// errors returns the sentences of what went wrong, without the number of the line.
func (p *person) errors(objects bool) (texts []string) {
	if !objects {
		for _, l := range p.err.lines() {
			if cut, ok := strings.CutPrefix(l, "line "); ok {
				_, l, _ = strings.Cut(cut, ": ")
			}
			texts = append(texts, l)
		}
		return texts
	}
	for _, l := range p.out.lines() {
		var said struct{ Type, Text string }
		if err := json.Unmarshal([]byte(l), &said); err != nil {
			p.t.Fatalf("%q: %v", l, err)
		}
		if said.Type == "error" {
			texts = append(texts, said.Text)
		}
	}
	return texts
}
