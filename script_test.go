package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	bolt "go.etcd.io/bbolt"

	"sim/password"
	"sim/proto"
	"sim/proto/srp"
	"sim/store"
)

// The stories in testdata/script are run with the program itself: in them, sim is a process that calls main. Beside testscript's own
// commands they have:
//
//	people                    puts sim.db, with alice, bob and carol in it, and alice.pw, bob.pw, carol.pw into the directory
//	serve NAME [flag…]        starts `sim server --listen 127.0.0.1:0`, waits until it listens, and sets $NAME to its address and $NAME_host
//	spawn NAME arg…           starts sim with a pipe as its input
//	say NAME line…            writes lines to it
//	see NAME pattern          waits for a line of its output that is the pattern, and passes over others
//	eof NAME                  closes its input
//	signal NAME TERM|INT|KILL|…
//	logged NAME pattern       waits until the pattern is in what it has written to its standard error
//	end NAME code             closes its input, waits for its end, and leaves NAME.out and NAME.err
//	dies NAME code            the same, of an end that is not its input's
//	tap NAME host             starts a recorder in front of a server, and sets $NAME to its host and port
//	tapped NAME file text…    writes the sizes of what went by, and fails if there is a record of another size or one of the texts
//	forge VAR key host        sets $VAR to the address that has the key of one and the host of the other
//	text FILE quoted          writes what Go's "quoted" string says, \x1b and all
//	repeat FILE prefix c n    writes a line: the prefix, and n times c
//	future FILE               makes a database of a later version
//	code VAR FILE             sets $VAR to the one-time code that stands in what an admin's command said
//	old FILE                  makes a database of the first version's layout
//	free VAR                  sets $VAR to a host and port of this machine on which nobody listens
//
// Nothing sleeps: a story waits for lines, with a bound.

// programs are what a story can start by name.
var programs = map[string]func(){"sim": main}

// programsOfTheRun makes further programs, in a directory that goes with the run: see race_test.go.
var programsOfTheRun = func(dir string) error { return nil }

func TestMain(m *testing.M) {
	testscript.Main(staged{m}, programs)
}

type staged struct{ tests *testing.M }

func (s staged) Run() int {
	dir, err := os.MkdirTemp("", "sim-programs-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = programsOfTheRun(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.tests.Run()
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("SIM_SERVER", "")
			env.Setenv("GORACE", os.Getenv("GORACE")) // see race_test.go
			env.Values[actors{}] = map[string]*actor{}
			env.Values[taps{}] = map[string]*tap{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"people": scriptPeople, "serve": scriptServe, "spawn": scriptSpawn, "say": scriptSay, "see": scriptSee, "eof": scriptEOF,
			"signal": scriptSignal, "logged": scriptLogged, "end": scriptEnd, "dies": scriptDies, "tap": scriptTap, "tapped": scriptTapped, "forge": scriptForge,
			"text": scriptText, "repeat": scriptRepeat, "future": scriptFuture, "old": scriptOld, "code": scriptCode, "free": scriptFree,
		},
		RequireUniqueNames: true,
	})
}

type (
	actors struct{}
	taps   struct{}
)

const scriptWait = time.Minute // for one line, or the end of a process

// arguments checks that there are at least n arguments and no negation.
func arguments(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

// cheapArgon is Argon2id as cheap as a client accepts.
var cheapArgon = password.Params{Time: 2, Memory: 19 * 1024, Threads: 1}

// people are registered under these passwords in the database that `people` copies, which costs cheapArgon.
var people = map[string]string{
	"alice": "turnip-lantern-98-quarry",
	"bob":   "velvet otter 31 barometer",
	"carol": "seven Gr\u00fcne saxophones!", // not ASCII
}

var peopleDB = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sim-people-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "sim.db")
	if err := makePeople(file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

func makePeople(file string) error {
	params := cheapArgon
	st, err := store.Open(file, store.Options{ArgonTime: params.Time, ArgonMemory: params.Memory, ArgonThreads: params.Threads})
	if err != nil {
		return err
	}
	defer st.Close()
	directory := proto.Directory{SaltSecret: st.Identity().SaltSecret}
	for who, secret := range people {
		name, err := proto.ParseName(who)
		if err != nil {
			return err
		}
		prepared, err := password.Prepare([]byte(secret))
		if err != nil {
			return err
		}
		salt := directory.Salt(name)
		t, err := password.Argon2id{}.Derive(prepared, &salt, params)
		if err != nil {
			return err
		}
		now := time.Now()
		if err := st.Add(who, store.Account{Verifier: *srp.Verifier(who, &salt, t), Created: now, Changed: now}, store.OnFile()); err != nil {
			return err
		}
	}
	return nil
}

func scriptPeople(ts *testscript.TestScript, neg bool, args []string) {
	db, err := peopleDB()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("sim.db"), db, 0o600))
	for who, secret := range people {
		ts.Check(os.WriteFile(ts.MkAbs(who+".pw"), []byte(secret+"\n"), 0o600))
	}
}

// aboutFiles are the stories about files and command lines, in which the race detector need not watch even servers and clients: see race_test.go.
var aboutFiles = []string{"adduser", "backup", "batch", "check", "config", "database", "invite", "key", "migrate", "usage"}

// actorOf returns a process that the story has started.
func actorOf(ts *testscript.TestScript, name string) *actor {
	a := ts.Value(actors{}).(map[string]*actor)[name]
	if a == nil {
		ts.Fatalf("nobody is called %s", name)
	}
	return a
}

func spawn(ts *testscript.TestScript, name string, args ...string) *actor {
	env := []string{"PATH=" + ts.Getenv("PATH"), "TMPDIR=" + ts.Getenv("TMPDIR"), "HOME=" + ts.Getenv("HOME"), "SIM_SERVER=" + ts.Getenv("SIM_SERVER"), "GORACE=" + ts.Getenv("GORACE")}
	exe, err := simFor(args...)
	if slices.Contains(aboutFiles, ts.Name()) {
		exe, err = exec.LookPath("sim")
	}
	ts.Check(err)
	a, err := startProgram(ts.MkAbs("."), env, exe, args...)
	ts.Check(err)
	ts.Defer(a.kill)
	ts.Value(actors{}).(map[string]*actor)[name] = a
	return a
}

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "serve NAME [flag…]")
	a := spawn(ts, args[0], append([]string{"server", "--listen", "127.0.0.1:0"}, args[1:]...)...)
	line, err := a.see("sim://.*")
	ts.Check(err)
	address, err := proto.ParseAddress(line)
	ts.Check(err)
	ts.Setenv(args[0], line)
	ts.Setenv(args[0]+"_host", address.Host)
}

func scriptSpawn(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "spawn NAME arg…")
	spawn(ts, args[0], args[1:]...)
}

func scriptSay(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "say NAME line…")
	ts.Check(actorOf(ts, args[0]).say(args[1:]...))
}

func scriptSee(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "see NAME pattern")
	_, err := actorOf(ts, args[0]).see(args[1])
	ts.Check(err)
}

func scriptEOF(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "eof NAME")
	actorOf(ts, args[0]).stdin.Close()
}

func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "signal NAME TERM|INT|KILL")
	ts.Check(actorOf(ts, args[0]).signal(args[1]))
}

func scriptLogged(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "logged NAME pattern")
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	a := actorOf(ts, args[0])
	for deadline := time.Now().Add(scriptWait); ; time.Sleep(time.Millisecond) {
		_, log := a.output()
		switch {
		case re.Match(log):
			return
		case time.Now().After(deadline):
			ts.Fatalf("waited without %q\n[stderr]\n%s", args[1], log)
		}
	}
}

func scriptEnd(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "end NAME code")
	actorOf(ts, args[0]).stdin.Close()
	scriptDies(ts, neg, args)
}

func scriptDies(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "dies NAME code")
	a := actorOf(ts, args[0])
	code, err := a.end()
	ts.Check(err)
	out, errs := a.output()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), out, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".err"), errs, 0o600))
	if strconv.Itoa(code) != args[1] {
		ts.Fatalf("%s ended with %d\n[stdout]\n%s[stderr]\n%s", args[0], code, out, errs)
	}
}

func scriptTap(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "tap NAME host")
	t, err := newTap(args[1])
	ts.Check(err)
	ts.Defer(t.Close)
	ts.Value(taps{}).(map[string]*tap)[args[0]] = t
	ts.Setenv(args[0], t.listener.Addr().String())
}

func scriptTapped(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "tapped NAME file text…")
	t := ts.Value(taps{}).(map[string]*tap)[args[0]]
	if t == nil {
		ts.Fatalf("there is no tap %s", args[0])
	}
	seen := t.traffic()
	if len(seen.handshakeUp) == 0 || len(seen.odd) > 0 {
		ts.Fatalf("%d handshake bodies, odd records %v", len(seen.handshakeUp), seen.odd)
	}
	if found, n := t.find(args[2:]); found != "" || n == 0 {
		ts.Fatalf("%q is in the %d bytes on the wire", found, n)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), fmt.Appendf(nil, "%+v\n", sizes(seen)), 0o600))
}

func scriptForge(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 3, "forge VAR key host")
	address, err := proto.ParseAddress(args[1])
	ts.Check(err)
	address.Host = args[2]
	ts.Setenv(args[0], address.String())
}

func scriptText(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "text FILE quoted")
	s, err := strconv.Unquote(`"` + strings.Join(args[1:], " ") + `"`)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(s), 0o600))
}

func scriptRepeat(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 4, "repeat FILE prefix c n")
	n, err := strconv.Atoi(args[3])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+strings.Repeat(args[2], n)+"\n"), 0o600))
}

func scriptFuture(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "future FILE")
	file := ts.MkAbs(args[0])
	st, err := store.Open(file, store.Options{ArgonTime: 2, ArgonMemory: 19 * 1024, ArgonThreads: 1})
	ts.Check(err)
	ts.Check(st.Close())
	db, err := bolt.Open(file, 0o600, nil)
	ts.Check(err)
	defer db.Close()
	changed := false
	ts.Check(db.Update(func(tx *bolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
			if v := b.Get([]byte("schema")); v != nil {
				changed = true
				return b.Put([]byte("schema"), append(bytes.Repeat([]byte{0}, len(v)-1), 99))
			}
			return nil
		})
	}))
	if !changed {
		ts.Fatalf("the database has no version")
	}
}

func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "code VAR FILE")
	_, rest, found := strings.Cut("\n"+ts.ReadFile(args[1]), "\ncode: ")
	code, _, _ := strings.Cut(rest, "\n")
	if _, ok := password.ParseCode([]byte(code)); !found || !ok {
		ts.Fatalf("there is no code in %s", args[1])
	}
	ts.Setenv(args[0], code)
}

func scriptOld(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "old FILE")
	f, err := os.Open("store/testdata/schema1.db.gz")
	ts.Check(err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	ts.Check(err)
	content, err := io.ReadAll(z)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
}

func scriptFree(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "free VAR")
	host, err := freeHost()
	ts.Check(err)
	ts.Setenv(args[0], host)
}
