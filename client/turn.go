package client

import (
	"context"
	"errors"
	"io"
	"sim/proto"
	"time"
)

// expectation is what the next line of the input is.
type expectation int

const (
	expectCommand expectation = iota
	expectUser
	expectPassword
	expectNothing // the password of a login that can't be: thrown away
)

// next runs the command whose turn it is. True means that something was done.
func (r *runner) next(ctx context.Context) bool {
	switch {
	case r.over || r.login != nil || r.session != nil && !r.up || !r.leaving.IsZero():
		return false
	case r.heldErr != nil:
		if r.ordered() && len(r.pending) > 0 {
			return false
		}
		r.id = r.heldID
		r.fail(faultLine, r.heldErr.Error())
		r.heldErr = nil
		return true
	case r.held != nil:
		c := *r.held
		if !r.ready(c) {
			return false
		}
		r.held, r.id = nil, c.id
		r.do(ctx, c)
		return true
	case r.ended && r.ready(command{verb: verbQuit}):
		if r.session == nil {
			r.over = true
			return false
		}
		r.leave()
		return true
	}
	return false
}

// ready says whether a command's turn has come. In order, sends to one receiver are pipelined and everything else waits for the results before
// it; at a terminal only the end of a session waits.
func (r *runner) ready(c command) bool {
	if c.verb == verbQuit || c.verb == verbLogout {
		for _, p := range r.pending {
			if p.verb == verbRecv && !r.ordered() {
				p.done, p.result = true, saidRecv{r.count(p), "logged out"}
			}
		}
		r.results()
		return len(r.pending) == 0 && r.ui.empty() // what was shown is acknowledged before the session ends
	}
	if !r.ordered() || len(r.pending) == 0 {
		return true
	}
	for _, p := range r.pending {
		if c.verb != verbSend || p.verb != verbSend || p.name.String() != c.name {
			return false
		}
	}
	return len(r.pending) < windowTexts
}

// do runs one command.
func (r *runner) do(ctx context.Context, c command) {
	switch c.verb {
	case verbNone:
		return
	case verbHelp:
		r.ui.say(saidHelp{})
		return
	case verbQuit:
		r.ended = true
		return
	case verbLogin:
		if r.session != nil {
			r.fail(faultLogin, "you are logged in as "+r.name.String()+": log out first")
			clear(c.password)
			if !r.cfg.JSON && r.ordered() && r.cfg.AskPassword == nil {
				r.expect = expectNothing // never a command
			}
			return
		}
		if r.as(ctx, c.name, false); r.cfg.JSON {
			r.logIn(ctx, c.password)
		}
		return
	}
	if r.session == nil {
		r.fail(faultLogin, "log in first: login <username>")
		return
	}
	switch c.verb {
	case verbList:
		p := r.add(c, proto.Name{})
		prefix, _ := proto.ParsePrefix(c.name)
		if !r.session.list(p.id, prefix) {
			r.drop(p, faultBusy, "too many lists at once: wait for one to come")
		}
	case verbRecv:
		p := r.add(c, proto.Name{})
		p.count = c.count
		if c.timeout > 0 {
			p.deadline = time.Now().Add(c.timeout)
		}
	case verbLogout:
		if c.name != "" && c.name != r.name.String() {
			r.fail(faultName, "you are logged in as "+r.name.String()+", and can log out nobody else")
			return
		}
		r.leave()
	default:
		r.talk(c)
	}
}

// talk runs the commands about another user.
func (r *runner) talk(c command) {
	about := c.name
	if c.verb == verbDisconnect && c.name2 != "" {
		if c.name != r.name.String() {
			r.fail(faultName, "you are logged in as "+r.name.String()+", and can disconnect nobody else: disconnect <receiver>")
			return
		}
		about = c.name2
	}
	name, err := proto.ParseName(about)
	if err != nil || name == r.name {
		r.fail(faultName, "that is you: "+grammar[c.verb].name+" takes somebody else's name")
		return
	}
	r.ui.know(name)
	now := time.Now()
	switch c.verb {
	case verbSend:
		p := r.add(c, name)
		if !r.session.send(now, p.id, name, c.text) {
			r.drop(p, faultBusy, "too many messages wait to be sent: wait for their results")
		}
	case verbVerify:
		p := r.add(c, name)
		if c.name2 != "" {
			if why := r.session.confirmDigits(p.id, name); why != "" {
				r.drop(p, faultVerify, why)
			}
			break
		}
		if !r.session.verify(now, p.id, name) {
			r.drop(p, faultBusy, "too many conversations at once: disconnect one")
		}
	case verbDisconnect:
		r.session.disconnect(now, name)
		r.pumpBefore(c.id, saidDisconnect{name.String()})
	}
}

// pumpBefore prints what ended with a command before the command's own result.
func (r *runner) pumpBefore(id string, result said) {
	frames, events := r.session.take()
	r.conn.send(frames)
	for _, e := range events {
		r.event(e)
	}
	r.results()
	r.ui.answer(id, result)
}

// ask asks for the next line when there is room for it.
func (r *runner) ask() {
	if r.asked || r.ended || r.over || r.held != nil || r.heldErr != nil || r.login != nil || !r.leaving.IsZero() || r.ui.full() {
		return
	}
	a := ask{}
	switch r.expect {
	case expectUser:
		a.prompt = "user name: "
	case expectPassword:
		a.prompt, a.secret = "password for "+r.name.String()+": ", true
	default:
		if r.session != nil && !r.up {
			return
		}
		a.prompt = promptOf("")
		if r.session != nil {
			a.prompt = promptOf(r.name.String())
		}
	}
	r.asked = true
	r.in.asks <- a
}

// typed takes a line, or the end of the input.
func (r *runner) typed(ctx context.Context, t typed) {
	r.asked = false
	if ctx.Err() != nil {
		r.interrupted()
		return
	}
	expect := r.expect
	r.expect = expectCommand
	if t.err == nil || errors.Is(t.err, errLineTooLong) || errors.Is(t.err, errPasted) {
		r.lineNo++
	} else {
		r.inputEnded(expect, t.err)
		return
	}
	switch {
	case expect == expectNothing:
		clear(t.line)
	case t.err != nil && expect == expectCommand:
		r.heldErr, r.heldID = t.err, ""
	case t.err != nil && !r.ordered():
		r.ui.say(saidError{Code: faultLine, Text: t.err.Error()})
		r.expect = expect
	case t.err != nil:
		r.fatal(ExitUsage, t.err.Error())
	case expect == expectUser:
		r.as(ctx, string(t.line), false)
	case expect == expectPassword:
		r.password(ctx, t.line)
	default:
		c, err := r.parse(t.line)
		clear(t.line)
		if err != nil {
			r.heldErr, r.heldID = err, c.id
		} else if c.verb != verbNone {
			r.held = &c
		}
	}
}

// parse reads a command.
func (r *runner) parse(line []byte) (command, error) {
	if r.cfg.JSON {
		return parseObject(line)
	}
	return parseCommand(line)
}

// password takes the line that has the first password.
func (r *runner) password(ctx context.Context, line []byte) {
	if !r.cfg.JSON {
		r.logIn(ctx, line)
		return
	}
	pw, err := parsePassword(line)
	clear(line)
	if err != nil {
		r.fatal(ExitUsage, err.Error())
		return
	}
	r.logIn(ctx, pw)
}

func (r *runner) inputEnded(expect expectation, err error) {
	r.ended, r.id = true, ""
	if err != io.EOF {
		r.fail(faultInput, "the input broke off: "+shortError(err))
	}
	if r.cfg.JSON && r.cfg.User == "" && r.lineNo == 0 {
		r.fatal(ExitUsage, "the input ended before a login: give --user, or an object with the cmd login first")
	}
	if r.ordered() && expect == expectUser {
		r.fatal(ExitUsage, "the input ended before a user name: give --user, or the name and the password as the first two lines")
	}
	if r.ordered() && expect == expectPassword {
		r.fatal(ExitUsage, "the input ended before the password: give --password-file, or the password as a line")
	}
}
