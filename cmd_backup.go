package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/urfave/cli/v2"

	"sim/internal/wholefile"
	"sim/password"
	simserver "sim/server" // main has a variable called server
	"sim/store"
)

const backupHelp = `Writes a copy of the database to FILE (mode 0600): the server's key, all accounts, the audit log. - is standard output.

It works while the server runs, through the server's socket, and while it doesn't, on the file. FILE is there when it is whole, or not at
all; --force lets it take the place of another file. The log tells that a backup was made, unless the database is on a disk that is read-only.

The copy is encrypted under a passphrase that is asked for twice, or is the first line of --passphrase-file, in the format of age
(age-encryption.org). Nobody can restore it without. --plain leaves it as a database, which ` + "`sim server --db FILE`" + ` runs on, and
whoever has it has the server's key.

Exit codes: 0 made, 1 not made, 2 usage.`

func backupCommand() *cli.Command {
	return &cli.Command{
		Name:        "backup",
		Usage:       "copy the database, also while the server runs",
		ArgsUsage:   "FILE",
		Description: backupHelp,
		Flags: []cli.Flag{
			dbFlag(),
			adminFlag(),
			&cli.BoolFlag{Name: "plain", Usage: "don't encrypt"},
			passphraseFlag(),
			&cli.BoolFlag{Name: "force", Usage: "overwrite FILE"},
		},
		Action: func(c *cli.Context) error {
			file, err := argument(c, "FILE")
			if err != nil {
				return err
			}
			b := backup{
				file: file, db: c.String("db"), admin: c.String("admin"),
				plain: c.Bool("plain"), force: c.Bool("force"),
				passphrase: passphraseOf(c),
				stdout:     c.App.Writer,
			}
			if b.plain && b.passphrase.file != "" {
				return usagef("--plain encrypts nothing, so there is no use for --passphrase-file")
			}
			if file == "-" && terminalOf(b.stdout) != nil {
				return usagef("a backup is nothing for a terminal: name a FILE, or let standard output go to one")
			}
			return b.run(c.Context)
		},
	}
}

type backup struct {
	file, db, admin string
	plain, force    bool
	passphrase      passphrase
	stdout          io.Writer
}

func (b *backup) run(ctx context.Context) error {
	if b.file != "-" {
		if err := b.mayWrite(); err != nil {
			return err
		}
	}
	// What is wrong with the database is said before anybody thinks of a passphrase.
	upkeep, err := openUpkeep(b.db, b.admin)
	if err != nil {
		return err
	}
	upkeep.Close()
	var secret []byte
	if !b.plain {
		if secret, err = b.passphrase.chosen(ctx); err != nil {
			return err
		}
		defer clear(secret)
	}
	upkeep, err = simserver.OpenUpkeep(b.db, b.admin, func() (*store.Store, error) {
		st, err := store.OpenToBackup(b.db) // that a backup is made is written into the database
		if err == nil {
			sayOldCopy(b.passphrase.stderr, st)
		}
		return st, err
	})
	if err != nil {
		return err
	}
	defer upkeep.Close()
	if b.file == "-" {
		return b.unwritten(b.write(ctx, b.stdout, upkeep, secret))
	}
	f, err := wholefile.Create(b.file)
	if err != nil {
		return b.unwritten(err)
	}
	defer f.Abort()
	if err := b.write(ctx, f, upkeep, secret); err != nil {
		return b.unwritten(err)
	}
	info, err := f.Stat()
	if err != nil {
		return b.unwritten(err)
	}
	if err := f.Commit(b.force); err != nil {
		return b.unwritten(err)
	}
	how := "encrypted"
	if b.plain {
		how = "not encrypted"
	}
	if _, err := fmt.Fprintf(b.stdout, "= backed up %s to %s (%d bytes, %s)\n", b.db, b.file, info.Size(), how); err != nil {
		return fmt.Errorf("the backup was made, but that could not be written to standard output: %w", err)
	}
	return nil
}

// write writes the backup, under the passphrase if there is one.
func (b *backup) write(ctx context.Context, w io.Writer, upkeep simserver.Upkeep, secret []byte) error {
	if b.plain {
		return upkeep.Backup(ctx, w)
	}
	recipient, err := age.NewScryptRecipient(string(secret))
	if err != nil {
		return err
	}
	sealed, err := age.Encrypt(w, recipient)
	if err != nil {
		return err
	}
	if err := upkeep.Backup(ctx, sealed); err != nil {
		return err
	}
	return sealed.Close()
}

// mayWrite says no to a FILE that can't be made, or is the database.
func (b *backup) mayWrite() error {
	there, err := os.Stat(b.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return b.unwritten(err)
	}
	if db, err := os.Stat(b.db); err == nil && os.SameFile(db, there) {
		return usagef("%s is the database itself: name another FILE", b.file)
	}
	if !there.Mode().IsRegular() {
		return usagef("%s is no regular file: name another FILE, or - for standard output", b.file)
	}
	if !b.force {
		return b.unwritten(fs.ErrExist)
	}
	return nil
}

// unwritten adds to an error of the file what to do. Others are sentences already.
func (b *backup) unwritten(err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s is there already, and was left as it is: name another FILE, or --force to overwrite it", b.file)
	case errors.As(err, &path) || errors.As(err, new(*os.LinkError)):
		if path != nil { // without the passing name
			err = path.Err
		}
		if b.file == "-" {
			return fmt.Errorf("the backup could not be written to standard output, and what is there of it is none: see that there is room for it: %w", err)
		}
		now := "and there is none"
		if _, err := os.Lstat(b.file); err == nil {
			now = "and the file that was there is as it was"
		}
		return fmt.Errorf("the backup %s could not be written, %s: see that its directory is there, has room and can be written to: %w", b.file, now, err)
	}
	return err
}

// openUpkeep reaches a database that is there, a running server's or the file, and changes nothing in it.
func openUpkeep(db, admin string) (simserver.Upkeep, error) {
	return simserver.OpenUpkeep(db, admin, func() (*store.Store, error) { return store.Look(db) })
}

// A passphrase is where one comes from.
type passphrase struct {
	file   string // "" for the terminal, - for a line of standard input
	stdin  io.Reader
	stderr io.Writer
}

func passphraseFlag() cli.Flag {
	return &cli.StringFlag{Name: "passphrase-file", Usage: "take the passphrase from the first line of `FILE` (- is standard input)"}
}

func passphraseOf(c *cli.Context) passphrase {
	return passphrase{c.String("passphrase-file"), c.App.Reader, c.App.ErrWriter}
}

// known returns the prepared passphrase of a backup that there is. The caller clears it.
func (p passphrase) known(ctx context.Context) ([]byte, error) {
	if p.file != "" {
		return p.read(ctx, password.Prepare)
	}
	line, err := ask(ctx, "passphrase", "passphrase of the backup: ")
	if err != nil {
		return nil, err
	}
	defer clear(line)
	return password.Prepare(line)
}

// chosen returns the prepared passphrase of a new backup, if it is a good one. The caller clears it.
func (p passphrase) chosen(ctx context.Context) ([]byte, error) {
	if p.file != "" {
		return p.read(ctx, goodPassphrase)
	}
	return askTwice(ctx, p.stderr, "passphrase", "passphrase for the backup: ", goodPassphrase)
}

func goodPassphrase(line []byte) ([]byte, error) {
	prepared, err := password.Prepare(line)
	if err != nil {
		return nil, ofPassphrase(err)
	}
	if err := password.CheckStrength(prepared, "sim"); err != nil {
		clear(prepared)
		return nil, ofPassphrase(err)
	}
	return prepared, nil
}

// ofPassphrase makes a sentence about a password one about a passphrase.
func ofPassphrase(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "password", "passphrase"))
}

// read takes a passphrase from the file.
func (p passphrase) read(ctx context.Context, prepare func(line []byte) ([]byte, error)) ([]byte, error) {
	line, err := interruptible(ctx, func() ([]byte, error) { return readPasswordFile(p.file, p.stdin, p.stderr) })
	if err != nil {
		return nil, err
	}
	defer clear(line)
	return prepare(line)
}
