package client

import (
	"fmt"
	"strings"

	"sim/proto"
)

// A said is one thing that the client tells: a value, which is written as a line for people or as an object for programs (json.go).
// Its exported fields are the object's, and docs/client.schema.json has them.
type said interface {
	word() string // the type of the object
	line() string // the line, or lines, without the last line end; whatever a peer or the server sent is made harmless in it
}

type (
	saidMessage struct {
		From      string `json:"from"`
		Text      string `json:"text"` // as it was sent
		Confirmed bool   `json:"confirmed"`

		of   message // it is handed out when it was printed
		ring bool    // with the terminal's bell
	}
	saidLogin  struct{ userField }
	saidLogout struct{ userField }
	saidList   struct {
		Online []string `json:"online"`
	}
	saidSend struct {
		To      string `json:"to"`
		Outcome string `json:"outcome"` // delivered, failed, unknown
		Reason  string `json:"reason,omitempty"`
	}
	saidDisconnect struct {
		With string `json:"with"`
	}
	// saidTalk says whom whole lines go to. Programs don't get it: they name a receiver each time.
	saidTalk struct {
		To string `json:"to,omitempty"`
	}
	saidVerify struct {
		With      string `json:"with"`
		Digits    string `json:"digits,omitempty"` // or Reason
		Confirmed bool   `json:"confirmed"`
		Reason    string `json:"reason,omitempty"`
	}
	saidBlock   struct{ userField }
	saidUnblock struct{ userField }
	saidBlocked struct {
		Blocked []string `json:"blocked"`
	}
	saidWatch   struct{ userField }
	saidUnwatch struct{ userField }
	saidWatched struct {
		Watched []string `json:"watched"`
	}
	saidPasswd struct{ userField } // the user's password was changed
	saidRecv   struct {
		Count  int    `json:"count"`
		Reason string `json:"reason,omitempty"`
	}
	// saidEvent is something that nobody asked for.
	saidEvent struct {
		Event  string `json:"event"`
		Who    string `json:"who,omitempty"`    // it is about
		Online *bool  `json:"online,omitempty"` // presence

		text string
	}
	// saidError is what went wrong.
	saidError struct {
		Code fault  `json:"code"`
		Text string `json:"text"`           // a sentence that says what to do, without any part of the input
		Line int    `json:"line,omitempty"` // of the input that it is about
	}
	// saidHint tells a person at a terminal what to do next. Programs don't get it.
	saidHint struct{ text string }
	saidHelp struct{}

	userField struct {
		User string `json:"user"`
	}
)

// A fault is a word for what went wrong, which programs may rest on.
type fault string

const (
	faultLine         fault = "line"          // no command, or one that is written wrongly
	faultLogin        fault = "login"         // somebody has to be logged in for this, or nobody
	faultName         fault = "name"          // one's own where somebody else's belongs, or the other way round, or no name
	faultBusy         fault = "busy"          // too much is under way for more
	faultVerify       fault = "verify"        // no digits were shown that could be confirmed
	faultBlocked      fault = "blocked"       // one's own block is in the way
	faultPassword     fault = "password"      // it was not changed
	faultUndone       fault = "undone"        // the session ended before the command did
	faultInput        fault = "input"         // it broke off
	faultNotify       fault = "notify"        // its command failed; all else goes on
	faultPasswordFile fault = "password_file" // others can read it; the log-in goes on
	faultLost         fault = "lost"          // the connection
	faultFailed       fault = "failed"        // ends with ExitFailed
	faultUsage        fault = "usage"         // ends with ExitUsage
	faultRefused      fault = "refused"       // the log-in
	faultNotReached   fault = "not_reached"   // the server
	faultNoProof      fault = "no_proof"      // of the server's
)

// faultOf returns the word for an exit code of a login that failed.
func faultOf(code int) fault {
	switch code {
	case ExitUsage:
		return faultUsage
	case ExitRefused:
		return faultRefused
	case ExitLost:
		return faultNotReached
	case ExitNoProof:
		return faultNoProof
	}
	return faultFailed
}

func (s saidMessage) word() string    { return "message" }
func (s saidLogin) word() string      { return "login" }
func (s saidLogout) word() string     { return "logout" }
func (s saidList) word() string       { return "list" }
func (s saidSend) word() string       { return "send" }
func (s saidDisconnect) word() string { return "disconnect" }
func (s saidVerify) word() string     { return "verify" }
func (s saidTalk) word() string       { return "talk" }
func (s saidBlock) word() string      { return "block" }
func (s saidBlocked) word() string    { return "block" }
func (s saidUnblock) word() string    { return "unblock" }
func (s saidWatch) word() string      { return "watch" }
func (s saidWatched) word() string    { return "watch" }
func (s saidUnwatch) word() string    { return "unwatch" }
func (s saidPasswd) word() string     { return "passwd" }
func (s saidRecv) word() string       { return "recv" }
func (s saidEvent) word() string      { return "event" }
func (s saidHint) word() string       { return "hint" }
func (s saidHelp) word() string       { return "help" }

// word is another one for what is no failure.
func (s saidError) word() string {
	if s.Code == faultPasswordFile || s.Code == faultNotify {
		return "warning"
	}
	return "error"
}

// line has a mark behind the name of somebody whose digits were confirmed.
func (s saidMessage) line() string {
	mark := ""
	if s.Confirmed {
		mark = " ✓"
	}
	return "< " + s.From + mark + ": " + harmless(s.Text)
}

func (s saidLogin) line() string      { return "= logged in as " + s.User }
func (s saidLogout) line() string     { return "= logged out " + s.User }
func (s saidDisconnect) line() string { return "= disconnected from " + s.With }

func (s saidBlock) line() string   { return "= blocked " + s.User }
func (s saidUnblock) line() string { return "= unblocked " + s.User }
func (s saidWatch) line() string   { return "= watching " + s.User }
func (s saidUnwatch) line() string { return "= watching " + s.User + " no more" }
func (s saidPasswd) line() string  { return "= password changed" }

// line says at a terminal, too, what the prompt shows there: not everybody sees a prompt.
func (s saidTalk) line() string {
	if s.To == "" {
		return "= talking to nobody"
	}
	return "= talking to " + s.To
}

func (s saidList) line() string    { return listed("online", s.Online) }
func (s saidBlocked) line() string { return listed("blocked", s.Blocked) }
func (s saidWatched) line() string { return listed("watched", s.Watched) }

func listed(what string, names []string) string {
	return strings.Join(append([]string{fmt.Sprintf("= %s (%d):", what, len(names))}, names...), " ")
}

func (s saidSend) line() string { return "= " + s.To + ": " + because(s.Outcome, s.Reason) }

func (s saidVerify) line() string {
	switch {
	case s.Digits == "":
		return "= verify " + s.With + ": " + because("failed", s.Reason)
	case s.Confirmed:
		return "= verify " + s.With + ": " + s.Digits + " (confirmed)"
	}
	return "= verify " + s.With + ": " + s.Digits + " (not confirmed)"
}

func (s saidRecv) line() string { return because(fmt.Sprintf("= received %d", s.Count), s.Reason) }

func (s saidEvent) line() string { return "* " + s.text }
func (s saidHint) line() string  { return "* " + s.text }

func (s saidError) line() string {
	switch {
	case s.Code == faultUndone:
		return "= " + s.Text // it stands where the command's result would
	case s.Line > 0:
		return fmt.Sprintf("line %d: %s", s.Line, s.Text)
	}
	return s.Text
}

func (s saidHelp) line() string { return strings.TrimSuffix(helpText, "\n") }

// because adds a reason, if there is one.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

func sayMessage(m message, ring bool) saidMessage {
	return saidMessage{From: m.from.String(), Text: m.text, Confirmed: m.confirmed, of: m, ring: ring}
}

// nameList is never nil: an object has an empty list where there is nobody.
func nameList(names []proto.Name) []string {
	list := make([]string, 0, len(names))
	for _, n := range names {
		list = append(list, n.String())
	}
	return list
}

func saySend(to proto.Name, o outcome) saidSend {
	return saidSend{To: to.String(), Outcome: o.end.String(), Reason: o.why}
}

func sayVerify(with proto.Name, v verified) saidVerify {
	return saidVerify{With: with.String(), Digits: v.digits, Confirmed: v.confirmed, Reason: v.why}
}

// sayCrowded says why a conversation waits.
func sayCrowded(peer proto.Name) saidHint {
	return saidHint{fmt.Sprintf("the server opens no more conversations of yours in this minute: the one with %s waits for the next", peer)}
}

// sayMeaning says what to do with digits.
func sayMeaning(with proto.Name) saidHint {
	return saidHint{fmt.Sprintf("compare the digits with %s by voice or face to face: if both see the same, nobody sits in between, not even the server; then type: /verify %s yes", with, with)}
}

func sayUndone(v verb, why string) saidError {
	return saidError{Code: faultUndone, Text: because(grammar[v].name+": failed", why)}
}

var (
	sayReplaced = saidEvent{Event: "replaced", text: "replaced by a newer login"}
	sayStopping = saidEvent{Event: "stopping", text: "server is stopping"}

	sayReconnecting = saidEvent{Event: "reconnecting", text: "reconnecting …"}
	sayConnected    = saidEvent{Event: "connected_again", text: "connected again"}
	sayChoose       = saidEvent{Event: "choose", text: "the one-time code is right: choose a password, which uses it up"}
)

func sayUnconfirmed(peer proto.Name) saidEvent {
	return saidEvent{Event: "unconfirmed", Who: peer.String(), text: fmt.Sprintf("%s is no longer confirmed: the conversation whose digits you compared is over, and what comes does not continue it; verify %s again", peer, peer)}
}

func sayParted(p parted) saidEvent {
	return saidEvent{Event: p.how.word(), Who: p.peer.String(), text: p.peer.String() + " " + string(p.how)}
}

func sayPresence(p presence) saidEvent {
	is := "offline"
	if p.online {
		is = "online"
	}
	return saidEvent{Event: "presence", Who: p.who.String(), Online: &p.online, text: p.who.String() + " is " + is}
}
