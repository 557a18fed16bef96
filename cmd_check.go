package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"sim/client"
	"sim/password"
	"sim/proto"
	simserver "sim/server" // main has a variable called server
	"sim/store"
)

const checkHelp = `Looks at a server and its database, and prints a line for each thing that it looked at: "= ok …", "= warning …", or "= problem …; do this".

It reads every page and every account, looks for people whose names are reserved by now, at who may read the files, at the room on the
disk, at the clock, at the costs of a guess, and at the port: a server that listens there has to prove the key of this database, as it has
to for a client. With --public it tries that address as well. With --json each line is an object: "v":1, "type":"check", and level, check,
text, do.

It works while the server runs and while it doesn't. It changes nothing, and never makes a database.

Exit codes: 0 no problem, 1 a problem, 2 usage.`

const (
	checkLittleRoom = 64 << 20         // bytes: a warning
	checkNoRoom     = 4 << 20          // and room for two copies of the database, or it is a problem
	checkClockSlack = 10 * time.Second // how far in the future the newest thing in a database may be
	checkProbeTime  = time.Minute
)

// checkNotBefore is a time that is past for sure.
var checkNotBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:        "check",
		Usage:       "look whether a server and its database are well",
		Description: checkHelp,
		Flags: []cli.Flag{
			dbFlag(), adminFlag(), listenFlag(), publicFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print an object a line"},
		},
		Action: func(c *cli.Context) error {
			if err := noMoreArguments(c, 0, ""); err != nil {
				return err
			}
			if _, err := port(c.String("listen"), 0); err != nil {
				return usagef("--listen %w", err)
			}
			if err := checkPublic(c.String("public")); err != nil {
				return err
			}
			k := checkup{
				db: c.String("db"), admin: c.String("admin"), listen: listenOf(c), public: c.String("public"),
				json: c.Bool("json"), out: c.App.Writer,
			}
			return k.run(c.Context)
		},
	}
}

// A finding is a line that check prints.
type finding struct {
	V     int    `json:"v"`
	Type  string `json:"type"`
	Level string `json:"level"` // ok, warning or problem
	Check string `json:"check"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"`
}

const (
	levelOK      = "ok"
	levelWarning = "warning"
	levelProblem = "problem"
)

type checkup struct {
	db, admin, listen, public string
	json                      bool
	out                       io.Writer

	problems int
	unsaid   error // of the output
}

func (k *checkup) run(ctx context.Context) error {
	upkeep, err := openUpkeep(k.db, k.admin)
	if err != nil {
		k.problem("database", err.Error(), "")
		return k.end()
	}
	defer upkeep.Close()
	health, err := upkeep.Check()
	if err != nil {
		k.problem("database", err.Error(), "")
	} else {
		k.ok("database", "accounts: %d, entries in the audit log: %d, layout: %d, bytes: %d; every page is in its place",
			health.Accounts, health.Entries, health.Schema, health.Size)
	}
	k.checkFiles()
	k.checkRoom(health.Size)
	where, whereErr := upkeep.Where()
	switch {
	case whereErr != nil:
		k.problem("server", whereErr.Error(), "")
	case upkeep.Live():
		k.ok("server", "it runs, and answers at its admin socket")
		k.checkServer(ctx, where)
	default:
		k.ok("server", "none runs on this database")
		k.checkPort(ctx, where.Key)
	}
	if k.public != "" && whereErr == nil {
		k.checkPublic(ctx, where.Key)
	}
	if err == nil {
		k.checkClock(health.Newest)
		k.checkCosts(health)
		k.checkNames(upkeep)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return k.end()
}

// end returns how it went.
func (k *checkup) end() error {
	if k.unsaid != nil {
		return fmt.Errorf("what was found could not be written to standard output: %w", k.unsaid)
	}
	if k.problems > 0 {
		return codeError(exitFailed)
	}
	return nil
}

// checkFiles looks at who else could read the database or put another one in its place.
func (k *checkup) checkFiles() {
	path := k.db
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	info, err := os.Stat(path)
	if err != nil {
		k.problem("permissions", fmt.Sprintf("the file %s can't be looked at: %v", path, err), "see that its directory is there and this user may enter it")
		return
	}
	dir, err := os.Stat(filepath.Dir(path))
	switch {
	case exposed(info):
		k.problem("permissions", fmt.Sprintf("others than its owner can read or change %s, which has the server's key", path), "chmod 600 "+path)
	case err == nil && othersReplace(dir):
		k.problem("permissions", fmt.Sprintf("others can put another file in the place of %s", path), "chmod go-w "+filepath.Dir(path))
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o600 != 0o600:
		k.problem("permissions", fmt.Sprintf("its owner can't read and write %s, so no server starts on it", path), "chmod 600 "+path)
	case err == nil && runtime.GOOS != "windows" && dir.Mode().Perm()&0o300 != 0o300:
		k.problem("permissions", fmt.Sprintf("its owner can't make files in %s, so no server starts there", filepath.Dir(path)), "chmod u+wx "+filepath.Dir(path))
	default:
		k.ok("permissions", "%s is its owner's alone", path)
	}
	owner, ok := ownerOf(info)
	folderOwner, known := 0, false
	if err == nil {
		folderOwner, known = ownerOf(dir)
	}
	switch me := os.Geteuid(); {
	case !ok: // the system has none, or doesn't tell
	case known && owner == 0 && folderOwner != 0:
		k.warning("owner", fmt.Sprintf("%s is root's, and its directory uid %d's: a server of that user can't open it", path, folderOwner), fmt.Sprintf("chown %d %s", folderOwner, path))
	case owner == me:
		k.ok("owner", "%s is this user's, uid %d", path, me)
	case me == 0:
		k.ok("owner", "%s is uid %d's, who should run the server; this is root", path, owner)
	default:
		k.warning("owner", fmt.Sprintf("%s is uid %d's, and this is uid %d", path, owner, me), "run the server and this command as one user")
	}
}

func (k *checkup) checkRoom(size int64) {
	room, ok := freeRoom(filepath.Dir(k.db))
	text := fmt.Sprintf("%d MiB are free on the database's disk", room>>20)
	switch {
	case !ok: // the system doesn't tell
	case room < checkNoRoom+2*uint64(size):
		k.problem("disk", text, "make room: soon no change can be saved")
	case room < checkLittleRoom:
		k.warning("disk", text, "make room")
	default:
		k.ok("disk", "%s", text)
	}
}

// checkServer tries the port of the server that runs on this database.
func (k *checkup) checkServer(ctx context.Context, where simserver.Where) {
	host := reachable(where.Listen)
	if err := k.probe(ctx, where.Key, host); err != nil {
		k.problem("port", err.Error(), "see the server's log")
		return
	}
	k.ok("port", "the server answers at %s, and proved the key of this database", host)
}

// checkPort looks whether a server could listen.
func (k *checkup) checkPort(ctx context.Context, key [proto.PublicKeySize]byte) {
	listener, err := net.Listen("tcp", k.listen)
	switch {
	case err == nil:
		listener.Close()
		k.ok("port", "%s is free to listen on", k.listen)
	case errors.Is(err, syscall.EADDRINUSE):
		host := reachable(k.listen)
		if k.probe(ctx, key, host) == nil {
			k.ok("port", "a server answers at %s, and proved the key of this database", host)
			return
		}
		k.problem("port", fmt.Sprintf("another program listens at %s", k.listen), "stop that one, or choose another port with --listen")
	case errors.Is(err, fs.ErrPermission):
		k.problem("port", fmt.Sprintf("this user may not listen at %s", k.listen), "choose a port from 1024 on with --listen")
	default:
		k.problem("port", fmt.Sprintf("nobody can listen at %s: %v", k.listen, err), "choose another HOST:PORT with --listen")
	}
}

// reachable returns where to dial for what listens at an address, which may be every address of this machine.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}

func (k *checkup) checkPublic(ctx context.Context, key [proto.PublicKeySize]byte) {
	if err := k.probe(ctx, key, k.public); err != nil {
		k.problem("public", err.Error(), "see that the server runs, that the name leads to this machine and that its firewall lets the port in; some routers don't lead back to inside")
		return
	}
	k.ok("public", "%s leads to a server that proved the key of this database", k.public)
}

// probe is a sim client's way up to the server's proof of its key.
func (k *checkup) probe(ctx context.Context, key [proto.PublicKeySize]byte, host string) error {
	ctx, cancel := context.WithTimeout(ctx, checkProbeTime)
	defer cancel()
	return client.Probe(ctx, proto.Address{Key: key, Host: host})
}

func (k *checkup) checkClock(newest time.Time) {
	now := time.Now()
	switch {
	case now.Before(checkNotBefore):
		k.problem("clock", fmt.Sprintf("it says that it is %s", now.UTC().Format(time.RFC3339)), "set it: codes expire by it")
	case newest.After(now.Add(checkClockSlack)):
		k.problem("clock", fmt.Sprintf("it says %s, and the database was changed at %s", now.UTC().Format(time.RFC3339), newest.Format(time.RFC3339)), "set it: codes expire by it")
	default:
		k.ok("clock", "it says %s, and nothing in the database is newer", now.UTC().Format(time.RFC3339))
	}
}

func (k *checkup) checkCosts(h store.Health) {
	d := password.Default
	text := fmt.Sprintf("a guess of a password costs a thief Argon2id with %d passes over %d MiB", h.ArgonTime, h.ArgonMemory>>10)
	if h.ArgonTime < d.Time || h.ArgonMemory < d.Memory {
		k.warning("guesses", fmt.Sprintf("%s, less than the %d passes over %d MiB of a database that is made today", text, d.Time, d.Memory>>10),
			"a new database has them, and a new key and new passwords with them")
		return
	}
	k.ok("guesses", "%s", text)
}

// checkNames looks for people who were registered before their names were reserved.
func (k *checkup) checkNames(upkeep simserver.Upkeep) {
	for after := ""; ; {
		page, err := upkeep.List(after)
		if err != nil {
			k.problem("names", err.Error(), "")
			return
		}
		if len(page) == 0 {
			return
		}
		for _, person := range page {
			if name, err := proto.ParseName(person.Name); err == nil && name.Reserved() {
				k.warning("names", mayBeAdded(name).Error(), fmt.Sprintf("register the person under another name, and then sim users remove %s", name))
			}
		}
		after = page[len(page)-1].Name
	}
}

func (k *checkup) ok(check, format string, args ...any) {
	k.say(levelOK, check, fmt.Sprintf(format, args...), "")
}

func (k *checkup) warning(check, text, do string) {
	k.say(levelWarning, check, text, do)
}

// problem tells what is wrong; do is empty where the text says what to do.
func (k *checkup) problem(check, text, do string) {
	k.problems++
	k.say(levelProblem, check, text, do)
}

func (k *checkup) say(level, check, text, do string) {
	f := finding{1, "check", level, check, text, do}
	var err error
	if k.json {
		err = json.NewEncoder(k.out).Encode(f)
	} else {
		if do != "" {
			do = "; " + do
		}
		_, err = fmt.Fprintf(k.out, "= %s %s: %s%s\n", f.Level, f.Check, f.Text, do)
	}
	if k.unsaid == nil {
		k.unsaid = err
	}
}
