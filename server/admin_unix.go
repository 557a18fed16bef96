//go:build linux || darwin

package server

import (
	"os"
	"syscall"
)

// ownerOf returns the user who owns a file, or root where that can't be learnt.
func ownerOf(path string) uint32 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return stat.Uid
}
