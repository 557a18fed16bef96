package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A server on a full disk: people log in and talk; who changes something is told that it was not saved, and it was not.
func TestServerOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := peopleDB()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sim.db"), db, 0o600); err != nil {
		t.Fatal(err)
	}
	exe, err := exec.LookPath("sim-on-a-full-disk")
	if err != nil {
		t.Fatal(err)
	}
	server, err := startProgram(dir, os.Environ(), exe, "server", "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.kill)
	address, err := server.see("sim://.*")
	if err != nil {
		t.Fatal(err)
	}

	bob := bobIn(t, dir, address)
	admin := func(args ...string) {
		t.Helper()
		a := enter(t, dir, args...)
		a.say("copper-anvil-62-violet")
		a.stdin.Close()
		code, err := a.end()
		if out, errs := a.output(); err != nil || code != exitFailed || len(out) > 0 || !strings.Contains(string(errs), "could not be written") || strings.Count(string(errs), "\n") != 1 {
			t.Errorf("%v: %d, %v\n%s%s", args, code, err, out, errs)
		}
	}
	admin("adduser", "--password-file", "-", "dora")
	admin("users", "remove", "--yes", "carol")
	admin("users", "disable", "carol")
	admin("users", "passwd", "--password-file", "-", "carol")

	carol := enter(t, dir, "client", "--server", address, "--user", "carol")
	carol.say(people["carol"], "passwd", people["carol"], "copper-anvil-62-violet", "send bob still here")
	sees(t, carol, "= bob: delivered")
	sees(t, bob, "< carol: still here")
	carol.stdin.Close()
	if code, err := carol.end(); code != exitFailed || err != nil {
		t.Error(code, err)
	}
	if _, errs := carol.output(); !strings.Contains(string(errs), "could not save it") {
		t.Errorf("carol is told %q", errs)
	}
	carol = enter(t, dir, "client", "--server", address, "--user", "carol") // with the old password
	carol.say(people["carol"])
	sees(t, carol, "= logged in as carol")
	server.signal("TERM")
	if code, err := server.end(); code != 0 || err != nil {
		t.Error(code, err)
	}
	if _, log := server.output(); strings.Contains(string(log), "carol") || strings.Contains(string(log), "goroutine") {
		t.Errorf("the log:\n%s", log)
	}
}

// Whoever stands still doesn't hold a server up that is told to stop: not a client, nor one in the middle of its log-in. Further signals
// end it at once.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	for _, twice := range []bool{false, true} {
		dir, address, server := room(t)
		bob := bobIn(t, dir, address)
		bob.cmd.Process.Signal(syscall.SIGSTOP) // he doesn't close his end
		_, host, _ := strings.Cut(address, "@")
		mute, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer mute.Close()
		began := time.Now()
		server.signal("TERM")
		want := 0
		if twice {
			want = -1
			for over := false; !over; { // the first few may come before the first one was taken
				select {
				case <-server.ended:
					over = true
				case <-time.After(5 * time.Millisecond):
					server.signal("TERM")
				}
			}
		}
		code, err := server.end()
		if took := time.Since(began); code != want || err != nil || took > 15*time.Second {
			t.Errorf("twice %v: it ended with %d (%v) after %v", twice, code, err, took)
		}
	}
}
