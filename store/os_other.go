//go:build windows || plan9 || solaris || aix

package store

import (
	"os"
)

// isReadOnly is covered by fs.ErrPermission here.
func isReadOnly(error) bool { return false }

// abandon closes bbolt's file, and with it ends its lock.
func abandon(f *os.File) error { return f.Close() }
