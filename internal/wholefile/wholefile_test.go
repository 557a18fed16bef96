package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// names lists a directory.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func write(t *testing.T, path, text string) *File {
	t.Helper()
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

func want(t *testing.T, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || string(b) != text {
		t.Errorf("%s: %q, %v", path, b, err)
	}
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%s: mode %v", path, info.Mode())
	}
}

func TestCommit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	f := write(t, path, "one")
	if got := names(t, dir); len(got) != 1 || got[0] == "a" {
		t.Errorf("while it is written: %q", got)
	}
	if err := f.Commit(false); err != nil {
		t.Fatal(err)
	}
	want(t, path, "one")

	if err := write(t, path, "two").Commit(false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	want(t, path, "one")
	if err := write(t, path, "two").Commit(true); err != nil {
		t.Fatal(err)
	}
	want(t, path, "two")
	write(t, path, "three").Abort()
	want(t, path, "two")
	if got := names(t, dir); !slices.Equal(got, []string{"a"}) {
		t.Errorf("left: %q", got)
	}
}

func TestNewNames(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, want := range []string{path, path + ".1", path + ".2"} {
		if name, err := write(t, path, want).CommitNew(); err != nil || name != want {
			t.Errorf("%s: %s, %v", want, name, err)
		}
	}
	if name, err := Keep(path, path+".1"); err != nil || name != path+".1.1" {
		t.Errorf("%s, %v", name, err)
	}
	want(t, path+".1", path+".1")
	if got := names(t, dir); len(got) != 4 {
		t.Errorf("left: %q", got)
	}
}

func TestNamesAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for range maxNames {
		if _, err := write(t, path, "").CommitNew(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := write(t, path, "").CommitNew(); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
}

// A process was killed while it wrote. The next one removes what it left, and nothing else.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	write(t, path, "half").Close()
	write(t, filepath.Join(dir, "b"), "of another").Close()
	if err := os.Mkdir(path+partial+"dir", 0o700); err != nil {
		t.Fatal(err)
	}
	first := write(t, path, "one")
	if got := names(t, dir); len(got) != 3 {
		t.Errorf("%q", got)
	}
	// Of two at once the later wins, and the other says so.
	second := write(t, path, "two")
	if err := first.Commit(false); err == nil && runtime.GOOS != "windows" {
		t.Error("a part was removed, and its file is there")
	}
	if err := second.Commit(false); err != nil {
		t.Error(err)
	}
	want(t, path, "two")
}
