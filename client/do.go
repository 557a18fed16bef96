package client

import (
	"bytes"
	"context"
	"strings"
	"time"

	"sim/proto"
)

// do runs one command.
func (r *runner) do(ctx context.Context, c command) {
	switch c.verb {
	case verbNone:
	case verbHelp:
		r.ui.say(saidHelp{})
	case verbQuit:
		r.ended = true
	case verbLogin:
		r.doLogin(ctx, c)
	default:
		if r.session == nil {
			r.foreign = r.foreign || c.name != "" || c.text != ""
			r.fail(faultLogin, "log in first: login <username>")
			if c.verb == verbPasswd {
				r.swallow(c, passwdLines)
			}
			return
		}
		r.doOnline(c)
	}
}

func (r *runner) doLogin(ctx context.Context, c command) {
	if r.session != nil {
		r.fail(faultLogin, "you are logged in as "+r.name.String()+": log out first")
		r.swallow(c, loginLines)
		return
	}
	if r.as(ctx, c.name, false); r.cfg.JSON {
		r.logIn(ctx, c.password)
	}
}

// Lines of a pipe that follow a command and have a password in them.
const (
	loginLines  = 1
	passwdLines = 2
)

// passwordLines says how many such lines follow a line, should that be no right command: whoever wrote it wrote them, too.
func (r *runner) passwordLines(line []byte) int {
	rest, slash := bytes.CutPrefix(line, []byte("/"))
	if r.target != (proto.Name{}) && !slash { // a text
		return 0
	}
	word, _, _ := bytes.Cut(rest, []byte(" "))
	switch strings.ToLower(string(word)) {
	case "login":
		return loginLines
	case "passwd":
		return passwdLines
	}
	return 0
}

// swallow throws away what goes with a command that can't be: whatever the next lines are, they are passwords and no commands. Where passwords
// are asked for elsewhere, there are none.
func (r *runner) swallow(c command, lines int) {
	clear(c.password)
	clear(c.fresh)
	if !r.cfg.JSON && !r.interactive() {
		r.expect, r.swallows = expectNothing, lines
	}
}

// interactive says that passwords are asked for, and not read from a pipe.
func (r *runner) interactive() bool { return r.ui.screen != nil || r.cfg.AskPassword != nil }

// doOnline runs a command of somebody who is logged in.
func (r *runner) doOnline(c command) {
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
	case verbPasswd:
		r.passwd(c)
	case verbLogout:
		if c.name != "" && c.name != r.name.String() {
			r.fail(faultName, "you are logged in as "+r.name.String()+", and can log out nobody else")
			return
		}
		r.leave()
	default:
		if c.name == "" {
			r.doAboutNobody(c)
			return
		}
		r.doAbout(c)
	}
}

// doAboutNobody runs those of the commands about another user that were given no name.
func (r *runner) doAboutNobody(c command) {
	switch c.verb {
	case verbTalk:
		r.talkTo(c.id, proto.Name{})
	case verbBlock:
		r.ui.answer(c.id, saidBlocked{nameList(r.session.blockedNames())})
	case verbWatch:
		r.ui.answer(c.id, saidWatched{nameList(r.session.watched())})
	}
}

// doAbout runs the commands about another user.
func (r *runner) doAbout(c command) {
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
	if r.session.blocked[name] && (c.verb == verbSend || c.verb == verbVerify || c.verb == verbTalk) {
		r.fail(faultBlocked, "you have blocked them: unblock <user> first")
		return
	}
	if c.verb == verbTalk && name.Reserved() { // "nobody" is the word for the end of it
		r.fail(faultName, "nobody can have that name: talk <user>, or talk alone to end it")
		return
	}
	r.ui.know(name)
	now := r.now()
	switch c.verb {
	case verbSend:
		p := r.add(c, name)
		if !r.session.send(now, p.id, name, c.text) {
			r.drop(p, faultBusy, r.session.noRoom(name, "too many messages wait to be sent: wait for their results"))
		}
	case verbTalk:
		r.talkTo(c.id, name)
	case verbVerify:
		p := r.add(c, name)
		if c.name2 != "" {
			if why := r.session.confirmDigits(p.id, name); why != "" {
				r.drop(p, faultVerify, why)
			}
			break
		}
		if !r.session.verify(now, p.id, name) {
			r.drop(p, faultBusy, r.session.noRoom(name, "digits are asked for too often: wait for the results"))
		}
	case verbDisconnect:
		r.session.disconnect(now, name)
		r.pumpBefore(c.id, saidDisconnect{name.String()})
	case verbBlock:
		if !r.session.block(now, name) {
			r.fail(faultBusy, "too many people are blocked: unblock some, or log out and in again, which unblocks all")
			break
		}
		if name == r.target {
			r.talkTo("", proto.Name{})
		}
		r.pumpBefore(c.id, saidBlock{userField{name.String()}})
	case verbUnblock:
		r.session.unblock(name)
		r.ui.answer(c.id, saidUnblock{userField{name.String()}})
	case verbWatch:
		if !r.session.watch(name) {
			r.fail(faultBusy, "too many people are watched: unwatch some")
			break
		}
		r.ui.answer(c.id, saidWatch{userField{name.String()}})
	case verbUnwatch:
		r.session.unwatch(name)
		r.ui.answer(c.id, saidUnwatch{userField{name.String()}})
	}
}

// talkTo makes somebody the one whom whole lines go to; the zero name makes lines commands again.
func (r *runner) talkTo(id string, name proto.Name) {
	r.target = name
	r.session.talkTo(name)
	r.ui.answer(id, saidTalk{To: name.String()})
}

// pumpBefore prints what ended with a command before the command's own result.
func (r *runner) pumpBefore(id string, result said) {
	frames, events := r.session.take()
	r.transmit(time.Now(), frames)
	for _, e := range events {
		r.event(e)
	}
	r.results()
	r.ui.answer(id, result)
}
