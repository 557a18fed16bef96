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

// A rush is many who come at one moment: a crowd that logs in, or a herd of sessions that all lost their connections, as when a network fails.

const (
	rushPatience = 2 * time.Minute // for one to get in: then the server has forgotten a session
	rushPause    = time.Second     // before another attempt, at the most, where the server doesn't say how long
	rushDials    = 512             // connections that are being made at once: a listener's backlog is short
)

// A rush is how long it took from that moment.
type rush struct {
	half, all time.Duration // until so many were in
	server    time.Duration // its CPU
	retries   int
}

// measureHerd lets sessions in, cuts them all, and waits until all have resumed.
func measureHerd(o *options, dir string) (*rush, error) {
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
	return srv.rush(len(ends), func() { closeAll(ends) }, func(n int) error { return ends[n].comeBack(n, srv.address) })
}

// measureRush lets people log in, all at once.
func measureRush(o *options, dir string) (*rush, error) {
	srv, err := startSimServer(o, dir, o.rush, cheapArgon, quick{})
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	ends := make([]*simEnd, o.rush)
	defer closeAll(ends)
	progress("%d people log in at once", o.rush)
	return srv.rush(len(ends), func() {}, func(n int) (err error) {
		ends[n], err = srv.enter(n, busyBuffer)
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
func (s *simServer) rush(n int, begin func(), attempt func(int) error) (*rush, error) {
	before, err := s.run.cpu()
	if err != nil {
		return nil, err
	}
	r, err := letIn(n, begin, attempt)
	if err != nil {
		return nil, err
	}
	after, err := s.run.cpu()
	r.server = after - before
	return r, err
}

// letIn begins, and makes attempts for each of n until one gets in.
func letIn(n int, begin func(), attempt func(int) error) (*rush, error) {
	began := time.Now()
	begin()
	took, retries, errs := make([]time.Duration, n), make([]int, n), make([]error, n)
	dials := make(chan struct{}, rushDials)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for {
				dials <- struct{}{}
				err := attempt(i)
				<-dials
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
	r := &rush{half: took[(n-1)/2], all: took[n-1]}
	for _, n := range retries {
		r.retries += n
	}
	return r, nil
}

// pause is how long one waits after an attempt: what the server asks for if it is busy.
func pause(err error) time.Duration {
	if busy, ok := errors.AsType[*proto.BusyError](err); ok {
		return time.Duration(busy.Seconds) * time.Second
	}
	return rand.N(rushPause)
}

// comeBack resumes the session of user n over a connection of its own, and hears from the server there.
func (e *simEnd) comeBack(n int, server proto.Address) error {
	socket, err := dialer(n).Dial("tcp", server.Host)
	if err != nil {
		return err
	}
	link, err := comeBack(socket, server, e.resumption, e.number)
	if err != nil {
		socket.Close()
		return err
	}
	e.mu.Lock()
	e.socket, e.session.Send, e.session.Receive = socket, link.Send, link.Receive
	e.in.Reset(socket)
	e.mu.Unlock()
	if err := e.write(proto.AppendPing(nil, [8]byte{})); err != nil {
		return err
	}
	_, err = e.await(proto.TypePong)
	return err
}

func (r *rush) print(w io.Writer, what string, n int) {
	fmt.Fprintf(w, "%s; %d %s at once: half were in after %v, all after %v; %v of server CPU, which is %v each; %d attempts were repeated\n", versions(),
		n, what, r.half.Round(10*time.Millisecond), r.all.Round(10*time.Millisecond), r.server, (r.server / time.Duration(n)).Round(time.Microsecond), r.retries)
}
