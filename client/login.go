package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sim/password"
	"sim/proto"
	"sim/proto/puzzle"
)

// A failure is why there is no session, told as a sentence, and the exit code that it stands for.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func failuref(code int, format string, args ...any) *failure {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// connect dials the server and logs in. The password is prepared already; it is the caller's to clear. Errors are *failure, or ctx's.
func connect(ctx context.Context, cfg *Config, name proto.Name, pw []byte, w working) (*proto.Session, *connection, error) {
	server := cfg.Server
	var waited time.Duration // for a server that was busy
	for tries := 1; ; {
		w.on("reaching the server")
		socket, err := cfg.dial(ctx, "tcp", server.Host)
		if err != nil {
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			return nil, nil, failuref(ExitLost, "the server at %s was not reached (%s): is it running, and is the address right?", server.Host, shortError(err))
		}
		began := time.Now()
		session, err := logIn(ctx, socket, server, name, pw, cfg.Deriver, w)
		if err == nil {
			return session, newConnection(socket, session.Send, session.Receive, proto.MaxFrames), nil
		}
		socket.Close()
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if errors.Is(err, errClosedEarly) && time.Since(began) < quickClose && tries < loginTries {
			tries++
			continue
		}
		if busy, ok := errors.AsType[*proto.BusyError](err); ok && busy.Seconds > 0 {
			wait := time.Duration(busy.Seconds) * time.Second
			if waited += wait; waited <= maxBusy {
				w.on(fmt.Sprintf("the server is busy, trying again in %d s", busy.Seconds))
				if !pause(ctx, wait) {
					return nil, nil, ctx.Err()
				}
				continue
			}
		}
		return nil, nil, sentence(err, server.Host)
	}
}

// pause waits, and is false when the context ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// working is told what a log-in takes its time for; nil is nobody.
type working func(step string)

func (w working) on(step string) {
	if w != nil {
		w(step)
	}
}

// errClosedEarly is returned when the connection ended before Challenge.
var errClosedEarly = errors.New("closed before Challenge")

// errSilent is returned when nothing came before Challenge was due.
var errSilent = errors.New("silent before Challenge")

// paramsError is returned when the server asks for password work that is too little or too much.
type paramsError struct{ err error }

func (e *paramsError) Error() string { return e.err.Error() }

// A handshake is a login or a resumption over a fresh connection.
type handshake struct {
	ctx     context.Context
	socket  net.Conn
	machine *proto.LoginClient
	work    working
	within  time.Duration // an answer has to come, if that is sooner than the machine says; 0: it isn't
}

// exchange writes a message and reads the next.
func (h *handshake) exchange(wire []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	deadline := h.machine.Deadline()
	if by := time.Now().Add(h.within); h.within > 0 && by.Before(deadline) {
		deadline = by
	}
	h.socket.SetDeadline(deadline)
	if _, err := h.socket.Write(wire); err != nil {
		return nil, err
	}
	return readBody(h.socket, proto.MaxServerBody)
}

func (h *handshake) solve(task *proto.Task) (*[puzzle.SolutionSize]byte, bool) {
	return solve(&task.Puzzle, &task.Binding, func() bool { return h.ctx.Err() != nil })
}

// begin does messages 1 to 3, and returns the body of 4.
func (h *handshake) begin() ([]byte, error) {
	body, err := h.exchange(h.machine.Hello(time.Now()))
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, errSilent
	case errors.Is(err, errLength):
		return nil, proto.ErrNoProof
	case err != nil:
		return nil, errClosedEarly
	}
	task, err := h.machine.Challenge(body)
	if err != nil {
		return nil, err
	}
	h.work.on("working on the server's puzzle")
	solution, ok := h.solve(task)
	if !ok {
		return nil, h.ctx.Err()
	}
	return h.exchange(h.machine.Login(time.Now(), solution))
}

// logIn does the six messages over a fresh connection.
func logIn(ctx context.Context, socket net.Conn, server proto.Address, name proto.Name, pw []byte, deriver password.Deriver, w working) (*proto.Session, error) {
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	machine, err := proto.NewLoginClient(server.Key, name)
	if err != nil {
		return nil, err
	}
	defer machine.Clear()
	h := &handshake{ctx: ctx, socket: socket, machine: machine, work: w}
	body, err := h.begin()
	if err != nil {
		return nil, err
	}
	task, err := machine.Salt(body)
	if err != nil {
		return nil, err
	}
	params := password.Params(task.Argon2)
	if err := params.Check(); err != nil {
		return nil, &paramsError{err}
	}
	w.on("working on the password")
	secret, err := deriver.Derive(pw, &task.Salt, params)
	if err != nil {
		return nil, &paramsError{err}
	}
	solution, ok := h.solve(task)
	if !ok {
		return nil, ctx.Err()
	}
	body, err = h.exchange(machine.Proof(time.Now(), solution, secret))
	if err != nil {
		return nil, err
	}
	session, err := machine.Welcome(time.Now(), body)
	if err != nil {
		return nil, err
	}
	socket.SetDeadline(time.Time{})
	return session, nil
}

// solve finds a puzzle's answers on all cores.
func solve(p *puzzle.Puzzle, binding *[32]byte, quit func() bool) (*[puzzle.SolutionSize]byte, bool) {
	solution := new([puzzle.SolutionSize]byte)
	if p.Bits == 0 {
		return solution, true
	}
	var next, missed atomic.Int32
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), puzzle.Count) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < puzzle.Count; i = int(next.Add(1)) - 1 {
				answer, ok := p.Answer(binding, i, quit)
				if !ok {
					missed.Add(1)
					return
				}
				for b := range puzzle.AnswerSize {
					solution[i*puzzle.AnswerSize+b] = byte(answer >> (8 * (puzzle.AnswerSize - 1 - b)))
				}
			}
		})
	}
	wg.Wait()
	return solution, missed.Load() == 0
}

// sentence says why a login failed, what to do, and which exit code it is.
func sentence(err error, host string) *failure {
	var (
		busy    *proto.BusyError
		version *proto.VersionError
		params  *paramsError
		peer    *proto.PeerError
		timeout net.Error
	)
	switch {
	case errors.Is(err, proto.ErrRefused):
		return failuref(ExitRefused, "login refused: the user name or the password is wrong")
	case errors.As(err, &busy):
		return failuref(ExitLost, "the server at %s is too busy to log anybody in: try again in %d s", host, busy.Seconds)
	case errors.As(err, &version):
		return failuref(ExitLost, "the server at %s speaks other versions of the protocol than this client (it: %v, this client: %d): one of the two is older", host, version.Versions, proto.Version)
	case errors.Is(err, errClosedEarly):
		return failuref(ExitNoProof, "%s closed the connection without a proof of the key in the address: the key is another server's, this is no sim server, or it is too busy", host)
	case errors.Is(err, errSilent):
		return failuref(ExitNoProof, "%s was silent: the key in the address is another server's, this is no sim server, or it is too busy or hangs", host)
	case errors.As(err, &params):
		return failuref(ExitNoProof, "the server at %s asks for password work that this client refuses: %v", host, params.err)
	case errors.Is(err, proto.ErrNoProof), errors.As(err, &peer), errors.Is(err, errLength):
		return failuref(ExitNoProof, "%s did not prove the key in the address: the key is another server's, somebody sits in between, or this is no sim server", host)
	case errors.As(err, &timeout) && timeout.Timeout():
		return failuref(ExitLost, "the server at %s stopped answering during the login: try again", host)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return failuref(ExitLost, "the server at %s closed the connection during the login: try again", host)
	}
	return failuref(ExitLost, "the connection to %s was lost during the login (%s)", host, shortError(err))
}

// shortError is the innermost text of a network error: "connection refused" in place of the whole path to it.
func shortError(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return harmless(text)
}
