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

// logIn does the six messages of a log-in over a connection to the server.
func logIn(socket net.Conn, server proto.Address, name proto.Name, deriver password.Deriver) (*proto.Session, error) {
	machine, err := proto.NewLoginClient(server.Key, name)
	if err != nil {
		return nil, err
	}
	defer machine.Clear()
	exchange := func(wire []byte, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		socket.SetDeadline(machine.Deadline())
		if _, err := socket.Write(wire); err != nil {
			return nil, err
		}
		return readBody(socket)
	}
	solve := func(task *proto.Task) (*[puzzle.SolutionSize]byte, error) {
		solution, ok := task.Puzzle.Solve(&task.Binding, nil)
		if !ok {
			return nil, fmt.Errorf("a puzzle of %d bits was not solved", task.Puzzle.Bits)
		}
		return solution, nil
	}

	body, err := exchange(machine.Hello(time.Now()))
	if err != nil {
		return nil, err
	}
	task, err := machine.Challenge(body)
	if err != nil {
		return nil, err
	}
	solution, err := solve(task)
	if err != nil {
		return nil, err
	}
	if body, err = exchange(machine.Login(time.Now(), solution)); err != nil {
		return nil, err
	}
	if task, err = machine.Salt(body); err != nil {
		return nil, err
	}
	secret, err := deriver.Derive([]byte(thePassword), &task.Salt, password.Params(task.Argon2))
	if err != nil {
		return nil, err
	}
	if solution, err = solve(task); err != nil {
		return nil, err
	}
	if body, err = exchange(machine.Proof(time.Now(), solution, secret)); err != nil {
		return nil, err
	}
	session, err := machine.Welcome(time.Now(), body)
	if err != nil {
		return nil, err
	}
	return session, socket.SetDeadline(time.Time{})
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
