package main

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// rooms is the import map: which of our packages, and whose others, a folder may import. What is not in it is not allowed.
// The relay can't read messages, since no way leads from server to proto/e2e.
var rooms = map[string][]string{
	".": {"sim/server", "sim/metrics", "sim/client", "sim/store", "sim/password", "sim/proto", "sim/proto/srp", "sim/internal/payload", "sim/internal/wholefile",
		"filippo.io/age", "github.com/urfave/cli/v2", "golang.org/x/term", "golang.org/x/sys/unix", "golang.org/x/sys/windows"},

	"server": {"sim/proto", "sim/proto/puzzle", "sim/proto/ticket", "sim/store", "sim/internal/forget", "golang.org/x/sys/unix"},
	"metrics": {"sim/server", "github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/collectors",
		"github.com/prometheus/client_golang/prometheus/promhttp"},
	"client": {"sim/proto", "sim/proto/puzzle", "sim/proto/e2e", "sim/proto/ticket", "sim/proto/record", "sim/password", "sim/client/editor", "sim/internal/forget"},

	"client/editor": {"github.com/rivo/uniseg"},

	"proto":        {"sim/proto/srp", "sim/proto/puzzle", "sim/proto/record", "sim/proto/box", "sim/proto/ticket"},
	"proto/e2e":    {"sim/proto/box", "sim/proto/ticket"},
	"proto/ticket": {"sim/proto/box", "golang.org/x/crypto/cryptobyte"},
	"proto/box":    {},
	"proto/srp":    {"filippo.io/bigmod"},
	"proto/puzzle": {},
	"proto/record": {"sim/proto/box"},

	"password": {"golang.org/x/crypto/argon2", "golang.org/x/text/secure/precis", "golang.org/x/text/unicode/norm",
		"github.com/ccojocar/zxcvbn-go", "github.com/ccojocar/zxcvbn-go/scoring"},
	"store": {"sim/internal/wholefile", "go.etcd.io/bbolt", "go.etcd.io/bbolt/errors"},

	"internal/forget":    {},
	"internal/payload":   {},
	"packaging/bom":      {}, // of a release
	"internal/wholefile": {},
	"internal/memwalk":   {"sim/internal/forget"},    // of tests: nothing else imports it
	"internal/vt":        {"github.com/rivo/uniseg"}, // of tests as well
	"internal/chaos":     {},                         // likewise
}

// modules are the lines that go.mod may have, each with its reason.
var modules = map[string]string{
	"filippo.io/age":                      "backups under a passphrase",
	"filippo.io/bigmod":                   "SRP's arithmetic in constant time",
	"github.com/ccojocar/zxcvbn-go":       "the strength of passwords",
	"github.com/prometheus/client_golang": "what an operator's monitoring reads",
	"github.com/rivo/uniseg":              "where a character ends, and how wide it is, for the line that is typed",
	"github.com/urfave/cli/v2":            "the command line",
	"go.etcd.io/bbolt":                    "the server's one file",
	"golang.org/x/crypto":                 "Argon2id, and cryptobyte to cut fields",
	"golang.org/x/sys":                    "the other end's user on the admin socket; also of bbolt, term and crypto",
	"golang.org/x/term":                   "terminals: raw mode, size, passwords without echo",
	"golang.org/x/text":                   "OpaqueString: one form for every way to type a password",

	"github.com/creack/pty":                    "tests: a terminal for `sim client`",
	"github.com/rogpeppe/go-internal":          "tests: the stories in testdata/script",
	"github.com/santhosh-tekuri/jsonschema/v6": "tests: docs/client.schema.json against what the client says",

	"filippo.io/hpke":                    "of age",
	"github.com/cpuguy83/go-md2man/v2":   "of urfave/cli",
	"github.com/russross/blackfriday/v2": "of urfave/cli",
	"github.com/beorn7/perks":            "of client_golang",
	"github.com/cespare/xxhash/v2":       "of client_golang",
	"github.com/munnerz/goautoneg":       "of client_golang",
	"github.com/prometheus/client_model": "of client_golang",
	"github.com/prometheus/common":       "of client_golang",
	"github.com/prometheus/procfs":       "of client_golang",
	"google.golang.org/protobuf":         "of client_golang",
	"github.com/xrash/smetrics":          "of urfave/cli",
	"golang.org/x/mod":                   "of go-internal",
	"golang.org/x/tools":                 "of go-internal",
}

// What proto may not touch: I/O, clocks and other goroutines are somebody else's.
var (
	impurePackages = []string{"net", "os", "log", "context", "sync", "syscall", "runtime", "math/rand", "unsafe"}
	impureClock    = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
)

const (
	maxLines     = 600 // of a file
	maxTestLines = 900 // of a file of tests: tables are long
)

type source struct {
	path, room string
	bytes      []byte
	file       *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// imports returns the paths of what a file imports.
func (s source) imports() []string {
	var out []string
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		out = append(out, p)
	}
	return out
}

// uses calls f for each selector x.Name whose x is the package at path.
func (s source) uses(importPath string, f func(name string)) {
	local := path.Base(importPath)
	for _, spec := range s.file.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p == importPath && spec.Name != nil {
			local = spec.Name.Name
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
				f(sel.Sel.Name)
			}
		}
		return true
	})
}

// parsed is every Go file of this module.
var parsed = sync.OnceValues(func() (out []source, err error) {
	fset := token.NewFileSet()
	err = filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p == "." {
				return nil
			}
			_, err := os.Stat(filepath.Join(p, "go.mod")) // another module
			if d.Name()[0] == '.' || d.Name() == "testdata" || err == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, p, b, parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{filepath.ToSlash(p), path.Dir(filepath.ToSlash(p)), b, file})
		return nil
	})
	return out, err
})

func sources(t *testing.T) []source {
	t.Helper()
	out, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d files were found", len(out))
	}
	return out
}

func TestImportMap(t *testing.T) {
	for _, s := range sources(t) {
		allowed, ok := rooms[s.room]
		if !ok {
			t.Errorf("%s: the folder is not on the import map", s.path)
			continue
		}
		if s.test() {
			continue
		}
		for _, p := range s.imports() {
			first, _, _ := strings.Cut(p, "/")
			ours := first == "sim" || strings.Contains(first, ".")
			if ours && !slices.Contains(allowed, p) {
				t.Errorf("%s imports %s, which the import map does not allow", s.path, p)
			}
		}
	}
}

func TestRelayIsBlind(t *testing.T) {
	seen := map[string]bool{}
	var walk func(room string)
	walk = func(room string) {
		if seen[room] {
			return
		}
		seen[room] = true
		for _, p := range rooms[room] {
			if sub, ok := strings.CutPrefix(p, "sim/"); ok {
				walk(sub)
			}
		}
	}
	walk("server")
	if seen["proto/e2e"] || seen["client"] || seen["password"] {
		t.Error("the server can reach what reads messages or passwords")
	}
}

func TestProtoIsPure(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.room != "proto" && !strings.HasPrefix(s.room, "proto/") {
			continue
		}
		for _, p := range s.imports() {
			for _, impure := range impurePackages {
				if p == impure || strings.HasPrefix(p, impure+"/") {
					t.Errorf("%s imports %s", s.path, p)
				}
			}
		}
		s.uses("time", func(name string) {
			if slices.Contains(impureClock, name) {
				t.Errorf("%s uses time.%s: time is an argument", s.path, name)
			}
		})
		ast.Inspect(s.file, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s starts a goroutine", s.path)
			}
			return true
		})
	}
}

func TestPackageComments(t *testing.T) {
	where := map[string][]string{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		if _, ok := where[s.room]; !ok {
			where[s.room] = nil
		}
		if s.file.Doc.Text() != "" {
			where[s.room] = append(where[s.room], s.path)
		}
	}
	for room, files := range where {
		if len(files) != 1 {
			t.Errorf("%s has %d package comments, want one: %v", room, len(files), files)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		most := maxLines
		if s.test() {
			most = maxTestLines
		}
		if n := bytes.Count(s.bytes, []byte{'\n'}); n > most {
			t.Errorf("%s has %d lines, at most %d are wanted", s.path, n, most)
		}
	}
}

// A library or a helper that ends the process takes terminals and temporary files with it.
func TestOnlyMainExits(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.path == "main.go" {
			continue
		}
		s.uses("os", func(name string) {
			if name == "Exit" {
				t.Errorf("%s calls os.Exit", s.path)
			}
		})
		s.uses("log", func(name string) {
			if strings.HasPrefix(name, "Fatal") {
				t.Errorf("%s calls log.%s", s.path, name)
			}
		})
	}
}

func TestModulesHaveReasons(t *testing.T) {
	b, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	inRequire, found := false, 0
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
			continue
		case fields[0] == "require" && len(fields) == 2:
			inRequire = true
			continue
		case fields[0] == ")":
			inRequire = false
			continue
		case fields[0] == "require":
			fields = fields[1:]
		case fields[0] == "replace" || fields[0] == "exclude" || fields[0] == "tool":
			t.Errorf("go.mod: %s", lines.Text())
			continue
		case !inRequire:
			continue
		}
		found++
		if modules[fields[0]] == "" {
			t.Errorf("go.mod requires %s, and nobody says why", fields[0])
		}
	}
	if found == 0 {
		t.Error("no line of go.mod was understood")
	}
}
