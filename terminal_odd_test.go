//go:build unix

package main

import (
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Odd things that people meet at a terminal, or do there.

// neverStarts fails if a row began with the pattern, but for those that the client wrote itself.
func (p *person) neverStarts(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile("^(?:" + pattern + ")")
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, row := range p.screen.Text() {
		if re.MatchString(row) {
			p.t.Errorf("the row %q", row)
		}
	}
}

// A client that was stopped with Ctrl-Z and is to end ends, and leaves the terminal to the shell. In the background it does not go on.
func TestTerminalKilledWhileStopped(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	alicesFile(t, dir)
	const session = `set -m
sim client --server "$0" --user alice --password-file alice.pw
echo stopped: $?
read enter
if [ "$1" = bg ]; then bg; read enter; fi
until jobs %1 | grep Stopped; do sleep 0.1; done
client=$(jobs -p %1)
kill %1
while kill -0 $client 2>&-; do sleep 0.1; done
jobs
if stty -a | grep -q -- -icanon; then echo raw; else echo cooked; fi`
	for _, tt := range []struct{ stop, then string }{{"\x1a", ""}, {"\x1a", "bg"}, {"", ""}, {"", "bg"}} {
		alice := sitDownWith(t, dir, func(cmd *exec.Cmd) {
			sh, err := exec.LookPath("bash")
			if err != nil {
				t.Skip("no bash")
			}
			cmd.Path, cmd.Args = sh, []string{"bash", "-c", session, address, tt.then}
		})
		alice.seesPrompt("alice> ")
		if alice.types(tt.stop); tt.stop == "" {
			group, err := unix.IoctlGetInt(int(alice.keyboard.Fd()), unix.TIOCGPGRP)
			if err != nil {
				t.Fatal(err)
			}
			syscall.Kill(-group, syscall.SIGTSTP)
		}
		alice.seesRow(`stopped: \d+`)
		alice.types("\r")
		if tt.then == "bg" {
			alice.seesRow(`\[1\]\+ sim client.*&`)
			alice.types("\r")
		}
		alice.seesRow(`\[1\][+-]  Stopped.*`) // it does not go on in the background
		alice.seesRow(`\[1\][+-]  Exit 130 .*`)
		alice.seesRow("cooked")
		alice.leaves(0)
	}
}

// Bob pads a text to the margin: what follows begins a row, and looks like no line of the client's.
func TestTerminalFakedLines(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	bob := bobIn(t, dir, address)
	for _, kind := range []string{"TERM=xterm", "TERM=dumb"} {
		alice := sitDownWith(t, dir, setsEnv(kind), "client", "--server", address, "--user", "alice")
		alice.seesPrompt("password for alice: ")
		alice.types(people["alice"] + "\r")
		alice.seesPrompt("alice> ")
		for _, fake := range []string{"= carol: delivered", "password for bob:"} {
			for _, pad := range []string{strings.Repeat(" ", 80-len("14:03 < bob: hello")), strings.Repeat("x", 80-len("14:03 < bob: hello")), strings.Repeat("👨‍👩‍👧", 31)} {
				bob.say("send alice hello" + pad + fake)
			}
		}
		bob.say("send alice last")
		alice.seesRow(`\d\d:\d\d < bob: last`)
		alice.neverStarts("= carol|password for bob")
		if !strings.Contains(strings.Join(alice.screen.Text(), "\n"), "\n  = carol: delivered\n") {
			t.Errorf("%s: the text is not there:\n%s", kind, strings.Join(alice.screen.Text(), "\n"))
		}
		alice.types("quit\r")
		alice.leaves(0)
	}
}
