package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestServerOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	putPeople(t, dir)
	exe, err := exec.LookPath("sim-on-a-full-disk")
	if err != nil {
		t.Fatal(err)
	}
	server, err := startProgram(dir, os.Environ(), exe, "server", "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.kill)
	address, err := server.see("sim://.*")
	if err != nil {
		t.Fatal(err)
	}
	nothingIsSaved(t, dir, address, server)
}

// A server whose disk the kernel makes read-only while it runs, as it does with a disk that fails.
func TestServerOnAReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir, breakDisk := weakDisk(t)
	putPeople(t, dir)
	server := enter(t, dir, "server", "--listen", "127.0.0.1:0")
	address, err := server.see("sim://.*")
	if err != nil {
		t.Fatal(err)
	}
	breakDisk()
	nothingIsSaved(t, dir, address, server)

	for db, want := range map[string]string{"sim.db": "can't be opened", "new.db": "can't be made: see that this user may make files in ."} {
		again := enter(t, dir, "server", "--listen", "127.0.0.1:0", "--db", db)
		code, err := again.end()
		_, log := again.output()
		if said := string(log); code != exitFailed || err != nil || !strings.Contains(said, want) || !strings.Contains(said, "read-only") || strings.Count(said, "\n") != 1 {
			t.Errorf("a server that starts there on %s: %d, %v\n%s", db, code, err, said)
		}
	}
}

// weakDisk is a directory on a disk of its own, and what breaks that.
func weakDisk(t *testing.T) (dir string, breakIt func()) {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Skipf("this machine gives us no disk that can break: %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("truncate", "--size", "16M", image)
	run("mkfs.ext4", "-q", image)
	run("mount", "-o", "loop,errors=remount-ro", image, dir)
	t.Cleanup(func() { exec.Command("umount", "--lazy", dir).Run() })
	breaker := filepath.Join("/sys/fs/ext4", filepath.Base(run("findmnt", "--noheadings", "--output", "SOURCE", dir)), "trigger_fs_error")
	if _, err := os.Stat(breaker); err != nil {
		t.Skip("this kernel breaks no disk on demand")
	}
	return dir, func() {
		if err := os.WriteFile(breaker, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func putPeople(t *testing.T, dir string) {
	t.Helper()
	db, err := peopleDB()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sim.db"), db, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A disk that was made read-only is when a backup is wanted most. Nothing is to be written beside the database for it.
func TestBackupFromAReadOnlyDisk(t *testing.T) {
	t.Parallel()
	exe, err := exec.LookPath("sim")
	if err != nil {
		t.Fatal(err)
	}
	dir, out := t.TempDir(), t.TempDir()
	putPeople(t, dir)
	file, script := filepath.Join(out, "backup"), `mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 99; shift; TMPDIR="$1"; export TMPDIR; shift; exec "$@"`
	backup := func(db string) (code int, said string) {
		cmd := exec.Command("unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", filepath.Dir(db), t.TempDir(), exe, "backup", "--plain", "--force", "--db", db, file)
		output, err := cmd.CombinedOutput()
		if code = cmd.ProcessState.ExitCode(); code == 99 || code == -1 {
			t.Skipf("this machine makes us no disk read-only: %v, %s", err, output)
		}
		return code, string(output)
	}
	if code, said := backup(filepath.Join(dir, "sim.db")); code != 0 || !strings.Contains(said, "= backed up") {
		t.Fatalf("%d: %s", code, said)
	}
	for _, command := range [][]string{{"users", "list"}, {"check"}} {
		var errs strings.Builder
		if code := runAlone(t.Context(), append(command, "--db", file), strings.NewReader(""), io.Discard, &errs); code != 0 {
			t.Errorf("%q of the backup: %s", command, &errs)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("beside the database: %v, %v", left, err)
	}
}

// What could not be written to standard output is told as a sentence.
func TestBackupToAFullOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	putPeople(t, dir)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	var errs strings.Builder
	code := runAlone(t.Context(), []string{"backup", "--plain", "--db", filepath.Join(dir, "sim.db"), "-"}, strings.NewReader(""), full, &errs)
	if want := "sim: the backup could not be written to standard output, and what is there of it is none: see that there is room for it: no space left on device\n"; code != exitFailed || errs.String() != want {
		t.Errorf("%d: %s", code, &errs)
	}
}

// nothingIsSaved is the story of a server that can write no change: people log in and talk; who changes something is told that it was not
// saved, and it was not.
func nothingIsSaved(t *testing.T, dir, address string, server *actor) {
	t.Helper()
	bob := bobIn(t, dir, address)
	admin := func(args ...string) {
		t.Helper()
		a := enter(t, dir, args...)
		a.say("copper-anvil-62-violet")
		a.stdin.Close()
		code, err := a.end()
		if out, errs := a.output(); err != nil || code != exitFailed || len(out) > 0 || !strings.Contains(string(errs), "could not be written") || strings.Count(string(errs), "\n") != 1 {
			t.Errorf("%v: %d, %v\n%s%s", args, code, err, out, errs)
		}
	}
	admin("adduser", "--password-file", "-", "dora")
	admin("users", "remove", "--yes", "carol")
	admin("users", "disable", "carol")
	admin("users", "passwd", "--password-file", "-", "carol")

	carol := enter(t, dir, "client", "--server", address, "--user", "carol")
	carol.say(people["carol"], "passwd", people["carol"], "copper-anvil-62-violet", "send bob still here")
	sees(t, carol, "= bob: delivered")
	sees(t, bob, "< carol: still here")
	carol.stdin.Close()
	if code, err := carol.end(); code != exitFailed || err != nil {
		t.Error(code, err)
	}
	if _, errs := carol.output(); !strings.Contains(string(errs), "could not save it") {
		t.Errorf("carol is told %q", errs)
	}
	carol = enter(t, dir, "client", "--server", address, "--user", "carol") // with the old password
	carol.say(people["carol"])
	sees(t, carol, "= logged in as carol")
	server.signal("TERM")
	if code, err := server.end(); code != 0 || err != nil {
		t.Error(code, err)
	}
	if _, log := server.output(); strings.Contains(string(log), "carol") || strings.Contains(string(log), "goroutine") {
		t.Errorf("the log:\n%s", log)
	}
}

// Whoever stands still doesn't hold a server up that is told to stop: not a client, nor one in the middle of its log-in. Further signals
// end it at once.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	for _, twice := range []bool{false, true} {
		dir, address, server := room(t)
		bob := bobIn(t, dir, address)
		bob.cmd.Process.Signal(syscall.SIGSTOP) // he doesn't close his end
		stoppedNow(t, bob.cmd.Process.Pid)
		_, host, _ := strings.Cut(address, "@")
		mute, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer mute.Close()
		began := time.Now()
		server.signal("TERM")
		want := 0
		if twice {
			want = -1
			for over := false; !over; { // the first few may come before the first one was taken
				select {
				case <-server.ended:
					over = true
				case <-time.After(5 * time.Millisecond):
					server.signal("TERM")
				}
			}
		}
		code, err := server.end()
		if took := time.Since(began); code != want || err != nil || took > 15*time.Second {
			t.Errorf("twice %v: it ended with %d (%v) after %v", twice, code, err, took)
		}
	}
}

// stoppedNow waits until a process stands still: a signal takes its time on a busy machine.
func stoppedNow(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(scriptWait); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "T") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not stop")
		}
	}
}
