package main

import "golang.org/x/sys/unix"

// noCoreDumps keeps the memory of this process, with its keys, out of core files. Where the system refuses, sim is what it was without; so
// the error says nothing to anybody.
func noCoreDumps() { unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
