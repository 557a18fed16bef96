//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"
)

// alice presses Tab in bash.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	dir := t.TempDir()
	out, _, _ := sim(t, "completion", "bash")
	for name, text := range map[string]string{"completion": out, "alice.conf": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(bash, "--norc", "--noprofile", "-i")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PS1=ready> ", "TERM=dumb", "HISTFILE=", "INPUTRC=/dev/null")
	keyboard, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		keyboard.Close()
	})
	// A bash that says nothing more ends the reads by its death.
	watch := time.AfterFunc(scriptWait, func() { cmd.Process.Kill() })
	defer watch.Stop()
	var seen bytes.Buffer
	see := func(want string) {
		t.Helper()
		b := make([]byte, 1024)
		for !bytes.Contains(seen.Bytes(), []byte(want)) {
			n, err := keyboard.Read(b)
			seen.Write(b[:n])
			if err != nil {
				t.Fatalf("no %q in %q: %v", want, &seen, err)
			}
		}
		seen.Reset()
	}
	press := func(keys string) {
		t.Helper()
		if _, err := keyboard.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	see("ready> ")
	press(". ./completion; echo loaded\n")
	see("loaded\r\nready> ")
	for _, c := range []struct{ keys, want string }{
		{"sim cli\t", "sim client "},
		{"sim client --no-c\t", "sim client --no-color "},
		{"sim server --log-level d\t", "--log-level debug "},
		{"sim server --config al\t", "--config alice.conf "},
		{"sim server --log-level=\t\t", "warn"},
		{"sim server --log-level=w\t", "--log-level=warn "},
		{"sim server --config=al\t", "--config=alice.conf "},
		{"sim config us\tre\t", "sim config users remove "},
		{"sim completion z\t", "sim completion zsh "},
		{"sim embed --\t\t", "--force"},
	} {
		press(c.keys)
		see(c.want)
		press("\x15echo over\n") // Ctrl-U; a Ctrl-C could come while bash still completes
		see("over\r\nready> ")
	}
}
