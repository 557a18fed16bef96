package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// An actor is a process in a test, of sim or of a program that runs it: one that is written to and listened to line by line. One goroutine uses it.
type actor struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string   // of its standard output; closed at its end
	ended chan struct{} // closed when the process has been waited for

	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// watched is the program that the race detector watches; "" where it watches none.
var watched string

// simFor returns the program that is sim for these arguments. It is this test's own, under the name that makes it call main; in a race run
// there is another one for those that don't stay, as race_test.go says.
func simFor(args ...string) (exe string, err error) {
	if watched != "" && len(args) > 0 && slices.Contains([]string{"server", "client", "demo"}, args[0]) {
		return watched, nil
	}
	return exec.LookPath("sim")
}

// startActor starts sim in a directory.
func startActor(dir string, env []string, args ...string) (*actor, error) {
	exe, err := simFor(args...)
	if err != nil {
		return nil, err
	}
	return startProgram(dir, env, exe, args...)
}

func startProgram(dir string, env []string, exe string, args ...string) (a *actor, err error) {
	a = &actor{cmd: exec.Command(exe, args...), lines: make(chan string, 4096), ended: make(chan struct{})}
	a.cmd.Dir, a.cmd.Env = dir, env
	if a.stdin, err = a.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := a.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(a.lines)
		for r := bufio.NewReader(stdout); ; {
			line, err := r.ReadString('\n')
			a.mu.Lock()
			a.stdout.WriteString(line)
			a.mu.Unlock()
			if line != "" {
				a.lines <- strings.TrimSuffix(line, "\n")
			}
			if err != nil {
				return
			}
		}
	})
	reading.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := stderr.Read(buf)
			a.mu.Lock()
			a.stderr.Write(buf[:n])
			a.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	go func() {
		reading.Wait()
		a.cmd.Wait()
		close(a.ended)
	}()
	return a, nil
}

// output returns all that the actor has printed.
func (a *actor) output() (stdout, stderr []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bytes.Clone(a.stdout.Bytes()), bytes.Clone(a.stderr.Bytes())
}

func (a *actor) say(lines ...string) error {
	_, err := io.WriteString(a.stdin, strings.Join(lines, "\n")+"\n")
	return err
}

// see waits for a line that is the pattern, and returns it.
func (a *actor) see(pattern string) (string, error) {
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return "", err
	}
	timeout := time.After(scriptWait)
	for {
		select {
		case line, ok := <-a.lines:
			if !ok {
				return "", a.missed(pattern, "ended")
			}
			if re.MatchString(line) {
				return line, nil
			}
		case <-timeout:
			return "", a.missed(pattern, "waited")
		}
	}
}

func (a *actor) missed(pattern, how string) error {
	out, errs := a.output()
	return fmt.Errorf("%s without %q\n[stdout]\n%s[stderr]\n%s", how, pattern, out, errs)
}

// signals are those that every system has.
var signals = map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt, "KILL": os.Kill}

func (a *actor) signal(name string) error {
	s, ok := signals[name]
	if !ok {
		return fmt.Errorf("no signal %q", name)
	}
	return a.cmd.Process.Signal(s)
}

// end waits for the end. It returns the exit code, -1 if a signal ended it.
func (a *actor) end() (int, error) {
	select {
	case <-a.ended:
		return a.cmd.ProcessState.ExitCode(), nil
	case <-time.After(scriptWait):
		out, errs := a.output()
		return 0, fmt.Errorf("it did not end\n[stdout]\n%s[stderr]\n%s", out, errs)
	}
}

// kill makes sure that nothing is left.
func (a *actor) kill() {
	a.stdin.Close()
	if err := a.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return
	}
	<-a.ended
}

// freeHost returns a host and port of this machine on which nobody listens.
func freeHost() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// room is a directory with a server that knows people.
func room(t *testing.T) (dir, address string, server *actor) {
	t.Helper()
	dir = t.TempDir()
	db, err := peopleDB()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sim.db"), db, 0o600); err != nil {
		t.Fatal(err)
	}
	server = enter(t, dir, "server", "--listen", "127.0.0.1:0")
	address, err = server.see("sim://.*")
	if err != nil {
		t.Fatal(err)
	}
	return dir, address, server
}

// enter starts sim with pipes.
func enter(t *testing.T, dir string, args ...string) *actor {
	t.Helper()
	a, err := startActor(dir, append(os.Environ(), "SIM_SERVER="), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	return a
}

func sees(t *testing.T, a *actor, pattern string) {
	t.Helper()
	if _, err := a.see(pattern); err != nil {
		t.Fatal(err)
	}
}

// bobIn logs bob in through a pipe.
func bobIn(t *testing.T, dir, address string) *actor {
	t.Helper()
	bob := enter(t, dir, "client", "--server", address, "--user", "bob")
	bob.say(people["bob"])
	sees(t, bob, "= logged in as bob")
	return bob
}
