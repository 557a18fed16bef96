//go:build !windows && !plan9 && !solaris && !aix

package store

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What root makes in the folder of the user who runs the server is that user's, or the server could not open it.
func TestRootMakesItForTheServer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can give files away")
	}
	const server = 4711
	isTheServers := func(path string) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != server || stat.Gid != server || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is uid %d's, gid %d, mode %o", filepath.Base(path), stat.Uid, stat.Gid, info.Mode().Perm())
		}
	}
	_, content := backup(t)
	path := newPath(t)
	if err := os.Chown(filepath.Dir(path), server, server); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path).Close()
	isTheServers(path)
	kept, err := Restore(path, bytes.NewReader(content), true, tuesday, testActor)
	if err != nil {
		t.Fatal(err)
	}
	isTheServers(path)
	isTheServers(kept)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(path, bytes.NewReader(content), false, tuesday, testActor); err != nil {
		t.Fatal(err)
	}
	isTheServers(path)
}

// An empty file that others can read is made the owner's before the key comes into it.
func TestEmptyFileIsMadePrivate(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path).Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
}
