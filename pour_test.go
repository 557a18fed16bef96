package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sim/internal/chaos"
)

const (
	pourTexts = 2000
	pourSlack = 16 << 20 // bytes that a process may have more at the end than after a quarter
)

// A program pours texts into one pipe as fast as the client takes them, and another reads them out of a second: all come, once and in order.
//
//	SIM_POUR=100000 go test -run '^TestPour$' -v -timeout 30m .      so many texts, and then the memory of the three is looked at, too
func TestPour(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	texts, asked := pourTexts, os.Getenv("SIM_POUR")
	if asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < pourTexts {
			t.Fatalf("SIM_POUR is a number of texts, at least %d", pourTexts)
		}
		texts = n
	}
	for name, speech := range map[string]pourSpeech{
		"lines":   {command: "send bob %s\n", hear: (*chaos.Witness).Hear},
		"objects": {flags: []string{"--json"}, command: `{"cmd":"send","to":"bob","text":"%s"}` + "\n", hear: hearObject},
	} {
		t.Run(name, func(t *testing.T) { pour(t, speech, texts, asked != "") })
	}
}

// A pourSpeech is how the programs speak with their clients.
type pourSpeech struct {
	flags   []string
	command string // that sends a text
	hear    func(w *chaos.Witness, line string) error
}

func pour(t *testing.T, speech pourSpeech, texts int, weighed bool) {
	dir, address, server := room(t)
	comes := func(name string) *actor {
		a := enter(t, dir, append([]string{"client", "--server", address, "--user", name, "--password-file", name + ".pw"}, speech.flags...)...)
		sees(t, a, `= logged in as .*|.*"type":"login".*`)
		return a
	}
	for _, name := range []string{"alice", "bob"} {
		if err := os.WriteFile(dir+"/"+name+".pw", []byte(people[name]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bob, alice := comes("bob"), comes("alice")
	three := map[string]*actor{"alice": alice, "bob": bob, "the server": server}

	began := time.Now()
	go func() { // ends with the client
		for i := range texts {
			fmt.Fprintf(alice.stdin, speech.command, fmt.Sprint(i, " ", strings.Repeat("x", i%240)))
		}
	}()
	var atQuarter map[string]int
	var told [2]chaos.Witness
	var hearing sync.WaitGroup
	hearing.Go(func() {
		if err := hears(alice, &told[0], speech, func() bool {
			if len(told[0].Outcomes) == texts/4 {
				atQuarter = weigh(three)
			}
			return len(told[0].Outcomes) == texts
		}); err != nil {
			t.Error("alice:", err)
		}
	})
	hearing.Go(func() {
		if err := hears(bob, &told[1], speech, func() bool { return len(told[1].Shown) == texts }); err != nil {
			t.Error("bob:", err)
		}
	})
	hearing.Wait()
	took := time.Since(began)
	atEnd := weigh(three)

	for _, a := range []*actor{alice, bob} {
		a.stdin.Close()
		if code, err := a.end(); code != 0 || err != nil {
			t.Error(code, err)
		}
	}
	server.signal("TERM")
	if code, err := server.end(); code != 0 || err != nil {
		t.Error(code, err)
	}
	if v := told[0].Judge(texts, &told[1]); v != (chaos.Verdict{}) || told[0].Delivered() != texts || len(told[1].Shown) != texts {
		t.Errorf("of %d texts: %+v; alice: %v; bob: %v", texts, v, &told[0], &told[1])
	}
	t.Logf("%d texts in %v, %.0f a second", texts, took.Round(time.Millisecond), float64(texts)/took.Seconds())
	for name, a := range three {
		used := a.cmd.ProcessState.UserTime() + a.cmd.ProcessState.SystemTime()
		t.Logf("%s: %v of CPU from its start to its end; resident: %.1f MiB after a quarter, %.1f MiB at the end",
			name, used.Round(time.Millisecond), float64(atQuarter[name])/(1<<20), float64(atEnd[name])/(1<<20))
		if weighed && atEnd[name] > atQuarter[name]+pourSlack {
			t.Errorf("the memory of %s grows with the texts", name)
		}
	}
}

// hears takes what a client prints until it is enough.
func hears(a *actor, w *chaos.Witness, speech pourSpeech, enough func() bool) error {
	silence := time.NewTimer(scriptWait)
	for {
		select {
		case line, ok := <-a.lines:
			if !ok {
				return io.ErrUnexpectedEOF
			}
			if err := speech.hear(w, line); err != nil {
				return err
			}
			if enough() {
				return nil
			}
			silence.Reset(scriptWait)
		case <-silence.C:
			return fmt.Errorf("silence, after %v", w)
		}
	}
}

// hearObject is chaos.Witness.Hear for what --json prints.
func hearObject(w *chaos.Witness, line string) error {
	var o struct{ Type, From, To, Text, Outcome string }
	if err := json.Unmarshal([]byte(line), &o); err != nil {
		return fmt.Errorf("%w: %s", err, line)
	}
	switch o.Type {
	case "message":
		return w.Hear("< " + o.From + ": " + o.Text)
	case "send":
		return w.Hear("= " + o.To + ": " + o.Outcome)
	}
	return fmt.Errorf("an unexpected object: %s", line)
}

var residentKiB = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// weigh returns the resident memory of processes in bytes, 0 where the system has no /proc.
func weigh(actors map[string]*actor) map[string]int {
	bytes := map[string]int{}
	for name, a := range actors {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.cmd.Process.Pid))
		if found := residentKiB.FindSubmatch(status); found != nil {
			kib, _ := strconv.Atoi(string(found[1]))
			bytes[name] = kib << 10
		}
	}
	return bytes
}
