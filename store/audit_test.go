package store

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// log is the audit log as lines: number, actor, act, name.
func log(t *testing.T, s *Store) (lines []string) {
	t.Helper()
	for after := uint64(0); ; {
		page, err := s.Audit(after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return lines
		}
		for _, e := range page {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%d %s: %v %s", e.Seq, e.Actor, e.Act, e.Name)))
		}
		after = page[len(page)-1].Seq
	}
}

// What an admin and alice do to her account in its life, and what is told of it.
func TestLifeOfAnAccount(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	root := ViaSocket(0)
	code, password, other := account("code"), account("password"), account("other")
	generations := []uint64{}
	now := func() Account {
		t.Helper()
		a, ok, err := s.Account("alice")
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if slices.Contains(generations, a.Generation) {
			t.Errorf("generation %d came twice", a.Generation)
		}
		generations = append(generations, a.Generation)
		return a
	}

	must(s.Add("alice", Account{Verifier: code.Verifier, Created: monday, Changed: monday, Code: true, Expires: tuesday, Generation: 77}, root))
	a := now()
	if !a.Code || !a.Expires.Equal(tuesday) || a.Disabled {
		t.Errorf("invited: %+v", a)
	}
	g, err := s.SetVerifier("alice", a.Generation, &password.Verifier, false, tuesday, tuesday, TheUser)
	must(err)
	a = now()
	if g != a.Generation || a.Code || !a.Expires.IsZero() || a.Verifier != password.Verifier || !a.Changed.Equal(tuesday) || !a.Created.Equal(monday) {
		t.Errorf("she chose a password: %+v", a)
	}
	g, err = s.SetVerifier("alice", 0, &other.Verifier, false, time.Time{}, tuesday, TheUser)
	must(err)
	stale := a.Generation
	a = now()
	_, err = s.SetVerifier("alice", stale, &code.Verifier, false, time.Time{}, tuesday, TheUser)
	wantError(t, err, ErrChanged, path)
	if a, _, _ := s.Account("alice"); a.Verifier != other.Verifier || a.Generation != g {
		t.Error("a stale change was made")
	}
	must(s.SetDisabled("alice", true, tuesday, root))
	if !now().Disabled {
		t.Error("not disabled")
	}
	must(s.SetDisabled("alice", true, tuesday, root)) // nothing to do, nothing to tell
	_, err = s.SetVerifier("alice", 0, &code.Verifier, true, time.Time{}, tuesday, root)
	must(err)
	if a := now(); !a.Disabled || !a.Code || !a.Expires.IsZero() {
		t.Errorf("reset: %+v", a)
	}
	must(s.SetDisabled("alice", false, tuesday, root))
	now()
	_, err = s.SetVerifier("alice", 0, &password.Verifier, false, time.Time{}, tuesday, root)
	must(err)
	now()
	must(s.Remove("alice", tuesday, root))
	if _, ok, err := s.Account("alice"); ok || err != nil {
		t.Error("she is still there", err)
	}
	wantError(t, s.Remove("alice", tuesday, root), ErrNoAccount, path)
	wantError(t, s.SetDisabled("alice", true, tuesday, root), ErrNoAccount, path)
	must(s.Add("alice", account("another alice"), root))
	now()

	want := []string{
		"1 uid 0 via socket: invited alice",
		"2 the user: password set alice",
		"3 the user: password changed alice",
		"4 uid 0 via socket: disabled alice",
		"5 uid 0 via socket: reset by code alice",
		"6 uid 0 via socket: enabled alice",
		"7 uid 0 via socket: password set alice",
		"8 uid 0 via socket: removed alice",
		"9 uid 0 via socket: added alice",
	}
	if got := log(t, s); !slices.Equal(got, want) {
		t.Errorf("told:\n%s", strings.Join(got, "\n"))
	}
	s.Close()
	if got := log(t, mustOpen(t, path)); !slices.Equal(got, want) {
		t.Errorf("told later:\n%s", strings.Join(got, "\n"))
	}
}

func TestList(t *testing.T) {
	s := mustOpen(t, newPath(t))
	for _, name := range []string{"carol", "alice", "bob"} {
		if err := s.Add(name, account(name), testActor); err != nil {
			t.Fatal(err)
		}
	}
	for after, want := range map[string]string{"": "alice bob", "alice": "bob carol", "b": "bob carol", "bob": "carol", "carol": "", "z": ""} {
		page, err := s.List(after, 2)
		var got []string
		for _, p := range page {
			got = append(got, p.Name)
			if p.Verifier != [256]byte{} || !p.Created.Equal(monday) || p.Generation == 0 {
				t.Errorf("%+v", p)
			}
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("after %q: %q, %v", after, got, err)
		}
	}
	for _, n := range []int{0, -1} {
		if page, err := s.List("", n); len(page) != 0 || err != nil {
			t.Errorf("%d: %v, %v", n, page, err)
		}
	}
}

// A change that nobody answers for is not made.
func TestActors(t *testing.T) {
	s := mustOpen(t, newPath(t))
	for _, by := range []Actor{"", Actor(strings.Repeat("x", 65)), "two\nlines", "\x1b[2J", "\xff", "a\u202eb"} {
		if err := s.Add("alice", account("alice"), by); err == nil || errors.Is(err, ErrNotSaved) {
			t.Errorf("%q: %v", by, err)
		}
	}
	if _, ok, _ := s.Account("alice"); ok {
		t.Error("the account was made")
	}
	if err := s.Add("alice", account("alice"), Actor(strings.Repeat("ä", 32))); err != nil {
		t.Error(err)
	}
	if len(OnFile()) > maxActor || len(ViaSocket(1<<32-1)) > maxActor {
		t.Error("too long")
	}
}

// The log is as long as it may be: the oldest entry goes, and its number never
// comes back.
func TestAuditIsBounded(t *testing.T) {
	path := newPath(t)
	mustOpen(t, path).Close()
	edit(t, path, func(tx *bolt.Tx) error {
		b := tx.Bucket(auditBucket)
		for _, seq := range []uint64{1, 2, 3, maxAudit} { // of which three are looked at
			if err := b.Put(encodeSeq(seq), encodeEntry(&Entry{Time: monday, Actor: testActor, Act: Added, Name: "x"})); err != nil {
				return err
			}
		}
		return b.SetSequence(maxAudit)
	})
	s := mustOpen(t, path)
	for _, name := range []string{"alice", "bob"} {
		if err := s.Add(name, account(name), testActor); err != nil {
			t.Fatal(err)
		}
	}
	first, err := s.Audit(0, 1)
	if err != nil || len(first) != 1 || first[0].Seq != 3 {
		t.Errorf("the first is %v, %v", first, err)
	}
	last, err := s.Audit(maxAudit, 10)
	if err != nil || len(last) != 2 || last[1].Seq != maxAudit+2 || last[1].Name != "bob" {
		t.Errorf("the last are %v, %v", last, err)
	}
}

// livesHelper adds accounts for ever, does one more thing to each, and prints what it did when it is saved.
func livesHelper(path string) {
	s, err := Open(path, testOptions)
	if err != nil {
		fail(err)
	}
	told := func(err error, name, what string) {
		if err != nil {
			fail(err)
		}
		os.Stdout.WriteString(name + " " + what + "\n")
	}
	entries, err := s.Audit(0, maxPage)
	if err != nil {
		fail(err)
	}
	for i := len(entries); ; i++ {
		name := fmt.Sprintf("user%06d", i)
		told(s.Add(name, account(name), testActor), name, "added")
		switch i % 3 {
		case 0:
			told(s.SetDisabled(name, true, tuesday, testActor), name, "disabled")
		case 1:
			v := account("code").Verifier
			_, err := s.SetVerifier(name, 0, &v, true, tuesday, tuesday, testActor)
			told(err, name, "reset")
		case 2:
			told(s.Remove(name, tuesday, testActor), name, "removed")
		}
	}
}

func init() { helpers["lives"] = livesHelper }

// TestLivesKilled kills a process in the middle of what it changes. What it had acknowledged is so, and is in the log.
func TestLivesKilled(t *testing.T) {
	path := newPath(t)
	mustOpen(t, path).Close()
	acknowledged := map[string]string{}
	lines := 0
	for range 8 {
		cmd := helper(t, "lives", path)
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		read := bufio.NewScanner(out)
		for n := 3 + rand.IntN(30); read.Scan(); n-- {
			name, what, _ := strings.Cut(read.Text(), " ")
			acknowledged[name] = what
			lines++
			if n == 0 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()

		s := mustOpen(t, path)
		for name, what := range acknowledged {
			a, ok, err := s.Account(name)
			good := map[string]bool{"added": true, "disabled": ok && a.Disabled, "reset": ok && a.Code && a.Expires.Equal(tuesday), "removed": !ok}[what]
			if err != nil || !good {
				t.Fatalf("%s was %s: %+v, %v, %v", name, what, a, ok, err)
			}
		}
		if h, err := s.Check(); err != nil || h.Entries < lines {
			t.Fatalf("%d were acknowledged: %+v, %v", lines, h, err)
		}
		s.Close()
	}
}

// An entry that can't be written takes its change with it.
func TestNoChangeWithoutAnEntry(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	if err := s.Add("alice", account("alice"), testActor); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("alice", tuesday, "not\aprintable"); err == nil {
		t.Error("removed")
	}
	if a, ok, _ := saved(s, "alice"); !ok || a != account("alice") {
		t.Error("she is gone, and nobody is told who did it")
	}
}
