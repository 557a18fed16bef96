//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rivo/uniseg"
	"golang.org/x/term"

	"sim/internal/vt"
)

// A person is a process of sim on a terminal of its own: a pty, with a screen that shows what is written to it.
type person struct {
	t        *testing.T
	cmd      *exec.Cmd
	keyboard *os.File // the pty's other side
	tty      *os.File
	before   *term.State
	ended    chan struct{}

	mu     sync.Mutex
	screen *vt.Screen
	raw    bytes.Buffer
	news   chan struct{} // something was written
}

// sitDown starts sim on a terminal. Where stdin names a file, the input comes from there.
func sitDown(t *testing.T, dir, stdin string, args ...string) *person {
	t.Helper()
	return sitDownWith(t, dir, func(cmd *exec.Cmd) {
		if stdin == "" {
			return
		}
		f, err := os.Open(stdin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		cmd.Stdin = f
	}, args...)
}

// sitDownWith starts sim on a terminal, but for the streams that redirect sets.
func sitDownWith(t *testing.T, dir string, redirect func(*exec.Cmd), args ...string) *person {
	t.Helper()
	exe, err := simFor(args...)
	if err != nil {
		t.Fatal(err)
	}
	keyboard, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(keyboard, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, keyboard: keyboard, tty: tty, ended: make(chan struct{}), screen: vt.New(80, 24), news: make(chan struct{}, 1)}
	if p.before, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(exe, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8", "NO_COLOR=", "SIM_SERVER=")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
	redirect(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := keyboard.Read(buf)
			p.mu.Lock()
			p.screen.Write(buf[:n])
			p.raw.Write(buf[:n])
			p.mu.Unlock()
			select {
			case p.news <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		tty.Close()
		keyboard.Close()
	})
	return p
}

func (p *person) types(s string) {
	p.t.Helper()
	if _, err := p.keyboard.WriteString(s); err != nil {
		p.t.Fatal(err)
	}
}

// until waits until the screen is as wanted.
func (p *person) until(what string, good func(*vt.Screen) bool) {
	p.t.Helper()
	timeout := time.After(scriptWait)
	for {
		p.mu.Lock()
		ok := good(p.screen)
		text := strings.Join(p.screen.Text(), "\n")
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-p.news:
		case <-timeout:
			p.t.Fatalf("waited for %s; the screen:\n%s", what, text)
		}
	}
}

// seesRow waits for a row that is the pattern.
func (p *person) seesRow(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile("^(?:" + pattern + ")$")
	p.until("a row "+pattern, func(s *vt.Screen) bool {
		for _, row := range s.Text() {
			if re.MatchString(row) {
				return true
			}
		}
		return false
	})
}

// seesPrompt waits until the cursor's row is this, with nothing after it.
func (p *person) seesPrompt(want string) {
	p.t.Helper()
	p.until(fmt.Sprintf("the prompt %q", want), func(s *vt.Screen) bool {
		_, column := s.Cursor()
		return strings.TrimRight(s.Prompt(), " ") == strings.TrimRight(want, " ") && column == uniseg.StringWidth(want)
	})
}

// leaves waits for the end, and checks the exit code and that the terminal is as it was.
func (p *person) leaves(code int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(scriptWait):
		p.t.Fatalf("it does not end; the screen:\n%s", strings.Join(p.screen.Text(), "\n"))
	}
	p.until("the start of a row, for the shell's prompt", func(s *vt.Screen) bool { _, column := s.Cursor(); return column == 0 })
	p.mu.Lock()
	text := strings.Join(p.screen.Text(), "\n")
	p.mu.Unlock()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d; the screen:\n%s", got, code, text)
	}
	after, err := term.GetState(int(p.tty.Fd()))
	if err != nil {
		p.t.Fatal(err)
	}
	if !reflect.DeepEqual(p.before, after) {
		p.t.Error("the terminal is not as it was")
	}
	if strings.Contains(text, "goroutine ") {
		p.t.Errorf("a stack trace:\n%s", text)
	}
}

// resizes makes the terminal another width, and waits until the line stands there anew.
func (p *person) resizes(columns int) {
	p.t.Helper()
	p.mu.Lock()
	p.screen.Resize(columns, 24)
	before := p.raw.Len()
	p.mu.Unlock()
	if err := pty.Setsize(p.keyboard, &pty.Winsize{Rows: 24, Cols: uint16(columns)}); err != nil {
		p.t.Fatal(err)
	}
	p.until("the redrawn line", func(*vt.Screen) bool { return p.raw.Len() > before })
}

// setsEnv starts a program with more variables.
func setsEnv(variables ...string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, variables...) }
}

// showed is all that was ever written to the terminal.
func (p *person) showed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.raw.String()
}

// neverShowed fails if one of the texts was ever written to the terminal.
func (p *person) neverShowed(texts ...string) {
	p.t.Helper()
	showed := p.showed()
	for _, text := range texts {
		if strings.Contains(showed, text) {
			p.t.Errorf("%q was on the terminal", text)
		}
	}
}

// alicesFile puts alice's password into alice.pw.
func alicesFile(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "alice.pw"), []byte(people["alice"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// aliceIn logs alice in at a terminal.
func aliceIn(t *testing.T, dir, address string) *person {
	t.Helper()
	alice := sitDown(t, dir, "", "client", "--server", address)
	alice.seesPrompt("user name: ")
	alice.types("alice\r")
	alice.seesPrompt("password for alice: ")
	alice.types(people["alice"] + "\r")
	alice.seesRow("= logged in as alice")
	alice.seesPrompt("alice> ")
	return alice
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	bob := bobIn(t, dir, address)
	alice := aliceIn(t, dir, address)
	alice.neverShowed(people["alice"])

	// What comes in stands above the line that is being typed.
	alice.types("send bob hal")
	alice.seesPrompt("alice> send bob hal")
	bob.say("send alice incoming")
	alice.until("the message above the line", func(s *vt.Screen) bool {
		return strings.HasSuffix(s.Above(), " < bob: incoming") && s.Prompt() == "alice> send bob hal"
	})
	alice.types("lo\r")
	alice.seesRow("= bob: delivered")
	sees(t, bob, "< alice: hallo")

	// Tab completes commands and names.
	alice.seesPrompt("alice> ")
	alice.types("ver\t")
	alice.seesPrompt("alice> verify ")
	alice.types("b\t")
	alice.seesPrompt("alice> verify bob ")
	alice.types("\r")
	alice.seesRow(`= verify bob: (\d{3} ){4}\(not confirmed\)`)

	// Editing: Home, End, and what was typed before.
	alice.seesPrompt("alice> ")
	alice.types("end bob over\x01s\x05!\r")
	alice.seesRow("= bob: delivered")
	sees(t, bob, "< alice: over!")
	alice.types("\x1b[A")
	alice.seesPrompt("alice> send bob over!")

	// Ctrl-C clears the line, and twice quits.
	alice.types("\x03")
	alice.seesPrompt("alice> ")
	alice.types("\x03\x03")
	alice.leaves(exitInterrupted)
	sees(t, bob, `\* alice logged out`)
	alice.neverShowed(people["alice"])
}

func TestTerminalResize(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	bob := bobIn(t, dir, address)
	alice := aliceIn(t, dir, address)
	alice.resizes(30)
	typed := "send bob " + strings.Repeat("long words ", 5)
	alice.types(typed)
	whole := func(s *vt.Screen) bool {
		text := strings.Join(strings.Fields(strings.Join(s.Text(), "")), "")
		return strings.Count(text, "sendbob") == 1 && strings.Count(text, "words") == 5
	}
	alice.until("the whole line", whole)
	bob.say("send alice incoming")
	alice.until("the message, and the line once", func(s *vt.Screen) bool {
		return strings.Contains(strings.Join(s.Text(), "\n"), "< bob: incoming") && whole(s)
	})
	alice.types("\r")
	sees(t, bob, "< alice: (long words ){5}")
	alice.types("quit\r")
	alice.leaves(0)
}

// Wide characters, emoji of several and combining marks are measured as a terminal shows them, in a narrow one, and while it is resized.
func TestTerminalCharacters(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	bob := bobIn(t, dir, address)
	alice := aliceIn(t, dir, address)
	alice.resizes(20)
	shows := func(rows ...string) {
		t.Helper()
		alice.until(fmt.Sprintf("%q", rows), func(s *vt.Screen) bool {
			text := s.Text()
			return len(text) >= len(rows) && slices.Equal(text[len(text)-len(rows):], rows)
		})
	}
	alice.types("send bob 世界世界世界世 e\u0301👍🏽🇩🇪x")
	shows("alice> send bob 世界", "世界世界世 e\u0301👍🏽🇩🇪x") // the margin cuts no character
	alice.types("\x1b[D\x1b[D\x1b[D\x7f\x1b[FZ")
	shows("alice> send bob 世界", "世界世界世 👍🏽🇩🇪xZ")
	alice.resizes(40)
	shows("alice> send bob 世界世界世界世 👍🏽🇩🇪xZ")
	alice.resizes(13)
	shows("alice> send b", "ob 世界世界世", "界世 👍🏽🇩🇪xZ")
	bob.say("send alice above")
	alice.until("the message, and the line once", func(s *vt.Screen) bool {
		text := strings.Join(s.Text(), "")
		return strings.Contains(text, "< bob:  above") && strings.HasSuffix(text, "alice> send bob 世界世界世界世 👍🏽🇩🇪xZ") && strings.Count(text, "send b") == 1
	})
	alice.types("\r")
	sees(t, bob, "< alice: 世界世界世界世 👍🏽🇩🇪xZ")
	alice.types("quit\r")
	alice.leaves(0)
}

// Several pasted lines are one message, if the user says so, and never commands.
func TestTerminalPaste(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	bob := bobIn(t, dir, address)
	alice := aliceIn(t, dir, address)
	const pasted = "\x1b[200~quit\rquit\r\x1b[201~"
	alice.types(pasted)
	alice.seesRow(`\* several lines were pasted, and are no commands.*`)
	alice.seesPrompt("alice> ")
	alice.types("send bob " + pasted)
	alice.seesPrompt("paste of 2 lines, 9 characters, as one message to bob? [y/N] ")
	alice.types("n")
	alice.seesPrompt("alice> send bob ")
	alice.types(pasted + "y")
	sees(t, bob, "< alice: quit↵quit")
	alice.seesPrompt("alice> ")
	alice.types("/bob\r" + pasted)
	alice.seesPrompt("paste of 2 lines, 9 characters, as one message to bob? [y/N] ")
	alice.types("y")
	sees(t, bob, "< alice: quit↵quit")
	alice.seesPrompt("alice → bob> ")
	alice.types("\x04")
	alice.leaves(0)
}

// Colours are for terminals that have them, and people who want them.
func TestTerminalColors(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	alicesFile(t, dir)
	for _, tt := range []struct {
		env, flag string
		colors    bool
	}{{"TERM=xterm", "--user=alice", true}, {"NO_COLOR=1", "--user=alice", false}, {"TERM=xterm", "--no-color", false}} {
		alice := sitDownWith(t, dir, setsEnv(tt.env), "client", "--server", address, "--user", "alice", "--password-file", "alice.pw", tt.flag)
		alice.seesPrompt("alice> ")
		alice.types("quit\r")
		alice.leaves(0)
		if got := strings.Contains(alice.showed(), "\x1b[38;5;"); got != tt.colors {
			t.Errorf("%s %s: colours are %v", tt.env, tt.flag, got)
		}
	}
}

// A terminal that understands no escape sequences gets none, and what is typed there is edited by the system.
func TestTerminalDumb(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	bob := bobIn(t, dir, address)
	alice := sitDownWith(t, dir, setsEnv("TERM=dumb"), "client", "--server", address)
	alice.seesPrompt("user name: ")
	alice.types("alice\r")
	alice.seesPrompt("password for alice: ")
	alice.types(people["alice"] + "\r")
	alice.seesRow("= logged in as alice")
	alice.seesPrompt("alice> ")
	alice.types("send bob hellp\x7fo\r")
	alice.seesRow("= bob: delivered")
	sees(t, bob, "< alice: hello")
	bob.say("send alice hello \x1b[2J alice")
	alice.seesRow(`\d\d:\d\d < bob: hello \\u{1b}\[2J alice`)
	alice.seesPrompt("alice> ")
	alice.types("logout\r")
	alice.seesRow("\\* this terminal can't be cleared.*")
	alice.seesPrompt("sim> ")
	alice.types("\x04")
	alice.leaves(0)
	alice.neverShowed(people["alice"], "\x1b")
}

// Ctrl-Z gives the shell a terminal as it was; fg brings back the line that was being typed.
func TestTerminalSuspend(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	alicesFile(t, dir)
	const session = `set -m
sim client --server "$0" --user alice --password-file alice.pw
if stty -a | grep -q -- -icanon; then echo raw; else echo cooked; fi
read enter
fg`
	alice := sitDownWith(t, dir, func(cmd *exec.Cmd) {
		sh, err := exec.LookPath("sh")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path, cmd.Args = sh, []string{"sh", "-c", session, address}
	})
	alice.seesPrompt("alice> ")
	alice.types("li")
	alice.seesPrompt("alice> li")
	alice.types("\x1a")
	alice.seesRow("cooked")
	alice.types("\r")
	alice.seesPrompt("alice> li")
	alice.types("st\r")
	alice.seesRow(`= online \(1\): alice`)
	alice.types("quit\r")
	alice.leaves(0)
}

// The next user at a terminal finds nothing of the one before: not on the screen, not in the history.
func TestTerminalNextUser(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	bob := bobIn(t, dir, address)
	alice := aliceIn(t, dir, address)
	alice.types("send bob secret plan\r")
	alice.seesRow("= bob: delivered")
	bob.say("send alice secret answer")
	alice.seesRow(`\d\d:\d\d < bob: secret answer`)
	alice.types("logout\r")
	alice.seesRow("= logged out alice")
	alice.seesPrompt("sim> ")
	alice.types("secret 1\r")
	alice.seesRow("unknown command.*")
	alice.types("\x1b[A")
	alice.seesPrompt("sim> secret 1")
	alice.types("\x15login bbo\r\r")
	alice.seesPrompt("sim> ")
	alice.types("login carol\r")
	alice.seesPrompt("password for carol: ")
	alice.types("not the right one\r")
	alice.seesPrompt("password for carol: ") // a typing mistake ends nothing
	alice.seesRow(".*wrong.*")
	alice.types(people["carol"] + "\r")
	alice.seesPrompt("carol> ")
	alice.until("a clean screen", func(s *vt.Screen) bool {
		return !regexp.MustCompile("secret|alice|bbo").MatchString(strings.Join(s.Text(), "\n"))
	})
	alice.types("\x1b[A\x1b[A\x1b[Alist\r")
	alice.seesRow(`= online \(2\): bob carol`)
	alice.until("no line of alice's", func(s *vt.Screen) bool { return !strings.Contains(strings.Join(s.Text(), "\n"), "secret") })
	alice.types("\x04") // Ctrl-D
	alice.leaves(exitFailed)
	alice.neverShowed(people["alice"], people["carol"], "not the right one")
}

func TestTerminalServerDies(t *testing.T) {
	t.Parallel()
	dir, address, server := room(t)
	alice := aliceIn(t, dir, address)
	alice.types("send bob half a li")
	server.signal("KILL")
	alice.seesRow(`\d\d:\d\d \* reconnecting …`)
	alice.seesPrompt("alice> send bob half a li")
	host := strings.TrimPrefix(address[strings.Index(address, "@"):], "@")
	again := enter(t, dir, "server", "--listen", host)
	sees(t, again, "sim://.*")
	alice.seesRow("connection lost: .*")
	alice.seesPrompt("password for alice: ")
	alice.types(people["alice"] + "\r")
	alice.seesPrompt("alice> send bob half a li")
	alice.types("\x15\x04")
	alice.leaves(4)
	alice.neverShowed(people["alice"])
}

func TestTerminalSignal(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) { // under nohup, say: by the client too, then
			continue
		}
		alice := aliceIn(t, dir, address)
		alice.types("half a li")
		alice.seesPrompt("alice> half a li")
		alice.cmd.Process.Signal(s)
		alice.leaves(exitInterrupted)
	}
}

// Commands from a terminal, output to a file: the password is asked for on the terminal all the same.
func TestTerminalOutputElsewhere(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	alice := sitDownWith(t, dir, func(cmd *exec.Cmd) { cmd.Stdout = out }, "client", "--server", address, "--user", "alice")
	alice.seesRow("password for alice:")
	alice.types(people["alice"] + "\n")
	alice.types("list\n")
	alice.types("quit\n")
	alice.leaves(0)
	alice.neverShowed(people["alice"])
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := "= logged in as alice\n= online (1): alice\n= logged out alice\n"; string(b) != want {
		t.Errorf("the output is %q, want %q", b, want)
	}
}

// Ctrl-C at the password ends the client as an interruption does.
func TestTerminalCtrlCAtPassword(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	alice := sitDownWith(t, dir, func(cmd *exec.Cmd) { cmd.Stdout = nil }, "client", "--server", address, "--user", "alice")
	alice.seesPrompt("password for alice: ")
	alice.types("half of it\x03")
	alice.leaves(exitInterrupted)
	alice.neverShowed("half of it")
}

func TestTerminalAdduser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const secret, other = "copper-anvil-62-violet", "another-kettle-17-ribbon"
	start := func(args ...string) *person {
		// The input is elsewhere: the terminal is asked all the same.
		return sitDown(t, dir, os.DevNull, append([]string{"adduser"}, args...)...)
	}
	both := func(p *person, first, second string) {
		p.seesPrompt("password for alice: ")
		p.types(first + "\n")
		p.seesPrompt("the same again: ")
		p.types(second + "\n")
	}

	nothing := func() {
		t.Helper()
		if _, err := os.Stat(filepath.Join(dir, "sim.db")); !errors.Is(err, fs.ErrNotExist) {
			t.Error("there is a database, and nobody to be in it: ", err)
		}
	}

	// A fault is no end: the next password must not go to the shell. But there is one.
	p := start("alice")
	both(p, secret, other)
	p.seesRow("sim: the two passwords differ: try again")
	p.seesPrompt("password for alice: ")
	p.types("password12\n")
	p.seesRow("sim: this password is too easy.*")
	both(p, other, secret)
	p.seesRow("sim: the two passwords differ; that was the last try.*")
	p.leaves(exitFailed)
	p.neverShowed(secret, other, "password12")
	nothing()

	p = start("alice")
	p.seesPrompt("password for alice: ")
	p.types("half of it\x03") // Ctrl-C
	p.leaves(exitInterrupted)
	p.neverShowed("half of it")
	nothing()

	p = start("alice")
	both(p, "xyz\x15copper-anfil\x7f\x7f\x7fvil-62-violet", secret) // Ctrl-U, and Backspace
	p.seesRow("= added alice")
	p.leaves(0)
	p.neverShowed(secret)

	p = start("alice") // taken: nobody is asked
	p.seesRow("sim: the name alice is taken.*")
	p.leaves(exitFailed)
}

func TestTerminalRemovesAUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := makePeople(filepath.Join(dir, "sim.db")); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{"\n", "n\n", "bob\n", "\x04"} { // Enter, no, no, Ctrl-D
		p := sitDown(t, dir, "", "users", "remove", "bob")
		p.seesPrompt("Remove bob? The name is then free for anybody. [y/N] ")
		p.types(answer)
		p.seesRow("sim: nothing was changed")
		p.leaves(exitFailed)
	}
	p := sitDown(t, dir, "", "users", "remove", "bob")
	p.seesPrompt("Remove bob? The name is then free for anybody. [y/N] ")
	p.types("\x03")
	p.leaves(exitInterrupted)

	p = sitDown(t, dir, "", "users", "remove", "bob")
	p.seesPrompt("Remove bob? The name is then free for anybody. [y/N] ")
	p.types("y\n")
	p.seesRow("= removed bob")
	p.leaves(0)

	p = sitDown(t, dir, "", "users", "remove", "bob") // nobody is asked about nobody
	p.seesRow("sim: there is nobody called bob.*")
	p.leaves(exitFailed)
}
