package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sim/proto"
	"sim/store"
)

// everybody reads the whole list.
func everybody(t *testing.T, accounts Accounts) (all []Person) {
	t.Helper()
	for after := ""; ; after = all[len(all)-1].Name {
		page, err := accounts.List(after)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

// wholeLog reads the whole audit log, a line an entry.
func wholeLog(t *testing.T, accounts Accounts) (all []string) {
	t.Helper()
	for after := uint64(0); ; {
		page, err := accounts.Log(after)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		for _, e := range page {
			if e.Seq <= after || time.Since(e.Time).Abs() > time.Minute {
				t.Errorf("%+v after %d", e, after)
			}
			after = e.Seq
			all = append(all, fmt.Sprintf("%s %s by %s", e.Act, e.Name, e.Actor))
		}
	}
}

// administer is a day of an admin; how is what the log says of the way.
func administer(t *testing.T, accounts Accounts, how string) {
	t.Helper()
	dave, nobody := nameOf(t, "dave"), nameOf(t, "nobody")
	salt, _, _, err := accounts.Salt(dave)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	expires := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	must(accounts.Add(dave, Credential{Verifier: verifierFor("dave", salt), Code: true, Expires: expires}))
	person := func() Person {
		t.Helper()
		for _, p := range everybody(t, accounts) {
			if p.Name == "dave" {
				return p
			}
		}
		t.Fatal("not on the list")
		return Person{}
	}
	if p := person(); !p.Code || !p.Expires.Equal(expires) || p.Disabled || p.Online || time.Since(p.Created).Abs() > time.Minute {
		t.Errorf("%+v", p)
	}
	must(accounts.SetCredential(dave, Credential{Verifier: verifierFor("dave", salt)}))
	must(accounts.SetDisabled(dave, true))
	if p := person(); p.Code || !p.Expires.IsZero() || !p.Disabled {
		t.Errorf("%+v", p)
	}
	must(accounts.SetDisabled(dave, false))
	must(accounts.SetCredential(dave, Credential{Verifier: verifierFor("dave", salt), Code: true}))
	must(accounts.Remove(dave))
	for _, err := range []error{
		accounts.Remove(dave), accounts.SetDisabled(nobody, true), accounts.SetDisabled(nobody, false),
		accounts.SetCredential(nobody, Credential{Verifier: verifierFor("nobody", salt)}),
	} {
		if !errors.Is(err, store.ErrNoAccount) || errors.Is(err, store.ErrExists) {
			t.Errorf("%v", err)
		}
	}
	if err := accounts.SetCredential(dave, Credential{Verifier: new([256]byte)}); err == nil || errors.Is(err, store.ErrNoAccount) {
		t.Errorf("a verifier of zero: %v", err)
	}
	by := fmt.Sprintf(" dave by uid %d %s", os.Getuid(), how)
	want := ""
	for _, act := range []string{"invited", "password set", "disabled", "enabled", "reset by code", "removed"} {
		want += act + by + "\n"
	}
	if log := strings.Join(wholeLog(t, accounts), "\n") + "\n"; !strings.HasSuffix(log, want) {
		t.Errorf("the log:\n%s", log)
	}
}

func TestAdministerWithAndWithoutAServer(t *testing.T) {
	w, path := newAdminWorld(t, "alice", "bob")
	w.enter("bob")
	live, err := OpenAccounts("", path, never)
	if err != nil {
		t.Fatal(err)
	}
	administer(t, live, "via socket")
	if all := everybody(t, live); len(all) != 2 || all[0].Name != "alice" || all[0].Online || all[1].Name != "bob" || !all[1].Online || !live.Live() {
		t.Errorf("%+v", all)
	}

	db := filepath.Join(t.TempDir(), "sim.db")
	file, err := OpenAccounts(db, "", func() (*store.Store, error) {
		return store.Open(db, store.Options{ArgonTime: 2, ArgonMemory: 19456, ArgonThreads: 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	administer(t, file, "on the file")
	if file.Live() {
		t.Error("a file is live")
	}
}

// A change ends the session of whom it concerns, at once, and of nobody else; enabling and a change that changes nothing end none.
func TestAdminEndsSessions(t *testing.T) {
	for name, change := range map[string]func(a Accounts, name proto.Name, c Credential) error{
		"removed":  func(a Accounts, name proto.Name, _ Credential) error { return a.Remove(name) },
		"disabled": func(a Accounts, name proto.Name, _ Credential) error { return a.SetDisabled(name, true) },
		"reset":    Accounts.SetCredential,
		"reset by code": func(a Accounts, name proto.Name, c Credential) error {
			c.Code = true
			return a.SetCredential(name, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, path := newAdminWorld(t, "alice", "bob")
			w.invite("carol", time.Time{})
			accounts, err := OpenAccounts("", path, never)
			if err != nil {
				t.Fatal(err)
			}
			alice, bob, carol := w.enter("alice"), w.enter("bob"), w.enrol("carol")
			alice.relay(1, "bob", proto.Tag{}, "hello")
			tag := bob.expectRelayed("alice", "hello")
			for _, n := range []proto.Name{alice.name, bob.name, carol.name} {
				if err := accounts.SetDisabled(n, false); err != nil {
					t.Error(err)
				}
			}
			alice.ping()
			carol.ping()
			c := Credential{Verifier: verifierOf(t, w.store, "alice", "another")}
			if err := change(accounts, alice.name, c); err != nil {
				t.Fatal(err)
			}
			// Nobody waits for alice: when the command has its answer, she is off the list.
			if _, names := bob.listAfterGone("alice", tag); len(names) != 1 {
				t.Errorf("online: %v", names)
			}
			alice.expectClose(proto.CloseRemoved)
			if err := change(accounts, carol.name, Credential{Verifier: verifierOf(t, w.store, "carol", "another")}); err != nil {
				t.Fatal(err)
			}
			carol.expectClose(proto.CloseRemoved)
			bob.ping()
		})
	}
}

// listAfterGone reads a Gone and then asks who is online.
func (c *client) listAfterGone(name string, tag proto.Tag) (more bool, names []string) {
	c.t.Helper()
	c.expectGone(name, tag, proto.GoneLost)
	return c.list("", "")
}

// A page of the longest people and entries fits into an answer.
func TestAdminPagesFit(t *testing.T) {
	long, now := strings.Repeat("x", 32), time.Now()
	var people []Person
	var entries []store.Entry
	for range adminPage {
		people = append(people, Person{long, now, now, true, true, now, true})
		entries = append(entries, store.Entry{Seq: 1 << 63, Time: now, Actor: store.Actor(strings.Repeat("<", 64)), Act: store.Migrated, Name: long})
	}
	for _, page := range []any{people, entries} {
		if b, err := json.Marshal(page); err != nil || len(b) >= maxAdminAnswer {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
	st := newStore(t)
	accounts := &localAccounts{store: st, directory: NewDirectory(st), by: store.OnFile()}
	for i := range 2*adminPage + 1 {
		if err := st.Add(fmt.Sprintf("user-%03d", i), store.Account{Verifier: [256]byte{1}, Created: time.Now()}, store.OnFile()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(everybody(t, accounts)); n != 2*adminPage+1 {
		t.Errorf("%d people", n)
	}
	if n := len(wholeLog(t, accounts)); n != 2*adminPage+1 {
		t.Errorf("%d entries", n)
	}
}

// A link to a database leads to the socket of the server on it; and who meets a held database learns where the server was looked for.
func TestFindTheServer(t *testing.T) {
	dir := t.TempDir()
	db, link := filepath.Join(dir, "sim.db"), filepath.Join(dir, "link.db")
	if err := os.WriteFile(db, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(db, link); err != nil {
		t.Skip(err)
	}
	if AdminPath(link) != AdminPath(db) {
		t.Errorf("%s and %s", AdminPath(link), AdminPath(db))
	}
	socket := filepath.Join(dir, "s")
	_, err := OpenAccounts(db, socket, func() (*store.Store, error) { return nil, fmt.Errorf("held: %w", store.ErrHeld) })
	if adminSupported && (!errors.Is(err, store.ErrHeld) || !strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "--admin")) {
		t.Errorf("%v", err)
	}
}
