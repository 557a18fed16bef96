package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"sim/client"
	"sim/proto"
)

const clientHelp = `Connects to a server and takes commands: typed on a terminal, piped, or from a file. The command help lists them.

Piped, the first two lines are a user name and a password; with --user the first is the password; with --user and --password-file it is
already a command. With --json these lines, and all others, are JSON objects: docs/json.md has them.

A lost connection is replaced by another, and then nothing is missing. When the server was started again the session is over: at a terminal
the password is asked for again, and with --password-file the client logs in by itself. With --reconnect 0 a lost connection ends the
session, and nothing is done by itself.

Exit codes: 0 well, 1 a command failed, 2 usage, 3 the log-in was refused, 4 the server was not reached or was lost, 5 it was reached and
gave no proof of its key, 6 a newer log-in took over, 7 an outcome is unknown, 130 interrupted.`

func clientCommand() *cli.Command {
	return &cli.Command{
		Name:        "client",
		Usage:       "log in and talk",
		Description: clientHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "server", Usage: "the server's `ADDRESS`, sim://KEY@HOST:PORT as it prints it", DefaultText: ownAddressText()},
			&cli.StringFlag{Name: "user", Usage: "log in as `NAME`"},
			&cli.StringFlag{Name: "password-file", Usage: "take the password from the first line of `FILE` (- is standard input); needs --user"},
			&cli.BoolFlag{Name: "json", Usage: "for programs: commands and all that is told are JSON objects, one a line; docs/json.md describes them"},
			&cli.DurationFlag{Name: "reconnect", Value: client.MaxReconnect, DefaultText: "2m", Usage: "come back to a session whose connection was lost for `TIME`; 0 is not at all"},
			&cli.StringFlag{Name: "notify", Usage: "run `COMMAND` by the shell when a message comes, with the sender's name in SIM_FROM"},
			&cli.BoolFlag{Name: "no-bell", Usage: "no bell on a terminal when a message comes"},
			&cli.BoolFlag{Name: "no-color", Usage: "no colours (also when NO_COLOR is set)"},
		},
		Action: runClient,
	}
}

func runClient(c *cli.Context) error {
	if err := noMoreArguments(c, 0, ""); err != nil {
		return err
	}
	config := client.Config{
		User: c.String("user"), PasswordFile: c.String("password-file"),
		In: c.App.Reader, Out: c.App.Writer, Err: c.App.ErrWriter, JSON: c.Bool("json"),
		Reconnect: c.Duration("reconnect"), Notify: c.String("notify"), NoBell: c.Bool("no-bell"),
		NoColor: c.Bool("no-color") || os.Getenv("NO_COLOR") != "",
	}
	address, own := c.String("server"), ""
	var err error
	if address == "" {
		if own, _, err = ownAddress(); err != nil {
			return usageError{err} // as where there is no address
		}
	}
	if config.Server, err = serverAddress(address, own); err != nil {
		if address != "" {
			err = usagef("--server: %w", err)
		}
		return err
	}
	if c.IsSet("user") {
		name, err := proto.ParseName(config.User)
		if err != nil {
			return usagef("--user: %w", err)
		}
		config.User = name.String()
	}
	if config.Reconnect < 0 || config.Reconnect > client.MaxReconnect {
		return usagef("--reconnect takes a time from 0 to 2m: the server keeps a session no longer")
	}
	if config.PasswordFile != "" && config.User == "" {
		return usagef("--password-file needs --user NAME")
	}
	if config.PasswordFile == "-" {
		config.PasswordFile = "" // a line of standard input is where it comes from anyway
	}
	if code := clientOn(c.Context, config, c.App.Reader, c.App.Writer); code != 0 {
		return codeError(code)
	}
	return nil
}

// clientOn runs the client on the streams it has, and on the terminal if that is what both are. A client whose output alone goes
// elsewhere asks for passwords on the terminal; where the input is piped, they are lines of it.
func clientOn(ctx context.Context, config client.Config, in io.Reader, out io.Writer) int {
	// A reader of the output that goes away makes a write fail, in place of ending the program before it has logged out.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	stdin, stdout := terminalOf(in), terminalOf(out)
	if stdin == nil || config.JSON {
		return client.Run(ctx, config)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config.AskPassword = func(prompt string) ([]byte, error) {
		line, err := askPassword(ctx, prompt)
		if errors.Is(err, context.Canceled) {
			cancel() // Ctrl-C is no line
		}
		return line, err
	}
	if stdout == nil {
		return client.Run(ctx, config)
	}
	terminal, restore, err := clientTerminal(stdin, stdout)
	if err != nil {
		return client.Run(ctx, config) // line by line will do
	}
	defer restore()
	config.Terminal = terminal
	return client.Run(ctx, config)
}

// serverAddress returns the first of the candidates that is set.
func serverAddress(candidates ...string) (proto.Address, error) {
	for _, s := range candidates {
		if s == "" {
			continue
		}
		address, err := proto.ParseAddress(s)
		if err == nil {
			_, err = port(address.Host, 1)
		}
		if err != nil {
			return proto.Address{}, usageError{err}
		}
		return address, nil
	}
	return proto.Address{}, usagef("which server? give --server ADDRESS or set SIM_SERVER; `sim server` prints the address, sim://KEY@HOST:PORT")
}
