package client

import (
	"context"
	"errors"
	"io"
	"time"
)

// expectation is what the next line of the input is.
type expectation int

const (
	expectCommand expectation = iota
	expectUser
	expectPassword
	expectNothing // a password of a command that can't be: thrown away
	expectOld     // password, to be changed
	expectNew
	expectAgain // the new one
)

// choosing says that the line is for a change of password.
func (e expectation) choosing() bool { return e >= expectOld }

// secret says that the line is a password.
func (e expectation) secret() bool { return e == expectPassword || e.choosing() }

// next runs the command whose turn it is. True means that something was done.
func (r *runner) next(ctx context.Context) bool {
	switch {
	case r.over || r.login != nil || !r.leaving.IsZero():
		return false
	case r.relogin != nil:
		pw := r.relogin
		r.relogin = nil
		r.logIn(ctx, pw)
		return true
	case r.ended && r.enrolling() && !r.choice.sent:
		r.hangUp()
		r.fatal(ExitUsage, "the input ended before a new password: nothing was changed, log in with the code again")
		return false
	case r.session == nil && r.comeback != nil:
		return r.again(ctx)
	case r.session != nil && !r.up:
		return false
	case r.heldErr != nil:
		if r.ordered() && len(r.pending) > 0 {
			return false
		}
		r.id = r.heldID
		r.foreign = r.foreign || r.session == nil
		r.fail(faultLine, r.heldErr.Error())
		r.heldErr = nil
		if r.heldLines > 0 {
			r.swallow(command{}, r.heldLines)
		}
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
	if c.verb == verbQuit || c.verb == verbLogout && (c.name == "" || c.name == r.name.String()) {
		if !r.ordered() {
			r.endRecvs("logged out")
			if r.conn == nil && r.outage != nil {
				return true // nobody at a terminal has to wait for a connection
			}
			r.waitsToLeave(time.Now())
		}
		return len(r.pending) == 0 && r.ui.empty() // what was shown is acknowledged before the session ends
	}
	if r.journal.full() {
		return false
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

// A farewell is what a user is told who wants to leave.
type farewell struct {
	asked time.Time
	told  bool // what is waited for
}

// deadline is when it is due to be told.
func (f farewell) deadline(now time.Time) time.Time {
	if at := f.asked.Add(farewellWait); !f.asked.IsZero() && !f.told && now.Before(at) {
		return at
	}
	return time.Time{}
}

// waitsToLeave tells a user who wants to leave what is waited for, if that takes its time.
func (r *runner) waitsToLeave(now time.Time) {
	f := &r.farewell
	if f.asked.IsZero() && r.session != nil {
		f.asked = now
	}
	if len(r.pending) == 0 || f.told || now.Before(f.asked.Add(farewellWait)) {
		return
	}
	f.told = true
	what := "what is under way"
	if p := r.pending[0]; p.verb == verbSend {
		what = p.name.String() + "'s acknowledgement"
	}
	r.ui.say(saidHint{"waiting for " + what + "; Ctrl-C twice ends at once"})
}

// ask asks for the next line when there is room for it.
func (r *runner) ask() {
	if r.asked || r.ended || r.over || r.held != nil || r.heldErr != nil || r.login != nil || !r.leaving.IsZero() || r.ui.full() {
		return
	}
	if r.reask && r.session == nil && r.expect == expectCommand {
		r.expect = expectPassword
	}
	if !r.ordered() && !r.ui.empty() {
		return // results stand above the next prompt, and not in its place
	}
	a := ask{secret: r.expect.secret(), command: r.expect == expectCommand}
	switch r.expect {
	case expectUser:
		a.prompt.question = "user name: "
	case expectPassword:
		a.prompt.question = "password for " + r.name.String() + ": "
	case expectOld:
		a.prompt.question = "old password: "
	case expectNew:
		a.prompt.question = "new password: "
	case expectAgain:
		a.prompt.question = "the same again: "
	default:
		if r.session != nil && !r.up {
			return
		}
		a.prompt = r.prompt()
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
	if t.err == errTakenBack {
		return
	}
	expect := r.expect
	r.expect = expectCommand
	if t.err == nil || errors.Is(t.err, errLineTooLong) {
		r.lineNo++
	} else {
		r.inputEnded(expect, t.err)
		return
	}
	switch {
	case expect == expectNothing:
		clear(t.line)
		if r.swallows--; r.swallows > 0 {
			r.expect = expectNothing
		}
	case expect.choosing():
		r.chose(expect, t)
	case t.err != nil && expect == expectCommand:
		r.heldErr, r.heldID, r.heldLines = t.err, "", 0
	case t.err != nil && !r.ordered():
		r.ui.say(saidError{Code: faultLine, Text: t.err.Error()})
		r.expect = expect
	case t.err != nil:
		r.fatal(ExitUsage, t.err.Error())
	case expect == expectUser:
		r.as(ctx, string(t.line), false)
	case expect == expectPassword:
		r.password(ctx, t.line)
	case t.under.user != "" && r.session == nil:
		r.ui.say(saidHint{"the session had ended: your last line was not run"})
		r.ui.do(func(s screen) error { return s.keep(t.under, t.line) })
	default:
		c, err := r.parse(t)
		lines := r.passwordLines(t.line)
		clear(t.line)
		if err != nil {
			r.heldErr, r.heldID, r.heldLines = err, c.id, lines
		} else if c.verb != verbNone {
			r.held = &c
			if r.outage != nil && c.verb == verbSend {
				r.outage.spoken = true
			}
		}
	}
}

// parse reads a command. What was begun at nobody's prompt goes to nobody, even if somebody is talked to by now.
func (r *runner) parse(t typed) (command, error) {
	switch {
	case r.cfg.JSON:
		return parseObject(t.line)
	case r.ui.screen != nil && t.under.user == "":
		return parseLine(t.line, "")
	}
	return parseLine(t.line, r.target.String())
}

// prompt is what a command or a text is asked for with.
func (r *runner) prompt() prompt {
	if r.session == nil {
		return prompt{}
	}
	cutOff := r.outage != nil && !r.outage.spoken
	return prompt{user: r.name.String(), target: r.target.String(), confirmed: r.session.confirmed(r.target), cutOff: cutOff}
}

// reprompt changes it while a command is being typed.
func (r *runner) reprompt() {
	if r.asked && r.expect == expectCommand {
		r.ui.reprompt(r.prompt())
	}
}

// password takes the line that has the first password.
func (r *runner) password(ctx context.Context, line []byte) {
	switch {
	case !r.ordered() && len(line) == 0:
		r.takeBack()
		return
	case !r.cfg.JSON:
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
	if expect.choosing() && !r.enrolling() {
		r.unchosen("the input ended before the passwords")
	}
	if r.ordered() && expect == expectPassword {
		r.fatal(ExitUsage, "the input ended before the password: give --password-file, or the password as a line")
	}
}
