package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// What another process of the same user can do with a running sim. The files in /proc of a process that is not dumpable belong to root, who
// alone may then read its memory or trace it; those of `cat`, which does nothing about it, belong to its user.
func TestNoCoreDumps(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "sim-harden-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "sim")
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(own); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	sim := exec.Command(exe, "server", "--listen", "127.0.0.1:0")
	control := exec.Command("cat")
	as := os.Getuid()
	for _, cmd := range []*exec.Cmd{sim, control} {
		cmd.Dir = dir
		if os.Getuid() == 0 { // to whom everything belongs anyway
			as = 65534
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(as), Gid: uint32(as)}}
		}
	}
	if err := errors.Join(os.Chown(dir, as, -1), os.Chmod(dir, 0o755)); err != nil {
		t.Skipf("no process of another user: %v", err)
	}
	if owner, _, err := limitsOf(t, control); err != nil {
		t.Skipf("no process of another user: %v", err)
	} else if owner != uint32(as) {
		t.Fatalf("what belongs to user %d says that it belongs to %d", as, owner)
	}
	owner, limits, err := limitsOf(t, sim)
	if err != nil {
		t.Fatal(err)
	}
	if owner != 0 {
		t.Errorf("every process of user %d can read its memory", owner)
	}
	if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).MatchString(limits) {
		t.Errorf("it may write core files:\n%s", limits)
	}
}

// limitsOf starts a process, waits until it says something, and reads its limits, and whom they belong to.
func limitsOf(t *testing.T, cmd *exec.Cmd) (owner uint32, limits string, err error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, "", err
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, "", err
	}
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if _, err := io.WriteString(in, "hello\n"); err != nil { // which cat says
		return 0, "", err
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		return 0, "", err
	}
	path := fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid)
	info, err := os.Stat(path)
	if err != nil {
		return 0, "", err
	}
	b, err := os.ReadFile(path)
	return info.Sys().(*syscall.Stat_t).Uid, string(b), err
}
