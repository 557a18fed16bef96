package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

const configHelp = `Shows the flags of COMMAND that are in force when it is given none, and where each is from: a variable, file:line, or the default.
Without COMMAND it lists every flag that a variable or a file can set, and who takes it.

Every flag can be given in three ways, and the first counts: on the command line (--log-level debug), as a variable
(SIM_LOG_LEVEL=debug), or as a line of the file that --config FILE or SIM_CONFIG names (log-level = debug). In the file, a line that
begins with # is a comment. One file serves all commands: each takes the keys that it knows. No password can be given so, only the path of
its file; nor can what is about one occasion, such as --force.

A server reads its file again on SIGHUP: log-level and max-conns change at once, and it says what else needs a restart.`

func configCommand() *cli.Command {
	return &cli.Command{
		Name:        "config",
		Usage:       "show which flags are in force, and where they are from",
		ArgsUsage:   ofCommand,
		Description: configHelp,
		Flags:       []cli.Flag{configFlag()},
		Action:      runConfig,
	}
}

func runConfig(c *cli.Context) error {
	given, err := readSettings(c)
	if err != nil {
		return err
	}
	if !c.Args().Present() {
		return listSettings(c, given)
	}
	for _, arg := range c.Args().Slice() {
		if strings.HasPrefix(arg, "-") {
			return usagef("%q stands after COMMAND: flags go before it, sim config %s … COMMAND", arg, arg)
		}
	}
	wanted := strings.Join(c.Args().Slice(), " ")
	var command *cli.Command
	walk(c.App.Commands, func(path string, candidate *cli.Command) {
		if path == wanted && len(candidate.Subcommands) == 0 {
			command = candidate
		}
	})
	if command == nil {
		return usagef("there is no command %q; `sim --help` lists them", wanted)
	}
	values, err := valuesOf(command, given)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 3, ' ', 0)
	for _, v := range values {
		if v.name == "server" && v.source == byDefault {
			if v.value, v.source, err = ownAddress(); err != nil {
				return err
			}
		}
		if v.value == "" {
			v.value = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.name, v.value, v.source)
	}
	return w.Flush()
}

// listSettings prints each flag that can be set, its variable, what is given, and the commands that take it.
func listSettings(c *cli.Context, given settings) error {
	takers := map[string][]string{}
	walk(c.App.Commands, func(path string, command *cli.Command) {
		for _, f := range command.Flags {
			if name := f.Names()[0]; !isTyped(command, name) {
				takers[name] = append(takers[name], path)
			}
		}
	})
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 3, ' ', 0)
	for _, name := range settable(c.App.Commands) {
		s, ok := given[name]
		if !ok {
			s = setting{"-", "not set"}
		}
		slices.Sort(takers[name])
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, variable(name), s.value, s.source, strings.Join(takers[name], ", "))
	}
	return w.Flush()
}
