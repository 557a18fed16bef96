package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"sim/proto"
	simserver "sim/server" // main has a variable called server
)

const usersHelp = `Shows and changes who is registered; "sim adduser" registers them.

All of these work while the server runs, through its socket, and while it doesn't, on the file. What they say they have done is on the
disk. Who is removed, disabled or given another password or a code is logged out at once, and other people see that.

Exit codes: 0 done, 1 not done (nobody of that name, a weak password, a database that is in use or can't be written), 2 usage.`

func usersCommand() *cli.Command {
	return &cli.Command{
		Name:        "users",
		Usage:       "show and change who is registered",
		UsageText:   "sim users COMMAND [flags]     sim users COMMAND --help tells more",
		Description: usersHelp,
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list who is registered", ArgsUsage: "[PREFIX]", Description: usersListHelp,
				Flags: []cli.Flag{dbFlag(), adminFlag(), jsonFlag()}, Action: listUsers,
			},
			{
				Name: "log", Usage: "list who changed what", Description: usersLogHelp,
				Flags: []cli.Flag{dbFlag(), adminFlag(), jsonFlag()}, Action: listLog,
			},
			{
				Name: "passwd", Usage: "give a person another password, or a code to choose one", ArgsUsage: "NAME", Description: usersPasswdHelp,
				Flags: append([]cli.Flag{dbFlag(), adminFlag()}, secretFlags()...), Action: resetUser,
			},
			{
				Name: "disable", Usage: "let a person log in no more", ArgsUsage: "NAME",
				Flags:  []cli.Flag{dbFlag(), adminFlag()},
				Action: changeUser("disabled", func(a simserver.Accounts, name proto.Name) error { return a.SetDisabled(name, true) }),
			},
			{
				Name: "enable", Usage: "let a disabled person log in again", ArgsUsage: "NAME",
				Flags:  []cli.Flag{dbFlag(), adminFlag()},
				Action: changeUser("enabled", func(a simserver.Accounts, name proto.Name) error { return a.SetDisabled(name, false) }),
			},
			{
				Name: "remove", Usage: "forget a person; the name is free again", ArgsUsage: "NAME", Description: usersRemoveHelp,
				Flags:  []cli.Flag{dbFlag(), adminFlag(), &cli.BoolFlag{Name: "yes", Usage: "don't ask"}},
				Action: removeUser,
			},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("sim users has no command %q; `sim users --help` lists them", c.Args().First())
			}
			return usagef("what about the users? `sim users --help` lists the commands")
		},
	}
}

const usersPasswdHelp = `The password is asked for twice, or taken from --password-file. With --invite nothing is asked: a code is printed, with which the
person logs in and chooses a password that the admin does not know. Whatever the person had before, password or code, is void.`

const usersRemoveHelp = `Asks first; in a script give --yes. The name can be registered again, by anybody: "sim users disable" keeps it.
What is left of the person is what the log says.`

// changeUser is the action of a command that does one thing to a person.
func changeUser(done string, change func(simserver.Accounts, proto.Name) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		name, err := personArgument(c)
		if err != nil {
			return err
		}
		a := administrationOf(c)
		accounts, err := a.open()
		if err != nil {
			return err
		}
		defer accounts.Close()
		if err := change(accounts, name); err != nil {
			return err
		}
		return a.say(fmt.Sprintf("%s was %s", name, done), "= %s %s\n", done, name)
	}
}

func removeUser(c *cli.Context) error {
	name, err := personArgument(c)
	if err != nil {
		return err
	}
	a := administrationOf(c)
	if !c.Bool("yes") {
		if err := a.mustKnow(name); err != nil {
			return err
		}
		if err := a.confirm(c.Context, fmt.Sprintf("Remove %s? The name is then free for anybody. [y/N] ", name)); err != nil {
			return err
		}
	}
	return changeUser("removed", simserver.Accounts.Remove)(c)
}

// confirm asks a person at the terminal.
func (a *administration) confirm(ctx context.Context, question string) error {
	in := terminalOf(a.stdin)
	if in == nil {
		return usagef("there is no terminal to ask on: give --yes if you are sure")
	}
	fmt.Fprint(a.stderr, question)
	line, err := interruptible(ctx, func() ([]byte, error) { return bufio.NewReader(in).ReadBytes('\n') })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		fmt.Fprintln(a.stderr) // Ctrl-D leaves the cursor behind the question
	}
	if answer := strings.ToLower(strings.TrimSpace(string(line))); err != nil || answer != "y" && answer != "yes" {
		return fmt.Errorf("nothing was changed")
	}
	return nil
}

func (a *administration) mustKnow(name proto.Name) error {
	known, err := a.knows(name, a.open)
	if err == nil && !known {
		err = fmt.Errorf("there is nobody called %s: `sim users list` shows who there is", name)
	}
	return err
}

// isDisabled says whether a person is known to be disabled: an error is no news beside what was done.
func (a *administration) isDisabled(name proto.Name) bool {
	accounts, err := a.open()
	if err != nil {
		return false
	}
	defer accounts.Close()
	text := name.String()
	for after := text[:len(text)-1]; ; {
		page, err := accounts.List(after)
		if err != nil || len(page) == 0 {
			return false
		}
		for _, p := range page {
			if p.Name == text {
				return p.Disabled
			}
		}
		if after = page[len(page)-1].Name; after > text {
			return false
		}
	}
}

func resetUser(c *cli.Context) error {
	name, err := personArgument(c)
	if err != nil {
		return err
	}
	source, err := secretSourceOf(c)
	if err != nil {
		return err
	}
	a := administrationOf(c)
	if err := a.mustKnow(name); err != nil {
		return err
	}
	s, err := source.secret(c.Context, &a, name)
	if err != nil {
		return err
	}
	defer clear(s.text)
	if err := a.give(c.Context, name, s, a.open, simserver.Accounts.SetCredential); err != nil {
		return err
	}
	if a.isDisabled(name) {
		fmt.Fprintf(a.stderr, "sim: %s is disabled, and can't log in before `sim users enable %s`\n", name, name)
	}
	if s.code {
		return a.sayCode("reset", name, s)
	}
	return a.say(name.String()+" has the new password", "= new password for %s\n", name)
}
