package main

import (
	"os/signal"
	"syscall"
)

// sim-on-a-full-disk is sim, no file of which grows beyond 16 KiB, as on a disk that is full.
func init() {
	programs["sim-on-a-full-disk"] = func() {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 16 << 10, Max: 16 << 10}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			panic(err)
		}
		main()
	}
}
