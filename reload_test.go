//go:build unix

package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A server with a configuration file takes what it can from it at SIGHUP, says what else has changed, and tells systemd how far it is.
func TestReload(t *testing.T) {
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	manager.SetReadDeadline(time.Now().Add(scriptWait))
	told := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		if n, err := manager.Read(b); err != nil || string(b[:n]) != want {
			t.Errorf("systemd was told %q (%v), not %q", b[:n], err, want)
		}
	}
	t.Setenv("NOTIFY_SOCKET", manager.LocalAddr().String())

	dir := t.TempDir()
	path := filepath.Join(dir, "sim.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log-format = text\ndb = " + filepath.Join(dir, "sim.db") + "\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, stdoutW := io.Pipe()
	stderr, stderrW := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, []string{"server", "--config", path, "--listen", "127.0.0.1:0"}, nil, stdoutW, stderrW)
		stderrW.Close()
		ended <- code
	}()
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, host, _ := strings.Cut(strings.TrimSpace(address), "@")
	log := make(chan string, 100) // more lines than there are
	go func() {
		defer close(log)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log <- lines.Text()
		}
	}()
	logged := func(want string) (passed int) {
		t.Helper()
		for timeout := time.After(scriptWait); ; passed++ {
			select {
			case line, ok := <-log:
				if !ok {
					t.Fatalf("the log ended without %q", want)
				}
				if strings.Contains(line, want) {
					return passed
				}
			case <-timeout:
				t.Fatalf("the log has no %q", want)
			}
		}
	}
	logged("serving")
	told("READY=1")
	hangUp := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}

	// After the change, a second connection takes the first one's place; and a level has come that tells it.
	write("max-conns = 1\nlog-level = debug\nlisten = 127.0.0.1:1\nlog-format = json\ndb = " + filepath.Join(dir, "sim.db") + "\n")
	hangUp()
	logged(`"this takes a restart" flag=log-format`) // and not listen, which was typed
	logged("was read again")
	for range 2 {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	logged("reason=evicted")

	// A file with a fault changes nothing.
	write("log-level = debug\nmax-conns = many\n")
	hangUp()
	logged("max-conns takes a whole number")
	write("log-level = loud\n")
	hangUp()
	logged("--log-level is debug, info, warn or error")
	write("log-level = warn\nlog-format = json\ndb = " + filepath.Join(dir, "sim.db") + "\n")
	hangUp()
	logged("this takes a restart")
	write("nonsense\n")
	hangUp()
	if passed := logged("not taken"); passed > 0 {
		t.Errorf("at level warn it said %d lines more", passed)
	}

	cancel()
	told("STOPPING=1")
	if code := <-ended; code != 0 {
		t.Errorf("it ended with %d", code)
	}
	for line := range log {
		t.Errorf("at level warn it says %s", line)
	}
}
