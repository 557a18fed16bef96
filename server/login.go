package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"sim/proto"
)

// shown is what a connection has shown with a message that was right.
var shown = [...]stage{proto.TurnHello: greeted, proto.TurnSolution: solved, proto.TurnLogin: running}

// login runs the login up to Welcome, which it returns unwritten; or up to the answer to a client that resumes a session: then it returns
// no keys.
func (c *conn) login(login *proto.LoginServer) (keys *proto.Session, welcome []byte, err error) {
	login.SetPuzzles(c.puzzleBits, c.accountBits)
	defer c.endHandshake()
	buffer := make([]byte, proto.MaxUnsolvedBody)
	for {
		turn := login.Turn()
		var out []byte
		body, err := c.readMessage(login, &buffer)
		if err == nil {
			out, keys, err = c.take(login, body)
		}
		if keys == nil && err == nil {
			err = c.answer(login, shown[turn], out)
			out = nil
		}
		if keys != nil || err != nil {
			c.count(turn, err)
		}
		switch {
		case keys != nil:
			return keys, out, nil
		case err != nil:
			c.turnAway(out, err)
			return nil, nil, err
		case login.Turn() == proto.TurnSession:
			return nil, nil, nil
		}
	}
}

// answer moves the connection to the stage that a right message has brought it to, and writes what there is to answer.
func (c *conn) answer(login *proto.LoginServer, to stage, out []byte) error {
	if !c.advance(to) {
		return errGone
	}
	if len(out) == 0 {
		return nil
	}
	c.net.SetDeadline(login.Deadline())
	_, err := c.net.Write(out)
	return err
}

// readMessage reads the message that is due, and nothing of another length.
func (c *conn) readMessage(login *proto.LoginServer, buffer *[]byte) ([]byte, error) {
	c.net.SetDeadline(login.Deadline())
	b := *buffer
	if _, err := io.ReadFull(c.net, b[:2]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(b))
	if err := login.Admits(n); err != nil {
		return nil, err
	}
	if n > len(b) {
		b = make([]byte, n) // Login, after a right solution
		*buffer = b
	}
	_, err := io.ReadFull(c.net, b[:n])
	return b[:n], err
}

// take gives a message to the login, when its turn has come where that costs more than hashes.
func (c *conn) take(login *proto.LoginServer, body []byte) (out []byte, keys *proto.Session, err error) {
	handle := func() { out, keys, err = login.Handle(time.Now(), body) }
	budget, guessing := &c.server.budget, &c.server.guessing
	switch login.Turn() {
	case proto.TurnLogin:
		if sent := budget.do(c, loginStep, handle); sent != nil {
			return nil, nil, sent
		}
	case proto.TurnProof:
		c.welcomeBy = time.Now().Add(maxWelcomeWait)
		if err := login.CheckProof(body); err != nil {
			return nil, nil, err
		}
		if err := guessing.begin(c); err != nil {
			return nil, nil, err
		}
		sent := budget.do(c, proofStep, handle)
		guessing.end(c, sent == nil && keys != nil, sent == nil && keys == nil)
		if sent != nil {
			return nil, nil, sent
		}
	default:
		handle()
	}
	return out, keys, err
}

// turnAway ends a login that has failed: with silence before a right mac1, with last words where there are any.
func (c *conn) turnAway(out []byte, err error) {
	if errors.Is(err, proto.ErrSilence) {
		c.discard(make([]byte, discardBuffer))
		return
	}
	if busy, ok := errors.AsType[*busyError](err); ok {
		out = proto.AppendBusy(nil, busy.seconds)
	}
	if len(out) == 0 {
		return
	}
	c.net.SetWriteDeadline(time.Now().Add(lingerTime))
	if _, err := c.net.Write(out); err == nil {
		c.closeSlowly()
	}
}

// puzzleBits is how hard this connection's puzzle is. What the failures of its own network add gives it no better place in a queue.
func (c *conn) puzzleBits() uint8 {
	all, own := c.server.guessing.surcharge(c.network)
	c.rank = min(c.server.budget.bits(time.Now())+all, proto.MaxPuzzleBits)
	return min(c.rank+own, proto.MaxPuzzleBits)
}

// accountBits counts the handshake in, and is how hard its account puzzle is.
func (c *conn) accountBits(name proto.Name) (bits uint8) {
	c.named, c.name = true, name
	c.cell, bits = c.server.guessing.start(name)
	return bits
}

func (c *conn) endHandshake() {
	if c.named {
		c.server.guessing.stop(c.cell)
	}
}

// advance moves the connection to a stage, and is false if it was evicted.
func (c *conn) advance(to stage) bool {
	ok, victim := c.server.admission.advance(c, to)
	c.server.closeEvicted(victim)
	return ok
}

// count counts how a login ended: with the message of a turn, and an error or none.
func (c *conn) count(turn proto.Turn, err error) {
	n := c.server.Counters()
	_, busy := errors.AsType[*busyError](err)
	_, peer := errors.AsType[*proto.PeerError](err)
	switch {
	case err == nil:
		n.Succeeded.Add(1)
	case errors.Is(err, proto.ErrRefused):
		n.Refused.Add(1)
	case errors.Is(err, proto.ErrSilence):
		n.BadHellos.Add(1)
	case busy && turn == proto.TurnLogin:
		n.BusyLogins.Add(1)
	case busy:
		n.BusyProofs.Add(1)
	case peer && turn == proto.TurnHello:
		n.OtherVersions.Add(1)
	case peer && turn == proto.TurnSolution:
		n.WrongSolutions.Add(1)
	case peer && turn == proto.TurnLogin:
		n.BadLogins.Add(1)
	case peer:
		n.BadProofs.Add(1)
	default:
		n.Unfinished.Add(1)
	}
}

// logLogin tells why a login came to nothing. To an operator who wants identities in the log a refusal is news: somebody may guess.
func (c *conn) logLogin(err error) {
	level := slog.LevelDebug
	if c.server.identities && errors.Is(err, proto.ErrRefused) {
		level = slog.LevelInfo
	}
	c.server.log.Log(context.Background(), level, "login ended", "reason", loginReason(err), c.who(c.name))
}

// loginReason is an error of the login for the log.
func loginReason(err error) string {
	switch {
	case isDeadline(err):
		return "too slow"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errGone.Error()
	}
	return reasonOf(err)
}

func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
