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
		for line := range log {
			if strings.Contains(line, want) {
				return passed
			}
			passed++
		}
		t.Fatalf("the log ended without %q", want)
		return 0
	}
	logged("serving")
	told("READY=1")
	hangUp := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}

	// Two connections fit at first, and neither after the change has room beside another.
	connect := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	write("max-conns = 1\nlisten = 127.0.0.1:1\nlog-format = json\ndb = " + filepath.Join(dir, "sim.db") + "\n")
	hangUp()
	logged(`"this takes a restart" flag=log-format`) // and not listen, which was typed
	logged("was read again")
	first := connect()
	connect()
	first.SetReadDeadline(time.Now().Add(scriptWait))
	if _, err := first.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("a second connection did not take the first one's place: %v", err)
	}

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
