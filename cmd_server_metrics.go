package main

import (
	"errors"
	"net"

	"github.com/urfave/cli/v2"

	"sim/metrics"
)

func metricsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "metrics", Usage: "serve /metrics (Prometheus) and /healthz over HTTP at `HOST:PORT` of this machine, for its own users"},
		&cli.BoolFlag{Name: "metrics-public", Usage: "let --metrics be at an address that others reach: everybody who does can read it"},
	}
}

// listenMetrics listens where --metrics says; nil if nothing is asked for.
func listenMetrics(c *cli.Context) (net.Listener, error) {
	address := c.String("metrics")
	if address == "" {
		return nil, nil
	}
	if _, err := port(address, 0); err != nil {
		return nil, usagef("--metrics %w", err)
	}
	listener, err := metrics.Listen(address, c.Bool("metrics-public"))
	if errors.Is(err, metrics.ErrPublic) {
		return nil, usagef("--metrics %s: %w: choose a host like 127.0.0.1, or say --metrics-public if they may read it", address, err)
	}
	return listener, err
}
