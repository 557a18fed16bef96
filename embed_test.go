package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sim/client"
	"sim/proto"
)

// build makes the program for a system, as people build it.
func build(t *testing.T, goos, goarch string, flags ...string) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "sim-"+goos)
	cmd := exec.Command("go", append(append([]string{"build", "-o", exe}, flags...), ".")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

// host asks the toolchain what this is built for.
func host(t *testing.T) (goos, goarch string) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOHOSTOS", "GOHOSTARCH").Output()
	fields := strings.Fields(string(out))
	if err != nil || len(fields) != 2 {
		t.Fatalf("go env: %q, %v", out, err)
	}
	return fields[0], fields[1]
}

// execute runs a program to its end, with no input and no variables of ours but vars.
func execute(t *testing.T, exe string, vars []string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), append([]string{"SIM_SERVER=", "SIM_CONFIG="}, vars...)...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The admin makes a copy for alice, who gives it her name and nothing else.
func TestEmbed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the program")
	}
	goos, goarch := host(t)
	// Nobody listens at these, and so the client says whom it did not reach.
	inBuild, first, second := proto.Address{Host: "127.0.0.1:7"}.String(), proto.Address{Host: "127.0.0.1:1"}.String(), proto.Address{Host: "127.0.0.1:2"}.String()
	exe := build(t, goos, goarch, "-ldflags", "-X main.server="+inBuild)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, content []byte) string {
		t.Helper()
		if err := os.WriteFile(file(name), content, binaryMode); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	sees := func(want string, wantCode int, exe string, args ...string) {
		t.Helper()
		if out, code := execute(t, exe, nil, args...); code != wantCode || !strings.Contains(out, want) {
			t.Errorf("%s %v: %d\n%s", filepath.Base(exe), args, code, out)
		}
	}
	embeds := func(exe, address, out string, more ...string) {
		t.Helper()
		sees("= embedded "+address, 0, exe, append([]string{"embed", "--server", address, "-o", file(out)}, more...)...)
	}

	embeds(exe, first, "one")
	if info, err := os.Stat(file("one")); err != nil || goos != "windows" && info.Mode() != binaryMode {
		t.Errorf("the copy: %v, %v", info, err)
	}
	sees(first+", embedded", 0, file("one"), "--version")
	sees("(default: "+first+", embedded)", 0, file("one"), "client", "--help")
	sees(inBuild+", built in", 0, exe, "--version")

	// Twice the same, by whichever copy, is the same; a name that is taken is left alone.
	embeds(file("one"), first, "same")
	embeds(exe, second, "two")
	embeds(file("two"), first, "again")
	for _, name := range []string{"same", "again"} {
		if !bytes.Equal(contents(t, file("one")), contents(t, file(name))) {
			t.Errorf("%s has other bytes", name)
		}
	}
	sees("exists, and was left as it is", exitFailed, exe, "embed", "--server", second, "-o", file("one"))
	sees(first, 0, file("one"), "--version")
	embeds(exe, second, "same", "--force")
	sees("is a directory: name a file in it", exitFailed, exe, "embed", "--server", second, "--force", "-o", dir)
	sees(second, 0, file("same"), "--version")
	// A wrong name after -o costs nobody a file, --force or not.
	letter := []byte("not a program, and the only copy")
	sees("is no sim binary, and was left as it is", exitFailed, exe, "embed", "--server", second, "--force", "-o", write("letter", letter))
	if !bytes.Equal(contents(t, file("letter")), letter) {
		t.Error("embed --force replaced a letter")
	}

	// Flag, variable, file, copy, build: the first that there is counts.
	write("pw", []byte("copper-anvil-62-violet\n"))
	write("conf", []byte("server = "+proto.Address{Host: "127.0.0.1:3"}.String()+"\n"))
	variable := "SIM_SERVER=" + proto.Address{Host: "127.0.0.1:4"}.String()
	flag := proto.Address{Host: "127.0.0.1:5"}.String()
	for _, c := range []struct {
		copy, want string
		vars       []string
		flags      []string
	}{
		{exe, "127.0.0.1:7", nil, nil},
		{file("one"), "127.0.0.1:1", nil, nil},
		{file("one"), "127.0.0.1:3", nil, []string{"--config", file("conf")}},
		{file("one"), "127.0.0.1:3", []string{"SIM_CONFIG=" + file("conf")}, nil},
		{file("one"), "127.0.0.1:4", []string{variable}, []string{"--config", file("conf")}},
		{file("one"), "127.0.0.1:5", []string{variable}, []string{"--config", file("conf"), "--server", flag}},
	} {
		out, code := execute(t, c.copy, c.vars, append([]string{"client", "--user", "alice", "--password-file", file("pw")}, c.flags...)...)
		if code != client.ExitLost || !strings.Contains(out, c.want) {
			t.Errorf("%s is not where it went: %d\n%s", c.want, code, out)
		}
	}

	// A damaged end is an error, unless the address comes from elsewhere; so is a lost one.
	whole := contents(t, file("one"))
	flipped := bytes.Clone(whole)
	flipped[len(contents(t, exe))+10] ^= 1
	write("flipped", flipped)
	sees("is damaged", exitUsage, file("flipped"), "client", "--user", "alice")
	sees("is damaged", exitFailed, exe, "embed", "--server", first, "--from", file("flipped"), "-o", file("three"))
	write("cut", whole[:len(whole)-1])
	lost := []string{"cut"}
	if strip, err := exec.LookPath("strip"); err == nil {
		if out, err := exec.Command(strip, "-o", file("stripped"), file("one")).CombinedOutput(); err != nil {
			t.Errorf("strip: %v\n%s", err, out)
		}
		lost = append(lost, "stripped")
	}
	if goos != "darwin" { // nothing is marked there
		for _, name := range lost {
			sees("has lost it", exitUsage, file(name), "client", "--user", "alice")
		}
	}
	sees("127.0.0.1:5", client.ExitLost, file("flipped"), "client", "--server", flag, "--user", "alice", "--password-file", file("pw"))

	// What it can't copy, and where it can't write.
	write("script", []byte("#!/bin/sh\n"))
	sees("no sim binary", exitFailed, exe, "embed", "--server", first, "--from", file("script"), "-o", file("three"))
	sees("can't be read", exitFailed, exe, "embed", "--server", first, "--from", file("nothing"), "-o", file("three"))
	sees("can't be written", exitFailed, exe, "embed", "--server", first, "-o", file("no/such/three"))
	sees("typing mistake", exitUsage, exe, "embed", "--server", strings.Replace(first, "A", "B", 1), "-o", file("three"))
	sees("which server?", exitUsage, exe, "embed", "-o", file("three"))
	sees("give -o FILE", exitUsage, exe, "embed", "--server", first)
	left, err := filepath.Glob(file("*three*"))
	if parts, err2 := filepath.Glob(file("*partial*")); err != nil || err2 != nil || len(left)+len(parts) > 0 {
		t.Errorf("left behind: %v %v (%v, %v)", left, parts, err, err2)
	}
}

// --from makes the copies for people on other systems. The one for macOS keeps the bytes that are signed.
func TestEmbedFrom(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the program")
	}
	address := proto.Address{Host: "127.0.0.1:1"}.String()
	for _, c := range []struct {
		goos, goarch string
		changed      int // bytes of the program
	}{{"windows", "amd64", 1}, {"darwin", "arm64", 0}} {
		exe := build(t, c.goos, c.goarch)
		out := exe + ".for-bob"
		var stdout, stderr bytes.Buffer
		code := runAlone(t.Context(), []string{"embed", "--server", address, "--from", exe, "-o", out}, nil, &stdout, &stderr)
		if code != 0 {
			t.Errorf("%s: %d %s", c.goos, code, &stderr)
			continue
		}
		before, after := contents(t, exe), contents(t, out)
		changed := 0
		for i := range before {
			if before[i] != after[i] {
				changed++
			}
		}
		if changed != c.changed || !bytes.HasPrefix(after[len(before):], []byte(address)) {
			t.Errorf("%s: %d bytes of the program are changed", c.goos, changed)
		}
	}
}
