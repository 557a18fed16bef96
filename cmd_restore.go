package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"filippo.io/age"
	"github.com/urfave/cli/v2"

	"sim/store"
)

const restoreHelp = `Makes a database of a backup, encrypted or plain; which of the two it is, the file says. - is standard input.

Every page and every account is checked first. When something is wrong with the backup, nothing is changed. A database that is there is
left as it is, unless --force says to put it aside: it is kept, as .before-restore beside the new one. The server must be stopped.

What was changed after the backup is not in it: whoever was added, removed or disabled since, and every password that was changed.

Exit codes: 0 restored, 1 not restored, 2 usage.`

// ageHead is how a file of age begins (age-encryption.org/v1).
const ageHead = "age-encryption.org/v1\n"

// maxScrypt bounds the work that a file may ask for before its passphrase is known to be right: 2^20, a gigabyte.
const maxScrypt = 20

func restoreCommand() *cli.Command {
	return &cli.Command{
		Name:        "restore",
		Usage:       "make a database of a backup",
		ArgsUsage:   "FILE",
		Description: restoreHelp,
		Flags: []cli.Flag{
			dbFlag(),
			passphraseFlag(),
			&cli.BoolFlag{Name: "force", Usage: "put the database that is there aside"},
		},
		Action: func(c *cli.Context) error {
			file, err := argument(c, "FILE")
			if err != nil {
				return err
			}
			r := restore{
				file: file, db: c.String("db"), force: c.Bool("force"),
				passphrase: passphraseOf(c),
				stdin:      c.App.Reader, stdout: c.App.Writer,
			}
			if file == "-" && r.passphrase.file == "-" {
				return usagef("standard input can't be the backup and the passphrase: put one of them into a file")
			}
			return r.run(c.Context)
		},
	}
}

type restore struct {
	file, db   string
	force      bool
	passphrase passphrase
	stdin      io.Reader
	stdout     io.Writer
}

func (r *restore) run(ctx context.Context) error {
	// What stands in the way is said before anybody types a passphrase.
	if err := store.MayRestore(r.db, r.force); err != nil {
		return err
	}
	in := r.stdin
	if r.file != "-" {
		f, err := os.Open(r.file)
		if err != nil {
			return fmt.Errorf("the backup can't be read: %w", err)
		}
		defer f.Close()
		in = f
	}
	content, err := r.content(ctx, bufio.NewReader(in))
	if err != nil {
		return err
	}
	kept, err := store.Restore(r.db, &backupReader{ctx, content}, r.force, time.Now(), store.OnFile())
	if err != nil {
		return err
	}
	if kept != "" {
		kept = fmt.Sprintf("; the one that was there is %s now", kept)
	}
	if _, err := fmt.Fprintf(r.stdout, "= restored %s%s\n", r.db, kept); err != nil {
		return fmt.Errorf("the database was restored, but that could not be written to standard output: %w", err)
	}
	return nil
}

// content returns what reads the backup's database.
func (r *restore) content(ctx context.Context, in *bufio.Reader) (io.Reader, error) {
	head, err := in.Peek(len(ageHead))
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("the backup can't be read: %w", err)
	}
	if string(head) != ageHead {
		if r.passphrase.file != "" {
			return nil, fmt.Errorf("%s is not encrypted, or no backup: without --passphrase-file it is taken for a plain one", r.file)
		}
		return in, nil
	}
	secret, err := r.passphrase.known(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	identity, err := age.NewScryptIdentity(string(secret))
	if err != nil {
		return nil, err
	}
	identity.SetMaxWorkFactor(maxScrypt)
	content, err := age.Decrypt(in, identity)
	if none, ok := errors.AsType[*age.NoIdentityMatchError](err); ok && slices.Equal(none.StanzaTypes, []string{"scrypt"}) {
		return nil, errors.New("the passphrase is wrong, or the backup is damaged at its beginning; nothing was changed")
	}
	if err != nil {
		return nil, fmt.Errorf("the backup can't be decrypted, and nothing was changed: it is damaged, or was not encrypted under a passphrase: %w", err)
	}
	return content, nil
}

// backupReader says of its errors whose they are.
type backupReader struct {
	ctx context.Context
	r   io.Reader
}

func (b *backupReader) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = fmt.Errorf("it can't be read: %w", path.Err)
		}
		err = fmt.Errorf("the backup is damaged or cut short, and nothing was changed: take another one: %w", err)
	}
	return n, err
}
