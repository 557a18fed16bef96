package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sim/internal/chaos"
	"sim/proto"
)

const (
	pourTexts = 2000
	pourSlack = 16 << 20 // bytes that a process may have more at the end than after a quarter
)

// A program pours texts into one pipe as fast as the client takes them, and another reads them out of a second: all come, once and in order.
//
//	SIM_POUR=100000 go test -run '^TestPour' -v -timeout 30m .      so many texts, and then the memory of the three is looked at, too
func TestPour(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	texts, asked := poured(t)
	for name, speech := range map[string]pourSpeech{
		"lines":   {command: "send bob %s\n", hear: (*chaos.Witness).Hear},
		"objects": {flags: []string{"--json"}, command: `{"cmd":"send","to":"bob","text":"%s"}` + "\n", hear: hearObject},
	} {
		t.Run(name, func(t *testing.T) { pour(t, speech, texts, asked) })
	}
}

// poured returns how many texts are sent, and whether that was asked for.
func poured(t *testing.T) (texts int, asked bool) {
	t.Helper()
	s := os.Getenv("SIM_POUR")
	if s == "" {
		return pourTexts, false
	}
	texts, err := strconv.Atoi(s)
	if err != nil || texts < pourTexts {
		t.Fatalf("SIM_POUR is a number of texts, at least %d", pourTexts)
	}
	return texts, true
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
		if err := hears(alice, speech, &told[0], func() bool {
			if len(told[0].Outcomes) == texts/4 {
				atQuarter = weigh(three)
			}
			return len(told[0].Outcomes) == texts
		}); err != nil {
			t.Error("alice:", err)
		}
	})
	hearing.Go(func() {
		if err := hears(bob, speech, &told[1], func() bool { return len(told[1].Shown) == texts }); err != nil {
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

// Alice talks with 64 people at once, who all write to her while she writes to each of them in turn. Half of the texts are hers.
func TestPourIntoManyConversations(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const people = 64
	texts, _ := poured(t)
	texts /= 2 * people // of each of them, and to each
	dir := t.TempDir()
	crowdStore(t, filepath.Join(dir, "sim.db"), people).Close()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("turnip-lantern-98-quarry\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, err := enter(t, dir, "adduser", "--password-file", "pw", "alice").end(); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	line, err := enter(t, dir, "server", "--listen", "127.0.0.1:0").see("sim://.*")
	if err != nil {
		t.Fatal(err)
	}
	address, err := proto.ParseAddress(line)
	if err != nil {
		t.Fatal(err)
	}
	alice := enter(t, dir, "client", "--server", line, "--user", "alice", "--password-file", "pw")
	sees(t, alice, "= logged in as alice")

	type both struct{ alice, other chaos.Witness }
	var told [people]both
	var visitors [people]*visitor
	for i := range people { // one after the other, which no load makes too much; each opens its conversation with a first text
		v := visit(t.Context(), address, fmt.Sprintf("user%d", i))
		defer v.end(scriptWait)
		visitors[i] = v
		fmt.Fprintln(v.input, "send alice 0")
		for _, want := range []string{"= logged in as " + v.name, "= alice: delivered"} {
			if got, err := v.result(scriptWait); got != want {
				t.Fatal(v.name, got, err)
			}
		}
		told[i].other.Outcomes = []string{"delivered"}
	}

	began := time.Now()
	var all sync.WaitGroup
	for i, v := range visitors {
		go func() {
			for n := 1; n < texts; n++ {
				fmt.Fprintln(v.input, "send alice", n, strings.Repeat("x", n%240))
			}
		}()
		all.Go(func() {
			w := &told[i].other
			for len(w.Outcomes) < texts || len(w.Shown) < texts {
				line, err := v.line(scriptWait)
				if err == nil {
					err = w.Hear(line)
				}
				if err != nil {
					t.Error(v.name, err)
					return
				}
			}
		})
	}
	go func() {
		for n := range texts {
			for i := range people {
				fmt.Fprintf(alice.stdin, "send user%d %d %s\n", i, n, strings.Repeat("x", n%240))
			}
		}
	}()
	all.Go(func() {
		outcomes, shown := 0, 0
		if err := hears(alice, pourSpeech{hear: func(_ *chaos.Witness, line string) error {
			var mark string
			var i int
			if _, err := fmt.Sscanf(line, "%s user%d:", &mark, &i); err != nil || i >= people {
				return fmt.Errorf("an unexpected line: %s", line)
			}
			if mark == "<" {
				shown++
			} else {
				outcomes++
			}
			return told[i].alice.Hear(line)
		}}, nil, func() bool { return outcomes == people*texts && shown == people*texts }); err != nil {
			t.Error("alice:", err)
		}
	})
	all.Wait()
	took, weight := time.Since(began), weigh(map[string]*actor{"alice": alice})
	alice.stdin.Close()
	if code, err := alice.end(); code != 0 || err != nil {
		t.Error(code, err)
	}
	for i := range told {
		a, o := &told[i].alice, &told[i].other
		if v, w := a.Judge(texts, o), o.Judge(texts, a); v != (chaos.Verdict{}) || w != v || a.Delivered() != texts || o.Delivered() != texts {
			t.Errorf("user%d: %+v and %+v; alice: %v; user%d: %v", i, v, w, a, i, o)
		}
	}
	used := alice.cmd.ProcessState.UserTime() + alice.cmd.ProcessState.SystemTime()
	t.Logf("%d texts each way in %v; alice: %v of CPU from her start to her end; resident: %.1f MiB",
		people*texts, took.Round(time.Millisecond), used.Round(time.Millisecond), float64(weight["alice"])/(1<<20))
}

// hears takes what a client prints until it is enough.
func hears(a *actor, speech pourSpeech, w *chaos.Witness, enough func() bool) error {
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
