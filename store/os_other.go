//go:build windows || plan9 || solaris || aix

package store

import (
	"errors"
	"os"
)

// isReadOnly is covered by fs.ErrPermission here.
func isReadOnly(error) bool { return false }

// isUnsupported reports whether the file system doesn't know what it was asked.
func isUnsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }

// abandon closes bbolt's file, and with it ends its lock.
func abandon(f *os.File) error { return f.Close() }
