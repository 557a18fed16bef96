package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func init() {
	helpers["full"] = fullHelper
	helpers["full from the start"] = fullFromTheStartHelper
}

// limitFiles lets no file of this process grow beyond size bytes, as a full
// disk does.
func limitFiles(size uint64) {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fail(err)
	}
	limit.Cur = min(size, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fail(err)
	}
}

const noLimit = ^uint64(0)

// fullHelper adds accounts until the disk is full, and one more after it has
// room again.
func fullHelper(path string) {
	s, err := Open(path, testOptions)
	if err != nil {
		fail(err)
	}
	limitFiles(40 << 10)
	refused := ""
	for i := range 1000 {
		name := fmt.Sprintf("user%06d", i)
		err := s.Add(name, account(name), testActor)
		if err == nil {
			fmt.Println(name)
			continue
		}
		if !errors.Is(err, ErrNotSaved) || !strings.Contains(err.Error(), syscall.EFBIG.Error()) || !strings.Contains(err.Error(), path) {
			fail("not ErrNotSaved with its cause:", err)
		}
		if _, ok, err := saved(s, name); ok || err != nil {
			fail("what was refused is there", ok, err)
		}
		refused = name
		break
	}
	if refused == "" {
		fail("the disk never was full")
	}
	limitFiles(noLimit)
	if err := s.Add(refused, account(refused), testActor); err != nil {
		fail("with room again:", err)
	}
	fmt.Println(refused)
	// Not closed: the disk has it all already.
}

func TestDiskFull(t *testing.T) {
	path := newPath(t)
	id := mustOpen(t, path)
	want := id.Identity()
	id.Close()
	out, err := helper(t, "full", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, path)
	if s.Identity() != want {
		t.Error("the identity changed")
	}
	names, err := allNames(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, "\n") + "\n"; got != string(out) {
		t.Errorf("acknowledged:\n%s\nthere:\n%s", out, got)
	}
	for _, name := range names {
		if a, ok, err := saved(s, name); err != nil || !ok || a != account(name) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

// fullFromTheStartHelper makes databases on disks with room for nothing, for a
// part of the head, and for the head alone. Where there was no file there is none
// again, and a file without a byte that was there stays.
func fullFromTheStartHelper(dir string) {
	page := uint64(os.Getpagesize())
	for i, room := range []uint64{0, 100, 2*page + 100, 4 * page, 0, 100, 2*page + 100, 4 * page} {
		path := filepath.Join(dir, fmt.Sprint(i))
		there := i >= 4
		if there {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				fail(err)
			}
		}
		limitFiles(room)
		s, err := Open(path, testOptions)
		if err == nil {
			s.Close()
			fail("made in", room, "bytes")
		}
		if !errors.Is(err, ErrNotSaved) || !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
			fail("not ErrNotSaved with its cause:", err)
		}
		limitFiles(noLimit)
		if _, err := os.Stat(path); (err == nil) != there {
			fail("a file is left, or an older one is gone:", err)
		}
		s, err = Open(path, testOptions)
		if !there || room == 0 || room == 4*page {
			if err != nil {
				fail("with room again:", err)
			}
			s.Close()
		} else if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "delete it") {
			fail("part of a head:", err)
		}
	}
}

func TestDiskFullFromTheStart(t *testing.T) {
	if err := helper(t, "full from the start", t.TempDir()).Run(); err != nil {
		t.Error(err)
	}
}

func TestFIFOIsNotOurs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sim.db")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, testOptions) // must not wait for a writer
	wantError(t, err, ErrNotOurs, path)
}

func init() {
	helpers["full backup"] = fullBackupHelper
	helpers["full migration"] = fullMigrationHelper
}

// fullBackupHelper makes a backup on a disk that has no room for one.
func fullBackupHelper(path string) {
	s, err := Open(path, testOptions)
	if err != nil {
		fail(err)
	}
	limitFiles(8 << 10)
	err = s.Backup(io.Discard, monday, testActor)
	if !errors.Is(err, ErrNotSaved) || !strings.Contains(err.Error(), syscall.EFBIG.Error()) || !strings.Contains(err.Error(), "where a backup begins") {
		fail("not ErrNotSaved with its cause:", err)
	}
	limitFiles(noLimit)
	if err := s.Add("alice", account("alice"), testActor); err != nil {
		fail("afterwards:", err)
	}
	s.Close()
}

// fullMigrationHelper brings a database forward on disks that have room for a
// part of the copy, and for the copy alone.
func fullMigrationHelper(path string) {
	info, err := os.Stat(path)
	if err != nil {
		fail(err)
	}
	for _, room := range []int64{5000, info.Size()} {
		limitFiles(uint64(room))
		_, err := Open(path, testOptions)
		if !errors.Is(err, ErrNotSaved) || !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
			fail("room", room, "not ErrNotSaved with its cause:", err)
		}
	}
}

func TestDiskFullForABackup(t *testing.T) {
	path := newPath(t)
	mustOpen(t, path).Close()
	if err := helper(t, "full backup", path).Run(); err != nil {
		t.Error(err)
	}
	if got := files(t, path); !slices.Equal(got, []string{"sim.db"}) {
		t.Errorf("left: %q", got)
	}
}

func TestDiskFullForAMigration(t *testing.T) {
	path := newPath(t)
	oldDatabase(t, path, 500)
	if err := helper(t, "full migration", path).Run(); err != nil {
		t.Error(err)
	}
	if got := files(t, path); !slices.Equal(got, []string{"sim.db"}) {
		t.Errorf("left: %q", got)
	}
	if h, err := mustOpen(t, path).Check(); err != nil || h.Accounts != 500 {
		t.Errorf("%+v, %v", h, err)
	}
}
