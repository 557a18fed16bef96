//go:build linux || darwin

package main

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// othersReplace says whether others than the owner of a directory may put a file in another's place there.
func othersReplace(dir fs.FileInfo) bool {
	return dir.Mode().Perm()&0o022 != 0 && dir.Mode()&fs.ModeSticky == 0
}

// ownerOf returns the user who owns a file.
func ownerOf(info fs.FileInfo) (uid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// freeRoom returns the bytes that this user can still write to the disk of a directory.
func freeRoom(dir string) (bytes uint64, ok bool) {
	var stat unix.Statfs_t
	if unix.Statfs(dir, &stat) != nil {
		return 0, false
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), true
}
