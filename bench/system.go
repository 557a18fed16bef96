package main

import (
	"fmt"
	"net"
	"strconv"
)

// A system is a server that is measured, and its clients.
type system struct {
	name    string
	what    string        // for the table
	floor   bool          // it does less than a relay has to
	other   bool          // it is sim, of another build than the one that is measured
	missing func() string // why this machine does not have it; empty if it does, and where nil it always does
	start   func(o *options, dir string, ends int) (server, error)
}

// A server is a process that runs, and how to reach it.
type server interface {
	process() *process
	// pair connects ends 2n and 2n+1, the second of which gets what the first sends.
	pair(n int) (from, to end, err error)
	// idle connects end n, which then only stays.
	idle(n int) (end, error)
	stop()
}

// An end is a client's connection.
type end interface {
	send(texts int) error  // writes that many texts, in one write
	receive() (int, error) // waits for texts, and returns how many came
	close()
}

// A copier is the sending half of an end that writes the same bytes for each text.
type copier struct {
	conn net.Conn
	one  []byte
	out  []byte
}

func (c *copier) send(texts int) error {
	c.out = c.out[:0]
	for range texts {
		c.out = append(c.out, c.one...)
	}
	_, err := c.conn.Write(c.out)
	return err
}

func (c *copier) close() { c.conn.Close() }

var systems = []system{
	{name: "sim", what: "sim", start: startSim},
	{name: "sim-sealed", what: "sim, texts sealed beforehand", start: startSealedSim},
	{name: "sim-seen", what: "sim, sessions that can be resumed", start: startSeenSim},
	{name: "other", what: "sim, another build", other: true, start: beside(startSim)},
	{name: "other-sealed", what: "sim, another build, texts sealed beforehand", other: true, start: beside(startSealedSim)},
	{name: "nats", what: "NATS", start: startNATS},
	{name: "mosquitto", what: "Mosquitto, QoS 0", missing: noMosquitto, start: startMosquitto},
	{name: "derp", what: "Tailscale DERP", missing: noDERP, start: startDERP},
	{name: "ergo", what: "Ergo IRC", missing: noErgo, start: startErgo},
	{name: "tls", what: "floor: two TLS hops, no routing", floor: true, start: startFloor("tls")},
	{name: "records", what: "floor: two record hops, no routing", floor: true, start: startFloor("records")},
}

// serve is what this program does as a server. It returns when its standard input ends.
func serve(role string, args []string) error {
	switch role {
	case "nats":
		return serveNATS()
	case "tls", "records":
		return serveFloor(role)
	case "parts":
		return serveParts()
	case "sim":
		if len(args) != 2 {
			break
		}
		conns, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return serveEasySim(args[0], conns)
	}
	return fmt.Errorf("no role %q with %d arguments", role, len(args))
}

// endsEach is how many ends connect from one address: it has some 28,000 ports, of which others have taken theirs.
const endsEach = 10_000

// dialer connects end n, from an address of this machine.
func dialer(n int) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n/endsEach))}}
}
