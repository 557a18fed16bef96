package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// docs/client.schema.json is what programs may rest on: every object of the stories is checked against it, and every example of docs/json.md.

// schemas are those of the input and of the output.
var schemas = sync.OnceValue(func() map[string]*jsonschema.Schema {
	c := jsonschema.NewCompiler()
	compiled := make(map[string]*jsonschema.Schema)
	for _, which := range []string{"input", "output"} {
		compiled[which] = c.MustCompile("../docs/client.schema.json#/$defs/" + which)
	}
	return compiled
})

// fits says why a line is not what the schema says, or nil.
func fits(which, line string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
	if err != nil {
		return err
	}
	return schemas()[which].Validate(value)
}

// What a story has to be spoiled by to be refused: no key but those that are named, and none of another kind.
func TestSchemaRefuses(t *testing.T) {
	for which, lines := range map[string][]string{
		"output": {
			`{"v":1,"type":"login","time":"2026-01-02T03:04:05.678Z","user":"alice"}`,
			`{"v":1,"type":"message","time":"2026-01-02T03:04:05.678Z","from":"alice","text":"hello","confirmed":true}`,
			`{"v":1,"type":"event","time":"2026-01-02T03:04:05.678Z","event":"stopping"}`,
			`{"v":1,"type":"error","time":"2026-01-02T03:04:05.678Z","id":5,"code":"line","text":"unknown command","line":3}`,
			`{"v":1,"type":"send","time":"2026-01-02T03:04:05.678Z","id":"a","to":"bob","outcome":"failed","reason":"offline"}`,
		},
		"input": {
			`{"password":"s3cret"}`,
			`{"cmd":"send","id":"x","to":"bob","text":"hello"}`,
			`{"cmd":"recv","count":3,"timeout":"30s"}`,
		},
	} {
		for _, line := range lines {
			if err := fits(which, line); err != nil {
				t.Errorf("%s: %v", line, err)
			}
			var object map[string]any
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				t.Fatal(err)
			}
			spoil := func(key string, value any) {
				t.Helper()
				spoilt := map[string]any{}
				for k, v := range object {
					spoilt[k] = v
				}
				if spoilt[key] = value; value == nil {
					delete(spoilt, key)
				}
				b, err := json.Marshal(spoilt)
				if err != nil {
					t.Fatal(err)
				}
				if fits(which, string(b)) == nil {
					t.Errorf("%s is taken", b)
				}
			}
			spoil("more", "x")
			for key := range object {
				spoil(key, []string{"x"})
				switch key {
				case "id", "line", "count", "timeout": // may be left out
				default:
					spoil(key, nil)
				}
			}
		}
	}
}

// The schema and the client agree on how long a recv can wait.
func TestSchemaOfTimeouts(t *testing.T) {
	for _, timeout := range []string{"30s", "1h30m", "1.5s", ".5s", "1µs", "+2m", "10ns", "0s", "-1s", "1sgarbage", "...s", "5", "", "s", "1 s", "1d", "0h0m"} {
		object, err := json.Marshal(map[string]any{"cmd": "recv", "timeout": timeout})
		if err != nil {
			t.Fatal(err)
		}
		_, refused := parseTimeout(timeout)
		if taken := fits("input", string(object)) == nil; taken != (refused == nil) {
			t.Errorf("%q: the schema %v, the client %v", timeout, taken, refused)
		}
	}
}

// What the schema says of words is what the code has: a fault or a type that it doesn't know would surprise a program.
func TestSchemaHasAllWords(t *testing.T) {
	b, err := os.ReadFile("../docs/client.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs struct {
			Input, Output struct {
				OneOf []struct{ Properties map[string]json.RawMessage }
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	words := func(raw json.RawMessage) []string {
		var w struct {
			Const string
			Enum  []string
		}
		json.Unmarshal(raw, &w)
		if w.Const != "" {
			w.Enum = append(w.Enum, w.Const)
		}
		return w.Enum
	}
	var types, codes, cmds []string
	for _, o := range schema.Defs.Output.OneOf {
		types = append(types, words(o.Properties["type"])...)
		codes = append(codes, words(o.Properties["code"])...)
	}
	keys := make(map[string][]string)
	for _, o := range schema.Defs.Input.OneOf {
		for _, cmd := range words(o.Properties["cmd"]) {
			cmds = append(cmds, cmd)
			for key := range o.Properties {
				if key != "cmd" && key != "id" {
					keys[cmd] = append(keys[cmd], key)
				}
			}
		}
	}
	var commands []string
	for v, takes := range fields {
		commands = append(commands, grammar[v].name)
		var names []string
		for _, f := range takes {
			names = append(names, f.key)
		}
		sameWords(t, "the keys of "+grammar[v].name, keys[grammar[v].name], names)
	}
	sameWords(t, "cmd", cmds, commands)
	sameWords(t, "type", types, sourceWords(t, func(f *ast.FuncDecl) bool { return f.Name.Name == "word" && isSaid(f) }, wordless...))
	sameWords(t, "code", codes, faultWords(t))
}

// wordless is what people at a terminal are told, and programs not.
var wordless = []string{"hint", "help", "talk"}

func sameWords(t *testing.T, what string, schema, code []string) {
	t.Helper()
	slices.Sort(schema)
	slices.Sort(code)
	if schema, code = slices.Compact(schema), slices.Compact(code); !slices.Equal(schema, code) {
		t.Errorf("%s: the schema has %q, the code %q", what, schema, code)
	}
}

func saidSource(t *testing.T) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "said.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func isSaid(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return false
	}
	name, ok := f.Recv.List[0].Type.(*ast.Ident)
	return ok && strings.HasPrefix(name.Name, "said")
}

// sourceWords returns the strings in functions of said.go, without some.
func sourceWords(t *testing.T, in func(*ast.FuncDecl) bool, without ...string) (words []string) {
	for _, d := range saidSource(t).Decls {
		if f, ok := d.(*ast.FuncDecl); ok && in(f) {
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
					if word := strings.Trim(s.Value, `"`); !slices.Contains(without, word) {
						words = append(words, word)
					}
				}
				return true
			})
		}
	}
	return words
}

// faultWords returns the values of the constants of type fault.
func faultWords(t *testing.T) (words []string) {
	for _, d := range saidSource(t).Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "fault" {
				words = append(words, strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`))
			}
		}
	}
	return words
}

// Every example in docs/json.md is what the schema says, and what is written to the client is understood.
func TestExamplesOfTheDocumentation(t *testing.T) {
	b, err := os.ReadFile("../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	var cmds, types []string
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		for _, line := range examples(lines.Text()) {
			var object struct{ Cmd, Type string }
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			which := "output"
			if object.Type == "" {
				which = "input"
				_, err := parseObject([]byte(line))
				if object.Cmd == "" {
					_, err = parsePassword([]byte(line))
				}
				if err != nil {
					t.Errorf("%s: %v", line, err)
				}
			}
			if err := fits(which, line); err != nil {
				t.Errorf("%s: %v", line, err)
			}
			cmds, types = append(cmds, object.Cmd), append(types, object.Type)
		}
	}
	for v := range fields {
		if !slices.Contains(cmds, grammar[v].name) {
			t.Errorf("there is no example of %s", grammar[v].name)
		}
	}
	for _, word := range sourceWords(t, func(f *ast.FuncDecl) bool { return f.Name.Name == "word" && isSaid(f) }, wordless...) {
		if !slices.Contains(types, word) {
			t.Errorf("there is no example of what is said with type %s", word)
		}
	}
}

// examples returns the objects in a line of the documentation: `{…}`, or a line of a block that is one.
func examples(text string) (found []string) {
	if strings.HasPrefix(text, "    {") {
		return []string{strings.TrimSpace(text)}
	}
	for {
		_, rest, ok := strings.Cut(text, "`{")
		if !ok {
			return found
		}
		object, after, ok := strings.Cut(rest, "}`")
		if !ok {
			return found
		}
		found, text = append(found, "{"+object+"}"), after
	}
}
