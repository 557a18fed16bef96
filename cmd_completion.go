package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

const completionHelp = `Prints what teaches a shell to complete sim's commands and flags:

  bash         sim completion bash > ~/.local/share/bash-completion/completions/sim
  zsh          sim completion zsh > DIR/_sim, where DIR is one of $fpath
  fish         sim completion fish > ~/.config/fish/completions/sim.fish
  powershell   sim completion powershell | Out-String | Invoke-Expression, in $PROFILE`

const (
	completeName = "__complete" // the command that those scripts ask
	fileNames    = ":"          // its answer where any file fits
	ofCommand    = "[COMMAND]"  // the arguments of a command that is about another one
)

// completionScripts ask this program at each Tab. What is typed goes there word by word; the last one, which may be empty, has a dot before
// it, since some shells drop empty arguments. An answer is a line: a word, and perhaps a tab and what it is for.
var completionScripts = map[string]string{
	"bash": `# bash completion for sim
_sim() {
	local word usage
	COMPREPLY=()
	while IFS=$'\t' read -r word usage; do
		if [ "$word" = : ]; then compopt -o default; else COMPREPLY+=("$word"); fi
	done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" ".${COMP_WORDS[COMP_CWORD]}" 2>/dev/null)
}
complete -F _sim sim
`,
	"zsh": `#compdef sim
_sim() {
	local word usage files=
	local -a list
	while IFS=$'\t' read -r word usage; do
		if [[ $word == : ]]; then files=yes; else list+=("${word//:/\\:}:$usage"); fi
	done < <("$words[1]" __complete "${(@)words[2,CURRENT-1]}" ".$words[CURRENT]" 2>/dev/null)
	if (( $#list )); then _describe sim list; fi
	if [[ -n $files ]]; then _files; fi
}
if [ "$funcstack[1]" = _sim ]; then _sim "$@"; else compdef _sim sim; fi
`,
	"fish": `# fish completion for sim
function __sim_complete
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	for line in ($words[1] __complete $words[2..-1] ".$current" 2>/dev/null)
		if test "$line" = :
			__fish_complete_path "$current"
		else
			echo $line
		end
	end
end
complete -c sim -f -a '(__sim_complete)'
`,
	"powershell": `# PowerShell completion for sim
Register-ArgumentCompleter -Native -CommandName sim -ScriptBlock {
	param($current, $line, $position)
	$words = @($line.CommandElements | ForEach-Object { "$_" })
	if ($current -ne '') { $words = @($words | Select-Object -SkipLast 1) }
	$rest = @($words | Select-Object -Skip 1)
	& $words[0] __complete @rest ".$current" 2>$null | ForEach-Object {
		$word, $usage = $_ -split "` + "`" + `t", 2
		if ($word -eq ':') {
			[System.Management.Automation.CompletionCompleters]::CompleteFilename($current)
		} else {
			[System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $usage)
		}
	}
}
`,
}

func completionCommand() *cli.Command {
	const which = "bash|zsh|fish|powershell"
	return &cli.Command{
		Name:        "completion",
		Usage:       "print a shell's completion of this program",
		ArgsUsage:   which,
		Description: completionHelp,
		Action: func(c *cli.Context) error {
			shell, err := argument(c, which)
			if err != nil {
				return err
			}
			script, ok := completionScripts[shell]
			if !ok {
				return usagef("the shells are %s", strings.ReplaceAll(which, "|", ", "))
			}
			_, err = fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}

// completeCommand answers the scripts.
func completeCommand() *cli.Command {
	return &cli.Command{
		Name:            completeName,
		Hidden:          true,
		SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) == 0 {
				return usagef("this is for the scripts of `sim completion`")
			}
			last := len(words) - 1
			for _, a := range complete(c.App, words[:last], strings.TrimPrefix(words[last], ".")) {
				fmt.Fprintln(c.App.Writer, strings.TrimRight(a.word+"\t"+a.usage, "\t"))
			}
			return nil
		},
	}
}

type completion struct{ word, usage string }

// choices are the values of the flags, and the arguments of the commands, that are one of a few.
var choices = map[string][]string{
	"--log-level": {"debug", "info", "warn", "error"}, "--log-format": {"text", "json"},
	"completion": {"bash", "zsh", "fish", "powershell"},
}

// complete returns what can stand after some words where one begins with current.
func complete(app *cli.App, words []string, current string) (answers []completion) {
	path, commands, flags := "", app.Commands, app.Flags
	argument := ""    // what the command calls its arguments
	var flag cli.Flag // whose value comes next
	for _, word := range words {
		command := find(commands, word)
		switch {
		case flag != nil && word == "=": // bash takes --flag=value apart
		case flag != nil:
			flag = nil
		case strings.HasPrefix(word, "-"):
			if f := findFlag(flags, strings.TrimLeft(word, "-")); f != nil && takesValue(f) {
				flag = f
			}
		case command != nil && argument == ofCommand:
			commands = command.Subcommands
		case command != nil:
			path, commands, flags, argument = command.Name, command.Subcommands, command.Flags, command.ArgsUsage
			if argument == ofCommand {
				commands = app.Commands
			}
		}
	}
	if flag != nil && current == "=" { // bash, too
		current = ""
	}
	before := "" // what an answer repeats of --flag=value
	if name, value, found := strings.Cut(current, "="); found && flag == nil && strings.HasPrefix(name, "--") {
		if f := findFlag(flags, name[2:]); f != nil && takesValue(f) {
			flag, before, current = f, name+"=", value
		}
	}
	offer := func(word, usage string) {
		if word == fileNames || strings.HasPrefix(word, current) {
			answers = append(answers, completion{before + word, usage})
		}
	}
	switch {
	case flag != nil:
		what, _ := unquoteUsage(flag)
		for _, choice := range choices["--"+flag.Names()[0]] {
			offer(choice, "")
		}
		if before == "" && slices.Contains([]string{"FILE", "PATH", "BINARY", "DIR"}, what) {
			offer(fileNames, "")
		}
	case strings.HasPrefix(current, "-"):
		for _, f := range flags {
			_, usage := unquoteUsage(f)
			offer("--"+f.Names()[0], usage)
		}
		offer("--help", "tell more")
	default:
		for _, command := range commands {
			if !command.Hidden {
				offer(command.Name, command.Usage)
			}
		}
		for _, choice := range choices[path] {
			offer(choice, "")
		}
		if argument == "FILE" || argument == "DIR" {
			offer(fileNames, "")
		}
	}
	return answers
}

func find(commands []*cli.Command, name string) *cli.Command {
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(name) })
	if i < 0 {
		return nil
	}
	return commands[i]
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return flags[i]
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// unquoteUsage returns the usage of a flag, and what it calls its value, which stands there in back quotes.
func unquoteUsage(f cli.Flag) (value, usage string) {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return "", ""
	}
	usage = d.GetUsage()
	before, rest, _ := strings.Cut(usage, "`")
	value, after, ok := strings.Cut(rest, "`")
	if !ok {
		return "VALUE", usage
	}
	return value, before + value + after
}
