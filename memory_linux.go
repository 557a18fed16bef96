package main

import (
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryShare is how much of what the kernel lets this process have Go aims at: the rest is for what Go does not count.
const memoryShare = 0.9

// limitMemory has Go collect more eagerly when memory becomes short, where a container or a unit of systemd limits it: otherwise a flood that is
// survived could end with the kernel killing the server. GOMEMLIMIT goes before it.
func limitMemory(log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit, ok := memoryLimit(os.DirFS("/")); ok {
		debug.SetMemoryLimit(int64(memoryShare * float64(limit)))
		log.Info("memory is limited from outside", "limit_mib", limit>>20)
	}
}

// The files of control groups that limit memory, in the tree of the second version and in that of the first.
var memoryGroups = []struct{ controllers, tree, file string }{
	{"", "sys/fs/cgroup", "memory.max"},
	{"memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes"},
}

// memoryLimit returns the least limit among those of this process's control group and of those that it is in.
func memoryLimit(root fs.FS) (least uint64, ok bool) {
	mine, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	least = math.MaxInt64 / 2 // a group of the first version without a limit has about twice that
	for line := range strings.Lines(string(mine)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy:controllers:path
		if len(fields) != 3 {
			continue
		}
		for _, g := range memoryGroups {
			if fields[1] != g.controllers {
				continue
			}
			// In a container the path may be the host's, and the tree begin at our own group: so up to the tree's root.
			for at := path.Join("/", fields[2]); ; at = path.Dir(at) {
				if limit, found := readLimit(root, path.Join(g.tree, at, g.file)); found && limit < least {
					least, ok = limit, true
				}
				if at == "/" {
					break
				}
			}
		}
	}
	return least, ok
}

// readLimit reads a number of bytes. "max" is none.
func readLimit(root fs.FS, file string) (uint64, bool) {
	b, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}
