//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// openTerminal opens the controlling terminal.
func openTerminal() (in, out *os.File, err error) {
	in, err = os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	out, err = os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	if err != nil {
		in.Close()
		return nil, nil, err
	}
	return in, out, nil
}

// watchSize sends width and height each time the terminal gets another size, the newest in place of one nobody took.
func watchSize(terminal *os.File) (sizes <-chan [2]int, stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	out := make(chan [2]int, 1)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-signals:
			}
			width, height, err := term.GetSize(int(terminal.Fd()))
			if err != nil {
				continue
			}
			select {
			case <-out:
			default:
			}
			out <- [2]int{width, height}
		}
	}()
	return out, func() {
		signal.Stop(signals)
		select {
		case <-done:
		default:
			close(done)
		}
	}
}

// exposed reports whether others than its owner may read a file.
func exposed(info os.FileInfo) bool { return info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 }
