//go:build unix

package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"sim/client"
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

// watchTerminal tells the client what happens to its terminal: another size, that somebody wants the program stopped, that it goes on.
// stop gives the terminal back in the mode that it had before.
func watchTerminal(t *client.Terminal, stdin, stdout *os.File, before *term.State) (stop func()) {
	resize, stops, continued := make(chan [2]int, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	t.Resize, t.Stop, t.Continued = resize, stops, continued
	j := &job{in: stdin, out: stdout, continued: make(chan os.Signal, 1)}
	t.ReadWriter = j
	var going sync.Mutex // guards the terminal's mode, and that it is nobody's after the end
	ended := false
	raw := func() {
		going.Lock()
		defer going.Unlock()
		if !ended && j.foreground() {
			term.MakeRaw(int(stdin.Fd()))
		}
	}
	signal.Ignore(syscall.SIGTTIN)
	signals, kills := make(chan os.Signal, 4), make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGCONT)
	signal.Notify(j.continued, syscall.SIGCONT)
	signal.Notify(kills, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	t.Suspend = func() {
		j.restore(before)
		if continuable() {
			j.stop()
		}
		raw()
		latest(continued, nil)
		sendSize(resize, stdout) // it may have changed meanwhile
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
		case <-kills:
			j.killed.Store(true)
		}
	}()
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				switch s {
				case syscall.SIGWINCH:
					sendSize(resize, stdout)
				case syscall.SIGTSTP:
					latest(stops, &struct{}{})
				case syscall.SIGCONT:
					if !j.foreground() && continuable() {
						time.Sleep(stopWait) // it may have been continued to end
						if !j.killed.Load() {
							j.stop()
						}
					}
					if j.foreground() {
						raw()
						latest(continued, &struct{}{})
					}
				}
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		going.Lock()
		defer going.Unlock()
		if !ended {
			ended = true
			close(done)
		}
		j.restore(before)
	}
}

// sendSize tells the terminal's size.
func sendSize(to chan [2]int, terminal *os.File) {
	if width, height, err := term.GetSize(int(terminal.Fd())); err == nil {
		latest(to, &[2]int{width, height})
	}
}

// latest puts a value into a channel with room for one, in place of one that nobody took; or nothing.
func latest[T any](to chan T, value *T) {
	select {
	case <-to:
	default:
	}
	if value == nil {
		return
	}
	select {
	case to <- *value:
	default: // somebody else's is as new
	}
}

// exposed reports whether others than its owner may read a file.
func exposed(info os.FileInfo) bool { return info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 }
