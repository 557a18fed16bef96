//go:build !unix

package wholefile

import "errors"

// isUnsupported reports whether the file system doesn't know what it was asked.
func isUnsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
