package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"sim/proto"
)

const keyHelp = `Prints the server's address, which its users need: sim://KEY@HOST:PORT, a line for each way to reach it, as the server does when it starts.
With --public it prints the one with that HOST:PORT. Where no server runs and --public is not given, it prints the KEY alone.

It only reads the database, and never makes one.

Exit codes: 0 printed, 1 not (there is no database, or it can't be read), 2 usage.`

func publicFlag() cli.Flag {
	return &cli.StringFlag{Name: "public", Usage: "`HOST:PORT` under which clients reach this server"}
}

// checkPublic refuses a --public that no client can use.
func checkPublic(public string) error {
	if public == "" {
		return nil
	}
	host, err := port(public, 1)
	if err != nil {
		return usagef("--public %w", err)
	}
	if host == "" {
		return usagef("--public %q has no host", public)
	}
	return nil
}

func keyCommand() *cli.Command {
	return &cli.Command{
		Name:        "key",
		Usage:       "print the server's address, or its key",
		Description: keyHelp,
		Flags:       []cli.Flag{dbFlag(), adminFlag(), publicFlag()},
		Action: func(c *cli.Context) error {
			if err := noMoreArguments(c, 0, ""); err != nil {
				return err
			}
			public := c.String("public")
			if err := checkPublic(public); err != nil {
				return err
			}
			upkeep, err := openUpkeep(c.String("db"), c.String("admin"))
			if err != nil {
				return err
			}
			defer upkeep.Close()
			where, err := upkeep.Where()
			if err != nil {
				return err
			}
			lines := where.Addresses
			switch address := (proto.Address{Key: where.Key, Host: public}); {
			case public != "":
				lines = []string{address.String()}
			case len(lines) == 0:
				lines = []string{address.KeyText()}
			}
			for _, line := range lines {
				if _, err := fmt.Fprintln(c.App.Writer, line); err != nil {
					return fmt.Errorf("the key could not be written to standard output: %w", err)
				}
			}
			return nil
		},
	}
}
