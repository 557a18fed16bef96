package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	demoWait = time.Minute      // for any one line or end of a process
	demoStop = 10 * time.Second // for a process that was told to end
)

// A child is a process of the demo, driven line by line. One goroutine uses it.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string   // of its standard output; closed at its end
	ended chan struct{} // closed when it has been waited for

	stderr tail
	killed bool // since it could not be asked
}

// start runs this same program with other arguments. It is ended when ctx is.
func (d *demo) start(ctx context.Context, name string, args ...string) (*child, error) {
	c := &child{
		name:  name,
		cmd:   exec.CommandContext(ctx, d.exe, args...),
		lines: make(chan string, 64),
		ended: make(chan struct{}),
	}
	c.cmd.Dir = d.dir
	// What this user's variables set is for another server than the demo's.
	c.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SIM_") })
	c.cmd.Stderr = &c.stderr
	c.cmd.Cancel = func() error {
		err := c.cmd.Process.Signal(syscall.SIGTERM)
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			c.killed = true
			return c.cmd.Process.Kill() // Windows knows no signals
		}
		return err
	}
	c.cmd.WaitDelay = demoStop // then it is killed
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	d.children = append(d.children, c)
	go func() {
		s := bufio.NewScanner(stdout)
		for s.Scan() {
			c.lines <- s.Text()
		}
		io.Copy(io.Discard, stdout)
		close(c.lines)
		c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// say writes lines to the process's standard input.
func (c *child) say(lines ...string) error {
	_, err := io.WriteString(c.stdin, strings.Join(lines, "\n")+"\n")
	if err != nil {
		return fmt.Errorf("%s takes no more input: %w%s", c.name, err, c.stderr.quoted())
	}
	return nil
}

// expect waits for a line that begins with prefix and returns it. What is neither that nor another result is passed over.
func (c *child) expect(ctx context.Context, prefix string) (string, error) {
	timeout := time.NewTimer(demoWait)
	defer timeout.Stop()
	for {
		select {
		case line, ok := <-c.lines:
			switch {
			case !ok:
				<-c.ended
				return "", fmt.Errorf("%s ended (%v) before it said %q%s", c.name, c.cmd.ProcessState, prefix, c.stderr.quoted())
			case strings.HasPrefix(line, prefix):
				return line, nil
			case strings.HasPrefix(line, "= "):
				return "", fmt.Errorf("%s said %q where %q was due%s", c.name, line, prefix, c.stderr.quoted())
			}
		case <-ctx.Done():
			return "", ctx.Err()
		case <-timeout.C:
			return "", fmt.Errorf("%s did not say %q within %v%s", c.name, prefix, demoWait, c.stderr.quoted())
		}
	}
}

// finish closes the process's standard input and waits for a good end.
func (c *child) finish(ctx context.Context) error {
	c.stdin.Close()
	if err := c.wait(ctx); err != nil {
		return err
	}
	if !c.cmd.ProcessState.Success() && !c.killed {
		return fmt.Errorf("%s ended with %v%s", c.name, c.cmd.ProcessState, c.stderr.quoted())
	}
	return nil
}

// wait waits for the end of the process; its further output goes nowhere.
func (c *child) wait(ctx context.Context) error {
	timeout := time.NewTimer(demoWait)
	defer timeout.Stop()
	for lines := c.lines; ; {
		select {
		case _, ok := <-lines:
			if !ok {
				lines = nil
			}
		case <-c.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return fmt.Errorf("%s did not end within %v%s", c.name, demoWait, c.stderr.quoted())
		}
	}
}

// stop ends every process of the demo, and returns when all are gone.
func (d *demo) stop() {
	for _, c := range d.children {
		c.stdin.Close()
		select {
		case <-c.ended:
		default:
			c.cmd.Cancel()
		}
	}
	for _, c := range d.children {
		ctx, cancel := context.WithTimeout(context.Background(), demoStop)
		if err := c.wait(ctx); err != nil && !errors.Is(err, os.ErrProcessDone) {
			c.cmd.Process.Kill()
			c.wait(context.Background())
		}
		cancel()
	}
	d.children = nil
}

// tail keeps the last of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 2048 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// quoted returns what was kept, to stand at the end of an error.
func (t *tail) quoted() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(string(t.buf)); s != "" {
		return "; it said:\n" + s
	}
	return ""
}
