package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"sim/password"
	"sim/proto"
	"sim/proto/srp"
	simserver "sim/server"
	"sim/store"
)

const (
	thePassword = "copper-anvil-62-violet" // everybody's
	busyBuffer  = 2 * proto.MaxRecord      // of an end that reads
	easyPuzzle  = 4                        // bits
	spareConns  = 64                       // of the server, beyond two for each end: a resumed session has two for a moment
)

// cheapArgon are the parameters of the database: quick doesn't use them.
var cheapArgon = password.Params{Time: 1, Memory: 1 << 16, Threads: 1}

// A simServer is sim's own binary.
type simServer struct {
	run     *process
	address proto.Address
	deriver password.Deriver
	sealed  bool // texts are sealed before they are measured, and not opened
	seen    bool

	busy, idlers flock // sessions in pairs, and those that only stay
	quit         chan struct{}
	dials        chan struct{} // with a place for each connection that may be being made
}

func startSim(o *options, dir string, ends int) (server, error) {
	return startSimServer(o, dir, ends, cheapArgon, quick{})
}

func startSealedSim(o *options, dir string, ends int) (server, error) {
	s, err := startSimServer(o, dir, ends, cheapArgon, quick{})
	if err != nil {
		return nil, err
	}
	s.sealed = true
	return s, nil
}

func startSeenSim(o *options, dir string, ends int) (server, error) {
	s, err := startSimServer(o, dir, ends, cheapArgon, quick{})
	if err != nil {
		return nil, err
	}
	s.seen = true
	return s, nil
}

// beside starts another build of sim than the one that is measured.
func beside(start func(*options, string, int) (server, error)) func(*options, string, int) (server, error) {
	return func(o *options, dir string, ends int) (server, error) {
		other := *o
		other.sim, other.easy = o.beside, false
		return start(&other, dir, ends)
	}
}

func startSimServer(o *options, dir string, people int, params password.Params, deriver password.Deriver) (*simServer, error) {
	home, err := os.MkdirTemp(dir, "sim-")
	if err != nil {
		return nil, err
	}
	db := filepath.Join(home, "sim.db")
	if err := register(db, people, params, deriver); err != nil {
		return nil, err
	}
	run, err := o.startBinary(dir, db, 2*people+spareConns)
	if err != nil {
		return nil, err
	}
	s := &simServer{run: run, deriver: deriver, quit: make(chan struct{}), dials: make(chan struct{}, rushDials)}
	if s.address, err = proto.ParseAddress(run.first); err != nil {
		run.stop()
		return nil, err
	}
	go s.keepAlive()
	return s, nil
}

// startBinary starts the server's process, which takes so many connections, if it may open as many files.
func (o *options) startBinary(dir, db string, conns int) (*process, error) {
	if o.easy {
		return startRole("sim", db, strconv.Itoa(conns))
	}
	if o.sim == "" {
		o.sim = filepath.Join(dir, "sim")
		build := exec.Command("go", "build", "-C", "..", "-o", o.sim, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build sim (run this in the folder bench, or name a binary with -sim): %w\n%s", err, out)
		}
	}
	return startProcess(o.sim, "server", "--db", db, "--listen", "127.0.0.1:0", "--log-level", "error", "--max-conns", strconv.Itoa(conns))
}

// serveEasySim serves as the binary does, but for the puzzle.
func serveEasySim(db string, conns int) error {
	st, err := store.Open(db, store.Options{Existing: true})
	if err != nil {
		return err
	}
	defer st.Close()
	s, err := simserver.New(simserver.Config{
		Listen: "127.0.0.1:0", Admin: simserver.AdminPath(db), Store: st, MaxConns: conns, PuzzleBits: easyPuzzle, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	fmt.Println(s.Addresses()[0])
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return s.Serve(ctx)
}

// register makes a database of people.
func register(path string, people int, params password.Params, deriver password.Deriver) error {
	st, err := store.Open(path, store.Options{ArgonTime: params.Time, ArgonMemory: params.Memory, ArgonThreads: params.Threads})
	if err != nil {
		return err
	}
	directory := simserver.NewDirectory(st)
	err = crowd(people, func(n int) error {
		name := nameOf(n)
		salt := directory.Salt(name)
		secret, err := deriver.Derive([]byte(thePassword), &salt, params)
		if err != nil {
			return err
		}
		return st.Add(name.String(), store.Account{Verifier: *srp.Verifier(name.String(), &salt, secret)}, store.OnFile())
	})
	return errors.Join(err, st.Close())
}

func nameOf(n int) proto.Name {
	name, err := proto.ParseName(fmt.Sprintf("user%d", n))
	if err != nil {
		panic(err)
	}
	return name
}

func (s *simServer) process() *process { return s.run }

func (s *simServer) stop() {
	close(s.quit)
	s.run.stop()
}

// dial connects end n.
func (s *simServer) dial(n int) (net.Conn, error) {
	s.dials <- struct{}{}
	defer func() { <-s.dials }()
	return dialer(n).Dial("tcp", s.address.Host)
}

// enter logs user n in. The end reads with a buffer of that size.
func (s *simServer) enter(n, buffer int) (*simEnd, error) {
	socket, err := s.dial(n)
	if err != nil {
		return nil, err
	}
	session, _, err := logIn(socket, s.address, nameOf(n), s.deriver)
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("log in: %w", err)
	}
	e := &simEnd{socket: socket, in: bufio.NewReaderSize(socket, buffer), session: session, sealed: s.sealed, seen: s.seen}
	first := proto.AppendPing(nil, [8]byte{})
	if e.seen {
		e.resumption = proto.NewResumption(session)
		first = proto.AppendSeen(first, 0)
	}
	err = e.write(first)
	if err == nil {
		_, err = e.await(proto.TypePong) // from then on the server lists the session
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (s *simServer) pair(n int) (from, to end, err error) {
	a, err := s.enter(2*n, busyBuffer)
	if err != nil {
		return nil, nil, err
	}
	b, err := s.enter(2*n+1, busyBuffer)
	if err != nil {
		return nil, nil, err
	}
	s.busy.add(a)
	s.busy.add(b)
	if s.seen {
		a.granted = make(chan int, seenRoom)
	}
	if err := converse(a, b); err != nil {
		return nil, nil, fmt.Errorf("open a conversation: %w", err)
	}
	if s.seen {
		b.grants = true
		if err := b.tellAll(); err != nil { // of the conversation's beginning, so that it is not granted
			return nil, nil, err
		}
	}
	if s.sealed {
		if err := a.sealBeforehand(theText); err != nil {
			return nil, nil, err
		}
	}
	return a, b, nil
}
