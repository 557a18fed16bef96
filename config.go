package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// Every flag of every command can be given in three ways, and the first counts:
//
//	sim server --log-level debug          the command line
//	SIM_LOG_LEVEL=debug sim server        a variable
//	log-level = debug                     a line of the file that --config or SIM_CONFIG names
//
// One file serves all commands: a command passes over the keys of others. There is no secret among the flags, so none is in a file.

const (
	maxConfigFile  = 64 << 10
	configVariable = "SIM_CONFIG"
)

// typedOnly are the flags that are about one occasion: nobody should overwrite a file because of a variable that was set last week.
var typedOnly = []string{"batch", "config", "force", "from", "help", "invite", "output", "plain", "yes"}

// isTyped says whether a flag of a command is for the command line alone. The client's password file is not: whose password an admin's
// command sets is about one occasion, and a variable that is there for the client must not answer for it.
func isTyped(command *cli.Command, name string) bool {
	return slices.Contains(typedOnly, name) || name == "password-file" && command.Name != "client"
}

// A setting is the value of a flag that was not typed, and where it is from: a variable, or file:line.
type setting struct{ value, source string }

type settings map[string]setting // by the flag's name

// inForce is what a command began with, in its app's metadata.
type inForce struct {
	typed map[string]bool // flags that the command line has
	given settings
}

const inForceKey = "in force"

func configFlag() cli.Flag {
	return &cli.StringFlag{Name: "config", Usage: "take flags from `FILE` too: lines of flag = value. A variable goes before it: SIM_LISTEN for --listen"}
}

// walk calls f for each command and each of its subcommands, with its whole name.
func walk(commands []*cli.Command, f func(path string, command *cli.Command)) {
	for _, command := range commands {
		f(command.Name, command)
		walk(command.Subcommands, func(path string, sub *cli.Command) { f(command.Name+" "+path, sub) })
	}
}

// takeSettings lets the flags of commands be given in all three ways.
func takeSettings(commands []*cli.Command) {
	walk(commands, func(_ string, command *cli.Command) {
		if len(command.Flags) == 0 || command.Name == "config" {
			return // nothing to set; and `sim config` looks at what there is itself
		}
		command.Flags = append(command.Flags, configFlag())
		action := command.Action
		command.Action = func(c *cli.Context) error {
			now, err := currentSettings(c)
			if err != nil {
				return err
			}
			c.App.Metadata[inForceKey] = now
			if err := now.apply(c); err != nil {
				return err
			}
			return now.explain(action(c))
		}
	})
}

func currentSettings(c *cli.Context) (*inForce, error) {
	given, err := readSettings(c)
	if err != nil {
		return nil, err
	}
	now := &inForce{typed: map[string]bool{}, given: given}
	for _, f := range c.Command.Flags {
		if name := f.Names()[0]; c.IsSet(name) {
			now.typed[name] = true
		}
	}
	return now, nil
}

func (now *inForce) apply(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if s, ok := now.given[name]; ok && !now.typed[name] && !isTyped(c.Command, name) {
			if c.Set(name, s.value) != nil {
				return s.misfit(f)
			}
		}
	}
	return nil
}

// explain adds to a usage error that speaks of flags where they are from, if not from the command line.
func (now *inForce) explain(err error) error {
	var usage usageError
	if !errors.As(err, &usage) {
		return err
	}
	for _, name := range flagNames.FindAllString(err.Error(), -1) {
		name = strings.TrimLeft(name, "-")
		if s, ok := now.given[name]; ok && !now.typed[name] {
			return usagef("%w (%s is from %s)", err, name, s.source)
		}
	}
	return err
}

var flagNames = regexp.MustCompile(`--[a-z][a-z-]*[a-z]`)

// misfit doesn't repeat the value: nobody knows what somebody has put there.
func (s setting) misfit(f cli.Flag) error {
	want := "another value"
	switch f.(type) {
	case *cli.BoolFlag:
		want = "true or false"
	case *cli.IntFlag, *cli.Int64Flag, *cli.UintFlag, *cli.Uint64Flag:
		want = "a whole number"
	case *cli.GenericFlag: // the only kind is days
		want = "a time like 90m, 48h or 7d"
	}
	return usagef("%s: %s takes %s", s.source, f.Names()[0], want)
}

// readSettings returns what variables and the file say, for whatever command.
func readSettings(c *cli.Context) (settings, error) {
	known := settable(c.App.Commands)
	given := settings{}
	path := c.String("config")
	if path == "" {
		path = os.Getenv(configVariable)
	}
	if path != "" {
		text, err := readConfigFile(path)
		if err != nil {
			return nil, err
		}
		if given, err = parseConfig(path, text, known); err != nil {
			return nil, err
		}
	}
	for _, name := range known {
		if value := os.Getenv(variable(name)); value != "" {
			given[name] = setting{value, variable(name)}
		}
	}
	return given, nil
}

func variable(name string) string {
	return "SIM_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// settable returns the names of the flags of all commands that may come from a variable or a file.
func settable(commands []*cli.Command) (names []string) {
	walk(commands, func(_ string, command *cli.Command) {
		for _, f := range command.Flags {
			if name := f.Names()[0]; !isTyped(command, name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	})
	slices.Sort(names)
	return names
}

func readConfigFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", usagef("the configuration file can't be read: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	switch {
	case err != nil:
		return "", usagef("the configuration file can't be read: %w", err)
	case len(b) > maxConfigFile:
		return "", usagef("%s has more than %d bytes: is it the configuration file?", path, maxConfigFile)
	case !utf8.Valid(b) || bytes.ContainsRune(b, 0):
		return "", usagef("%s is no text in UTF-8: is it the configuration file?", path)
	}
	return strings.TrimPrefix(string(b), "\ufeff"), nil
}

// parseConfig reads lines of `flag = value`. Its errors name the line, and never repeat a value.
func parseConfig(path, text string, known []string) (settings, error) {
	given := settings{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		where := fmt.Sprintf("%s:%d", path, n)
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch earlier, twice := given[name]; {
		case !ok:
			return nil, usagef("%s: a line is flag = value, or begins with #", where)
		case slices.Contains(typedOnly, name):
			return nil, usagef("%s: %s is for the command line alone", where, name)
		case name == "password" || name == "passphrase":
			return nil, usagef("%s: a %s stands in a file of its own, which %s-file = FILE names", where, name, name)
		case !slices.Contains(known, name):
			return nil, usagef("%s: no command has a flag of that name; `sim config` lists them", where)
		case twice:
			return nil, usagef("%s: %s is set at %s already", where, name, earlier.source)
		case value == "":
			return nil, usagef("%s: %s has no value", where, name)
		case strings.Contains(value, " #") || strings.Contains(value, "\t#"):
			return nil, usagef("%s: a comment stands on a line of its own", where)
		}
		given[name] = setting{value, where}
	}
	return given, nil
}

// A flagValue is what is in force for one flag.
type flagValue struct{ name, value, source string }

const byDefault = "default"

// valuesOf returns what is in force for each flag of a command when nothing is typed.
func valuesOf(command *cli.Command, given settings) ([]flagValue, error) {
	var values []flagValue
	for _, f := range command.Flags {
		name := f.Names()[0]
		if isTyped(command, name) {
			continue
		}
		set := flag.NewFlagSet("", flag.ContinueOnError)
		if err := f.Apply(set); err != nil {
			return nil, err
		}
		v := flagValue{name, set.Lookup(name).DefValue, byDefault}
		if s, ok := given[name]; ok {
			if set.Set(name, s.value) != nil {
				return nil, s.misfit(f)
			}
			v.value, v.source = set.Lookup(name).Value.String(), s.source
		}
		values = append(values, v)
	}
	return values, nil
}
