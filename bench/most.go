package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// How many sessions of sim one machine holds: as many as are asked for come in, or as many as it lets, and then nobody talks.

const (
	mostFirst = 3    // keep-alives of each session before: then all are silent to the server
	mostPings = 2    // keep-alives of each, while the server's CPU for them is counted
	mostTold  = 5000 // sessions between two words on how far it is
)

// A holding is what a server was when no more came in.
type holding struct {
	wanted, sessions int
	stopped          error         // why not all came in; nil if they did
	took             time.Duration // until they were in
	logIns           time.Duration // the server's CPU for that
	fresh, rested    int           // resident bytes that all sessions add: when they were in, and after the keep-alives
	kernel           int           // bytes of the system's own, for both ends of all connections
	resting          float64       // the share of a core that keep-alives take
}

// measureMost lets sessions in until they are enough or one does not get in.
func measureMost(o *options, dir string) (*holding, error) {
	progress("%d people are registered", o.most)
	srv, err := startSimServer(o, dir, o.most, cheapArgon, quick{})
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	srv.seen = o.seen
	run := srv.process()
	memory, err1 := run.resident()
	kernel, err2 := slab()
	cpu, err3 := run.cpu()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}

	h := &holding{wanted: o.most}
	began := time.Now()
	h.sessions, h.stopped = srv.letIn(o.most)
	h.took = time.Since(began)
	if h.sessions == 0 {
		return nil, h.stopped
	}
	used, err1 := run.cpu()
	h.logIns = used - cpu
	time.Sleep(settleTime)
	held, err2 := run.resident()
	h.fresh = held - memory
	time.Sleep(mostFirst * pingEvery)
	if h.resting, err = (&stand{server: srv}).resting(mostPings * pingEvery); err != nil {
		return nil, err
	}
	held, err3 = run.resident()
	h.rested = held - memory
	now, err := slab()
	h.kernel = now - kernel
	return h, errors.Join(err1, err2, err3, err)
}

// letIn returns how many of n sessions came in, and what stopped the next.
func (s *simServer) letIn(n int) (int, error) {
	progress("%d sessions come in", n)
	began := time.Now()
	var in atomic.Int64
	err := crowd(n, func(i int) error {
		if _, err := s.idle(i); err != nil {
			return err
		}
		if k := in.Add(1); k%mostTold == 0 {
			progress("%d are in after %v", k, time.Since(began).Round(time.Second))
		}
		return nil
	})
	return int(in.Load()), err
}

func (h *holding) print(w io.Writer) {
	each := func(bytes int) string { return number(float64(bytes) / float64(h.sessions)) }
	fmt.Fprintf(w, "%s; %s\n", versions(), limits())
	fmt.Fprintf(w, "%d sessions of %d are in after %v, with %v of server CPU for each\n", h.sessions, h.wanted, h.took.Round(time.Second),
		(h.logIns / time.Duration(h.sessions)).Round(time.Microsecond))
	if h.stopped != nil {
		fmt.Fprintf(w, "the next one did not get in: %v\n", reason(h.stopped))
	}
	fmt.Fprintf(w, "resident bytes of each: %s when they were in, %s after %d keep-alives; the system's own for both ends of its connection: %s\n",
		each(h.fresh), each(h.rested), mostFirst+mostPings, each(h.kernel))
	fmt.Fprintf(w, "keep-alives take %.2f %% of a core: %s µs for each\n", 100*h.resting,
		number(1e6*h.resting*pingEvery.Seconds()/float64(h.sessions)))
}

// reason says what an error means for who wants more.
func reason(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "this program may open no more files (ulimit -n)"
	case errors.Is(err, syscall.ENFILE):
		return "the system opens no more files (fs.file-max)"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		return "an address has no more ports (net.ipv4.ip_local_port_range)"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server closed the connection: it has as many as it may open files (ulimit -n), less some for itself"
	}
	return err.Error()
}

// limits tells what this machine lets open.
func limits() string {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return "the limit of open files is not known"
	}
	return fmt.Sprintf("at most %d open files a process", files.Cur)
}

// slab is the memory that the system has taken for its own objects, sockets among them.
func slab() (bytes int, err error) {
	info, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer info.Close()
	for lines := bufio.NewScanner(info); lines.Scan(); {
		var kib int
		if n, _ := fmt.Sscanf(lines.Text(), "Slab: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, errors.New("/proc/meminfo has no Slab")
}
