//go:build unix

package main

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

const stopWait = 100 * time.Millisecond // between two looks at who has the terminal

// A job is this program at its terminal. Only in the foreground does it read, write, or set the mode: elsewhere the system would stop it for that, also
// when it is about to end, and the terminal is the shell's.
type job struct {
	in, out   *os.File
	continued chan os.Signal
	killed    atomic.Bool // a signal has come that ends the program
	stopping  sync.Mutex  // held until the stopped job goes on
}

func (j *job) foreground() bool {
	group, err := unix.IoctlGetInt(int(j.in.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp() // of a terminal that controls nothing nobody asks
}

// Read waits until the job is in the foreground. SIGTTIN has to be ignored, so that a read elsewhere fails.
func (j *job) Read(b []byte) (int, error) {
	for {
		n, err := j.in.Read(b)
		switch {
		case !errors.Is(err, syscall.EIO) || j.foreground():
			return n, err
		case j.killed.Load():
			return 0, io.EOF
		}
		time.Sleep(stopWait)
	}
}

// Write does, too. Of a program that ends in the background nothing is shown.
func (j *job) Write(b []byte) (int, error) {
	for !j.foreground() {
		if j.killed.Load() {
			return len(b), nil
		}
		time.Sleep(stopWait)
	}
	return j.out.Write(b)
}

// restore sets the terminal's mode if it is this job's to set.
func (j *job) restore(mode *term.State) {
	if j.foreground() {
		term.Restore(int(j.in.Fd()), mode)
	}
}

// stop stops the whole job, as the terminal would, until it is in the foreground again or has to end. A caught SIGTSTP stops no program in Go any more.
func (j *job) stop() {
	if !j.stopping.TryLock() {
		return
	}
	defer j.stopping.Unlock()
	for {
		select {
		case <-j.continued: // earlier
		default:
		}
		syscall.Kill(0, syscall.SIGSTOP)
		<-j.continued
		time.Sleep(stopWait) // it may have been continued to end: then that signal comes at the same time
		if j.foreground() || j.killed.Load() {
			return
		}
	}
}

// continuable says that there may be a shell to continue this job when it is stopped. There is none where the job is all of the session.
func continuable() bool {
	session, err := unix.Getsid(0)
	return err == nil && session != unix.Getpgrp()
}
