package main

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"sim/proto/srp"
)

// What a log-in costs a server beside what none can do without: three modular exponentiations, two X25519 and one decapsulation. A process of its own does
// these alone, in two steps as a log-in does, asked for over a connection, with a client's own share of the work before each: so the system counts
// both on processors that are as busy, as cold and as awake.

// The parts of each step are asked for by a byte.
const (
	firstParts  = 'k' // of the key agreement, and one exponentiation
	secondParts = 'p' // the other two
)

// serveParts does parts of log-ins until its standard input ends.
func serveParts() error {
	key, err1 := ecdh.X25519().GenerateKey(rand.Reader)
	peer, err2 := ecdh.X25519().GenerateKey(rand.Reader)
	kem, err3 := mlkem.GenerateKey768()
	listener, err4 := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	_, ciphertext := kem.EncapsulationKey().Encapsulate()
	fmt.Println(listener.Addr())
	go acceptAll(listener, func(socket net.Conn) {
		var what [1]byte
		for {
			if _, err := io.ReadFull(socket, what[:]); err != nil {
				return
			}
			powers := 2
			if what[0] == firstParts {
				powers = 1
				for range 2 {
					key.ECDH(peer.PublicKey())
				}
				kem.Decapsulate(ciphertext)
			}
			for range powers {
				srp.Begin()
			}
			socket.Write(what[:])
		}
	})
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// askForParts asks for those of one log-in, over a connection of its own.
func askForParts(host string) error {
	socket, err := net.Dial("tcp", host)
	if err != nil {
		return err
	}
	defer socket.Close()
	for _, what := range []byte{firstParts, secondParts} {
		clientsShare(what)
		b := []byte{what}
		if _, err := socket.Write(b); err != nil {
			return err
		}
		if _, err := io.ReadFull(socket, b); err != nil {
			return err
		}
	}
	return nil
}

// clientsShare is what a client computes before each of the two.
func clientsShare(what byte) {
	if what == secondParts {
		for range 3 {
			srp.Begin()
		}
		return
	}
	key, _ := ecdh.X25519().GenerateKey(rand.Reader)
	key.ECDH(key.PublicKey())
	if kem, err := mlkem.GenerateKey768(); err == nil {
		kem.EncapsulationKey().Encapsulate()
	}
}

// A logInCost is microseconds of the system's count: of the server's process for a log-in, of the other one for its parts, and the one by the other.
type logInCost struct{ whole, parts, times result }

// measureLogIns lets people log in, a few at once, and has as many parts done, in turns.
func measureLogIns(o *options, dir string) (*logInCost, error) {
	srv, err := startSimServer(o, dir, o.logIns, cheapArgon, quick{})
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	run, err := startRole("parts")
	if err != nil {
		return nil, err
	}
	defer run.stop()
	c := new(logInCost)
	for round := range o.rounds + 1 { // the first is for the caches
		progress("round %d of %d: %d log-ins, and as many parts", round, o.rounds, o.logIns)
		var spent [2]time.Duration
		for i, step := range []struct {
			of *process
			do func(n int) error
		}{
			{srv.process(), srv.comeAndGo},
			{run, func(int) error { return askForParts(run.first) }},
		} {
			before, err := step.of.cpu()
			if err == nil {
				err = crowd(o.logIns, step.do)
			}
			after, err2 := step.of.cpu()
			if err := errors.Join(err, err2); err != nil {
				return nil, err
			}
			spent[i] = (after - before) / time.Duration(o.logIns)
		}
		if round > 0 {
			c.whole.add(entries, micros(spent[0]))
			c.parts.add(entries, micros(spent[1]))
			c.times.add(entries, float64(spent[0])/float64(spent[1]))
		}
	}
	return c, nil
}

func (c *logInCost) print(w io.Writer, logIns int) {
	fmt.Fprintf(w, "%s\n%d log-ins a round; server CPU, µs by the system's count\n\n| a log-in | its parts alone | times |\n| --- | --- | --- |\n| %s | %s | %s |\n",
		versions(), logIns, c.whole.cell(entries), c.parts.cell(entries), c.times.cell(entries))
}

// comeAndGo logs user n in, whose session is over then.
func (s *simServer) comeAndGo(n int) error {
	e, err := s.enter(n, restsBuffer)
	if err == nil {
		e.close()
	}
	return err
}
