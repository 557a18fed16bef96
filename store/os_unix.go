//go:build !windows && !plan9 && !solaris && !aix

package store

import (
	"errors"
	"os"
	"syscall"
)

// isReadOnly reports whether the file system takes no changes at all.
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// abandon lets go of bbolt's lock and file. To close the file is not enough: the
// memory map that stays keeps the lock with it.
func abandon(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}
