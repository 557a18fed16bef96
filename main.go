// Command sim is a secure instant-messaging system in one binary: `sim server` keeps one database file, `sim adduser` registers
// people, and `sim client` lets one person after another log in with nothing but a password.
//
// This folder is the command line and its policy: flags, files, terminals, signals and exit codes. One file a command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
)

// server is the address that `sim client` uses when it is told no other one: sim://KEY@HOST:PORT. A build may set it:
//
//	go build -ldflags "-X main.server=sim://…"
var server string

// Exit codes. Those of the client between 3 and 7 are package client's.
const (
	exitFailed      = 1   // the command was understood and did not succeed
	exitUsage       = 2   // the command line is wrong
	exitInterrupted = 130 // Ctrl-C, SIGINT or SIGTERM ended it
)

// usageError is a fault of the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// codeError ends the program with a code, and without a word: what there was to say has been said.
type codeError int

func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	noCoreDumps()
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop) // the second one ends the program whatever it does
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program. It returns the exit code; errors go to stderr as one sentence, and never as anything else.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	err := newApp(stdin, stdout, stderr).RunContext(ctx, append([]string{"sim"}, args...))
	var code codeError
	var usage usageError
	var library cli.ExitCoder // what is left of the library's own: a help topic that there is none of
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage), errors.As(err, &library):
		fmt.Fprintf(stderr, "sim: %v\n", err)
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "sim: interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(stderr, "sim: %v\n", err)
	return exitFailed
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:            "sim",
		Usage:           "secure instant messages between people who need nothing but a password",
		UsageText:       "sim COMMAND [flags]     sim COMMAND --help tells more",
		Flags:           []cli.Flag{&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "say what this program is built of, and whose address it carries"}},
		HideVersion:     true, // the library's is one line
		Commands:        commands(),
		HideHelpCommand: true, // `sim adduser help` is for a person called help
		Reader:          stdin,
		Writer:          stdout,
		ErrWriter:       stderr,
		ExitErrHandler:  func(*cli.Context, error) {}, // the library would call os.Exit; run decides
		OnUsageError:    onUsageError,
		Before: func(c *cli.Context) error {
			if !c.Bool("version") {
				return nil
			}
			if err := printVersion(stdout); err != nil {
				return err
			}
			return codeError(0)
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("there is no command %q; `sim --help` lists them", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
	walk(app.Commands, func(_ string, command *cli.Command) {
		command.HideHelpCommand = true
		command.OnUsageError = onUsageError
		for _, flag := range command.Flags {
			if f, ok := flag.(*cli.BoolFlag); ok {
				f.DisableDefaultText = true // that it is off needs no word
			}
		}
	})
	takeSettings(app.Commands)
	return app
}

func commands() []*cli.Command {
	return []*cli.Command{
		serverCommand(), adduserCommand(), usersCommand(), clientCommand(), demoCommand(),
		backupCommand(), restoreCommand(), checkCommand(), keyCommand(),
		embedCommand(), configCommand(), completionCommand(), manCommand(), completeCommand(),
	}
}

// onUsageError takes the place of the library's own way, which is to print help to standard output.
func onUsageError(c *cli.Context, err error, _ bool) error {
	name := "sim"
	if c.Command != nil && c.Command.Name != name {
		name = c.Command.HelpName
	}
	return usagef("%w; `%s --help` tells more", err, name)
}

// argument returns the one argument called what that a command takes.
func argument(c *cli.Context, what string) (string, error) {
	if c.NArg() == 0 {
		return "", usagef("%s is missing: %s [flags] %s", what, c.Command.HelpName, what)
	}
	return c.Args().First(), noMoreArguments(c, 1, what)
}

// noMoreArguments refuses arguments after the first n.
func noMoreArguments(c *cli.Context, n int, what string) error {
	if c.NArg() <= n {
		return nil
	}
	extra := c.Args().Get(n)
	switch {
	case n == 0:
		return usagef("%s takes flags and no arguments, not %q", c.Command.HelpName, extra)
	case len(extra) > 1 && extra[0] == '-':
		return usagef("%q stands after %s: flags go before it, %s %s … %s", extra, what, c.Command.HelpName, extra, what)
	}
	return usagef("one %s at a time: %q is left over (flags go before %s)", what, extra, what)
}
