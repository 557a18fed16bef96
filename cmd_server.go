package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"

	"github.com/urfave/cli/v2"

	"sim/metrics"
	"sim/password"
	simserver "sim/server" // main has a variable called server
	"sim/store"
)

const serverHelp = `Serves until SIGINT or SIGTERM. It needs no set-up: the first start makes the database with the server's key.

When it listens, it prints the address that clients use to standard output, one a line: sim://KEY@HOST:PORT.
Everything else goes to standard error.

With a configuration file (--config FILE or SIM_CONFIG), SIGHUP makes it read the file again: log-level and max-conns change at once, and it
says what else needs a restart. Without one, SIGHUP stops it.

The log goes to standard error, and has no names, addresses or secrets unless --log-identities is given. Every ten minutes, and at SIGUSR1,
a line at level info tells how the server is.

Exit codes: 0 stopped, 1 it could not start or go on, 2 usage.`

func dbFlag() cli.Flag {
	return &cli.StringFlag{Name: "db", Value: "sim.db", Usage: "the database `FILE`"}
}

func adminFlag() cli.Flag {
	return &cli.StringFlag{Name: "admin", Usage: "`PATH` of the socket for commands like adduser (default: the database's, and .sock)"}
}

func listenFlag() cli.Flag {
	return &cli.StringFlag{Name: "listen", Value: ":7465", Usage: "`HOST:PORT` to listen on; port 0 takes a free one; with --public alone, its port"}
}

// listenOf returns where to listen: if only the public address is given, at its port.
func listenOf(c *cli.Context) string {
	if _, port, err := net.SplitHostPort(c.String("public")); err == nil && !c.IsSet("listen") {
		return ":" + port
	}
	return c.String("listen")
}

func serverCommand() *cli.Command {
	return &cli.Command{
		Name:        "server",
		Usage:       "serve",
		Description: serverHelp,
		Flags: append([]cli.Flag{
			dbFlag(),
			listenFlag(),
			publicFlag(),
			adminFlag(),
			&cli.IntFlag{Name: "max-conns", Usage: "at most `N` connections", DefaultText: "20000, or as many as the files that may be open allow"},
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error"},
			&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json"},
			&cli.BoolFlag{Name: "log-identities", Usage: "log who logs in, and names and addresses of refused log-ins: whoever reads the log learns who was there, and when"},
		}, metricsFlags()...),
		Action: runServer,
	}
}

func runServer(c *cli.Context) error {
	if err := noMoreArguments(c, 0, ""); err != nil {
		return err
	}
	level := new(slog.LevelVar)
	if err := setLevel(level, c.String("log-level")); err != nil {
		return err
	}
	log, err := newLog(c.App.ErrWriter, level, c.String("log-format"))
	if err != nil {
		return err
	}
	config := simserver.Config{
		Listen: listenOf(c), Public: c.String("public"), Admin: c.String("admin"),
		MaxConns: c.Int("max-conns"), Log: log, Identities: c.Bool("log-identities"),
	}
	if _, err := port(config.Listen, 0); err != nil {
		return usagef("--listen %w", err)
	}
	if err := checkPublic(config.Public); err != nil {
		return err
	}
	if c.IsSet("max-conns") && config.MaxConns < 1 {
		return usagef("--max-conns is at least 1")
	}
	limitMemory(log)

	db := c.String("db")
	config.Store, err = openStore(db)
	if err != nil {
		return err
	}
	defer config.Store.Close()
	if config.Store.Exposed() {
		log.Warn("others than you can read the database: chmod 600 it", "db", db)
	}
	if old := config.Store.OldCopy(); old != "" {
		log.Warn("the database has a newer layout now: remove the copy of the older one when all is well, it has the server's key", "copy", old)
	}
	if config.Admin == "" {
		config.Admin = simserver.AdminPath(db)
	}
	operators, err := listenMetrics(c)
	if err != nil {
		return err
	}
	if operators != nil {
		defer operators.Close()
	}
	s, err := simserver.New(config)
	if err != nil {
		return err
	}
	if operators != nil {
		log.Info("metrics", "at", operators.Addr().String())
		defer metrics.Serve(operators, s)()
	}
	addresses := s.Addresses()
	for _, address := range addresses {
		if _, err := fmt.Fprintln(c.App.Writer, address); err != nil {
			return fmt.Errorf("the server was not started, since its address could not be written to standard output: %w", err)
		}
	}
	if config.Public == "" && len(addresses) > 1 {
		fmt.Fprintln(c.App.ErrWriter, "sim: one line for each address of this machine; --public HOST:PORT prints the one that your users reach")
	}
	if stop := reloadOnHangUp(c, log, level, s); stop != nil {
		defer stop()
	}
	defer healthOnSignal(s)()
	tellManager(log, "READY=1")
	defer context.AfterFunc(c.Context, func() { tellManager(log, "STOPPING=1") })()
	return s.Serve(c.Context)
}

// openStore opens the database, or makes it with today's costs of a guess.
func openStore(path string) (*store.Store, error) {
	d := password.Default
	return store.Open(path, store.Options{ArgonTime: d.Time, ArgonMemory: d.Memory, ArgonThreads: d.Threads})
}

// port checks HOST:PORT and returns the host.
func port(address string, least int) (host string, err error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%q is not HOST:PORT (an IPv6 address stands in brackets)", address)
	}
	if n, err := strconv.ParseUint(p, 10, 16); err != nil || int(n) < least {
		return "", fmt.Errorf("%q has no port from %d to 65535", address, least)
	}
	return host, nil
}

func setLevel(level *slog.LevelVar, name string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[name]
	if !ok {
		return usagef("--log-level is debug, info, warn or error, not %q", name)
	}
	level.Set(l)
	return nil
}

func newLog(w io.Writer, level *slog.LevelVar, format string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usagef("--log-format is text or json, not %q", format)
}
