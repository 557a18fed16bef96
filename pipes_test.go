//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The client among other programs: shells and their redirections, bots, readers that go away.

// runsShell runs a script of bash beside a server, as alice and with her password file. It returns what was printed and the exit code.
func runsShell(t *testing.T, dir, address, script string) (stdout, stderr string, code int) {
	t.Helper()
	a := program(t, dir, address, "bash", "-c", script)
	code, err := a.end()
	if err != nil {
		t.Fatal(err)
	}
	out, errs := a.output()
	return string(out), string(errs), code
}

// program starts a program that finds sim on its PATH and the server in SIM_SERVER.
func program(t *testing.T, dir, address, name string, args ...string) *actor {
	t.Helper()
	exe, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("NOT TESTED: there is no %s on this machine", name)
	}
	a, err := startProgram(dir, append(os.Environ(), "SIM_SERVER="+address), exe, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	return a
}

// house is a room with password files.
func house(t *testing.T) (dir, address string) {
	t.Helper()
	dir, address, _ = room(t)
	for who, secret := range people {
		if err := os.WriteFile(filepath.Join(dir, who+".pw"), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, address
}

const alicePiped = "sim client --user alice --password-file alice.pw"

// Wherever the commands come from, the same comes of them.
func TestInputOfEveryKind(t *testing.T) {
	dir, address := house(t)
	want := "= logged in as alice\n= online (1): alice\n= bob: failed: offline\n= logged out alice\n"
	for name, script := range map[string]string{
		"a pipe":          `printf 'list\nsend bob "hi  $there"\n' | ` + alicePiped,
		"a file":          `printf 'list\nsend bob x' > commands; ` + alicePiped + ` < commands`,
		"a here-document": alicePiped + " <<'END'\nlist\nsend bob it's \"x\" \\ $x\nEND",
		"a here-string":   alicePiped + ` <<< $'list\nsend bob x'`,
		"a substitution":  alicePiped + ` < <(echo list; echo send bob x)`,
		"a FIFO":          `mkfifo fifo; { echo list; echo send bob x; } > fifo & ` + alicePiped + ` < fifo`,
		"carriage return": `printf 'list\r\nsend bob x\r\n' | ` + alicePiped,
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := runsShell(t, dir, address, script)
			if out != want || errs != "" || code != 1 {
				t.Errorf("exit code %d\n[stdout]\n%s[stderr]\n%s", code, out, errs)
			}
		})
	}
}

// A reader that goes away is the end of the input, even if that stays open: no words, and the session is logged out as at any other end.
func TestReaderThatGoesAway(t *testing.T) {
	for flag, send := range map[string]string{"--no-color": "send bob hello", "--json": `{"cmd":"send","to":"bob","text":"hello"}`} {
		dir, address := house(t)
		bob := bobIn(t, dir, address)
		exe, err := simFor("client")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "client", "--server", address, "--user", "alice", "--password-file", "alice.pw", flag)
		cmd.Dir = dir
		var errs strings.Builder
		cmd.Stderr = &errs
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil { // nothing waits in a buffer
			t.Fatal(line, err)
		}
		stdout.Close()
		fmt.Fprintln(stdin, send)
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 1 || errs.String() != "" {
			t.Errorf("%s: exit code %d, stderr %q", flag, code, errs.String())
		}
		sees(t, bob, "< alice: hello")
		sees(t, bob, `\* alice logged out`)
	}
}

// What can't be written is told, where it can be.
func TestOutputThatTakesNothing(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("NOT TESTED: there is no /dev/full on this machine")
	}
	dir, address := house(t)
	for _, script := range []string{"echo list | " + alicePiped + " > /dev/full", `echo '{"cmd":"list"}' | ` + alicePiped + " --json > /dev/full"} {
		out, errs, code := runsShell(t, dir, address, script)
		if want := "the output can't be written (no space left on device): what follows in the input is not run\n"; out != "" || errs != want || code != 1 {
			t.Errorf("exit code %d\n[stdout]\n%s[stderr]\n%s", code, out, errs)
		}
	}
	if out, errs, code := runsShell(t, dir, address, "echo list | "+alicePiped+" > /dev/full 2>&1"); out+errs != "" || code != 1 {
		t.Errorf("exit code %d\n[stdout]\n%s[stderr]\n%s", code, out, errs)
	}
}

// A stream that is closed is one that takes everything (Go's runtime opens /dev/null in its place): nothing of it goes elsewhere.
func TestClosedStreams(t *testing.T) {
	dir, address := house(t)
	for script, want := range map[string]struct {
		out, errs string
		code      int
	}{
		"echo list | " + alicePiped + " >&-":          {"", "", 0},
		"echo list | " + alicePiped + " >&- 2>&-":     {"", "", 0},
		"echo nonsense | " + alicePiped + " >&- 2>&-": {"", "", 1},
		"echo nonsense | " + alicePiped + " 2>&-":     {"= logged in as alice\n= logged out alice\n", "", 1},
		alicePiped + " <&-":                           {"= logged in as alice\n= logged out alice\n", "", 0},
		"sim client --user alice <&- >&- 2>&-":        {"", "", 2},
	} {
		if out, errs, code := runsShell(t, dir, address, script); out != want.out || errs != want.errs || code != want.code {
			t.Errorf("%s: exit code %d\n[stdout]\n%s[stderr]\n%s", script, code, out, errs)
		}
	}
}

// The bots of examples/, and bob, who talks with them.
func TestExamples(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for interpreter, file := range map[string]string{"bash": "echo.sh", "python3": "echo.py"} {
		t.Run(file, func(t *testing.T) {
			dir, address := house(t)
			bot := program(t, dir, address, interpreter, filepath.Join(here, "examples", file), "carol", "carol.pw")
			sees(t, bot, `= logged in as carol|.*"type":"login".*`)
			bob := bobIn(t, dir, address)
			for _, text := range []string{"hello", "a: *  b $HOME \\n \"c\" ", "grün ✓ 😀", strings.Repeat("x", 4000)} {
				bob.say("send carol " + text)
				for _, want := range []string{"= carol: delivered", "< carol: you said: " + text} {
					if _, err := bob.see("(= carol: delivered|< carol: .*)"); err != nil {
						t.Fatalf("%v, want %.80q", err, want)
					}
				}
				if out, _ := bob.output(); !strings.Contains(string(out), "\n< carol: you said: "+text+"\n") {
					t.Fatalf("%.80q came back as %s", text, out)
				}
			}
			bob.say("verify carol", "verify carol yes", "send carol bye")
			sees(t, bob, "< carol ✓: you said: bye")
			bob.stdin.Close()
			if _, err := bob.end(); err != nil {
				t.Fatal(err)
			}

			newer := enter(t, dir, "client", "--server", address, "--user", "carol") // ends the bot's session, and so the bot
			newer.say(people["carol"])
			if code, err := bot.end(); code != 6 || err != nil {
				_, errs := bot.output()
				t.Errorf("exit code %d, %v, stderr %s", code, err, errs)
			}
		})
	}
}
