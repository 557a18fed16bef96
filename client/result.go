package client

import (
	"sim/proto"
	"time"
)

// pending is a command that waits for its result.
type pending struct {
	id       uint64
	verb     verb
	name     proto.Name
	count    int       // recv
	deadline time.Time // recv; zero: none
	done     bool
	result   said
	label    string // the command's id
}

// inOrder is the order in which the codes of what went wrong win.
var inOrder = []int{ExitReplaced, ExitLost, ExitNoProof, ExitUnknown, ExitFailed}

// fail tells that a command failed; the commands after it go on.
func (r *runner) fail(code fault, text string) {
	e := saidError{Code: code, Text: text}
	if r.ordered() {
		e.Line = r.lineNo
	}
	r.ui.answer(r.id, e)
	r.codes[ExitFailed] = true
}

func (r *runner) find(id uint64) *pending {
	for _, p := range r.pending {
		if p.id == id && id != 0 {
			return p
		}
	}
	return nil
}

// results prints what is done: in the order of the commands, or as it comes.
func (r *runner) results() {
	rest := r.pending[:0]
	for i, p := range r.pending {
		if !p.done {
			if r.ordered() {
				rest = append(rest, r.pending[i:]...)
				break
			}
			rest = append(rest, p)
			continue
		}
		r.ui.answer(p.label, p.result)
	}
	r.pending = rest
}

// recvs ends the recv commands whose count or time is reached.
func (r *runner) recvs(now time.Time) {
	for _, p := range r.pending {
		if p.verb != verbRecv || p.done {
			continue
		}
		switch {
		case r.received >= p.count:
			p.done, p.result = true, saidRecv{Count: r.count(p)}
		case r.outBroke:
			p.done, p.result = true, saidRecv{Reason: "the output broke"}
		case isDue(p.deadline, now):
			p.done, p.result = true, saidRecv{r.count(p), "timeout"}
			r.codes[ExitFailed] = true
		}
		if !p.done {
			return // one at a time counts
		}
	}
}

// endRecvs ends all of them.
func (r *runner) endRecvs(why string) {
	for _, p := range r.pending {
		if p.verb == verbRecv {
			p.done, p.result = true, saidRecv{r.count(p), why}
		}
	}
	r.results()
}

// count takes what a recv counts.
func (r *runner) count(p *pending) int {
	n := min(p.count, r.received)
	r.received -= n
	return n
}

func (r *runner) add(c command, name proto.Name) *pending {
	r.lastID++
	p := &pending{id: r.lastID, verb: c.verb, name: name, label: c.id}
	r.pending = append(r.pending, p)
	return p
}

// drop takes a command back that was not even begun.
func (r *runner) drop(p *pending, code fault, why string) {
	r.pending = r.pending[:len(r.pending)-1]
	r.fail(code, why)
}
