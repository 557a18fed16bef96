package main

import (
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/urfave/cli/v2"

	simserver "sim/server" // main has a variable called server
)

// A reloader takes what a running server can change from the configuration file when that is read again.
type reloader struct {
	c      *cli.Context
	log    *slog.Logger
	level  *slog.LevelVar
	server *simserver.Server

	began map[string]string // the flags that were not typed, as the server began with them
}

// reloadOnHangUp reads the configuration file again at each SIGHUP, until stop is called. Without a file it is nil, and a hang-up ends the
// server as it ends every program.
func reloadOnHangUp(c *cli.Context, log *slog.Logger, level *slog.LevelVar, s *simserver.Server) (stop func()) {
	if c.String("config") == "" && os.Getenv(configVariable) == "" {
		return nil
	}
	r := &reloader{c: c, log: log, level: level, server: s}
	var err error
	if r.began, err = r.read(); err != nil {
		log.Warn("SIGHUP changes nothing", "error", err)
		return nil
	}
	signal.Reset(syscall.SIGHUP) // main stops at it
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range hangUps {
			r.reload()
		}
	}()
	return func() {
		signal.Stop(hangUps)
		close(hangUps)
		<-ended
	}
}

// read returns what a start would find now, but for what was typed, which stays.
func (r *reloader) read() (map[string]string, error) {
	given, err := readSettings(r.c)
	if err != nil {
		return nil, err
	}
	list, err := valuesOf(r.c.Command, given)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, v := range list {
		if !r.c.App.Metadata[inForceKey].(*inForce).typed[v.name] {
			values[v.name] = v.value
		}
	}
	return values, nil
}

// reload changes all that changed, or nothing.
func (r *reloader) reload() {
	values, err := r.read()
	if err == nil {
		err = r.apply(values)
	}
	if err != nil {
		r.log.Error("the configuration file is not taken; everything is as it was", "error", err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if live := name == "log-level" || name == "max-conns"; !live && values[name] != r.began[name] {
			r.log.Warn("this takes a restart", "flag", name)
		}
	}
	r.log.Info("the configuration file was read again")
}

func (r *reloader) apply(values map[string]string) error {
	if value, ok := values["log-level"]; ok {
		if err := setLevel(r.level, value); err != nil {
			return err
		}
	}
	if value, ok := values["max-conns"]; ok {
		n, err := strconv.Atoi(value)
		if err != nil {
			return err // none is left: the flag has parsed it
		}
		r.server.SetMaxConns(n)
	}
	return nil
}
