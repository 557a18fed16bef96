package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"sim/password"
	"sim/proto"
	"sim/proto/puzzle"
)

// quick stands for Argon2id, which is the client's work alone and would take most of the time of a herd's log-in.
type quick struct{}

func (quick) Derive(_ []byte, salt *[32]byte, _ password.Params) (*[32]byte, error) {
	t := *salt
	return &t, nil
}

// A handshake is a client's side of a log-in or of a resumption, and where its time went.
type handshake struct {
	socket  net.Conn
	machine *proto.LoginClient

	derive, puzzles, server time.Duration // the last: from what was written to the answer, the way included
}

// logIn does the six messages of a log-in over a connection to the server.
func logIn(socket net.Conn, server proto.Address, name proto.Name, deriver password.Deriver) (*proto.Session, *handshake, error) {
	machine, err := proto.NewLoginClient(server.Key, name)
	if err != nil {
		return nil, nil, err
	}
	defer machine.Clear()
	h := &handshake{socket: socket, machine: machine}
	body, err := h.begin()
	if err != nil {
		return nil, nil, err
	}
	task, err := machine.Salt(body)
	if err != nil {
		return nil, nil, err
	}
	began := time.Now()
	secret, err := deriver.Derive([]byte(thePassword), &task.Salt, password.Params(task.Argon2))
	if err != nil {
		return nil, nil, err
	}
	h.derive = time.Since(began)
	solution, err := h.solve(task)
	if err != nil {
		return nil, nil, err
	}
	if body, err = h.exchange(machine.Proof(time.Now(), solution, secret)); err != nil {
		return nil, nil, err
	}
	session, err := machine.Welcome(time.Now(), body)
	if err != nil {
		return nil, nil, err
	}
	return session, h, socket.SetDeadline(time.Time{})
}

// comeBack resumes a session, of which frames up to seen have come.
func comeBack(socket net.Conn, server proto.Address, secret *proto.Resumption, seen uint64) (*proto.Link, error) {
	machine, err := proto.NewResumeClient(server.Key, secret, seen)
	if err != nil {
		return nil, err
	}
	defer machine.Clear()
	h := &handshake{socket: socket, machine: machine}
	body, err := h.begin()
	if err != nil {
		return nil, err
	}
	link, err := machine.Resumed(time.Now(), body)
	if err != nil {
		return nil, err
	}
	return link, socket.SetDeadline(time.Time{})
}

// begin is what a log-in and a resumption have in common. It returns the answer to Login.
func (h *handshake) begin() ([]byte, error) {
	body, err := h.exchange(h.machine.Hello(time.Now()))
	if err != nil {
		return nil, err
	}
	task, err := h.machine.Challenge(body)
	if err != nil {
		return nil, err
	}
	solution, err := h.solve(task)
	if err != nil {
		return nil, err
	}
	return h.exchange(h.machine.Login(time.Now(), solution))
}

func (h *handshake) exchange(wire []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	began := time.Now()
	defer func() { h.server += time.Since(began) }()
	h.socket.SetDeadline(h.machine.Deadline())
	if _, err := h.socket.Write(wire); err != nil {
		return nil, err
	}
	return readBody(h.socket)
}

func (h *handshake) solve(task *proto.Task) (*[puzzle.SolutionSize]byte, error) {
	began := time.Now()
	defer func() { h.puzzles += time.Since(began) }()
	solution, ok := task.Puzzle.Solve(&task.Binding, nil)
	if !ok {
		return nil, fmt.Errorf("a puzzle of %d bits was not solved", task.Puzzle.Bits)
	}
	return solution, nil
}

// readBody reads a length and as many bytes.
func readBody(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, body)
	return body, err
}
