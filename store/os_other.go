//go:build windows || plan9 || solaris || aix

package store

import (
	"os"
)

// mapped: Windows would make the file as large.
const mapped = 0

// isReadOnly is covered by fs.ErrPermission here.
func isReadOnly(error) bool { return false }

// giveTo does nothing: files have the owner that the system gives them.
func giveTo(*os.File, string) {}

// removeBegun does nothing: there is no lock to hold meanwhile.
func removeBegun(string) {}

// abandon closes bbolt's file, and with it ends its lock.
func abandon(f *os.File) error { return f.Close() }
