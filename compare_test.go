package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bcgit/bc-java#2406: a proof was compared byte by byte, up to the first that differs. No watch is fine enough to see that beside an
// exponentiation, so what is looked at is the code: bytes are compared by crypto/subtle and hmac.Equal, and all other comparisons of bytes
// under proto/ are here, each with the reason why its time tells nobody anything.
var comparedInVariableTime = map[string]string{
	"proto/address.go: bytes.Equal":  "the checksum of an address: whoever types it has it",
	"proto/frame.go: bytes.Equal":    "the padding of a record that opened, which its sender has sealed",
	"proto/name.go: bytes.Equal":     "the zeros behind a name, which its sender knows",
	"proto/name.go: bytes.Compare":   "names, to sort them",
	"proto/name.go: p == (Prefix{})": "the prefix of a List, in its own session",

	"proto/login_server.go: sha256.Sum256(body) != [32]byte(l.solution[1:])":                                "both are on the wire",
	"proto/login_client.go: [welcomePlain]byte(plain) != [welcomePlain]byte{}":                              "the zeros of a refusal, which the server has sealed for us",
	"proto/passwd.go: [32]byte(body[1:]) == [32]byte{}":                                                     "the zeros of a refusal, likewise",
	"proto/message.go: r.Tag != Tag{}":                                                                      "a frame of our own server's: is there a tag?",
	"proto/message.go: g.Tag != Tag{}":                                                                      "likewise",
	"proto/login_server.go: Name(plain) == Name{}":                                                          "whether a session is to be resumed shows in the answer's length",
	"proto/resume.go: [resumedPlain]byte(plain) != [resumedPlain]byte{}":                                    "a refusal, by the server itself",
	"proto/resume.go: [resumePlain - NameSize - 56]byte(plain[56:]) != [resumePlain - NameSize - 56]byte{}": "zeros of the sender's own",
	"proto/resume.go: l.resume.ID != r.ID":                                                                  "the server has found the session by it; it proves nothing",
	"proto/e2e/conversation.go: bytes.Equal":                                                                "the padding of a message that opened, which its sender has sealed",

	"proto/e2e/codec.go: of != cid":                            "a cid is in the clear",
	"proto/e2e/initiator.go: self == peer":                     "two names",
	"proto/e2e/responder.go: self == from":                     "two names",
	"proto/e2e/responder.go: from != r.run.Initiator":          "two names",
	"proto/e2e/ratchet.go: *share == c.share":                  "both shares are in the clear",
	"proto/ticket/ticket.go: initiator == in.Responder":        "two names",
	"proto/puzzle/solve.go: *solution == [SolutionSize]byte{}": "a solution is on the wire, or its sender's own",
}

func TestProofsAreComparedInConstantTime(t *testing.T) {
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "source", nil)
	byDir := map[string][]*ast.File{}
	err := filepath.WalkDir("proto", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		byDir[filepath.Dir(path)] = append(byDir[filepath.Dir(path)], file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(byDir) < 7 {
		t.Fatalf("only %d packages were found", len(byDir))
	}
	constant, seen := 0, map[string]bool{}
	for dir, files := range byDir {
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
		config := types.Config{Importer: imports}
		if _, err := config.Check("sim/"+filepath.ToSlash(dir), fset, files, info); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := filepath.ToSlash(fset.Position(file.Package).Filename)
			ast.Inspect(file, func(n ast.Node) bool {
				found := ""
				switch n := n.(type) {
				case *ast.BinaryExpr:
					if (n.Op == token.EQL || n.Op == token.NEQ) && (holdsBytes(info.TypeOf(n.X)) || converted(info, n.X) || converted(info, n.Y)) {
						found = types.ExprString(n)
					}
				case *ast.SelectorExpr:
					found = types.ExprString(n)
					switch found {
					case "subtle.ConstantTimeCompare", "hmac.Equal":
						constant++
						return true
					case "bytes.Equal", "bytes.Compare", "bytes.HasPrefix", "bytes.HasSuffix", "slices.Equal", "slices.Compare", "reflect.DeepEqual", "strings.Compare":
					default:
						return true
					}
				}
				if found != "" {
					what := name + ": " + found
					seen[what] = true
					if comparedInVariableTime[what] == "" {
						t.Errorf("%s: %s is compared in variable time, and nobody says why it may be", fset.Position(n.Pos()), found)
					}
				}
				return true
			})
		}
	}
	for _, what := range slices.Sorted(maps.Keys(comparedInVariableTime)) {
		if !seen[what] {
			t.Errorf("%s: there is no such comparison", what)
		}
	}
	if constant < 6 { // mac1, M1 and M2, both of a change of password, what e2e and ticket compare
		t.Errorf("%d comparisons in constant time", constant)
	}
}

// holdsBytes says whether a value of the type can hold a secret: an array of bytes, or a struct with one.
func holdsBytes(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Array:
		return true
	case *types.Struct:
		for i := range u.NumFields() {
			if holdsBytes(u.Field(i).Type()) {
				return true
			}
		}
	}
	return false
}

// converted says whether an expression is a string made of bytes, to be compared as one.
func converted(info *types.Info, x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 || !info.Types[call.Fun].IsType() {
		return false
	}
	_, slice := info.TypeOf(call.Args[0]).Underlying().(*types.Slice)
	return slice
}
