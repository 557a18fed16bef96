//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	simserver "sim/server" // main has a variable called server
)

// healthOnSignal has the server write its health line at each SIGUSR1, until stop is called.
func healthOnSignal(s *simserver.Server) (stop func()) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range asked {
			s.LogHealth()
		}
	}()
	return func() {
		signal.Stop(asked)
		close(asked)
		<-ended
	}
}
