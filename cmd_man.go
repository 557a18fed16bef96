package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

const manHelp = `Prints the manual page of sim, or of the command that is named, for man(1): sim man | man -l -
With --dir it writes all of them: sim.1, and sim-COMMAND.1 for each command.

The pages are made of the same words as --help.`

func manCommand() *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "print a manual page",
		ArgsUsage:   ofCommand,
		Description: manHelp,
		Flags:       []cli.Flag{&cli.StringFlag{Name: "dir", Usage: "write all pages into the folder `DIR`"}},
		Action:      runMan,
	}
}

func runMan(c *cli.Context) error {
	pages := manPages(c.App)
	if dir := c.String("dir"); dir != "" {
		if err := noMoreArguments(c, 0, ""); err != nil {
			return err
		}
		for name, page := range pages {
			if err := os.WriteFile(filepath.Join(dir, name+".1"), []byte(page), 0o644); err != nil {
				return fmt.Errorf("the page can't be written: %w", err)
			}
		}
		return nil
	}
	name := strings.Join(append([]string{"sim"}, c.Args().Slice()...), "-")
	page, ok := pages[name]
	if !ok {
		return usagef("there is no command %q; `sim --help` lists them", strings.Join(c.Args().Slice(), " "))
	}
	_, err := fmt.Fprint(c.App.Writer, page)
	return err
}

// manPages returns the pages by their names.
func manPages(app *cli.App) map[string]string {
	version, date := manVersion()
	pages, see := map[string]string{}, []string{}
	begin := func(name, usage string) *manPage {
		p := &manPage{}
		// Nobody reads a date whose dashes are escaped.
		fmt.Fprintf(p, ".TH \"%s\" \"1\" \"%s\" \"%s\" \"sim\"\n", roff(strings.ToUpper(name)), date, roff("sim "+version))
		p.macro("SH", "NAME")
		p.text(name + " \\- " + roff(usage))
		p.macro("SH", "SYNOPSIS")
		return p
	}
	main := begin("sim", app.Usage)
	main.macro("B", "sim")
	main.text("\\fICOMMAND\\fR [\\fIflags\\fR] [\\fIarguments\\fR]")
	main.macro("SH", "COMMANDS")
	walk(app.Commands, func(path string, command *cli.Command) {
		if command.Hidden {
			return
		}
		name := pageName(path)
		see = append(see, name)
		main.command(path, command)

		p := begin(name, command.Usage)
		p.macro("B", "sim "+path)
		if len(command.Subcommands) > 0 {
			p.text("\\fICOMMAND\\fR [\\fIflags\\fR]")
		} else {
			p.text(strings.TrimSpace("[\\fIflags\\fR] " + roff(command.ArgsUsage)))
		}
		if command.Description != "" {
			p.macro("SH", "DESCRIPTION")
			p.paragraphs(command.Description)
		}
		if len(command.Subcommands) > 0 {
			p.macro("SH", "COMMANDS")
			for _, sub := range command.Subcommands {
				p.command(path+" "+sub.Name, sub)
			}
		}
		p.flags("OPTIONS", command.Flags)
		p.macro("SH", "SEE ALSO")
		p.text("\\fBsim\\fR(1)")
		pages[name] = p.String()
	})
	main.flags("OPTIONS", app.Flags)
	main.macro("SH", "ENVIRONMENT")
	main.text("Each flag can be given as a variable too, SIM_LISTEN for \\-\\-listen, and as a line of a file: see \\fBsim\\-config\\fR(1).")
	main.macro("SH", "SEE ALSO")
	main.text("\\fB" + strings.Join(strings.Split(roff(strings.Join(see, " ")), " "), "\\fR(1), \\fB") + "\\fR(1)")
	pages["sim"] = main.String()
	return pages
}

func pageName(path string) string { return "sim-" + strings.ReplaceAll(path, " ", "-") }

// manVersion returns the version, and the day of the commit: the same program makes the same pages. Where the commit is unknown it is the
// day of the program's file.
func manVersion() (version, date string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", ""
	}
	version, _ = describe(info)
	for _, s := range info.Settings {
		if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
			date = t.UTC().Format(time.DateOnly)
		}
	}
	if exe, err := os.Executable(); err == nil && date == "" {
		if info, err := os.Stat(exe); err == nil {
			date = info.ModTime().UTC().Format(time.DateOnly)
		}
	}
	return version, date
}

// A manPage is text in the man macros of roff.
type manPage struct{ strings.Builder }

// macro writes a request, its arguments quoted.
func (p *manPage) macro(name string, args ...string) {
	p.WriteString("." + name)
	for _, arg := range args {
		p.WriteString(` "` + strings.ReplaceAll(roff(arg), `"`, `\(dq`) + `"`)
	}
	p.WriteByte('\n')
}

// text writes a line that is roff already.
func (p *manPage) text(line string) {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	p.WriteString(line + "\n")
}

// paragraphs writes plain text. Paragraphs are filled; lines that are indented stay as they are.
func (p *manPage) paragraphs(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			p.macro("PP")
		}
		table := false
		for line := range strings.Lines(paragraph) {
			if indented := strings.HasPrefix(line, "  "); indented != table {
				table = indented
				if table {
					p.macro("nf")
				} else {
					p.macro("fi")
				}
			}
			p.text(roff(strings.TrimRight(line, "\n")))
		}
		if table {
			p.macro("fi")
		}
	}
}

// command writes what a command is for, and where more is told.
func (p *manPage) command(path string, command *cli.Command) {
	p.macro("TP")
	p.macro("B", path)
	p.text(roff(command.Usage) + "; see \\fB" + roff(pageName(path)) + "\\fR(1)")
}

func (p *manPage) flags(title string, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	p.macro("SH", title)
	for _, f := range flags {
		value, usage := unquoteUsage(f)
		var names []string
		for _, name := range f.Names() {
			dashes := "--"
			if len(name) == 1 {
				dashes = "-"
			}
			names = append(names, `\fB`+roff(dashes+name)+`\fR`)
		}
		head := strings.Join(names, ", ")
		if takesValue(f) {
			head += ` \fI` + roff(value) + `\fR`
		}
		if s, ok := f.(*cli.StringFlag); ok && s.Value != "" {
			usage += " (default: " + s.Value + ")"
		}
		p.macro("TP")
		p.text(head)
		p.text(roff(usage))
	}
}

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "“", `"`, "”", `"`)

// roff escapes plain text.
func roff(s string) string { return roffEscapes.Replace(s) }
