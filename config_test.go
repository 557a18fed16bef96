package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/urfave/cli/v2"
)

var alone sync.Mutex

// runAlone is run for tests that run beside each other: the library writes to its help flag, of which there is one for all.
func runAlone(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	alone.Lock()
	defer alone.Unlock()
	return run(ctx, args, stdin, stdout, stderr)
}

// sim runs the program within the test.
func sim(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = runAlone(t.Context(), args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

func writeConfig(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sim.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// The command line goes before a variable, that before the file, that before the default; and a fault is told with where it is from.
func TestWhereFlagsAreFrom(t *testing.T) {
	path := writeConfig(t, "\ufeff# of the server\r\nlog-level = file\r\n\n  max-conns=7\n# of the client\nuser = alice\nno-color = true\n")
	for _, c := range []struct {
		name string
		vars map[string]string
		args []string
		want string
	}{
		{"default", nil, nil, ""},
		{"file", nil, []string{"--config", path}, `not "file" (log-level is from ` + path + ":2)"},
		{"file by a variable", map[string]string{"SIM_CONFIG": path}, nil, `not "file" (log-level is from ` + path + ":2)"},
		{"variable", map[string]string{"SIM_LOG_LEVEL": "variable"}, []string{"--config", path}, `not "variable" (log-level is from SIM_LOG_LEVEL)`},
		{"empty variable", map[string]string{"SIM_LOG_LEVEL": ""}, []string{"--config", path}, `not "file"`},
		{"typed", map[string]string{"SIM_LOG_LEVEL": "variable"}, []string{"--config", path, "--log-level", "typed"}, "not \"typed\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.vars {
				t.Setenv(name, value)
			}
			// An address that nobody can listen on ends the server whose flags are all well.
			t.Setenv("SIM_LISTEN", "nowhere")
			_, errs, code := sim(t, append([]string{"server"}, c.args...)...)
			if c.want == "" {
				c.want = "(listen is from SIM_LISTEN)"
			}
			if code != exitUsage || !strings.Contains(errs, c.want) {
				t.Errorf("%d: %s", code, errs)
			}
		})
	}
	t.Setenv("SIM_MAX_CONNS", "9")
	out, errs, code := sim(t, "config", "--config", path, "server")
	if code != 0 || errs != "" {
		t.Fatalf("%d: %s", code, errs)
	}
	for _, want := range []string{"log-level file " + path + ":2", "max-conns 9 SIM_MAX_CONNS", "log-format text default", "public - default"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "user") || strings.Contains(out, "config") {
		t.Errorf("a flag that is no flag of the server's:\n%s", out)
	}
	out, _, code = sim(t, "config", "--config", path)
	for _, want := range []string{"user SIM_USER alice " + path + ":6 client", "db SIM_DB - not set adduser"} {
		if code != 0 || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("%d: no %q in\n%s", code, want, out)
		}
	}
}

// Every fault is a usage error that names its place, and none repeats a value: somebody may have put a secret there.
func TestConfigFaults(t *testing.T) {
	const secret = "hunter22hunter"
	for text, want := range map[string]string{
		secret:                           "sim.conf:1: a line is flag = value",
		"# x\n\nlisten " + secret:        "sim.conf:3: a line is flag = value",
		secret + " = x":                  "sim.conf:1: no command has a flag",
		"--listen = " + secret:           "sim.conf:1: no command has a flag",
		"Listen = " + secret:             "sim.conf:1: no command has a flag",
		" = " + secret:                   "sim.conf:1: no command has a flag",
		"listen =":                       "sim.conf:1: listen has no value",
		"db = a\ndb = " + secret:         "sim.conf:2: db is set at ",
		"max-conns = " + secret:          "sim.conf:1: max-conns takes a whole number",
		"max-conns = 1 # " + secret:      "sim.conf:1: a comment stands on a line of its own",
		"password = " + secret:           "sim.conf:1: a password stands in a file of its own, which password-file = FILE names",
		"force = true":                   "sim.conf:1: force is for the command line alone",
		"config = " + secret:             "sim.conf:1: config is for the command line alone",
		"db = \x00" + secret:             "sim.conf is no text in UTF-8",
		"db = \xff" + secret:             "sim.conf is no text in UTF-8",
		strings.Repeat("#"+secret, 9000): "sim.conf has more than",
	} {
		path := writeConfig(t, text+"\n")
		_, errs, code := sim(t, "server", "--config", path)
		if code != exitUsage || !strings.Contains(errs, want) || strings.Contains(errs, secret) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: %d: %s", text[:min(len(text), 40)], code, errs)
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "nothing"), t.TempDir()} {
		if _, errs, code := sim(t, "server", "--config", path); code != exitUsage || !strings.Contains(errs, "can't be read") {
			t.Errorf("%s: %d: %s", path, code, errs)
		}
	}
	t.Setenv("SIM_NO_COLOR", secret)
	if _, errs, code := sim(t, "client"); code != exitUsage || !strings.Contains(errs, "SIM_NO_COLOR: no-color takes true or false") || strings.Contains(errs, secret) {
		t.Errorf("%d: %s", code, errs)
	}
	if _, errs, code := sim(t, "config", "no", "such"); code != exitUsage || !strings.Contains(errs, "no command") {
		t.Errorf("%d: %s", code, errs)
	}
}

// A variable and a file are read by others and kept: no flag holds a secret, and none that can be set so is about one occasion.
func TestNoFlagIsASecret(t *testing.T) {
	n := 0
	walk(newApp(nil, nil, nil).Commands, func(path string, command *cli.Command) {
		for _, f := range command.Flags {
			n++
			name := f.Names()[0]
			secret := strings.Contains(name, "password") || strings.Contains(name, "passphrase") || strings.Contains(name, "secret")
			if secret && !strings.HasSuffix(name, "-file") {
				t.Errorf("sim %s --%s", path, name)
			}
		}
	})
	if n < 10 {
		t.Errorf("only %d flags were seen", n)
	}
	t.Setenv("SIM_FORCE", "true")
	out, _, _ := sim(t, "config")
	if strings.Contains(out, "SIM_FORCE") || strings.Contains(out, "SIM_YES") {
		t.Errorf("a variable answers for a person:\n%s", out)
	}
}

// A password file that is there for the client answers for nobody whom the admin registers: mallory must not get alice's password.
func TestPasswordFileIsTheClients(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "alice.pw")
	if err := os.WriteFile(file, []byte("copper-anvil-62-violet\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := writeConfig(t, "password-file = "+file+"\n")
	t.Setenv("SIM_DB", filepath.Join(dir, "sim.db"))
	for _, way := range []map[string]string{{"SIM_PASSWORD_FILE": file}, {"SIM_CONFIG": config}} {
		t.Run("", func(t *testing.T) {
			for name, value := range way {
				t.Setenv(name, value)
			}
			if out, _, code := sim(t, "config", "client"); code != 0 || !strings.Contains(out, file) {
				t.Errorf("%d: the client does not take it:\n%s", code, out)
			}
			for _, command := range [][]string{{"adduser"}, {"users", "passwd"}} {
				if out, errs, code := sim(t, append([]string{"config"}, command...)...); code != 0 || strings.Contains(out, "password-file") {
					t.Errorf("%d: %v takes it:\n%s%s", code, command, out, errs)
				}
			}
			// Nobody is asked by mistake: where there is a terminal, this context is over before anybody types.
			over, cancel := context.WithCancel(t.Context())
			cancel()
			var out, errs bytes.Buffer
			if code := run(over, []string{"adduser", "mallory"}, strings.NewReader(""), &out, &errs); code == 0 || out.Len() > 0 {
				t.Errorf("%d: %s%s", code, &out, &errs)
			}
		})
	}
}
