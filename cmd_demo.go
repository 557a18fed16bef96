package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"sim/proto"
)

const demoHelp = `Runs a server with a temporary database on a free port of this machine, registers two people, and lets two clients talk: log-in, list,
messages both ways, verify, disconnect, log-out, and the next user's log-in on the same client. These are real processes over real TCP.
Between each client and the server stands a recorder that has what anybody on the way has; at the end it is searched for names and texts.

Exit codes: 0 all of it worked, 1 it did not, 130 interrupted.`

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:        "demo",
		Usage:       "see two people log in, talk and part, all on this machine",
		Description: demoHelp,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "keep", Usage: "then leave the server running, and print how to join from two terminals"},
		},
		Action: func(c *cli.Context) (err error) {
			if err := noMoreArguments(c, 0, ""); err != nil {
				return err
			}
			exe, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program's file: %w", err)
			}
			// A closed output must not end the demo with its processes left running.
			pipe := make(chan os.Signal, 1)
			signal.Notify(pipe, syscall.SIGPIPE)
			defer signal.Stop(pipe)

			dir, err := os.MkdirTemp("", "sim-demo-")
			if err != nil {
				return err
			}
			d := &demo{exe: exe, dir: dir, out: c.App.Writer, passwords: map[string]string{}}
			defer func() {
				d.stop()
				for _, t := range d.taps {
					t.Close()
				}
				if e := os.RemoveAll(dir); e != nil && err == nil {
					err = fmt.Errorf("clean up: %w", e)
				}
			}()
			if err := d.run(c.Context, c.Bool("keep")); err != nil {
				if errors.Is(err, context.Canceled) {
					return err
				}
				return fmt.Errorf("demo: %w", err)
			}
			return nil
		},
	}
}

// The two people. Both names are long enough that they are not in random bytes by chance.
const (
	alice = "alice"
	bobby = "bobby"
)

const (
	demoText   = "hello bobby, can anybody else read this?"
	demoAnswer = "nobody, and not the server either"
)

type demo struct {
	// immutable
	exe, dir string
	out      io.Writer

	server    *child
	address   proto.Address // its own
	passwords map[string]string
	children  []*child
	taps      []*tap
	steps     int
	unheard   error // the output takes no more
}

func (d *demo) run(ctx context.Context, keep bool) error {
	begin := []func(context.Context) error{d.serve, d.register}
	if runtime.GOOS == "windows" {
		slices.Reverse(begin) // there, accounts are made while no server runs
	}
	for _, f := range begin {
		if err := f(ctx); err != nil {
			return err
		}
	}
	if err := d.talk(ctx); err != nil {
		return err
	}
	if err := d.wire(); err != nil {
		return err
	}
	if d.unheard != nil {
		return fmt.Errorf("nobody listens: %w", d.unheard)
	}
	if !keep {
		d.server.cmd.Cancel()
		if err := d.server.finish(ctx); err != nil {
			return err
		}
		d.tell("Done. The server has stopped, and its database is deleted with everything else of this demo.",
			"`sim demo --keep` leaves the server running, for you to join from two terminals.")
		return nil
	}
	return d.keep(ctx)
}

func (d *demo) serve(ctx context.Context) (err error) {
	d.server, err = d.start(ctx, "the server", "server", "--db", "sim.db", "--listen", "127.0.0.1:0", "--log-level", "warn")
	if err != nil {
		return err
	}
	line, err := d.server.expect(ctx, "sim://")
	if err != nil {
		return err
	}
	if d.address, err = proto.ParseAddress(line); err != nil {
		return fmt.Errorf("the server printed %q: %w", line, err)
	}
	d.step("A server starts, makes its key and an empty database, and prints its address.",
		line,
		"The address holds the server's public key: who knows it can't be fooled by another server.")
	return nil
}

func (d *demo) register(ctx context.Context) error {
	names := []string{alice, bobby}
	for _, name := range names {
		d.passwords[name] = rand.Text()
		adduser, err := d.start(ctx, "adduser "+name, "adduser", "--db", "sim.db", "--password-file", "-", name)
		if err != nil {
			return err
		}
		if err := adduser.say(d.passwords[name]); err != nil {
			return err
		}
		if _, err := adduser.expect(ctx, "= added "+name); err != nil {
			return err
		}
		if err := adduser.finish(ctx); err != nil {
			return err
		}
	}
	d.step("Two people are registered: "+strings.Join(names, " and ")+".",
		"Nothing went over the network. The server got 256 bytes for each, made from the password by Argon2id and SRP:",
		"they check a password, and nobody reads it back from them.")
	return nil
}

// client starts a client behind a tap of its own.
func (d *demo) client(ctx context.Context, name string) (*child, *tap, error) {
	t, err := newTap(d.address.Host)
	if err != nil {
		return nil, nil, err
	}
	d.taps = append(d.taps, t)
	address := d.address
	address.Host = t.listener.Addr().String()
	c, err := d.start(ctx, name, "client", "--server", address.String())
	return c, t, err
}

func (d *demo) talk(ctx context.Context) error {
	one, tap1, err := d.client(ctx, "the first client")
	if err != nil {
		return err
	}
	two, tap2, err := d.client(ctx, "the second client")
	if err != nil {
		return err
	}

	// say types at a client, and waits for the line that answers. Further lines of input are passwords.
	var failed error
	var lines []string
	say := func(c *child, who, answer string, input ...string) (got string) {
		if failed != nil {
			return ""
		}
		if failed = c.say(input...); failed != nil {
			return ""
		}
		if got, failed = c.expect(ctx, answer); failed == nil {
			typed := input[0]
			if len(input) > 1 {
				typed += "   and the password"
			}
			lines = append(lines, fmt.Sprintf("%s types   %s", who, typed), fmt.Sprintf("%s sees    %s", who, got))
		}
		return got
	}
	sees := func(c *child, who, line string) {
		if failed != nil {
			return
		}
		if line, failed = c.expect(ctx, line); failed == nil {
			lines = append(lines, fmt.Sprintf("%s sees    %s", who, line))
		}
	}
	// told ends a step: what was typed and seen, what alice's recorder has, and who can read it.
	told := func(title string, wire func(traffic) string, readers string) {
		if failed != nil {
			return
		}
		d.step(title, append(lines, wire(tap1.traffic()), readers)...)
		tap2.traffic()
		lines = nil
	}
	records := func(t traffic) string { return "On the wire of the first client: records, " + t.String() + "." }
	handshake := func(t traffic) string {
		return fmt.Sprintf("On the wire of the first client: handshake, out %s, in %s; then records, %v.",
			sum(t.handshakeUp), sum(t.handshakeDown), t)
	}

	say(one, alice, "= logged in as "+alice, alice, d.passwords[alice])
	say(two, bobby, "= logged in as "+bobby, bobby, d.passwords[bobby])
	told("They log in, each with nothing but a password.", handshake,
		"Each side proved to the other what it knows, and sent neither password nor key. Only the server can read the name.")

	say(one, alice, "= online (2): "+alice+" "+bobby, "list")
	told("Alice asks who is there.", records, "The server answers. On the way nobody can read it, and lengths are padded.")

	say(one, alice, "= "+bobby+": delivered", "send "+bobby+" "+demoText)
	sees(two, bobby, "< "+alice+": "+demoText)
	say(two, bobby, "= "+alice+": delivered", "send "+alice+" "+demoAnswer)
	sees(one, alice, "< "+bobby+": "+demoAnswer)
	told("They write to each other.", records,
		"First the two clients agreed on a key, with the server as a witness that does not learn it. Only alice and bobby can read the texts.")

	a := say(one, alice, "= verify "+bobby+": ", "verify "+bobby)
	b := say(two, bobby, "= verify "+alice+": ", "verify "+alice)
	if failed == nil && strings.TrimPrefix(a, "= verify "+bobby) != strings.TrimPrefix(b, "= verify "+alice) {
		failed = fmt.Errorf("the digits differ: %q and %q", a, b)
	}
	told("They compare twelve digits, by telephone say: the same on both sides, so not even the server sits between them.", records,
		"The digits are computed on both sides and sent nowhere.")

	say(one, alice, "= disconnected from "+bobby, "disconnect "+bobby)
	sees(two, bobby, "* "+alice+" disconnected")
	told("Alice ends the conversation.", records, "Both clients have forgotten its keys: from now on nobody can read what was recorded.")

	say(one, alice, "= logged out "+alice, "logout")
	say(two, bobby, "= logged out "+bobby, "logout")
	told("Both log out.", records, "The keys of the sessions are gone on both ends.")

	say(one, bobby, "= logged in as "+bobby, "login "+bobby, d.passwords[bobby])
	say(one, bobby, "= online (1): "+bobby, "list")
	told("Bobby sits down at alice's client and logs in there: the next user needs nothing but a password either.", handshake,
		"A new session has new keys, and nothing of alice's is left to find.")

	if failed != nil {
		return failed
	}
	for _, c := range []*child{one, two} {
		if err := c.say("quit"); err != nil {
			return err
		}
		if err := c.finish(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wire tells what the recorders have in all, and fails if that is more than it should be.
func (d *demo) wire() error {
	secrets := []string{alice, bobby, demoText, demoAnswer, "can anybody else", d.passwords[alice], d.passwords[bobby]}
	var searched int
	for _, t := range d.taps {
		if odd := t.traffic().odd; len(odd) > 0 {
			return fmt.Errorf("records of sizes %v were on the wire, which there are none of", odd)
		}
		found, n := t.find(secrets)
		if found != "" {
			return fmt.Errorf("%q was on the wire, for everybody to read", found)
		}
		searched += n
	}
	d.step(fmt.Sprintf("The recorders have %d bytes. They were searched for both names, the texts and the passwords: none of these is there.", searched),
		"Somebody on the way knows which addresses were active, when, and how much they sent, in a few sizes.")
	return nil
}

// keep leaves the server running until ctx is done.
func (d *demo) keep(ctx context.Context) error {
	lines := []string{}
	for _, name := range []string{alice, bobby} {
		file := filepath.Join(d.dir, name+".password")
		if err := os.WriteFile(file, []byte(d.passwords[name]+"\n"), 0o600); err != nil {
			return err
		}
		lines = append(lines, "", fmt.Sprintf("%s client --server %s --user %s --password-file %s", shellQuote(d.exe), d.address, name, shellQuote(file)))
	}
	lines = append(lines, "",
		"Then type: send "+bobby+" hello. The password is "+d.passwords[alice]+" for "+alice+" and "+d.passwords[bobby]+" for "+bobby+",",
		"should you log in anew. Ctrl-C here stops the server and deletes everything.")
	d.tell("The server goes on. Join from two other terminals with:", lines...)
	select {
	case <-ctx.Done():
		return nil
	case <-d.server.ended:
		if ctx.Err() != nil { // Ctrl-C reaches both
			return nil
		}
		return fmt.Errorf("the server ended: %v%s", d.server.cmd.ProcessState, d.server.stderr.quoted())
	}
}

// shellQuote quotes what a shell would take apart.
func shellQuote(s string) string {
	if strings.ContainsAny(s, " \t'\"\\$&|;<>()*?[]~`!#") && os.PathSeparator == '/' {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

func sum(sizes []int) string {
	parts := make([]string, len(sizes))
	for i, n := range sizes {
		parts[i] = fmt.Sprint(n)
	}
	return strings.Join(parts, "+") + " bytes"
}

func (d *demo) step(title string, lines ...string) {
	d.steps++
	d.tell(fmt.Sprintf("%d. %s", d.steps, title), lines...)
}

func (d *demo) tell(title string, lines ...string) {
	text := title + "\n"
	for _, line := range lines {
		if line != "" {
			text += "   " + line
		}
		text += "\n"
	}
	if _, err := io.WriteString(d.out, text+"\n"); err != nil {
		d.unheard = err
	}
}
