package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"sim/proto"
)

// Many come at one moment: a rush of people who log in, or a herd of sessions that all lost their connections, as when a network fails.

const (
	rushPatience = 2 * time.Minute // for one to get in; a server keeps a session that was cut off as long
	rushPause    = time.Second     // before another attempt, at the most, where the server doesn't say how long
	rushDials    = 512             // connections that are being made at once: a listener's backlog is short
)

// A rushTime is how long it took from that moment.
type rushTime struct {
	half, all time.Duration // until so many were in
	server    time.Duration // its CPU
	retries   int
}

// measureHerd lets sessions in, cuts them all, and waits until all have resumed.
func measureHerd(o *options, dir string) (*rushTime, error) {
	srv, err := startSimServer(o, dir, o.herd, cheapArgon, quick{})
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	srv.seen = true
	progress("%d sessions come in", o.herd)
	ends := make([]*simEnd, o.herd)
	if err := crowd(o.herd, func(n int) (err error) {
		if ends[n], err = srv.enter(n, busyBuffer); err == nil {
			srv.busy.add(ends[n])
		}
		return err
	}); err != nil {
		return nil, err
	}
	defer closeAll(ends)
	progress("all are cut off, and come back")
	return srv.rush(len(ends), func() { closeAll(ends) }, func(n int) error { return ends[n].comeBack(n, srv) })
}

// measureRush lets people log in, all at once.
func measureRush(o *options, dir string) (*rushTime, error) {
	srv, err := startSimServer(o, dir, o.rush, cheapArgon, quick{})
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	ends := make([]*simEnd, o.rush)
	defer closeAll(ends)
	progress("%d people log in at once", o.rush)
	return srv.rush(len(ends), func() {}, func(n int) (err error) {
		if ends[n], err = srv.enter(n, busyBuffer); err == nil {
			srv.busy.add(ends[n])
		}
		return err
	})
}

func closeAll(ends []*simEnd) {
	for _, e := range ends {
		if e != nil {
			e.close()
		}
	}
}

// rush lets n in, and counts the server's CPU for that.
func (s *simServer) rush(n int, begin func(), attempt func(int) error) (*rushTime, error) {
	before, err := s.run.cpu()
	if err != nil {
		return nil, err
	}
	r, err := untilIn(n, begin, attempt)
	if err != nil {
		return nil, err
	}
	after, err := s.run.cpu()
	r.server = after - before
	return r, err
}

// untilIn begins, and makes attempts for each of n until one gets in.
func untilIn(n int, begin func(), attempt func(int) error) (*rushTime, error) {
	began := time.Now()
	begin()
	took, retries, errs := make([]time.Duration, n), make([]int, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for {
				err := attempt(i)
				took[i] = time.Since(began)
				if err == nil {
					return
				}
				if errors.Is(err, proto.ErrRefused) || took[i] > rushPatience {
					errs[i] = err
					return
				}
				retries[i]++
				time.Sleep(pause(err))
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.Sort(took)
	r := &rushTime{half: took[(n-1)/2], all: took[n-1]}
	for _, n := range retries {
		r.retries += n
	}
	return r, nil
}

// pause is how long one waits after an attempt: what the server asks for if it is busy.
func pause(err error) time.Duration {
	if busy, ok := errors.AsType[*proto.BusyError](err); ok && busy.Seconds > 0 {
		return time.Duration(busy.Seconds) * time.Second
	}
	return rand.N(rushPause)
}

// comeBack resumes the session of user n over a connection of its own, and hears from the server there.
func (e *simEnd) comeBack(n int, s *simServer) error {
	socket, err := s.dial(n)
	if err != nil {
		return err
	}
	link, err := comeBack(socket, s.address, e.resumption, e.number)
	if err != nil {
		socket.Close()
		return err
	}
	e.mu.Lock()
	e.socket, e.session.Send, e.session.Receive = socket, link.Send, link.Receive
	e.in.Reset(socket)
	e.mu.Unlock()
	err = e.write(proto.AppendPing(nil, [8]byte{}))
	if err == nil {
		_, err = e.await(proto.TypePong)
	}
	if err != nil {
		socket.Close()
	}
	return err
}

func (r *rushTime) print(w io.Writer, what string, n int) {
	fmt.Fprintf(w, "%s; %d %s: half after %v, all after %v; %v of server CPU, which is %v each; %d attempts were repeated\n", versions(),
		n, what, r.half.Round(10*time.Millisecond), r.all.Round(10*time.Millisecond), r.server, (r.server / time.Duration(n)).Round(time.Microsecond), r.retries)
}
