package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestComplete(t *testing.T) {
	for _, c := range []struct{ words, want string }{
		{".us", "users"},
		{".cl", "client"},
		{".__", ""}, // for the scripts alone
		{".--v", "--version"},
		{"users .re", "remove"},
		{"users list .--js", "--json"},
		{"server .--log-l", "--log-level"},
		{"client .--no-", "--no-bell --no-color"},
		{"server --log-level .", "debug info warn error"},
		{"server --log-level debug .--list", "--listen"},
		{"server .--log-level=", "--log-level=debug --log-level=info --log-level=warn --log-level=error"},
		{"server .--log-level=d", "--log-level=debug"},
		{"server --log-level .=", "debug info warn error"}, // bash
		{"server --log-level = .w", "warn"},
		{"server --log-level = warn .--list", "--listen"},
		{"server .--db=x", ""}, // the shell knows no files behind the =
		{"server .--json=", ""},
		{"config .ser", "server"},
		{"config .__", ""},
		{"config --config x .ser", "server"},
		{"config users .re", "remove"},
		{"config users remove .", ""},
		{"config .--con", "--config"},
		{"man .us", "users"},
		{"server --db .x", ":"},
		{"server --db users .--pub", "--public"}, // a value is no command
		{"server --listen .x", ""},
		{"embed -o .x", ":"},
		{"embed --force .--fr", "--from"},
		{"completion .", "bash zsh fish powershell"},
		{"completion .f", "fish"},
		{"nonsense .us", "users"},
	} {
		out, errs, code := sim(t, append([]string{completeName}, strings.Fields(c.words)...)...)
		var got []string
		for line := range strings.Lines(out) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			got = append(got, word)
		}
		if strings.Join(got, " ") != c.want || code != 0 {
			t.Errorf("sim %s: %q, not %q (%d %s)", c.words, got, c.want, code, errs)
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}, {"completion", "bash", "zsh"}, {completeName}} {
		if out, _, code := sim(t, args...); code != exitUsage || out != "" {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
}

// Every script is one that its shell reads, where that shell is installed.
func TestCompletionScripts(t *testing.T) {
	for shell := range completionScripts {
		out, _, code := sim(t, "completion", shell)
		if code != 0 || !strings.Contains(out, completeName) {
			t.Errorf("%s: %d\n%s", shell, code, out)
		}
		exe, err := exec.LookPath(shell)
		if err != nil || shell == "powershell" {
			continue
		}
		file := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(exe, "-n", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}

// There is a page for each command, with all of its flags, and no warning of those who read manual pages.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if _, errs, code := sim(t, "man", "--dir", dir); code != 0 {
		t.Fatalf("%d: %s", code, errs)
	}
	page := func(name string) string { return string(contents(t, filepath.Join(dir, name+".1"))) }
	main := page("sim")
	walk(newApp(nil, nil, nil).Commands, func(path string, command *cli.Command) {
		if command.Hidden {
			return
		}
		name := "sim-" + strings.ReplaceAll(path, " ", "-")
		if !strings.Contains(main, roff(name)) {
			t.Errorf("sim.1 doesn't name %s", name)
		}
		text := page(name)
		for _, sub := range command.Subcommands {
			if !strings.Contains(text, roff(name+"-"+sub.Name)) {
				t.Errorf("%s.1 doesn't name %s", name, sub.Name)
			}
		}
		for _, f := range command.Flags {
			if !strings.Contains(text, `\fB`+roff("--"+f.Names()[0])+`\fR`) {
				t.Errorf("%s.1 has no --%s", name, f.Names()[0])
			}
		}
		if first, _, _ := strings.Cut(command.Description, " "); !strings.Contains(text, roff(first)) {
			t.Errorf("%s.1 has no description", name)
		}
	})
	out, _, code := sim(t, "man", "server")
	if code != 0 || out != page("sim-server") {
		t.Errorf("sim man server: %d\n%s", code, out)
	}
	if _, _, code := sim(t, "man", "nonsense"); code != exitUsage {
		t.Errorf("a page of nonsense: %d", code)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, linter := range [][]string{{"mandoc", "-Tlint", "-Wwarning"}, {"groff", "-man", "-Tutf8", "-ww", "-z"}} {
		exe, err := exec.LookPath(linter[0])
		if err != nil {
			t.Logf("%s is not installed", linter[0])
			continue
		}
		out, _ := exec.Command(exe, append(linter[1:], files...)...).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			t.Error(line)
		}
	}
}

func TestRoff(t *testing.T) {
	p := &manPage{}
	p.paragraphs(".SH is no heading\nand 'this' --flag \\n\n\n  kept   apart\n'end")
	const want = "\\&.SH is no heading\nand 'this' \\-\\-flag \\en\n.PP\n.nf\n  kept   apart\n.fi\n\\&'end\n"
	if p.String() != want {
		t.Errorf("%q\n%q", p, want)
	}
}
