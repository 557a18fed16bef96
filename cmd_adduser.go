package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"sim/password"
	"sim/proto"
	"sim/proto/srp"
	simserver "sim/server" // main has a variable called server
	"sim/store"
)

const adduserHelp = `Registers a person under NAME: 1 to 32 letters a-z, digits, dots, underscores and dashes.

The password is asked for twice on the terminal, and is nowhere an argument. A script gives --password-file FILE, or - for a line of
standard input. It never leaves this command: what the server and its file get can be checked against a password and is none.

It works while the server runs, through the server's socket, and while it doesn't, on the file. It never overwrites anybody.
When the account is on the disk it prints "= added NAME".

Exit codes: 0 added, 1 not added (a weak password, a taken name, a database that is in use or can't be written), 2 usage.`

func adduserCommand() *cli.Command {
	return &cli.Command{
		Name:        "adduser",
		Usage:       "register a person",
		ArgsUsage:   "NAME",
		Description: adduserHelp,
		Flags: []cli.Flag{
			dbFlag(),
			adminFlag(),
			&cli.StringFlag{Name: "password-file", Usage: "take the password from the first line of `FILE` (- is standard input)"},
			&cli.BoolFlag{Name: "force", Usage: "allow a password that is easy to guess"},
		},
		Action: func(c *cli.Context) error {
			arg, err := argument(c, "NAME")
			if err != nil {
				return err
			}
			name, err := proto.ParseName(arg)
			switch {
			case err != nil:
				return usageError{err}
			case name.Reserved():
				return usagef("the name %s is reserved, since people could take its messages for the system's own", name)
			}
			a := adduser{
				name: name,
				db:   c.String("db"), admin: c.String("admin"),
				passwordFile: c.String("password-file"), force: c.Bool("force"),
				stdin: c.App.Reader, stdout: c.App.Writer, stderr: c.App.ErrWriter,
			}
			return a.run(c.Context)
		},
	}
}

type adduser struct {
	name           proto.Name
	db, admin      string
	passwordFile   string
	force          bool
	stdin          io.Reader
	stdout, stderr io.Writer
}

func (a *adduser) run(ctx context.Context) error {
	// A name that is taken is said before anybody thinks of a password. The database is not held while somebody types.
	accounts, err := a.open()
	if err != nil {
		return err
	}
	_, _, taken, err := accounts.Salt(a.name)
	accounts.Close()
	switch {
	case err != nil:
		return err
	case taken:
		return fmt.Errorf("the name %s is taken; nothing was changed", a.name)
	}

	secret, err := a.password(ctx)
	if err != nil {
		return err
	}
	defer clear(secret)

	accounts, err = a.open()
	if err != nil {
		return err
	}
	defer accounts.Close()
	salt, params, _, err := accounts.Salt(a.name)
	if err != nil {
		return err
	}
	t, err := password.Argon2id{}.Derive(secret, &salt, password.Params{Time: params.Time, Memory: params.Memory, Threads: params.Threads})
	if err != nil {
		return err
	}
	verifier := srp.Verifier(a.name.String(), &salt, t)
	clear(t[:])
	defer clear(verifier[:])
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := accounts.Add(a.name, simserver.Credential{Verifier: verifier}); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "= added %s\n", a.name)
	return nil
}

func (a *adduser) open() (simserver.Accounts, error) {
	return simserver.OpenAccounts(a.db, a.admin, func() (*store.Store, error) { return openStore(a.db) })
}

// password returns the prepared password: from the terminal, a file or a line of standard input. The caller clears it.
func (a *adduser) password(ctx context.Context) ([]byte, error) {
	if a.passwordFile == "" {
		return a.typed(ctx)
	}
	line, err := interruptible(ctx, func() ([]byte, error) { return readPasswordFile(a.passwordFile, a.stdin, a.stderr) })
	if err != nil {
		return nil, err
	}
	defer clear(line)
	return a.prepare(line)
}

func (a *adduser) typed(ctx context.Context) ([]byte, error) {
	first, err := ask(ctx, fmt.Sprintf("Password for %s: ", a.name))
	if err != nil {
		return nil, err
	}
	defer clear(first)
	prepared, err := a.prepare(first)
	if err != nil {
		return nil, err
	}
	second, err := ask(ctx, "The same again: ")
	if err != nil {
		clear(prepared)
		return nil, err
	}
	defer clear(second)
	if !bytes.Equal(first, second) {
		clear(prepared)
		return nil, errors.New("the two passwords differ; nothing was changed")
	}
	return prepared, nil
}

// ask is askPassword, where no terminal is a fault of the command line.
func ask(ctx context.Context, prompt string) ([]byte, error) {
	line, err := askPassword(ctx, prompt)
	if errors.Is(err, errNoTerminal) {
		return nil, usageError{err}
	}
	return line, err
}

// prepare returns the form of a password that is hashed, if it is a good one.
func (a *adduser) prepare(line []byte) ([]byte, error) {
	prepared, err := password.Prepare(line)
	if err != nil {
		return nil, err
	}
	if a.force {
		return prepared, nil
	}
	if err := password.CheckStrength(prepared, a.name.String()); err != nil {
		clear(prepared)
		return nil, fmt.Errorf("%w (--force allows it all the same)", err)
	}
	return prepared, nil
}

// readPasswordFile returns the first line of a file, - being stdin. It warns about a file that others can read.
func readPasswordFile(path string, stdin io.Reader, stderr io.Writer) ([]byte, error) {
	if path == "-" {
		return password.Read(stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the password file can't be read: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && exposed(info) {
		fmt.Fprintf(stderr, "sim: warning: others than you can read or change %s: chmod 600 it\n", path)
	}
	line, err := password.Read(f)
	if err != nil {
		return nil, fmt.Errorf("the password file %s: %w", path, err)
	}
	return line, nil
}
