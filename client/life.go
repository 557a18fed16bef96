package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sim/internal/forget"
	"sim/password"
	"sim/proto"
	"slices"
	"time"
)

type loginResult struct {
	keys *proto.Session
	conn *connection
	err  error
}

const maxRefusals = 3 // passwords asked for at a terminal

// fatal ends the run with a code.
func (r *runner) fatal(code int, text string) {
	r.ui.answer(r.id, saidError{Code: faultOf(code), Text: text})
	r.exit, r.over = code, true
}

// begin asks for the first user, or logs in.
func (r *runner) begin(ctx context.Context) {
	r.ui.user("")
	if r.cfg.User == "" {
		if !r.cfg.JSON { // otherwise a login says who
			r.expect = expectUser
		}
		return
	}
	r.as(ctx, r.cfg.User, r.cfg.PasswordFile != "" && r.cfg.PasswordFile != "-")
}

// as begins the login of a user: with the password of a file, or by asking for it.
func (r *runner) as(ctx context.Context, user string, fromFile bool) {
	name, err := proto.ParseName(user)
	if err != nil {
		if r.ordered() {
			r.fatal(ExitUsage, err.Error())
			return
		}
		r.ui.say(saidError{Code: faultName, Text: err.Error()})
		r.expect, r.foreign = expectUser, true
		return
	}
	r.foreign = r.foreign || r.name != (proto.Name{}) && r.name != name
	r.name, r.fromFile, r.reask = name, fromFile, false
	if !fromFile {
		r.expect = expectPassword
		return
	}
	pw, err := r.readPasswordFile()
	if err != nil {
		r.fatal(ExitUsage, err.Error())
		return
	}
	r.logIn(ctx, pw)
}

func (r *runner) readPasswordFile() ([]byte, error) {
	f, err := os.Open(r.cfg.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("the password file can't be read: %s", shortError(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		r.ui.say(saidError{Code: faultPasswordFile, Text: "warning: the password file can be read by other users of this machine: chmod 600 it"})
	}
	pw, err := password.Read(f)
	if err != nil {
		return nil, fmt.Errorf("the password file can't be read: %s", shortError(err))
	}
	return pw, nil
}

// logIn starts the login with a password as it was typed, which it clears.
func (r *runner) logIn(ctx context.Context, typed []byte) {
	pw, err := password.Prepare(typed)
	clear(typed)
	if err != nil {
		r.refused(ctx, err.Error())
		return
	}
	if r.expect != expectNothing { // which a client that comes back by itself has still to throw away
		r.expect = expectCommand
	}
	r.aboutCode = ""
	if _, ok := password.ParseCode(pw); ok {
		r.code, r.aboutCode = slices.Clone(pw), "; a one-time code serves once, and for a limited time: ask for a new one"
	} else if password.MayBeCode(pw) {
		r.aboutCode = "; if it was a one-time code, there is a typing error in it"
	}
	ctx, r.cancel = context.WithCancel(ctx)
	name, result := r.name, make(chan loginResult)
	r.login = result
	var w working
	if r.ui.screen != nil {
		w = func(step string) {
			select {
			case r.working <- step:
			case <-ctx.Done():
			}
		}
	}
	go func() {
		defer clear(pw)
		var l loginResult
		forget.Do(func() { l.keys, l.conn, l.err = connect(ctx, &r.cfg, name, pw, w) })
		select {
		case result <- l:
		case <-ctx.Done(): // nobody waits any more
			if l.conn != nil {
				l.keys.Clear()
				l.conn.finish()
			}
		}
	}()
}

// refused ends a piped run; at a terminal the password is asked for again.
func (r *runner) refused(ctx context.Context, why string) {
	r.refusals++
	if r.ordered() || r.fromFile {
		r.fatal(ExitRefused, why)
		return
	}
	r.ui.say(saidError{Code: faultRefused, Text: why})
	if r.refusals >= maxRefusals {
		r.fatal(ExitRefused, "that was the third try: ending")
		return
	}
	r.expect = expectPassword
}

// takeBack asks anew who logs in: an empty line in place of a password is no try.
func (r *runner) takeBack() {
	r.reask = false
	r.expect = expectUser
	if r.seen {
		r.expect = expectCommand
	}
}

// loginEnded takes the end of a login.
func (r *runner) loginEnded(ctx context.Context, result loginResult) {
	r.login = nil
	r.cancel()
	r.ui.progress("")
	byCode, justSet := r.code != nil, r.justSet
	r.justSet = false
	if result.err != nil {
		clear(r.code)
		r.code = nil
	}
	var f *failure
	if errors.As(result.err, &f) && justSet {
		f.text = "the new password is set, but the log-in with it failed: " + f.text
	}
	switch {
	case result.err == nil:
		r.conn, r.keys, r.secret = result.conn, result.keys, proto.NewResumption(result.keys)
		r.session = newSession(r.name, &r.keys.Tickets)
		r.session.byCode, r.session.watching.follows = byCode, !r.ordered() || r.cfg.JSON
		first := [][]byte{r.session.greet()} // whose Pong is the login's end
		if r.cfg.Reconnect > 0 {
			first = append(first, proto.AppendSeen(nil, 0)) // the session is to outlive its connection
		}
		r.conn.send(first)
		now := time.Now()
		r.heard, r.quiet, r.pinged, r.clock, r.journal, r.outage = now, now, time.Time{}, clock{}, journal{off: r.cfg.Reconnect == 0}, nil
		r.up, r.stopping, r.received, r.refusals = false, false, 0, 0
		r.wrongOld, r.advised, r.seen = 0, make(map[string]bool), true
	case errors.As(result.err, &f) && f.code == ExitRefused:
		r.refused(ctx, f.text+r.aboutCode)
	case ctx.Err() == nil && r.triesAgain():
	case errors.As(result.err, &f) && r.seen:
		r.codes[f.code] = true
		r.over = r.ordered()
		if r.over {
			f.text += r.rest()
		}
		r.ui.answer(r.id, saidError{Code: faultOf(f.code), Text: f.text})
		if c := r.held; r.over && c != nil {
			r.held = nil
			r.codes[ExitFailed] = true
			r.ui.answer(c.id, sayUndone(c.verb, "the log-in failed"))
		}
	case errors.As(result.err, &f):
		r.fatal(f.code, f.text)
	case ctx.Err() != nil:
	default:
		r.fatal(ExitFailed, "the login failed ("+shortError(result.err)+"): try again")
	}
}

// closed takes a Close from the server.
func (r *runner) closed(reason proto.Reason) {
	switch {
	case r.enrolling() && reason != proto.CloseStopping && reason != proto.CloseRemoved:
		r.lost("the server ended the session before a password was chosen: log in with the code again")
		return
	case reason == proto.CloseProtocol && r.wrongOld >= maxWrongOld:
		r.lost("the server takes no more wrong old passwords: log in again to try on")
		return
	}
	switch reason {
	case proto.CloseReplaced:
		r.comeback = nil
		r.ui.say(sayReplaced)
		r.codes[ExitReplaced] = true
		r.endSession("replaced by a newer login")
	case proto.CloseStopping:
		if !r.stopping {
			r.ui.say(sayStopping)
		}
		r.codes[ExitLost] = true
		r.followUp()
		r.endSession("the server stopped")
	case proto.CloseDone:
		r.lost("the server ended the session")
	case proto.CloseIdle:
		r.lost("the server heard nothing of this client for too long and ended the session")
	case proto.CloseStalled:
		r.lost("this client took nothing for too long and the server ended the session")
	case proto.CloseRemoved:
		r.lost("the account was removed or disabled, or its password was reset: ask the server's admin")
	default:
		r.lost("the server ended the session after a breach of the protocol: something on the way changed bytes, or it or this client has a bug")
	}
}

// lost is the end of a connection that nobody asked for.
func (r *runner) lost(why string) {
	if !r.leaving.IsZero() {
		r.left() // it was on its way out
		return
	}
	if r.triesAgain() {
		r.endSession("")
		return
	}
	r.ui.say(saidError{Code: faultLost, Text: "connection lost: " + why + r.rest()})
	r.codes[ExitLost] = true
	r.endSession("connection lost")
}

// breach is the end of a connection whose server did what no server does; it is told so.
func (r *runner) breach() {
	if r.conn != nil {
		r.conn.finishFor(proto.CloseProtocol)
	}
	r.lost("the server broke the protocol: it or this client has a bug")
}

// endSession forgets the session and its keys, and tells what became of what was under way.
func (r *runner) endSession(why string) {
	if r.session == nil {
		return
	}
	s := r.session
	s.end(r.now(), why, r.mayHaveLeft())
	_, events := s.take()
	r.session, r.up, r.leaving = nil, false, time.Time{}
	r.forget()
	if r.conn != nil {
		r.conn.finish()
	}
	for _, e := range events {
		r.event(e)
	}
	for _, p := range r.pending {
		if p.done {
			continue
		}
		p.done = true
		if p.verb == verbRecv {
			p.result = saidRecv{r.count(p), why}
		} else {
			p.result = sayUndone(p.verb, why)
		}
		r.codes[ExitFailed] = true
	}
	r.results()
	r.ui.user("")
	r.away = absence{r.name, r.target, s.blocked, s.watching.asked}
	r.target, r.farewell = proto.Name{}, farewell{}
	r.endTyping()
	if r.ordered() && r.comeback == nil {
		r.over = true
	}
}

// An absence is what a user had said of others when the session was lost.
type absence struct {
	user, target     proto.Name
	blocked, watched map[proto.Name]bool
}

// comesBack goes on where the same user's session was lost.
func (r *runner) comesBack() {
	if r.away.user == r.name {
		r.session.blocked, r.session.watching.asked = r.away.blocked, r.away.watched
		r.session.rewatch()
		if r.away.target != (proto.Name{}) {
			r.talkTo("", r.away.target)
		}
	}
	r.away = absence{}
}

// forget forgets what is left of a session: its keys, and what it would be resumed with.
func (r *runner) forget() {
	r.keys.Clear()
	r.secret.Clear()
	if r.outage != nil {
		r.outage.stop()
		r.outage = nil
	}
	r.journal = journal{}
}

// endTyping makes what is being typed nobody's: a command at a new prompt, or of a password nothing.
func (r *runner) endTyping() {
	choosing, lines := r.expect.choosing(), 1
	if r.expect == expectOld && !r.interactive() {
		lines = passwdLines
	}
	if r.choice != nil && !r.choice.sent && !r.choice.code {
		r.unchosen("the session has ended")
	}
	r.endChoice()
	switch {
	case choosing && (r.asked || !r.interactive() && !r.cfg.JSON): // also of those that are not written yet: who comes back runs what follows
		r.expect, r.swallows = expectNothing, lines
	case !r.asked:
	case r.reask:
		r.ui.takeBack()
	default:
		r.ui.reprompt(prompt{})
	}
}

// left is the end of a log-out: the keys are gone on this side whatever the server says.
func (r *runner) left() {
	name, over, unread := r.name, r.over, r.ui.unread(r.farewell.asked)
	r.leaving = time.Time{}
	r.endSession("logged out")
	r.over = over
	if r.conn != nil {
		r.conn.wait(logoutWait)
	}
	r.ui.wipe(unread)
	r.onScreen, r.foreign, r.away = proto.Name{}, false, absence{}
	r.ui.answer(r.id, saidLogout{userField{name.String()}})
	if r.ended {
		r.over = true
	}
}

// leave logs out.
func (r *runner) leave() {
	if r.conn == nil { // the server learns it when nobody comes back
		r.left()
		return
	}
	r.session.logout()
	r.leaving = time.Now().Add(logoutWait)
}

// interrupted ends everything at once; the server is told if that is possible without waiting.
func (r *runner) interrupted() {
	if r.session != nil {
		r.session.acknowledge(r.now()) // what was shown, and is counted
		r.session.logout()
		frames, _ := r.session.take()
		r.transmit(time.Now(), frames)
		r.endSession("interrupted")
	}
	r.over = true
}

// rest is what a person can do when a session was lost, and what becomes of the lines that were not read when a piped run ends early: nothing is
// lost in silence.
func (r *runner) rest() string {
	switch {
	case r.comeback != nil:
		return "; logging in again"
	case r.reask:
		return "; to log in again, type the password of " + r.name.String()
	case !r.ordered():
		return "; to log in again: login " + r.name.String()
	case !r.ended:
		return "; what follows in the input is not run"
	}
	return ""
}
