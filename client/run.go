package client

import (
	"context"
	"errors"
	"io"
	"os"
	"sim/internal/forget"
	"sim/proto"
	"syscall"
	"time"
)

// A runner takes commands one after another and gives each its result. Everything in it belongs to the goroutine of run: the others (reader and
// writer of the connection, printer, input, a login under way) only send to it and take from it.
type runner struct {
	cfg Config
	ui  *ui
	in  *input

	// where the input stands
	expect    expectation
	asked     bool // a line is asked for and has not come
	lineNo    int
	ended     bool     // the input has ended, or quit was said
	held      *command // a command whose turn has not come
	heldErr   error    // a line that is no command, likewise
	heldID    string   // of the line that heldErr is about
	heldLines int      // with passwords, that go with it
	id        string   // of the command that was run last; a login or logout may still be under way
	pending   []*pending
	lastID    uint64
	swallows  int // lines that are thrown away
	over      bool
	exit      int // when over by a failure that leaves no choice
	codes     map[int]bool
	outBroke  bool
	notifier  *notifier

	// the user
	name      proto.Name // who logs in, or is logged in
	fromFile  bool       // the password comes from --password-file
	refusals  int
	code      []byte           // the prepared password of the log-in, if it has a one-time code's form, until the log-in has ended
	aboutCode string           // what to say of a refused password that is or may be one
	choice    *choice          // a change of password is being typed or under way
	relogin   []byte           // a password to log in with, just set
	justSet   bool             // the log-in that is under way is with it
	wrongOld  int              // old passwords in this session
	target    proto.Name       // whom whole lines go to, if anybody
	advised   map[string]bool  // what a person was told to do about an outcome, in this session
	seen      bool             // somebody was logged in before
	onScreen  proto.Name       // whose messages the terminal may still show
	foreign   bool             // it may show something of somebody else, too: a name that was tried, a line that was typed at nobody's prompt
	away      absence          // of the session that was lost last
	login     chan loginResult // a login is under way
	working   chan string      // what it works on; nobody sends where nobody is told
	cancel    context.CancelFunc

	// the session
	keys     *proto.Session
	session  *session
	up       bool // the server has listed the session
	leaving  time.Time
	farewell farewell
	stopping bool // the server said so
	received int  // messages shown and not counted by recv

	// its connection
	conn      *connection // nil while there is none
	heard     time.Time   // when the last record came
	quiet     time.Time   // when the last record came that shows that the server gets what is sent, or the last Ping was sent
	lively    time.Time   // when the last numbered frame came, or was sent
	pinged    time.Time   // when a Ping was sent whose Pong has not come
	looked    time.Time   // when the time of day was looked at
	lookedDay time.Time
	clock     clock
	journal   journal
	secret    *proto.Resumption
	outage    *outage   // the connection was lost
	comeback  *comeback // the session was lost, and is followed by another
	reask     bool      // the password is to be asked for again, at the next prompt
}

func newRunner(cfg Config, u *ui, in *input) *runner {
	return &runner{
		cfg: cfg, ui: u, in: in, working: make(chan string), codes: make(map[int]bool),
		notifier: newNotifier(cfg.Notify, u.screen != nil && !cfg.NoBell),
	}
}

// ordered says that commands wait for the results of those before them: everywhere but at a terminal.
func (r *runner) ordered() bool { return r.ui.screen == nil }

func (r *runner) run(ctx context.Context) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.begin(ctx)
	for !r.over {
		forget.Do(func() { r.work(ctx) })
		if r.over {
			break
		}
		forget.Do(func() { r.await(ctx) })
	}
	r.drain(ctx)
	r.notifier.finish(ctx.Err() != nil)
	r.restore(ctx)
	if ctx.Err() != nil {
		return ExitInterrupted
	}
	if r.exit != 0 {
		return r.exit
	}
	for _, code := range inOrder {
		if r.codes[code] {
			return code
		}
	}
	return ExitOK
}

// restore gives the terminal back; interrupted, it does not wait for one that takes nothing.
func (r *runner) restore(ctx context.Context) {
	if r.ui.screen == nil {
		return
	}
	done := make(chan struct{})
	go func() { defer close(done); r.ui.screen.close() }()
	var late <-chan time.Time
	if ctx.Err() != nil {
		late = time.After(interruptWait)
	}
	select {
	case <-done:
	case <-late:
	}
}

// work does what can be done without waiting.
func (r *runner) work(ctx context.Context) {
	for {
		r.pump(ctx)
		if !r.next(ctx) {
			break
		}
	}
	r.ask()
	if r.session != nil && r.ui.empty() { // what was due is sent, and what came is shown
		r.session.prepare()
	}
}

// now is the session's time.
func (r *runner) now() time.Time { return r.clock.now(time.Now()) }

// isDue says whether a time has come; zero never does.
func isDue(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// pump lets the session work, sends its frames and takes its events.
func (r *runner) pump(ctx context.Context) {
	for r.session != nil && r.step(ctx, time.Now()) {
	}
	r.recvs(time.Now())
	r.results()
}

// step does one thing for the session, and says whether there may be another. What came is told before anything is taken for late.
func (r *runner) step(ctx context.Context, now time.Time) bool {
	if isDue(r.sessionDue(), now) {
		r.session.tick(r.now())
	}
	r.session.acknowledge(r.now())
	frames, events := r.session.take()
	taken := r.transmit(now, frames)
	for _, e := range events {
		r.event(e)
		if r.session == nil {
			return false // it ended with that: a Close behind LoggedOut is no news
		}
	}
	switch {
	case !taken:
		r.lost("the server takes nothing any more")
	case len(frames) > 0 || len(events) > 0:
	case isDue(r.leaving, now):
		r.left()
	default:
		pinged := r.probe(now)
		r.reconnect(ctx)
		return pinged
	}
	return true
}

// event takes what the session tells, and prints the results that are due with it before anything later.
func (r *runner) event(e event) {
	defer r.results()
	switch e := e.(type) {
	case loggedIn:
		r.up, r.comeback, r.reask = true, nil, false
		clear(r.code)
		r.code = nil
		if r.foreign || r.onScreen != r.name && r.onScreen != (proto.Name{}) {
			r.ui.wipe("") // of a user whose session was lost, or of whoever tried another name
		}
		r.onScreen, r.foreign = r.name, false
		r.ui.user(r.name.String())
		r.ui.answer(r.id, saidLogin{userField{r.name.String()}})
		if !r.ordered() {
			r.session.list(0, proto.Prefix{})
		}
		r.comesBack()
		if r.asked {
			r.ui.do(func(s screen) error { s.takeBack(); return nil }) // at nobody's prompt, while the client logged in by itself
		}
	case message:
		r.ui.know(e.from)
		r.ui.say(sayMessage(e, r.notify(e.from)))
	case outcome:
		if p := r.find(e.id); p != nil {
			p.done, p.result = true, saySend(p.name, e)
			switch e.end {
			case failed:
				r.codes[ExitFailed] = true
			case unknown:
				r.codes[ExitUnknown] = true
			}
			r.advise(p.name, e)
		}
	case verified:
		if p := r.find(e.id); p != nil {
			p.done, p.result = true, sayVerify(p.name, e)
			if e.digits != "" && !e.confirmed && !r.ordered() {
				r.results()
				r.ui.say(sayMeaning(p.name))
			}
			if e.digits == "" {
				r.codes[ExitFailed] = true
			}
		}
		r.reprompt()
	case users:
		r.ui.know(e.names...)
		if p := r.find(e.id); p != nil {
			p.done, p.result = true, saidList{nameList(e.names)}
		}
	case unconfirmed:
		r.ui.say(sayUnconfirmed(e.peer))
		r.reprompt()
	case parted:
		r.ui.say(sayParted(e))
	case presence:
		r.ui.say(sayPresence(e))
	case crowded:
		if !r.ordered() {
			r.ui.say(sayCrowded(e.peer))
		}
	case choose:
		r.enrol()
	case passwordSalt:
		r.derive(e)
	case passwordDone:
		r.passwordDone(e.err)
	case passwordLate:
		r.lost("the server did not answer a change of password")
	case notice:
		r.stopping = true
		r.ui.say(sayStopping)
	case loggedOut:
		r.left()
	case closed:
		r.closed(e.reason)
	}
}

// await waits for one thing to happen.
func (r *runner) await(ctx context.Context) {
	var arrivals <-chan arrival
	var timer <-chan time.Time
	if r.conn != nil && r.session != nil && !r.ui.full() {
		arrivals = r.conn.in
	}
	if at := r.wakeup(); !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		timer = t.C
	}
	var hints <-chan hint
	if r.ui.screen != nil {
		hints = r.ui.screen.hints()
	}
	lines, head := r.ui.give()
	select {
	case <-ctx.Done():
		r.interrupted()
	case err := <-r.notifier.ended:
		r.notified(err)
	case d := <-r.derivations():
		r.derived(d)
	case step := <-r.working:
		r.ui.progress(step)
	case a := <-r.attempts():
		r.attempted(a)
	case result := <-r.login:
		r.loginEnded(ctx, result)
	case a, ok := <-arrivals:
		r.arrived(a, ok)
	case t := <-r.in.typed:
		r.typed(ctx, t)
	case lines <- head:
		r.ui.given()
	case s := <-r.ui.shown:
		r.printed(s)
	case h := <-hints:
		if h.cancels {
			r.endRecvs("interrupted")
		}
		r.ui.say(saidHint{h.text})
	case <-timer:
	}
}

// pings says that the session is one that lasts.
func (r *runner) pings() bool { return r.up || r.enrolling() }

// wakeup is when something is due next, whatever happens.
func (r *runner) wakeup() (at time.Time) {
	due := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if r.session != nil {
		due(r.sessionDue())
		due(r.leaving)
		due(r.farewell.deadline(time.Now()))
		due(r.looked.Add(lookEvery))
	}
	switch {
	case r.conn != nil && r.pings():
		due(r.nextPing())
		due(r.noPong())
		if r.journal.tells() {
			due(r.journal.tellBy)
		}
	case r.conn == nil && r.outage != nil:
		due(r.outage.until)
		if r.outage.cancel == nil {
			due(r.outage.next)
		}
	case r.comeback != nil && r.session == nil && r.login == nil:
		due(r.comeback.next)
	}
	for _, p := range r.pending {
		due(p.deadline)
	}
	return at
}

// arrived takes one record from the server, or the end of the connection.
func (r *runner) arrived(a arrival, ok bool) {
	if !ok || a.err != nil {
		switch {
		case errors.Is(a.err, errBreach):
			r.breach()
		case errors.Is(a.err, os.ErrDeadlineExceeded):
			r.cutOff("nothing came from the server for too long")
		default:
			r.cutOff("it was cut off")
		}
		return
	}
	now := time.Now()
	r.heard = now
	if r.outage != nil {
		r.resumed()
	}
	answered := !r.journal.unseen()
	for f, more := a.frames.Next(); more; f, more = a.frames.Next() {
		handled := r.session.handle(r.now(), f)
		switch f.Type {
		case proto.TypePong:
			r.ponged(now)
		case proto.TypeSeen:
			handled = r.journal.seen(proto.ParseSeen(f.Body))
		}
		if !handled {
			r.breach()
			return
		}
		if r.journal.took(now, f) {
			r.lively = now
		}
		answered = answered || f.Type == proto.TypePong || f.Type == proto.TypeSeen
	}
	if answered {
		r.quiet = now
	}
}

// printed takes a line that the output took: a message in it is handed out, and may be acknowledged.
func (r *runner) printed(s printout) {
	r.ui.printed()
	switch {
	case s.failed == nil:
	case s.err && r.ordered(): // where nobody hears what went wrong, the exit code says it
		return
	default:
		r.broke(s.failed)
		return
	}
	if s.message != nil {
		r.received++
		if r.session != nil {
			r.session.handedOut(r.now(), *s.message)
		}
	}
}

// broke takes the end of the output as the end of the input. A reader that has gone away needs no words.
func (r *runner) broke(why error) {
	if r.outBroke {
		return
	}
	r.outBroke, r.ended = true, true
	r.codes[ExitFailed] = true
	if !errors.Is(why, syscall.EPIPE) && !errors.Is(why, io.ErrClosedPipe) && r.ordered() {
		r.ui.complain("the output can't be written (" + shortError(why) + "): what follows in the input is not run")
	}
}

// drain prints what is left and waits for the connection to have written what it has.
func (r *runner) drain(ctx context.Context) {
	defer close(r.ui.lines)
	defer close(r.in.asks)
	if r.cancel != nil {
		r.cancel()
	}
	if r.conn != nil {
		d := logoutWait
		if ctx.Err() != nil {
			d = interruptWait
		}
		r.conn.wait(d)
	}
	done := ctx.Done()
	var late <-chan time.Time
	for !r.ui.empty() {
		lines, head := r.ui.give()
		select {
		case lines <- head:
			r.ui.given()
		case s := <-r.ui.shown:
			r.printed(s)
		case <-done: // the output may be stuck: a second, and no more
			late, done = time.After(interruptWait), nil
		case <-late:
			return
		}
	}
}
