package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

const testPhrase = "nine violet anvils 72"

// backedUp is a directory with everybody's database, and its plain backup.
func backedUp(t *testing.T) (dir string, plain []byte) {
	t.Helper()
	dir = t.TempDir()
	db, err := peopleDB()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sim.db")
	if err := os.WriteFile(path, db, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "plain.db")
	var errs bytes.Buffer
	if code := runAlone(t.Context(), []string{"backup", "--db", path, "--plain", file}, strings.NewReader(""), io.Discard, &errs); code != 0 {
		t.Fatal(errs.String())
	}
	if plain, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	return dir, plain
}

// Mallory changes an encrypted backup, cuts it, or puts more to it: it is not restored, and nothing is made of it.
func TestRestoreOfATamperedBackup(t *testing.T) {
	t.Parallel()
	dir, plain := backedUp(t)
	recipient, err := age.NewScryptRecipient(testPhrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(4) // a test has no time
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(plain)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole := sealed.Bytes()
	head := bytes.Index(whole, []byte("\n--- ")) + 50

	names := func() (all []string) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	restore := func(content []byte) (code int, errs string) {
		var e bytes.Buffer
		args := []string{"restore", "--db", filepath.Join(dir, "new.db"), "--passphrase-file", filepath.Join(dir, "phrase"), filepath.Join(dir, "backup")}
		if err := os.WriteFile(filepath.Join(dir, "backup"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		code = runAlone(t.Context(), args, strings.NewReader(""), io.Discard, &e)
		return code, e.String()
	}
	if err := os.WriteFile(filepath.Join(dir, "phrase"), []byte(testPhrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, errs := restore(whole); code != 0 {
		t.Fatal(errs)
	}
	os.Remove(filepath.Join(dir, "new.db"))
	before := names()

	spoilt := map[string][]byte{
		"more at its end":  append(bytes.Clone(whole), 0),
		"too much work":    bytes.Replace(whole, []byte(" 4\n"), []byte(" 21\n"), 1),
		"a part of a head": whole[:len(ageHead)+5],
	}
	for _, at := range []int{25, 40, 100, head - 10, head + 5, head + 20, head + 5000, len(whole) - 1} {
		b := bytes.Clone(whole)
		b[at] ^= 1
		spoilt[fmt.Sprint("flipped at ", at)] = b
	}
	for _, at := range []int{head, head + 10, head + 16, head + 1000, len(whole) - 16, len(whole) - 1} {
		spoilt[fmt.Sprint("cut to ", at)] = whole[:at]
	}
	for name, content := range spoilt {
		code, errs := restore(content)
		if code != exitFailed || !strings.Contains(errs, "nothing was changed") || strings.Contains(errs, "partial") {
			t.Errorf("%s: %d, %s", name, code, errs)
		}
		if name == "too much work" && !strings.Contains(errs, "work factor too large") {
			t.Errorf("%s: the work was done: %s", name, errs)
		}
		if after := names(); !slices.Equal(before, after) {
			t.Errorf("%s: %q became %q", name, before, after)
		}
	}
}

// A backup is killed somewhere. FILE is whole or not there, and the next one clears up.
func TestBackupKilled(t *testing.T) {
	t.Parallel()
	dir, _ := backedUp(t)
	exe, err := exec.LookPath("sim")
	if err != nil {
		t.Fatal(err)
	}
	db, file, restored := filepath.Join(dir, "sim.db"), filepath.Join(dir, "night.db"), filepath.Join(dir, "restored.db")
	made := 0
	for range 15 {
		cmd := exec.Command(exe, "backup", "--db", db, "--plain", file)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Killed as soon as there is something of it, and a little later.
		for deadline := time.Now().Add(scriptWait); time.Now().Before(deadline); {
			if parts, _ := filepath.Glob(filepath.Join(dir, "*.partial-*")); len(parts) > 0 {
				break
			}
			if _, err := os.Stat(file); err == nil {
				break
			}
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		cmd.Process.Kill()
		cmd.Wait()
		if _, err := os.Stat(file); err != nil {
			continue
		}
		made++
		var errs bytes.Buffer
		if code := runAlone(t.Context(), []string{"restore", "--db", restored, file}, strings.NewReader(""), io.Discard, &errs); code != 0 {
			t.Fatal(errs.String())
		}
		os.Remove(file)
		os.Remove(restored)
	}
	t.Logf("%d were made before they were killed", made)
	var errs bytes.Buffer
	if code := runAlone(t.Context(), []string{"backup", "--db", db, "--plain", file}, strings.NewReader(""), io.Discard, &errs); code != 0 {
		t.Fatal(errs.String())
	}
	if parts, _ := filepath.Glob(filepath.Join(dir, "*.partial-*")); len(parts) != 0 {
		t.Errorf("left: %q", parts)
	}
}
