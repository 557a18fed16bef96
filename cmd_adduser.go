package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"

	"sim/proto"
	simserver "sim/server" // main has a variable called server
	"sim/store"
)

const adduserHelp = `Registers a person under NAME: 1 to 32 letters a-z, digits, dots, underscores and dashes.

The password is asked for twice on the terminal, and is nowhere an argument. A script gives --password-file FILE, or - for a line of
standard input. It never leaves this command: what the server and its file get can be checked against a password and is none.

With --invite nothing is asked: the command prints a code, and the person logs in with it and chooses the password, which the admin then
never knows. Tell the code to nobody else: it is good until a password is chosen, or the time of --valid is over.

With --batch FILE it registers everybody in a file (- is standard input): a line each, NAME, a tab and the password, or with --invite a
NAME alone. A line that fails is told with its number, and the others are gone on with. What is printed is on the disk, whatever happens
then. With --invite each result is NAME, a tab and the code.

It works while the server runs, through the server's socket, and while it doesn't, on the file. It never overwrites anybody.
When the account is on the disk it prints "= added NAME", or "= invited NAME" and the code.

Exit codes: 0 added, 1 not added (a weak password, a taken name, a database that is in use or can't be written), 2 usage.`

func adduserCommand() *cli.Command {
	return &cli.Command{
		Name:        "adduser",
		Usage:       "register a person",
		ArgsUsage:   "NAME",
		Description: adduserHelp,
		Flags: append([]cli.Flag{dbFlag(), adminFlag(),
			&cli.StringFlag{Name: "batch", Usage: "register everybody in `FILE` (- is standard input)"},
		}, secretFlags()...),
		Action: func(c *cli.Context) error {
			source, err := secretSourceOf(c)
			if err != nil {
				return err
			}
			a := administrationOf(c)
			if c.IsSet("batch") {
				if err := noMoreArguments(c, 0, ""); err != nil {
					return err
				}
				if typed(c, "password-file") {
					return usagef("--batch has the passwords in its own file: leave --password-file out")
				}
				return a.addBatch(c.Context, c.String("batch"), source)
			}
			name, err := personArgument(c)
			if err != nil {
				return err
			}
			if err := mayBeAdded(name); err != nil {
				return usageError{err}
			}
			return a.addUser(c.Context, name, source)
		},
	}
}

func mayBeAdded(name proto.Name) error {
	if name.Reserved() {
		return fmt.Errorf("the name %s is reserved, since people could take it for the system's own voice, or for a command", name)
	}
	return nil
}

// taken is the error for a name that somebody has.
func taken(name proto.Name) error {
	return fmt.Errorf("the name %s is taken, and was left as it is: choose another one", name)
}

func (a *administration) addUser(ctx context.Context, name proto.Name, source secretSource) error {
	// A name that is taken is said before anybody thinks of a password.
	known, err := a.knows(name, a.open)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // where there is no database, one is made when there is a secret to put into it
		return err
	}
	if known {
		return taken(name)
	}
	s, err := source.secret(ctx, a, name)
	if err != nil {
		return err
	}
	defer clear(s.text)
	switch err := a.give(ctx, name, s, a.make, simserver.Accounts.Add); {
	case errors.Is(err, store.ErrExists): // while somebody typed
		return taken(name)
	case err != nil:
		return err
	}
	if s.code {
		return a.sayCode("invited", name, s)
	}
	return a.say(name.String()+" was added", "= added %s\n", name)
}

// knows says whether a name has an account.
func (a *administration) knows(name proto.Name, open func() (simserver.Accounts, error)) (bool, error) {
	accounts, err := open()
	if err != nil {
		return false, err
	}
	defer accounts.Close()
	_, _, known, err := accounts.Salt(name)
	return known, err
}
