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

// A herd is many sessions that lose their connections at one moment, as when a network fails, and that all come back at once.

const (
	herdPatience = 2 * time.Minute // for one session to come back: then the server has forgotten it
	herdPause    = time.Second     // before another attempt, at the most
	herdDials    = 512             // connections that are being made at once: a listener's backlog is short
)

// A herdTime is how long it took from the cut.
type herdTime struct {
	half, all time.Duration // until so many were back
	server    time.Duration // its CPU
	retries   int
}

// measureHerd lets sessions in, cuts them all, and waits until all have resumed.
func measureHerd(o *options, dir string) (*herdTime, error) {
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
	before, err := srv.run.cpu()
	if err != nil {
		return nil, err
	}

	progress("all are cut off, and come back")
	began := time.Now()
	for _, e := range ends {
		e.close()
	}
	took, retries, errs := make([]time.Duration, o.herd), make([]int, o.herd), make([]error, o.herd)
	dials := make(chan struct{}, herdDials)
	var all sync.WaitGroup
	for i, e := range ends {
		all.Go(func() {
			for {
				dials <- struct{}{}
				errs[i] = e.comeBack(i, srv.address)
				<-dials
				took[i] = time.Since(began)
				if errs[i] == nil || errors.Is(errs[i], proto.ErrRefused) || took[i] > herdPatience {
					return
				}
				retries[i]++
				time.Sleep(rand.N(herdPause))
			}
		})
	}
	all.Wait()
	defer func() {
		for _, e := range ends {
			e.close()
		}
	}()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	after, err := srv.run.cpu()
	slices.Sort(took)
	h := &herdTime{half: took[len(took)/2], all: took[len(took)-1], server: after - before}
	for _, n := range retries {
		h.retries += n
	}
	return h, err
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

func (h *herdTime) print(w io.Writer, sessions int) {
	fmt.Fprintf(w, "%s; %d sessions cut off at once: half were back after %v, all after %v; %v of server CPU, which is %v a session; %d attempts were repeated\n", versions(),
		sessions, h.half.Round(10*time.Millisecond), h.all.Round(10*time.Millisecond), h.server, (h.server / time.Duration(sessions)).Round(time.Microsecond), h.retries)
}
