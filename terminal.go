package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/term"

	"sim/client"
)

// errNoTerminal is returned when there is no terminal to ask a person on.
var errNoTerminal = errors.New("there is no terminal to ask for the password on: use --password-file FILE, or --password-file - for a line of standard input")

// terminalOf returns the file behind a stream if it is a terminal, and nil otherwise.
func terminalOf(stream any) *os.File {
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// askPassword prints prompt on the controlling terminal, whatever the standard streams are, and reads a line there without echo.
// The terminal is as it was when askPassword returns, also when ctx ends first. It returns errNoTerminal if there is none, and
// context.Canceled for Ctrl-C.
func askPassword(ctx context.Context, prompt string) ([]byte, error) {
	in, out, err := openTerminal()
	if err != nil {
		return nil, errNoTerminal
	}
	defer out.Close()
	fd := int(in.Fd())
	// Raw before the prompt stands there, and until the end: whoever sees it may type, and nothing of it is echoed.
	before, err := term.MakeRaw(fd)
	if err != nil {
		in.Close()
		return nil, errNoTerminal
	}
	fmt.Fprint(out, prompt)
	line, err := interruptible(ctx, func() ([]byte, error) { return readHidden(in) })
	term.Restore(fd, before)
	fmt.Fprintln(out)
	if ctx.Err() == nil { // otherwise it may still be read from
		in.Close()
	}
	return line, err
}

// ask is askPassword, where no terminal is a fault of the command line. what is asked for is a password or a passphrase.
func ask(ctx context.Context, what, prompt string) ([]byte, error) {
	line, err := askPassword(ctx, prompt)
	if errors.Is(err, errNoTerminal) {
		return nil, usagef("there is no terminal to ask for the %[1]s on: use --%[1]s-file FILE, or --%[1]s-file - for a line of standard input", what)
	}
	return line, err
}

// askTwice asks for a new one, and returns what prepare makes of it. The caller clears it.
func askTwice(ctx context.Context, stderr io.Writer, what, prompt string, prepare func(line []byte) ([]byte, error)) ([]byte, error) {
	for try := 1; ; try++ {
		prepared, err := askOnceTwice(ctx, what, prompt, prepare)
		var unfit unfitError
		if !errors.As(err, &unfit) {
			return prepared, err
		}
		if try == maxAsked {
			return nil, fmt.Errorf("%w; that was the last try, and nothing was changed", unfit.error)
		}
		fmt.Fprintf(stderr, "sim: %v: try again\n", unfit.error)
	}
}

// unfitError is why what was typed can't be taken.
type unfitError struct{ error }

func askOnceTwice(ctx context.Context, what, prompt string, prepare func(line []byte) ([]byte, error)) ([]byte, error) {
	first, err := ask(ctx, what, prompt)
	if err != nil {
		return nil, err
	}
	defer clear(first)
	prepared, err := prepare(first)
	if err != nil {
		return nil, unfitError{err}
	}
	second, err := ask(ctx, what, "the same again: ")
	defer clear(second)
	if err == nil && !bytes.Equal(first, second) {
		err = unfitError{fmt.Errorf("the two %ss differ", what)}
	}
	if err != nil {
		clear(prepared)
		return nil, err
	}
	return prepared, nil
}

const (
	maxAsked  = 3    // times that a new password is asked for
	maxHidden = 4096 // bytes of a line that is typed without echo
)

// readHidden reads a line from a raw terminal, with the keys that a person needs for one that can't be seen.
func readHidden(r io.Reader) ([]byte, error) {
	line := make([]byte, 0, maxHidden) // never grows: no stray copies of a password
	for {
		var b [1]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			clear(line)
			return nil, fmt.Errorf("read the password: %w", err)
		}
		switch c := b[0]; c {
		case '\r', '\n':
			return line, nil
		case 0x03: // Ctrl-C
			clear(line)
			return nil, context.Canceled
		case 0x04: // Ctrl-D
			if len(line) == 0 {
				return nil, errors.New("no password was typed")
			}
		case 0x08, 0x7f: // Backspace
			_, n := utf8.DecodeLastRune(line)
			clear(line[len(line)-n:])
			line = line[:len(line)-n]
		case 0x15: // Ctrl-U
			clear(line)
			line = line[:0]
		default:
			if len(line) == maxHidden {
				clear(line)
				return nil, errors.New("this password is too long")
			}
			line = append(line, c)
		}
	}
}

// interruptible returns what read does, or ctx's error if that comes first. A read can't be called back: then it is left behind, in a
// program that is about to end.
func interruptible(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		line []byte
		err  error
	}
	results := make(chan result, 1)
	go func() {
		line, err := read()
		results <- result{line, err}
	}()
	select {
	case r := <-results:
		return r.line, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dumbTerminal says that the terminal understands no escape sequences.
func dumbTerminal() bool {
	name := os.Getenv("TERM")
	return name == "dumb" || name == "" && runtime.GOOS != "windows"
}

// utf8Locale says that the terminal shows more than ASCII, as far as the environment tells.
func utf8Locale() bool {
	for _, variable := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToUpper(os.Getenv(variable)); value != "" {
			return strings.Contains(value, "UTF-8") || strings.Contains(value, "UTF8")
		}
	}
	return runtime.GOOS == "windows"
}

// clientTerminal prepares the terminal behind stdin and stdout for the client: in raw mode, if it is one that can be drawn on. restore
// undoes it and may be called twice. Until then no signal that can be caught ends the program: the first one ends main's context,
// further ones are ignored.
func clientTerminal(stdin, stdout *os.File) (t *client.Terminal, restore func(), err error) {
	t = &client.Terminal{
		ReadWriter: struct {
			io.Reader
			io.Writer
		}{stdin, stdout},
		UTF8: utf8Locale(), Dumb: dumbTerminal(),
	}
	t.Width, t.Height, err = term.GetSize(int(stdout.Fd()))
	if t.Dumb {
		return t, func() {}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the size of the terminal: %w", err)
	}
	before, err := term.MakeRaw(int(stdin.Fd()))
	if err != nil {
		return nil, nil, fmt.Errorf("set the terminal up: %w", err)
	}
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	stop := watchTerminal(t, stdin, stdout, before)
	return t, func() {
		stop()
		signal.Stop(ignored)
	}, nil
}
