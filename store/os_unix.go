//go:build !windows && !plan9 && !solaris && !aix

package store

import (
	"errors"
	"os"
	"syscall"
)

// mapped is how much of a file is mapped before it is as large: the server of
// a hundred thousand people never has to map it anew, which would begin with
// giving up the map that there is, and fails on a disk that has just failed.
const mapped = 64 << 20

// isReadOnly reports whether the file system takes no changes at all.
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// giveTo makes a file that root has just made whose the one at like is, a
// database or a directory: a server that runs as another user has to open it.
// Where that can't be done the file stays root's, and `sim check` says so.
func giveTo(f *os.File, like string) {
	info, err := os.Stat(like)
	if err != nil || os.Geteuid() != 0 {
		return
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && (stat.Uid != 0 || stat.Gid != 0) {
		f.Chown(int(stat.Uid), int(stat.Gid))
	}
}

// removeBegun removes a file in which bbolt could not write its first pages,
// unless another process has it by now.
func removeBegun(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return
	}
	begun, err := f.Stat()
	if err != nil || begun.Size() >= int64(firstPages*os.Getpagesize()) {
		return
	}
	if named, err := os.Lstat(path); err == nil && os.SameFile(begun, named) {
		os.Remove(path)
	}
}

// firstPages are what bbolt writes at once to a new file.
const firstPages = 4

// abandon lets go of bbolt's lock and file. To close the file is not enough: the
// memory map that stays keeps the lock with it.
func abandon(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}
