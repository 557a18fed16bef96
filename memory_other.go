//go:build !linux

package main

import "log/slog"

// limitMemory has nothing to go by: no control group limits a process's memory here.
func limitMemory(*slog.Logger) {}
