//go:build unix

package server

import (
	"math"
	"syscall"
)

// descriptorLimit is how many files and sockets this process may have open. Package os has raised it, at the start of the program, to what
// the system allows at most.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt
	}
	return int(min(uint64(limit.Cur), math.MaxInt))
}
