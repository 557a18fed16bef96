//go:build unix

package wholefile

import (
	"errors"
	"syscall"
)

// isUnsupported reports whether the file system doesn't know what it was asked.
func isUnsupported(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}
