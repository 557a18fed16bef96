package client

import (
	"bytes"
	"errors"
	"slices"

	"sim/internal/forget"
	"sim/password"
	"sim/proto"
)

// A choice is a change of password from the first line that is typed for it to its end: of passwd, or of a log-in with a one-time code, in
// which nothing else can be done. At a terminal the passwords are asked for; of a pipe the next lines are the old and the new one.
type choice struct {
	id     string // of the command, with --json
	lineNo int    // of the command
	code   bool   // the old password is the one-time code of this log-in

	old, fresh []byte // prepared
	failed     error  // what was wrong with the old one, told when the new one was read, too
	tries      int    // new passwords that were refused
	sent       bool   // the exchange with the server has begun

	derived chan derivation
	over    chan struct{} // closed when nobody waits for what is derived any more
}

// derivation is Argon2id of the old and the new password, or the server asks for work that is refused.
type derivation struct {
	old, fresh *[32]byte
	err        error
}

var (
	errOldPassword = errors.New("the old one is wrong")
	errSame        = errors.New("the new one is the old one: choose another")
	errDiffer      = errors.New("the two are not the same")
)

func newChoice() *choice { return &choice{derived: make(chan derivation), over: make(chan struct{})} }

func (c *choice) clear() {
	clear(c.old)
	clear(c.fresh)
	close(c.over)
}

// enrolling says that the log-in was one with a code, and a password is still to be chosen.
func (r *runner) enrolling() bool { return r.choice != nil && r.choice.code }

// passwd begins the command.
func (r *runner) passwd(c command) {
	if r.choice != nil {
		r.fail(faultBusy, "a change of password is under way: wait for its result")
		r.swallow(c, passwdLines)
		return
	}
	r.choice = newChoice()
	r.choice.id, r.choice.lineNo = c.id, r.lineNo
	r.expect = expectOld
	if r.cfg.JSON {
		r.chose(expectOld, typed{line: c.password})
		r.expect = expectCommand // the new one is here, too
		r.chose(expectNew, typed{line: c.fresh})
	}
}

// enrol begins the choice that a one-time code asks for.
func (r *runner) enrol() {
	r.choice = newChoice()
	r.choice.code, r.choice.old = true, r.code
	r.code = nil
	if r.fromFile && r.ordered() && !r.cfg.JSON {
		// Whoever wrote these lines knew of no code: the next one is a command, and would be a password that is kept in a script.
		r.hangUp()
		r.fatal(ExitRefused, "the password file holds a one-time code, which asks for a new password, and lines of commands follow: "+
			"log in once without --password-file, with the code and then the new password as the first two lines, or at a terminal")
		return
	}
	r.ui.say(sayChoose)
	r.expect = expectNew
}

// chose takes a line of a choice, and clears it.
func (r *runner) chose(expect expectation, t typed) {
	defer clear(t.line)
	c := r.choice
	if r.interactive() && t.err == nil && len(t.line) == 0 && !c.code {
		r.unchosen("cancelled")
		return
	}
	line, err := t.line, t.err
	if r.cfg.JSON && c.code && err == nil {
		line, err = parsePassword(line)
		defer clear(line)
	}
	if err == nil {
		line, err = password.Prepare(line)
	}
	switch expect {
	case expectOld:
		if c.old = line; err != nil { // no account has such a password
			c.old, c.failed = nil, errOldPassword
		}
		if c.failed != nil && r.interactive() {
			r.unchosen(c.failed.Error())
			return
		}
		r.expect = expectNew
	case expectNew:
		if err == nil {
			c.fresh, err = line, c.judge(line, r.name.String())
		}
		switch {
		case c.failed != nil:
			r.unchosen(c.failed.Error())
		case err != nil:
			r.chooseAgain(err)
		case r.interactive():
			r.expect = expectAgain
		default:
			r.exchange()
		}
	case expectAgain:
		same := err == nil && bytes.Equal(line, c.fresh)
		if err == nil {
			clear(line)
		}
		if !same {
			r.chooseAgain(errDiffer)
			return
		}
		r.exchange()
	}
}

// judge says why a prepared password can't be the new one.
func (c *choice) judge(fresh []byte, name string) error {
	if bytes.Equal(fresh, c.old) {
		return errSame
	}
	return password.CheckStrength(fresh, name)
}

// chooseAgain asks for another new password, where one can be asked, and not without end.
func (r *runner) chooseAgain(why error) {
	c := r.choice
	clear(c.fresh)
	c.fresh, c.sent = nil, false
	c.tries++
	switch {
	case r.interactive() && c.tries < maxChoices:
		r.ui.say(saidError{Code: faultPassword, Text: why.Error()})
		r.expect = expectNew
	case c.code:
		r.hangUp()
		r.fatal(ExitRefused, "no password was chosen: "+why.Error()+"; log in with the code again and choose another")
	default:
		r.unchosen(why.Error())
	}
}

// unchosen ends a choice that came to nothing before anything was sent.
func (r *runner) unchosen(why string) {
	r.ui.answer(r.choice.id, r.choice.failure(r, why))
	r.endChoice()
}

// failure tells that the password is as it was.
func (c *choice) failure(r *runner, why string) saidError {
	r.codes[ExitFailed] = true
	e := saidError{Code: faultPassword, Text: "the password was not changed: " + why}
	if r.ordered() {
		e.Line = c.lineNo
	}
	return e
}

func (r *runner) endChoice() {
	if r.choice != nil {
		r.choice.clear()
		r.choice = nil
	}
	if r.expect.choosing() {
		r.expect = expectCommand
	}
}

// exchange begins to change the password at the server.
func (r *runner) exchange() {
	c := r.choice
	c.sent = true
	if !c.code {
		r.add(command{verb: verbPasswd, id: c.id}, proto.Name{})
	}
	r.session.changePassword(r.now(), proto.NewPasswordClient(r.keys))
}

// derive does the work on both passwords that the server asks for, away from the runner's goroutine.
func (r *runner) derive(e passwordSalt) {
	c, deriver := r.choice, r.cfg.Deriver
	old, fresh := slices.Clone(c.old), slices.Clone(c.fresh)
	go forget.Do(func() {
		defer clear(old)
		defer clear(fresh)
		var d derivation
		params := password.Params(e.params)
		if d.old, d.err = deriver.Derive(old, &e.salt, params); d.err == nil {
			d.fresh, d.err = deriver.Derive(fresh, &e.salt, params)
		}
		select {
		case c.derived <- d:
		case <-c.over:
			d.clear()
		}
	})
}

func (d derivation) clear() {
	for _, t := range []*[32]byte{d.old, d.fresh} {
		if t != nil {
			clear(t[:])
		}
	}
}

// derivations is where what was derived comes from, if anything is awaited.
func (r *runner) derivations() <-chan derivation {
	if r.choice == nil {
		return nil
	}
	return r.choice.derived
}

// derived goes on with what was derived.
func (r *runner) derived(d derivation) {
	defer d.clear()
	if d.err != nil || !r.session.setPassword(r.now(), d.old, d.fresh) {
		r.breach()
	}
}

// passwordDone takes the end of an exchange.
func (r *runner) passwordDone(err error) {
	if r.enrolling() {
		r.enrolled(err)
		return
	}
	defer r.endChoice()
	c := r.choice
	var result said
	switch err {
	case nil:
		result = saidPasswd{userField{r.name.String()}}
	case proto.ErrRefused:
		r.wrongOld++
		result = c.failure(r, errOldPassword.Error())
	case proto.ErrNotSaved:
		result = c.failure(r, "the server could not save it: try again later, and tell its admin")
	case errNotChanged:
		r.codes[ExitFailed] = true
		result = sayUndone(verbPasswd, "the session ended before")
	default:
		r.codes[ExitUnknown] = true
		result = saidError{Code: faultUndone, Text: "passwd: unknown: " + err.Error()}
	}
	for _, p := range r.pending {
		if p.verb == verbPasswd && !p.done {
			p.done, p.result = true, result
		}
	}
}

// enrolled takes the end of the exchange that a one-time code asked for: the next log-in is with the new password.
func (r *runner) enrolled(err error) {
	switch err {
	case nil:
		r.relogin, r.justSet = slices.Clone(r.choice.fresh), true
		r.hangUp()
	case proto.ErrRefused:
		r.hangUp()
		r.fatal(ExitRefused, "the one-time code is used up or was replaced meanwhile: ask for a new one")
	case proto.ErrNotSaved:
		r.chooseAgain(errors.New("the server could not save the password: try again, and tell its admin"))
	case errMaybeChanged:
		r.ui.say(saidError{Code: faultPassword, Text: "the password may have been set all the same: " + err.Error()})
		r.codes[ExitUnknown] = true
	}
}

// hangUp ends the session of a one-time code, in which there is nothing but the choice.
func (r *runner) hangUp() {
	r.endChoice()
	r.session.end(r.now(), "", r.mayHaveLeft())
	r.session.take()
	r.session = nil
	r.forget()
	r.conn.finish()
}
