//go:build !unix

package main

import simserver "sim/server" // main has a variable called server

// healthOnSignal does nothing: there is no signal for it here.
func healthOnSignal(*simserver.Server) (stop func()) { return func() {} }
