package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sim/password"
	"sim/proto"
	"sim/proto/srp"
	simserver "sim/server"
	"sim/store"
)

const (
	deathRounds = 4   // without SIM_DEATH
	deathHands  = 3   // who administer at once
	deathPeople = 4   // of each hand
	deathBegun  = 12  // commands, at most, that were begun before death comes,
	deathDelay  = 150 // ms, at most, after the last of them
)

var deathPasswords = [2]string{"copper-anvil-62-violet", "lantern quarry 98 turnip"}

// Admins add, change and remove people one by one and in batches, people change their passwords, backups are made; and at some instant the server,
// and whatever else runs, is killed. What was acknowledged is there, what was not is absent or whole, and the database passes its check.
// SIM_DEATH=N has N such rounds.
func TestSuddenDeath(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs an admin socket")
	}
	rounds := deathRounds
	if n, err := strconv.Atoi(os.Getenv("SIM_DEATH")); err == nil {
		rounds = n
	}
	w := newMortal(t)
	for range rounds {
		w.round()
	}
	t.Logf("%d rounds: %d commands begun, %d commands and %d servers killed, %d servers told to stop; %d changes acknowledged; %d begun without an acknowledgement, of which %d were made",
		rounds, w.commands.Load(), w.killed.Load(), w.servers, w.stopped, w.acknowledged, w.open, w.made)
	if w.acknowledged == 0 || w.killed.Load()+int64(w.servers) == 0 {
		t.Error("nothing was done, or nothing was killed")
	}
}

// A fate is all that can be true of a person.
type fate struct {
	exists, disabled bool
	password         int // which of deathPasswords
}

// A mortal is a database, who works on it, and what must be true of it.
type mortal struct {
	t        *testing.T
	dir, exe string
	batches  atomic.Int64
	commands atomic.Int64
	killed   atomic.Int64

	mu      sync.Mutex
	over    bool          // death has come in this round
	fatal   int           // how many more commands begin until then
	begun   chan struct{} // closed when they have begun
	running map[*exec.Cmd]struct{}

	people map[string][]fate // what may be true: one fate, but for those about whom nobody had an answer

	verifiers map[string]*[256]byte // by name and password

	acknowledged, open, made int // changes
	servers, stopped         int // killed, and told to stop
}

func newMortal(t *testing.T) *mortal {
	t.Helper()
	exe, err := exec.LookPath("sim")
	if err != nil {
		t.Fatal(err)
	}
	w := &mortal{t: t, dir: t.TempDir(), exe: exe, running: map[*exec.Cmd]struct{}{}, people: map[string][]fate{}, verifiers: map[string]*[256]byte{}}
	db, err := peopleDB()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.db(), db, 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *mortal) db() string { return filepath.Join(w.dir, "sim.db") }

// round is one life.
func (w *mortal) round() {
	w.over, w.fatal, w.begun = false, 1+rand.IntN(deathBegun), make(chan struct{})
	var server *actor
	var address string
	if rand.IntN(4) > 0 {
		server = enter(w.t, w.dir, "server", "--listen", "127.0.0.1:0", "--log-level", "error")
		var err error
		if address, err = server.see("sim://.*"); err != nil {
			w.t.Fatal(err)
		}
	}
	var hands sync.WaitGroup
	for i := range deathHands {
		hands.Go(func() {
			for !w.isOver() {
				w.act(i, address)
			}
		})
	}
	<-w.begun
	time.Sleep(time.Duration(rand.IntN(deathDelay*1000)) * time.Microsecond) // when death comes is what the test is about
	w.death(server)
	hands.Wait()
	w.judge()
}

func (w *mortal) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// death kills the server, or every command, or all.
func (w *mortal) death(server *actor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	whom := rand.IntN(3)
	if server != nil {
		if whom == 0 {
			server.signal("TERM")
			w.stopped++
		} else {
			server.signal("KILL")
			w.servers++
		}
	}
	for cmd := range w.running {
		if whom != 1 || server == nil {
			cmd.Process.Kill()
			w.killed.Add(1)
		}
	}
	if server != nil {
		if _, err := server.end(); err != nil {
			w.t.Error(err)
		}
	}
}

// neverBegun is what a command has said that comes after death: nothing can have come of it.
const neverBegun = "never begun"

// sim runs a command, and returns what it has said by its end.
func (w *mortal) sim(input string, args ...string) (stdout string) {
	cmd := exec.Command(w.exe, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "SIM_SERVER=")
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return neverBegun
	}
	if err := cmd.Start(); err != nil {
		w.t.Error(err)
	}
	w.running[cmd] = struct{}{}
	if w.fatal--; w.fatal == 0 {
		close(w.begun)
	}
	w.mu.Unlock()
	w.commands.Add(1)
	cmd.Wait()
	w.mu.Lock()
	delete(w.running, cmd)
	w.mu.Unlock()
	if strings.Contains(errs.String(), "goroutine") {
		w.t.Errorf("%v:\n%s", args, &errs)
	}
	return out.String()
}

// act is one thing that a hand does. It answers for its own people alone.
func (w *mortal) act(hand int, address string) {
	name := fmt.Sprintf("hand%d-%d", hand, rand.IntN(deathPeople))
	now := w.fateOf(name)
	other := 1 - now.password
	switch what := rand.IntN(8); {
	case !now.exists:
		w.settle(name, fate{exists: true}, "= added "+name+"\n", w.sim(deathPasswords[0]+"\n", "adduser", "--password-file", "-", name))
	case what == 0:
		w.settle(name, fate{}, "= removed "+name+"\n", w.sim("", "users", "remove", "--yes", name))
	case what == 1:
		then := now
		then.disabled = !now.disabled
		verb := map[bool]string{true: "disable", false: "enable"}[then.disabled]
		w.settle(name, then, "= "+verb+"d "+name+"\n", w.sim("", "users", verb, name))
	case what < 4:
		then := now
		then.password = other
		w.settle(name, then, "= new password for "+name+"\n", w.sim(deathPasswords[other]+"\n", "users", "passwd", "--password-file", "-", name))
	case what == 4:
		w.backup()
	case what == 5:
		w.batch()
	case address != "" && !now.disabled:
		then := now
		then.password = other
		old := deathPasswords[now.password] + "\n"
		w.settle(name, then, "= password changed\n", w.sim(old+"passwd\n"+old+deathPasswords[other]+"\n", "client", "--reconnect", "0", "--server", address, "--user", name))
	}
}

func (w *mortal) fateOf(name string) fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if may := w.people[name]; len(may) > 0 {
		return may[0]
	}
	return fate{}
}

// settle notes a change that was acknowledged, or may have been made.
func (w *mortal) settle(name string, then fate, acknowledgement, said string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	may := w.people[name]
	if len(may) == 0 {
		may = []fate{{}}
	}
	switch {
	case said == neverBegun:
	case strings.Contains(said, acknowledgement):
		w.acknowledged++
		w.people[name] = []fate{then}
	default:
		w.people[name] = append(slices.Clone(may), then)
	}
}

// batch adds some people at once.
func (w *mortal) batch() {
	n := w.batches.Add(1)
	var names []string
	var file strings.Builder
	for i := range 5 {
		names = append(names, fmt.Sprintf("batch%d-%d", n, i))
		fmt.Fprintf(&file, "%s\t%s\n", names[i], deathPasswords[0])
	}
	said := w.sim(file.String(), "adduser", "--batch", "-")
	for _, name := range names {
		w.settle(name, fate{exists: true}, "= added "+name+"\n", said)
	}
}

// backup makes a backup; if it is acknowledged, it is whole.
func (w *mortal) backup() {
	n := w.batches.Add(1)
	file, restored := filepath.Join(w.dir, fmt.Sprintf("%d.backup", n)), filepath.Join(w.dir, fmt.Sprintf("%d.db", n))
	if said := w.sim("", "backup", "--plain", file); !strings.Contains(said, "= ") {
		if _, err := os.Stat(file); err != nil {
			return // else it was made, and nobody was told
		}
	}
	var errs bytes.Buffer
	if code := runAlone(w.t.Context(), []string{"restore", "--db", restored, file}, strings.NewReader(""), &errs, &errs); code != 0 {
		w.t.Errorf("a backup: %s", &errs)
	}
	os.Remove(file)
	os.Remove(restored)
}

// judge looks at what is left: all that may be true is, and from now on nothing else.
func (w *mortal) judge() {
	w.t.Helper()
	var said bytes.Buffer
	if code := runAlone(w.t.Context(), []string{"check", "--db", w.db(), "--listen", "127.0.0.1:0"}, strings.NewReader(""), &said, &said); code != 0 {
		w.t.Fatalf("sim check: %s", &said)
	}
	st, err := store.Open(w.db(), store.Options{Existing: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer st.Close()
	for _, name := range slices.Sorted(maps.Keys(w.people)) {
		may := w.people[name]
		is, err := w.look(st, name)
		if err != nil || !slices.Contains(may, is) {
			w.t.Fatalf("%s is %+v (%v), and may be %+v", name, is, err, may)
		}
		if len(may) > 1 {
			w.open++
			if is == may[len(may)-1] {
				w.made++
			}
		}
		w.people[name] = []fate{is}
	}
	if _, ok, err := st.Account("alice"); !ok || err != nil {
		w.t.Fatalf("alice is not there: %v", err)
	}
}

func (w *mortal) look(st *store.Store, who string) (fate, error) {
	account, ok, err := st.Account(who)
	if err != nil || !ok {
		return fate{}, err
	}
	for i, p := range deathPasswords {
		key := who + "\n" + p
		if w.verifiers[key] == nil {
			w.verifiers[key] = verifierOf(w.t, st, who, p)
		}
		if *w.verifiers[key] == account.Verifier {
			return fate{true, account.Disabled, i}, nil
		}
	}
	return fate{}, fmt.Errorf("no password that was set")
}

// verifierOf is what stands in a database made by makePeople for a password.
func verifierOf(t *testing.T, st *store.Store, who, secret string) *[256]byte {
	t.Helper()
	name, err := proto.ParseName(who)
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := password.Prepare([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	salt := simserver.NewDirectory(st).Salt(name)
	derived, err := password.Argon2id{}.Derive(prepared, &salt, cheapArgon)
	if err != nil {
		t.Fatal(err)
	}
	return srp.Verifier(who, &salt, derived)
}
