package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"sim/internal/payload"
	"sim/internal/wholefile"
	"sim/proto"
)

const embedHelp = `Writes a copy of this program that carries a server's address: whoever gets FILE runs "FILE client", and needs no flag.
The address is not secret, but it says whom a client trusts: hand FILE over in a way that nobody can change it on.

--from BINARY takes another sim binary in place of this one, so that people on other systems get theirs: Linux and other ELF systems,
macOS, Windows. A copy that carries an address already gets the new one. The same input gives the same bytes.

--server, SIM_SERVER and a configuration file go before the address that a copy carries. A copy whose address is damaged says so, and
one that has lost it too (strip, or a tool that repacks programs); on macOS that one just asks for --server.

Exit codes: 0 written, 1 not written, 2 usage.`

const (
	maxBinary  = 512 << 20
	binaryMode = 0o755
	freshCopy  = "get a fresh copy of it, or give --server ADDRESS"
)

// How an address came into this program.
const (
	builtIn  = "built in"
	embedded = "embedded"
	nowhere  = "none"
)

func embedCommand() *cli.Command {
	return &cli.Command{
		Name:        "embed",
		Usage:       "make a copy of this program that knows its server",
		Description: embedHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "server", Usage: "the `ADDRESS` to carry, sim://KEY@HOST:PORT as the server prints it"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the copy to `FILE`"},
			&cli.StringFlag{Name: "from", Usage: "copy `BINARY`, a sim for this or another system (default: this program)"},
			&cli.BoolFlag{Name: "force", Usage: "overwrite FILE, if it is a sim binary"},
		},
		Action: runEmbed,
	}
}

func runEmbed(c *cli.Context) error {
	if err := noMoreArguments(c, 0, ""); err != nil {
		return err
	}
	out, from := c.String("output"), c.String("from")
	if out == "" {
		return usagef("where to? give -o FILE")
	}
	if info, err := os.Stat(out); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory: name a file in it", out)
	}
	if c.String("server") == "" {
		return usagef("which server? give --server ADDRESS: `sim server` prints it, sim://KEY@HOST:PORT")
	}
	address, err := serverAddress(c.String("server"))
	if err != nil {
		return usagef("--server: %w", err)
	}
	if from == "" {
		if from, err = os.Executable(); err != nil {
			return fmt.Errorf("this program's own file is not found (%w): name it with --from", err)
		}
	}
	program, err := readBinary(from)
	if err != nil {
		return err
	}
	program, err = payload.Put(program, address.String())
	switch {
	case errors.Is(err, payload.ErrForeign):
		return fmt.Errorf("%s is no sim binary that can carry an address: it must be one for Linux or another ELF system, macOS or Windows, as it was built", from)
	case errors.Is(err, payload.ErrDamaged):
		return fmt.Errorf("%s carries an address that is damaged, so the rest may be too: take a fresh copy", from)
	case err != nil:
		return fmt.Errorf("%s: %w", from, err)
	}
	if c.Bool("force") {
		if err := mayReplace(out); err != nil {
			return err
		}
	}
	if err := writeBinary(out, c.Bool("force"), program); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.App.Writer, "= embedded %s in %s\n", address, out); err != nil {
		return fmt.Errorf("the copy was made, but that could not be written to standard output: %w", err)
	}
	return nil
}

func readBinary(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the program can't be read: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBinary+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the program can't be read: %w", err)
	case len(b) > maxBinary:
		return nil, fmt.Errorf("%s has more than %d bytes: that is no sim binary", path, maxBinary)
	}
	return b, nil
}

// mayReplace lets --force take the place of a sim binary alone: a wrong name may be that of a database.
func mayReplace(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	old, err := readBinary(path)
	if err == nil {
		_, err = payload.Put(old, "any")
	}
	if err != nil && !errors.Is(err, payload.ErrDamaged) {
		return fmt.Errorf("%s is no sim binary, and was left as it is, --force or not: name another file", path)
	}
	return nil
}

// writeBinary writes a program that is whole from the moment it is there. Without force it takes nobody's place.
func writeBinary(path string, force bool, program []byte) error {
	err := func() error {
		f, err := wholefile.Create(path)
		if err != nil {
			return err
		}
		defer f.Abort()
		if _, err := f.Write(program); err != nil {
			return err
		}
		if err := f.Chmod(binaryMode); err != nil {
			return err
		}
		return f.Commit(force)
	}()
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists, and was left as it is (--force overwrites it)", path)
	}
	if err != nil {
		return fmt.Errorf("%s can't be written: %w", path, err)
	}
	return nil
}

// ownAddress returns the address that this program carries, and how it came there: sim embed, or the build.
func ownAddress() (address, source string, err error) {
	switch address, err := embeddedAddress(); {
	case err != nil:
		return "", "", err
	case address != "":
		return address, embedded, nil
	case server != "":
		return server, builtIn, nil
	}
	return "", nowhere, nil
}

// embeddedAddress reads the end of this program's own file.
func embeddedAddress() (string, error) {
	address, err := readOwnPayload()
	_, misread := proto.ParseAddress(address)
	switch {
	case errors.Is(err, payload.ErrDamaged), address != "" && misread != nil:
		return "", fmt.Errorf("the server's address that this copy of sim carries is damaged: %s", freshCopy)
	case err != nil && payload.Marked():
		return "", fmt.Errorf("the server's address that this copy of sim carries can't be read (%w): %s", err, freshCopy)
	case err == nil && address == "" && payload.Marked():
		return "", fmt.Errorf("this copy of sim carried a server's address and has lost it: %s", freshCopy)
	case err != nil:
		return "", nil // nothing says that there is one
	}
	return address, nil
}

func readOwnPayload() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	return payload.Get(f, info.Size())
}

// ownAddressText is for the help of `sim client`.
func ownAddressText() string {
	address, source, err := ownAddress()
	switch {
	case err != nil:
		return err.Error()
	case address == "":
		return source
	}
	return address + ", " + source
}
