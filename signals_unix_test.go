//go:build unix

package main

import "syscall"

func init() { signals["USR1"] = syscall.SIGUSR1 }
