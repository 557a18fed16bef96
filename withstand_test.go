package main

import (
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sim/client"
	"sim/password"
	"sim/proto"
	"sim/proto/srp"
	simserver "sim/server"
	"sim/store"
)

// The server is killed while adduser works: what was acknowledged is there, the database opens, and nobody saw a stack trace.
func TestServerKilledDuringAdduser(t *testing.T) {
	t.Parallel()
	dir, _, server := room(t)
	const most = 30
	type result struct {
		name  string
		added bool
		err   string
	}
	results := make(chan result, most)
	names := make(chan string, most)
	for i := range most {
		names <- fmt.Sprintf("user%d", i)
	}
	close(names)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for name := range names {
				a, err := startActor(dir, os.Environ(), "adduser", "--password-file", "-", name)
				if err != nil {
					results <- result{name, false, err.Error()}
					continue
				}
				a.say("copper-anvil-62-violet")
				a.stdin.Close()
				code, err := a.end()
				out, errs := a.output()
				a.kill()
				if err != nil {
					errs = []byte(err.Error())
				}
				results <- result{name, code == 0 && string(out) == "= added "+name+"\n", string(errs)}
			}
		})
	}
	go func() {
		workers.Wait()
		close(results)
	}()
	var added, refused []string
	for r := range results {
		switch {
		case strings.Contains(r.err, "goroutine") || !r.added && !strings.HasPrefix(r.err, "sim: "):
			t.Errorf("%s: %s", r.name, r.err)
		case r.added:
			added = append(added, r.name)
		default:
			refused = append(refused, r.name)
		}
		if len(added) == 8 {
			server.signal("KILL") // others are on their way; those after it find no server, and go to the file
		}
	}
	if len(added) < 8 {
		t.Fatalf("only %d were added; the rest: %v", len(added), refused)
	}
	st, err := openStore(filepath.Join(dir, "sim.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, name := range added {
		if _, ok, err := st.Account(name); !ok || err != nil {
			t.Errorf("%s was added and is not there: %v", name, err)
		}
	}
	if _, ok, err := st.Account("alice"); !ok || err != nil {
		t.Errorf("alice is not there any more: %v", err)
	}
}

// crowdStore makes a database. Its users are user0 … user(n-1), with a password that only a made-up derivation knows.
func crowdStore(t *testing.T, path string, users int) *store.Store {
	t.Helper()
	params := cheapArgon
	st, err := store.Open(path, store.Options{ArgonTime: params.Time, ArgonMemory: params.Memory, ArgonThreads: params.Threads})
	if err != nil {
		t.Fatal(err)
	}
	directory := simserver.NewDirectory(st)
	for i := range users {
		name, err := proto.ParseName(fmt.Sprintf("user%d", i))
		if err != nil {
			t.Fatal(err)
		}
		salt := directory.Salt(name)
		secret, _ := quick{}.Derive(nil, &salt, params)
		if err := st.Add(name.String(), store.Account{Verifier: *srp.Verifier(name.String(), &salt, secret)}, store.OnFile()); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

// testServer runs a server of a crowdStore in this process.
func testServer(t *testing.T, users int, config simserver.Config) proto.Address {
	t.Helper()
	st := crowdStore(t, filepath.Join(t.TempDir(), "sim.db"), users)
	config.Store, config.Listen, config.Log = st, "127.0.0.1:0", slog.New(slog.DiscardHandler)
	s, err := simserver.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		st.Close()
	})
	return s.Addresses()[0]
}

// quick stands for Argon2id where the server is what is tested.
type quick struct{}

func (quick) Derive(_ []byte, salt *[32]byte, _ password.Params) (*[32]byte, error) {
	t := *salt
	return &t, nil
}

// member runs a client in this process. It returns what it prints, line by line, its input, and its exit code.
func member(t *testing.T, address proto.Address, name string) (lines *bufio.Scanner, input io.WriteCloser, code <-chan int) {
	t.Helper()
	in, input := io.Pipe()
	out, printed := io.Pipe()
	codes := make(chan int, 1)
	go func() {
		codes <- client.Run(t.Context(), client.Config{
			Server: address, User: name, In: in, Out: printed, Err: io.Discard, Deriver: quick{},
		})
		printed.Close()
		in.Close()
	}()
	return bufio.NewScanner(out), input, codes
}

// Three hundred clients are there at once, all of them are told of, each writes to the next, and all leave. So many at a time log in, and
// open their conversations, as have the time that a client gives the server and its peer for that, on a machine that is busy with other things too.
func TestThreeHundredAtOnce(t *testing.T) {
	const crowd, atATime, patience = 300, 20, 5 * time.Minute
	address := testServer(t, crowd, simserver.Config{PuzzleBits: 8})
	places := make(chan struct{}, atATime)
	var in, listed, done sync.WaitGroup
	in.Add(crowd)
	listed.Add(crowd) // nobody leaves before all have seen all
	for i := range crowd {
		done.Go(func() {
			arrived, sees := sync.OnceFunc(in.Done), sync.OnceFunc(listed.Done)
			defer arrived()
			defer sees()
			places <- struct{}{}
			name, next := fmt.Sprintf("user%d", i), fmt.Sprintf("user%d", (i+1)%crowd)
			v := visit(t.Context(), address, name)
			defer v.leave()
			gets := func(command, want string) bool {
				io.WriteString(v.input, command)
				got, err := v.result(patience)
				if !strings.HasPrefix(got, want) {
					t.Errorf("%s got %.80q (%v) where %q was due", name, got, err, want)
				}
				return strings.HasPrefix(got, want)
			}
			ok := gets("", "= logged in as "+name)
			<-places
			arrived()
			in.Wait()
			ok = ok && gets("list\n", fmt.Sprintf("= online (%d): ", crowd))
			sees()
			listed.Wait()
			places <- struct{}{}
			ok = ok && gets("send "+next+" hello\n", "= "+next+": delivered")
			<-places
			ok = ok && gets("recv 1 5m\n", "= received 1")
			v.input.Close()
			for range v.lines {
			}
			if code := <-v.code; ok && code != 0 {
				t.Errorf("%s ended with %d", name, code)
			}
		})
	}
	done.Wait()
}

// unread reads on where a scanner has stopped.
type unread struct{ *bufio.Scanner }

func (u unread) Read(p []byte) (int, error) {
	if !u.Scan() {
		return 0, io.EOF
	}
	return min(len(p), 1), nil
}

// A flood of connections that send nothing fills the server, and alice logs in all the same.
func TestFloodOfSilence(t *testing.T) {
	t.Parallel()
	address := testServer(t, 1, simserver.Config{PuzzleBits: 8, MaxConns: 512})
	stop := make(chan struct{})
	var flood sync.WaitGroup
	defer flood.Wait()
	defer close(stop)
	full := make(chan struct{})
	filled := sync.OnceFunc(func() { close(full) })
	for i := range 800 {
		flood.Go(func() {
			for {
				c, err := net.Dial("tcp", address.Host)
				if err == nil {
					if i >= 600 {
						filled()
					}
					context.AfterFunc(t.Context(), func() { c.Close() })
					go func() { <-stop; c.Close() }()
					c.Read(make([]byte, 1)) // until the server has enough of it
					c.Close()
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	<-full
	for range 3 {
		lines, input, code := member(t, address, "user0")
		fmt.Fprintln(input, "copper-anvil-62-violet")
		if !lines.Scan() || lines.Text() != "= logged in as user0" {
			t.Fatalf("got %q, exit code %d", lines.Text(), <-code)
		}
		input.Close()
		go io.Copy(io.Discard, unread{lines})
		if c := <-code; c != 0 {
			t.Fatalf("exit code %d", c)
		}
	}
}

// A disk that takes no more: adduser says so and ends with 1, and what was there is there. The limit on the size of a file stands for it.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs a limit on the size of files")
	}
	dir, _, server := room(t)
	server.signal("TERM")
	if code, err := server.end(); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	file := filepath.Join(dir, "sim.db")
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	// In units of 512 bytes (POSIX): nothing grows. The signal that comes with it is ignored, as a full disk sends none.
	script := fmt.Sprintf(`trap '' XFSZ; ulimit -f %d; i=0
while [ $i -lt 200 ]; do
	echo copper-anvil-62-violet | sim adduser --password-file - full$i || exit $?
	i=$((i+1))
done`, before.Size()/512)
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "sim: ") || !strings.Contains(last, "could not be written") {
		t.Errorf("the last line is %q", last)
	}
	st, err := openStore(file)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for i := range len(lines) {
		name := fmt.Sprintf("full%d", i)
		_, ok, err := st.Account(name)
		if said := lines[i] == "= added "+name; ok != said || err != nil {
			t.Errorf("%s: there is %v, said was %q (%v)", name, ok, lines[i], err)
		}
	}
}

// A binary with the server's address in it is static, and its client needs no flag.
func TestBuiltInAddress(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the program")
	}
	host, err := freeHost()
	if err != nil {
		t.Fatal(err)
	}
	address := proto.Address{Host: host}
	exe := filepath.Join(t.TempDir(), "sim-built")
	build := exec.Command("go", "build", "-o", exe, "-ldflags", "-X main.server="+address.String(), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(exe, "client", "--user", "alice")
	cmd.Env = append(os.Environ(), "SIM_SERVER=")
	cmd.Stdin = strings.NewReader("copper-anvil-62-violet\n")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != client.ExitLost || !strings.Contains(string(out), host) {
		t.Errorf("%v\n%s", err, out)
	}
	if runtime.GOOS != "linux" {
		return
	}
	f, err := elf.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary is linked dynamically")
		}
	}
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("the binary needs %v (%v)", libs, err)
	}
}

// The address comes from the flag, then the environment, then what was built in.
func TestServerAddress(t *testing.T) {
	a, b := proto.Address{Host: "127.0.0.1:1"}, proto.Address{Host: "[::1]:2"}
	for _, c := range []struct {
		candidates []string
		want       string // "" for an error
	}{
		{[]string{a.String(), b.String(), ""}, a.Host},
		{[]string{"", b.String(), a.String()}, b.Host},
		{[]string{"", "", b.String()}, b.Host},
		{[]string{"", "", ""}, ""},
		{[]string{"mistyped", b.String(), ""}, ""},
		{[]string{proto.Address{Host: "host:0"}.String(), "", ""}, ""},
		{[]string{proto.Address{Host: "host"}.String(), "", ""}, ""},
	} {
		got, err := serverAddress(c.candidates...)
		var usage usageError
		if c.want == "" && !errors.As(err, &usage) || c.want != "" && (err != nil || got.Host != c.want) {
			t.Errorf("%v: %v, %v", c.candidates, got, err)
		}
	}
}
