//go:build !linux && !darwin

package main

import "io/fs"

// What these look at is different on other systems, or not there.

func othersReplace(fs.FileInfo) bool { return false }

func ownerOf(fs.FileInfo) (uid int, ok bool) { return 0, false }

func freeRoom(string) (bytes uint64, ok bool) { return 0, false }
