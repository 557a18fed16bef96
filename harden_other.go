//go:build !linux && !darwin

package main

// noCoreDumps does nothing here.
func noCoreDumps() {}
