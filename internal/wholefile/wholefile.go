// Package wholefile makes files that are there whole or not at all. What is written goes to a file of another name beside the one that
// is meant (mode 0600), which gets its name when all of it is on the disk. So a process that dies in the middle leaves only a file whose
// name says that it is a part; the next one that makes the same file removes it.
package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	partial  = ".partial-" // between the name that is meant and a random end
	maxNames = 100         // that are tried for a file which must not take another's place
)

// A File is being written. One of Commit, CommitNew and Abort ends it.
type File struct {
	*os.File
	path string // the name that is meant
	done bool
}

// Create starts the file at path, and removes what killed processes left of it.
func Create(path string) (*File, error) {
	RemovePartial(path)
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+partial+"*") // 0600 and exclusive
	if err != nil {
		return nil, err
	}
	return &File{File: f, path: path}, nil
}

// RemovePartial removes the parts of the file at path that killed processes left. Another process that is just writing it will fail.
func RemovePartial(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return // then there may be some, and nothing is lost but room
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+partial) && e.Type().IsRegular() {
			os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// Commit gives the file its name, in the place of what is there if replace; otherwise an error of fs.ErrExist leaves both as they are.
// The file is durable when the error is nil; otherwise nothing of it is left, or, after an error of the directory's, its name may be lost again.
func (f *File) Commit(replace bool) error {
	return f.commit(func() error {
		if replace {
			return os.Rename(f.Name(), f.path)
		}
		return link(f.Name(), f.path)
	})
}

// CommitNew gives the file its name, or that with .1, .2 … where it is taken, and returns it.
func (f *File) CommitNew() (name string, err error) {
	err = f.commit(func() error {
		name, err = linkNew(f.Name(), f.path)
		return err
	})
	return name, err
}

func (f *File) commit(give func() error) error {
	defer f.Abort()
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := give(); err != nil {
		return err
	}
	f.Abort() // the other name
	return SyncDir(filepath.Dir(f.path))
}

// Abort removes what was written, unless it has its name.
func (f *File) Abort() {
	if f.done {
		return
	}
	f.done = true
	f.Close()
	os.Remove(f.Name())
}

// Keep gives the file at path a second name: as, or that with .1, .2 … where it is taken.
func Keep(path, as string) (name string, err error) { return linkNew(path, as) }

// linkNew links to the first name that is free.
func linkNew(from, to string) (string, error) {
	for i := range maxNames {
		name := to
		if i > 0 {
			name = fmt.Sprintf("%s.%d", to, i)
		}
		if err := link(from, name); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", fmt.Errorf("there are %d files %s already: move them away: %w", maxNames, to, fs.ErrExist)
}

// link is os.Link, which never takes the place of anything. Where the file system knows no links it renames, and the look at the name
// before it may miss one that is made in that moment.
func link(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &fs.PathError{Op: "make", Path: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

// SyncDir makes the names in a directory durable, where the system knows how.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil // may be written to but not listed: nothing to be done
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !isUnsupported(err) {
		return err
	}
	return nil
}
