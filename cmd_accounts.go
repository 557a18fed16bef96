package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"sim/password"
	"sim/proto"
	"sim/proto/srp"
	simserver "sim/server" // main has a variable called server
	"sim/store"
)

// What the commands on accounts share: how they reach them, where a new password or code is from, and how they say what they have done.

const (
	defaultValid = 7 * 24 * time.Hour // of a one-time code
	leastValid   = time.Minute
	mostValid    = 366 * 24 * time.Hour
)

// administration is the database that a command is about, and the command's streams.
type administration struct {
	db, admin      string
	stdin          io.Reader
	stdout, stderr io.Writer
}

func administrationOf(c *cli.Context) administration {
	return administration{
		db: c.String("db"), admin: c.String("admin"),
		stdin: c.App.Reader, stdout: c.App.Writer, stderr: c.App.ErrWriter,
	}
}

// open reaches the accounts of a database that there is.
func (a *administration) open() (simserver.Accounts, error) {
	return simserver.OpenAccounts(a.db, a.admin, func() (*store.Store, error) {
		return openExisting(a.db, a.stderr)
	})
}

// openExisting opens a database that there is.
func openExisting(db string, stderr io.Writer) (*store.Store, error) {
	st, err := store.Open(db, store.Options{Existing: true})
	if err == nil {
		sayOldCopy(stderr, st)
	}
	return st, err
}

// sayOldCopy tells what is left of a database whose layout was just changed.
func sayOldCopy(stderr io.Writer, st *store.Store) {
	if old := st.OldCopy(); old != "" {
		fmt.Fprintf(stderr, "sim: the database has a newer layout now; %s is the copy of the older one, with the server's key: remove it when all is well\n", old)
	}
}

// make is open that makes a database where there is none, and says so: perhaps this is the wrong directory.
func (a *administration) make() (simserver.Accounts, error) {
	return simserver.OpenAccounts(a.db, a.admin, func() (*store.Store, error) {
		st, err := openStore(a.db)
		if err != nil {
			return nil, err
		}
		sayOldCopy(a.stderr, st)
		if st.Made() {
			dir := filepath.Dir(a.db)
			if full, err := filepath.Abs(dir); err == nil {
				dir = full
			}
			fmt.Fprintf(a.stderr, "sim: made the database %s in %s\n", filepath.Base(a.db), dir)
		}
		return st, nil
	})
}

// say writes a result to standard output. What was done is done even if nobody can be told, so the error says it.
func (a *administration) say(done, format string, args ...any) error {
	if _, err := fmt.Fprintf(a.stdout, format, args...); err != nil {
		return fmt.Errorf("%s, but this could not be written to standard output: %w", done, err)
	}
	return nil
}

// personArgument returns the NAME that a command is about.
func personArgument(c *cli.Context) (proto.Name, error) {
	arg, err := argument(c, "NAME")
	if err != nil {
		return proto.Name{}, err
	}
	name, err := proto.ParseName(arg)
	if err != nil {
		return proto.Name{}, usageError{err}
	}
	return name, nil
}

// A secretSource is where a new password is from, or how long a code that takes its place is good.
type secretSource struct {
	file   string // of a password, - for standard input; "" asks on the terminal
	force  bool
	invite bool
	valid  time.Duration
}

func secretFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "password-file", Usage: "take the password from the first line of `FILE` (- is standard input)"},
		&cli.BoolFlag{Name: "force", Usage: "allow a password that is easy to guess"},
		&cli.BoolFlag{Name: "invite", Usage: "print a code with which the person logs in and chooses the password"},
		&cli.GenericFlag{Name: "valid", Value: newDays(defaultValid), Usage: "how `LONG` the code of --invite is good, like 90m, 48h or 7d"},
	}
}

// days are a time of a flag that may be told in days.
type days struct{ long time.Duration }

func newDays(long time.Duration) *days { return &days{long} }

const day = 24 * time.Hour

func (d *days) Set(text string) error {
	if number, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			d.long = time.Duration(n) * day
			return nil
		}
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("a time looks like 90m, 48h or 7d")
	}
	d.long = long
	return nil
}

func (d *days) String() string {
	switch {
	case d.long != 0 && d.long%day == 0:
		return fmt.Sprintf("%dd", d.long/day)
	case d.long != 0 && d.long%time.Hour == 0:
		return fmt.Sprintf("%dh", d.long/time.Hour)
	case d.long != 0 && d.long%time.Minute == 0:
		return fmt.Sprintf("%dm", d.long/time.Minute)
	}
	return d.long.String()
}

func secretSourceOf(c *cli.Context) (secretSource, error) {
	s := secretSource{file: c.String("password-file"), force: c.Bool("force"), invite: c.Bool("invite"), valid: c.Generic("valid").(*days).long}
	switch {
	case s.valid < leastValid || s.valid > mostValid:
		return s, usagef("--valid is from %v to %v", newDays(leastValid), newDays(mostValid))
	case s.invite && typed(c, "password-file"):
		return s, usagef("--invite makes a code in place of a password: leave --password-file out")
	case s.invite && s.force:
		return s, usagef("--force is about passwords, and --invite makes a code")
	}
	return s, nil
}

// typed says whether a flag stands on the command line.
func typed(c *cli.Context, name string) bool {
	now, ok := c.App.Metadata[inForceKey].(*inForce)
	return ok && now.typed[name]
}

// A secret is what a person will log in with: a prepared password or a code.
type secret struct {
	text    []byte // the caller clears it
	code    bool
	expires time.Time
}

func (s secretSource) newCode() secret {
	return secret{text: []byte(password.NewCode()), code: true, expires: time.Now().Add(s.valid).Truncate(time.Second)}
}

// secret returns a new secret for a name: a code, or a password from the terminal, a file or a line of standard input.
func (s secretSource) secret(ctx context.Context, a *administration, name proto.Name) (secret, error) {
	if s.invite {
		return s.newCode(), nil
	}
	if s.file == "" {
		text, err := askTwice(ctx, a.stderr, "password", fmt.Sprintf("password for %s: ", name), func(line []byte) ([]byte, error) { return s.prepare(line, name) })
		return secret{text: text}, err
	}
	line, err := interruptible(ctx, func() ([]byte, error) { return readPasswordFile(s.file, a.stdin, a.stderr) })
	if err != nil {
		return secret{}, err
	}
	defer clear(line)
	text, err := s.prepare(line, name)
	return secret{text: text}, err
}

// prepare returns the form of a password that is hashed, if it is a good one.
func (s secretSource) prepare(line []byte, name proto.Name) ([]byte, error) {
	prepared, err := password.Prepare(line)
	if err != nil {
		return nil, err
	}
	if s.force {
		return prepared, nil
	}
	if err := password.CheckStrength(prepared, name.String()); err != nil {
		clear(prepared)
		return nil, fmt.Errorf("%w (--force allows it all the same)", err)
	}
	return prepared, nil
}

// readPasswordFile returns the first line of a file, - being stdin.
func readPasswordFile(path string, stdin io.Reader, stderr io.Writer) ([]byte, error) {
	if path == "-" {
		return password.Read(stdin)
	}
	f, err := openSecretFile("the password file", path, stderr)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	line, err := password.Read(f)
	if err != nil {
		return nil, fmt.Errorf("the password file %s: %w", path, err)
	}
	return line, nil
}

// openSecretFile opens what is called what. It warns about a file that others can read.
func openSecretFile(what, path string, stderr io.Writer) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", what, err)
	}
	switch info, err := f.Stat(); {
	case err == nil && info.IsDir():
		f.Close()
		return nil, fmt.Errorf("%s can't be read: %s is a directory", what, path)
	case err == nil && exposed(info):
		fmt.Fprintf(stderr, "sim: warning: others than you can read or change %s: chmod 600 it\n", path)
	}
	return f, nil
}

// credential is what the server gets of a secret.
func credential(accounts simserver.Accounts, name proto.Name, s secret) (simserver.Credential, error) {
	salt, params, _, err := accounts.Salt(name)
	if err != nil {
		return simserver.Credential{}, err
	}
	t, err := password.Argon2id{}.Derive(s.text, &salt, password.Params{Time: params.Time, Memory: params.Memory, Threads: params.Threads})
	if err != nil {
		return simserver.Credential{}, err
	}
	defer clear(t[:])
	return simserver.Credential{Verifier: srp.Verifier(name.String(), &salt, t), Code: s.code, Expires: s.expires}, nil
}

// give gives a name a new secret. The database is not held while somebody types.
func (a *administration) give(ctx context.Context, name proto.Name, s secret, open func() (simserver.Accounts, error),
	commit func(simserver.Accounts, proto.Name, simserver.Credential) error) error {
	accounts, err := open()
	if err != nil {
		return err
	}
	defer accounts.Close()
	c, err := credential(accounts, name, s)
	if err != nil {
		return err
	}
	defer clear(c.Verifier[:])
	if err := ctx.Err(); err != nil {
		return err
	}
	return commit(accounts, name, c)
}

// sayCode prints a code, which nobody can see a second time.
func (a *administration) sayCode(what string, name proto.Name, s secret) error {
	done := fmt.Sprintf("%s has a code that nobody has seen (`sim users passwd --invite %s` makes another)", name, name)
	return a.say(done, "= %s %s\ncode: %s\nuntil: %s\n", what, name, s.text, s.expires.Format(time.RFC3339))
}
