//go:build unix

package server

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const fewFiles = 64

// TestNoFileDescriptors runs TestInAProcessOfFewFiles in a process that may open few files.
func TestNoFileDescriptors(t *testing.T) {
	cmd := exec.Command("sh", "-c", `ulimit -Sn 20 && ulimit -Hn `+strconv.Itoa(fewFiles)+` && exec "$0" -test.run '^TestInAProcessOfFewFiles$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), "SIM_FEW_FILES=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInAProcessOfFewFiles") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Descriptors run out, for real: no connection is accepted, those that are there go on, and when some come free, log-ins succeed again.
func TestInAProcessOfFewFiles(t *testing.T) {
	if os.Getenv("SIM_FEW_FILES") == "" {
		t.Skip("TestNoFileDescriptors runs it")
	}
	limit := descriptorLimit()
	if limit < fewFiles-1 || limit > fewFiles {
		t.Errorf("the limit is %d: it was not raised to the hard limit", limit)
	}
	w := newWorld(t, []string{"alice", "bob"})
	if got := w.server.admission.cap(); got != limit-descriptorReserve {
		t.Errorf("%d connections", got)
	}
	w.server.admission.limit(fewFiles) // more than there can be
	alice := w.enter("alice")
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	taken[len(taken)-1].Close() // one for bob's end, none for the server's
	taken = taken[:len(taken)-1]
	n := w.newcomer("bob", passwordOf("bob"))
	for w.server.counters.AcceptErrors.Load() == 0 {
		alice.ping()
	}
	if _, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("there are descriptors")
	} else if !errors.Is(err, syscall.EMFILE) {
		t.Error(err)
	}
	alice.ping()
	for _, f := range taken {
		f.Close()
	}
	if err := n.advance(0, len(steps)); err != nil {
		t.Fatal(err)
	}
	if bob, err := n.client(); err != nil {
		t.Error(err)
	} else {
		bob.ping()
	}
	alice.ping()
}
