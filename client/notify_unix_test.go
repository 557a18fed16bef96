//go:build unix

package client

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The command gets the sender's name and nothing else; the next one waits for it.
func TestNotifyCommand(t *testing.T) {
	heard := filepath.Join(t.TempDir(), "heard")
	n := newNotifier(`echo "$SIM_FROM $#" >> '`+heard+`'; echo loud; read x`, true)
	if n.bell {
		t.Error("the bell rings, too")
	}
	n.run(mustName("bob"))
	n.run(mustName("carol")) // while the first runs
	if why := n.over(<-n.ended); why == "" {
		t.Error("nobody hears that read failed: there is no input")
	}
	n.run(mustName("dave"))
	if why := n.over(<-n.ended); why != "" {
		t.Errorf("it is told again: %s", why)
	}
	if text, _ := os.ReadFile(heard); string(text) != "bob 0\ndave 0\n" {
		t.Errorf("%q", text)
	}
	n.finish(false) // none runs
}

// The end of the client is the end of the command, and of what it has started.
func TestNotifyCommandThatStays(t *testing.T) {
	alive := fifo(t)
	n := newNotifier(`exec 3>'`+alive+`'; sleep 1000 & sleep 1000`, false)
	n.run(mustName("bob"))
	f, err := os.Open(alive) // waits for the command to open it
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n.finish(true)
	if _, err := f.Read(make([]byte, 1)); err == nil { // the end of the file comes when nobody has it open
		t.Error("something was written")
	}
}

// fifo makes a named pipe.
func fifo(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
