package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"sim/internal/forget"
	"sim/proto"
)

// What becomes of a session whose connection was lost: it goes on over another one, and its user sees two lines and misses nothing. Where the
// server does not have it any more, it is over, and somebody logs in again: whoever sits there, or the client itself with the password of a file.

// An outage is the time from the loss of a connection to the first record of the next. It may take several.
type outage struct {
	until    time.Time // then it is given up
	next     time.Time // when another attempt is due, if none is under way
	wait     time.Duration
	told     bool               // that the server is busy
	spoken   bool               // the user has said something to somebody since, and knows that no password is asked for
	unproved *failure           // what the last attempt met that was no proof of the server's key
	inARow   int                // attempts that met such a thing
	attempts chan attempt       // where the attempt that is under way ends
	cancel   context.CancelFunc // of that attempt, nil if none is under way
}

// attempt is what an attempt at resuming the session came to.
type attempt struct {
	conn   *connection
	secret *proto.Resumption // of the next one
	seen   uint64            // of this side's frames
	err    error
}

// resume resumes a session over a fresh connection. handled is the number of the last of the server's frames that was handled. The secret steps
// where it succeeds.
func resume(ctx context.Context, cfg *Config, secret *proto.Resumption, handled uint64) attempt {
	socket, err := cfg.dial(ctx, "tcp", cfg.Server.Host)
	if err != nil {
		return attempt{err: err}
	}
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	failed := func(err error) attempt {
		socket.Close()
		return attempt{err: err}
	}
	machine, err := proto.NewResumeClient(cfg.Server.Key, secret, handled)
	if err != nil {
		return failed(err)
	}
	defer machine.Clear()
	h := &handshake{ctx: ctx, socket: socket, machine: machine, within: resumedWait}
	body, err := h.begin()
	if err != nil {
		return failed(err)
	}
	link, err := machine.Resumed(time.Now(), body)
	if err != nil {
		return failed(err)
	}
	socket.SetDeadline(time.Time{})
	return attempt{conn: newConnection(socket, link.Send, link.Receive, repeatedRecords), secret: secret, seen: link.Seen}
}

// drop ends what nobody takes.
func (a attempt) drop() {
	if a.conn != nil {
		a.conn.cut()
		a.secret.Clear()
	}
}

// resumable says that the session outlives its connection: one that is not yet listed, on its way out, or there to choose a password does not.
func (r *runner) resumable() bool { return r.cfg.Reconnect > 0 && r.up && r.leaving.IsZero() }

// cutOff takes the end of a connection without a Close. why is told where the session ends with it.
func (r *runner) cutOff(why string) {
	if !r.resumable() {
		r.lost(why)
		return
	}
	now := time.Now()
	r.journal.cut(r.conn.cut())
	r.conn = nil
	r.clock.stop(r.heard) // what was sent since may never have arrived
	if r.outage == nil {
		r.ui.say(sayReconnecting)
		r.outage = &outage{until: now.Add(r.cfg.Reconnect), next: now}
		r.reprompt()
		return
	}
	r.outage.again(now)
}

// again says when the next attempt is due: by chance up to half sooner, since a server that was away has many clients.
func (o *outage) again(now time.Time) {
	o.wait = min(max(2*o.wait, firstRetry), maxRetry)
	o.next = now.Add(o.wait - rand.N(o.wait/2))
}

// stop ends the attempt that is under way, if any.
func (o *outage) stop() {
	if o.cancel != nil {
		o.cancel()
		o.attempts, o.cancel = nil, nil
	}
}

// reconnect begins an attempt if one is due, and ends what has taken too long.
func (r *runner) reconnect(ctx context.Context) {
	o, now := r.outage, time.Now()
	switch {
	case o == nil || r.conn != nil:
	case !now.Before(o.until):
		r.sessionOver(r.notResumed())
	case o.cancel == nil && !now.Before(o.next):
		ctx, o.cancel = context.WithDeadline(ctx, o.until)
		ended := make(chan attempt)
		o.attempts = ended
		secret, handled := *r.secret, r.journal.handled // the runner keeps its own, whatever becomes of this
		go func() {
			var a attempt
			forget.Do(func() { a = resume(ctx, &r.cfg, &secret, handled) })
			if a.err != nil {
				secret.Clear()
			}
			select {
			case ended <- a:
			case <-ctx.Done():
				a.drop()
			}
		}()
	}
}

// notResumed says why no further attempt is made, and which exit code that is.
func (r *runner) notResumed() (code int, why string) {
	tried, because := r.cfg.Reconnect.String(), ", as long as --reconnect says"
	if r.cfg.Reconnect == MaxReconnect {
		tried, because = "2 minutes", "; it keeps a session no longer"
	}
	if f := r.outage.unproved; f != nil {
		return f.code, fmt.Sprintf("the session was not resumed in %s, and the last time %s", tried, f.text)
	}
	return ExitLost, "the server was not reached for " + tried + because
}

// met takes what an attempt met. Where that is no proof of the server's key, it is anybody's word, and no reason to give up: the user hears of it.
func (r *runner) met(err error) {
	o := r.outage
	o.unproved = nil
	if err != nil {
		if f := sentence(err, r.cfg.Server.Host); f.code == ExitNoProof {
			o.unproved = f
		}
	}
	if o.unproved == nil {
		o.inARow = 0
		return
	}
	if o.inARow++; o.inARow == loginTries && !r.ordered() {
		r.ui.say(saidHint{o.unproved.text + "; trying on"})
	}
}

// attempts is where attempts end, if there are any.
func (r *runner) attempts() <-chan attempt {
	if r.outage == nil {
		return nil
	}
	return r.outage.attempts
}

// attempted takes the end of an attempt.
func (r *runner) attempted(a attempt) {
	o, now := r.outage, time.Now()
	o.stop()
	r.met(a.err)
	var busy *proto.BusyError
	switch {
	case a.err == nil && r.journal.seen(a.seen):
		r.resume(now, a)
	case a.err == nil:
		a.conn.finishFor(proto.CloseProtocol)
		a.secret.Clear()
		r.lost("the server broke the protocol: it or this client has a bug")
	case errors.Is(a.err, proto.ErrRefused):
		r.sessionOver(ExitLost, "the server does not have this session any more: it was started again, or you logged in elsewhere, or you were away for more than 2 minutes")
	case errors.As(a.err, &busy) && busy.Seconds > 0:
		wait := min(time.Duration(busy.Seconds)*time.Second, maxBusy)
		o.next = now.Add(wait)
		if !o.told && !r.ordered() {
			o.told = true
			r.ui.say(saidHint{fmt.Sprintf("the server is busy: trying again in %d s", wait/time.Second)})
		}
	default:
		o.again(now)
	}
}

// resume goes on over a new connection: first what the server has not seen.
func (r *runner) resume(now time.Time, a attempt) {
	r.secret.Clear()
	r.secret, r.conn = a.secret, a.conn
	r.clock.start(now)
	r.heard, r.quiet, r.pinged = now, now, now
	r.journal.toldAll() // by the attempt itself
	r.conn.send(append([][]byte{r.session.greet()}, r.journal.kept...))
	r.journal.given()
}

// resumed is the end of an outage.
func (r *runner) resumed() {
	r.outage = nil
	r.ui.say(sayConnected)
	r.reprompt()
}

// mayHaveLeft is the number of the session's last frame of which any byte may have left this machine.
func (r *runner) mayHaveLeft() uint64 {
	if r.conn != nil {
		return math.MaxUint64 // its writer may be at it
	}
	return r.journal.taken
}

// transmit sends frames, or keeps them for the next connection, and tells the server what was handled. False means that the server takes nothing.
func (r *runner) transmit(now time.Time, frames [][]byte) bool {
	if r.journal.keep(frames) {
		r.lively = now
	}
	if r.conn == nil {
		return r.journal.size <= maxQueuedFrames
	}
	r.journal.given()
	if len(frames) > 0 && r.journal.tells() || r.journal.due(now) {
		frames = append(frames, r.journal.tell())
	}
	if len(frames) == 0 {
		return true
	}
	return r.conn.send(frames) && r.journal.size <= maxQueuedFrames
}

// nextPing is when to ask whether the connection is still there: soon, where somebody waits for what comes over it.
func (r *runner) nextPing() time.Time {
	switch {
	case !r.pinged.IsZero():
	case r.journal.unseen() || !r.session.deadline().IsZero():
		return r.quiet.Add(probeAfter)
	case r.quiet.Sub(r.lively) < livelyFor:
		return r.quiet.Add(livelyAfter)
	}
	return r.quiet.Add(pingAfter)
}

// sessionDue is when something in the session is due; zero is never. While nobody knows whether the connection is still there, nothing is: what is
// late may be so for want of a connection.
func (r *runner) sessionDue() time.Time {
	if !r.pinged.IsZero() {
		return time.Time{}
	}
	return r.clock.real(r.session.deadline())
}

// noPong is when the connection is lost for want of an answer; zero while none is due, or one may wait to be taken. What else comes shows that it
// is slow, or that it is dead in one direction.
func (r *runner) noPong() time.Time {
	if r.pinged.IsZero() || len(r.conn.in) > 0 {
		return time.Time{}
	}
	if r.heard.After(r.pinged) {
		return r.pinged.Add(slowPongWait)
	}
	return r.pinged.Add(pongWait)
}

// ponged takes a Pong.
func (r *runner) ponged(now time.Time) {
	r.pinged = time.Time{}
	if r.session.pong < r.session.ping {
		r.pinged = now // another was sent since
	}
}

// probe finds out that a connection is dead which says nothing of it. True means that it has sent a Ping.
func (r *runner) probe(now time.Time) bool {
	slept := r.slept(now)
	if !r.pinged.IsZero() && r.ui.full() {
		r.pinged = now // what nobody takes is not late
	}
	switch {
	case slept && r.outage != nil:
		r.outage.stop()
		r.outage.next = now
	case r.conn == nil || !r.pings():
	case slept && r.resumable():
		r.cutOff("")
	case isDue(r.noPong(), now):
		r.cutOff("nothing came from the server for too long")
	case !now.Before(r.nextPing()):
		r.session.sendPing()
		if r.quiet = now; r.pinged.IsZero() {
			r.pinged = now
		}
		return true
	}
	return false
}

// slept says whether the machine was asleep since the last time that this was asked: the time of day went on, and the program's time didn't.
func (r *runner) slept(now time.Time) bool {
	day := r.cfg.timeOfDay()
	asleep := day.Sub(r.lookedDay) - now.Sub(r.looked)
	first := r.looked.IsZero()
	r.looked, r.lookedDay = now, day
	return !first && asleep >= sleptAtLeast
}

// A comeback is a log-in that nobody typed: the session is over, and the password is in a file.
type comeback struct {
	next  time.Time
	wait  time.Duration
	until time.Time
}

// sessionOver is the end of a session that the server does not have any more, or does not give back.
func (r *runner) sessionOver(code int, why string) {
	r.outage.stop()
	r.followUp()
	r.ui.say(saidError{Code: faultLost, Text: "connection lost: " + why + r.rest()})
	r.codes[code] = true
	r.endSession("connection lost")
}

// followUp says that the user is to log in again: by the password of the file, if there is one and more to do; otherwise whoever sits at the
// terminal is asked for it.
func (r *runner) followUp() {
	switch now := time.Now(); {
	case r.comeback != nil:
		r.triesAgain() // it was lost before it began
	case r.fromFile && r.cfg.Reconnect > 0 && !r.done():
		r.comeback = &comeback{next: now.Add(rand.N(comebackSoon)), until: now.Add(comebackFor)}
	case !r.ordered() && !r.fromFile:
		r.reask = true
	}
}

// done says that no command waits, and none will come.
func (r *runner) done() bool { return r.ended && r.held == nil && r.heldErr == nil }

// again logs the user in if that is due. A wish to end is granted meanwhile.
func (r *runner) again(ctx context.Context) bool {
	if r.done() || r.held != nil && r.held.verb == verbQuit {
		r.over = true
		return false
	}
	if time.Now().Before(r.comeback.next) {
		return false
	}
	r.id = ""
	r.as(ctx, r.name.String(), true)
	return true
}

// triesAgain says whether a log-in that came to nothing is followed by another: there is none, or there have been enough.
func (r *runner) triesAgain() bool {
	c, now := r.comeback, time.Now()
	if c == nil {
		return false
	}
	c.wait = min(max(2*c.wait, comebackSoon), maxComeback)
	if c.next = now.Add(c.wait - rand.N(c.wait/2)); c.next.Before(c.until) {
		return true
	}
	r.comeback = nil
	return false
}
