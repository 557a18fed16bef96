package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	rolePrefix = "serve-" // of the argument with which this program runs again, as a server
	startWait  = 20 * time.Second
	clockTicks = 100 // a second, of /proc: USER_HZ, the same on every Linux that Go runs on
)

// A process is a server that is measured.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	first  string        // line of its standard output: where it listens
	stderr *bytes.Buffer // read only after its end
}

// launch starts a server.
func launch(name string, args ...string) (p *process, stdout io.Reader, err error) {
	p = &process{cmd: exec.Command(name, args...), stderr: new(bytes.Buffer)}
	p.cmd.Stderr = p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	if stdout, err = p.cmd.StdoutPipe(); err != nil {
		return nil, nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, nil, err
	}
	started.Store(p, nil)
	return p, stdout, nil
}

// started are the processes that run, for killAll.
var started sync.Map

// killAll leaves no server behind when this program is interrupted.
func killAll() {
	started.Range(func(p, _ any) bool {
		p.(*process).cmd.Process.Kill()
		return true
	})
}

// startProcess starts a server and waits for its first line.
func startProcess(name string, args ...string) (*process, error) {
	p, stdout, err := launch(name, args...)
	if err != nil {
		return nil, err
	}
	lines := make(chan string, 1)
	go func() {
		out := bufio.NewReader(stdout)
		line, _ := out.ReadString('\n')
		lines <- strings.TrimSpace(line)
		io.Copy(io.Discard, out)
	}()
	select {
	case p.first = <-lines:
	case <-time.After(startWait):
	}
	if p.first == "" {
		p.stop()
		return nil, p.unready(name)
	}
	return p, nil
}

// unready says what a server that was stopped had to say.
func (p *process) unready(name string) error {
	return fmt.Errorf("%s did not start: %s", name, bytes.TrimSpace(p.stderr.Bytes()))
}

// freeHost is an address with a port that is free, until a moment later: for a server that does not say where it listens.
func freeHost() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// awaitListener waits until a server listens that does not say when it does; one that does not is stopped.
func (p *process) awaitListener(name, host string) error {
	for began := time.Now(); time.Since(began) < startWait; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", host); err == nil {
			return conn.Close()
		}
	}
	p.stop()
	return p.unready(name)
}

// startRole starts this program again, as a server.
func startRole(role string, args ...string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startProcess(exe, append([]string{rolePrefix + role}, args...)...)
}

func (p *process) stop() {
	p.stdin.Close()
	p.cmd.Process.Kill()
	p.cmd.Wait()
	started.Delete(p)
}

// cpu is what the process has used of the processors, in user and in system mode.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name of the program stands in parentheses, and may have anything in it. utime and stime are fields 14 and 15.
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')'):], []byte(" "))
	fields := strings.Fields(string(rest))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat has too few fields")
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / clockTicks, errors.Join(err1, err2)
}

// resident is the process's memory in bytes.
func (p *process) resident() (int, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0, errors.New("/proc/PID/statm has too few fields")
	}
	pages, err := strconv.Atoi(fields[1])
	return pages * os.Getpagesize(), err
}
