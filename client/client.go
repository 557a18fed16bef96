// Package client is sim's client: it logs one person after another in to a server, opens conversations with others and carries their texts,
// as commands that are typed, piped or read from a file.
//
// client.go is the way in. run.go is the loop that everything meets in; turn.go gives commands their turn, result.go their result, life.go
// begins and ends log-ins. session.go, opening.go and conversation.go are
// what one logged-in user has, a pure machine; login.go and connection.go are its socket, and resume.go, with the journal of journal.go, takes it
// from a lost one to the next. command.go is the grammar of a line, ui.go
// the only place that prints, text.go makes harmless what others sent before it is shown, terminal.go is for people
// at a terminal (editor/ is the line that they type, plain.go the terminal that can't be drawn on, doubt.go the question about a forgotten slash), and look.go says how lines look there.
package client

import (
	"context"
	"io"
	"net"
	"time"

	"sim/password"
	"sim/proto"
)

// The exit codes of a client.
const (
	ExitOK          = 0
	ExitFailed      = 1   // a command failed
	ExitUsage       = 2   // wrong flags
	ExitRefused     = 3   // login refused
	ExitLost        = 4   // server not reached, or lost
	ExitNoProof     = 5   // reached, but no proof of that key
	ExitReplaced    = 6   // replaced by a newer login
	ExitUnknown     = 7   // an outcome is unknown
	ExitInterrupted = 130 // interrupted
)

// MaxReconnect is for how long a lost connection is tried to be replaced at most: the server keeps the session no longer.
const MaxReconnect = 2 * time.Minute

// Config is what a client is run with.
type Config struct {
	Server       proto.Address
	User         string // who logs in first; "" to ask
	PasswordFile string // of that user; "" or "-" to ask
	In           io.Reader
	Out, Err     io.Writer
	Terminal     *Terminal // nil when commands are piped
	JSON         bool      // commands and what is told are objects, one a line; then nobody is asked at a terminal
	NoColor      bool
	Reconnect    time.Duration // for how long a lost connection is tried to be replaced; 0 is not at all, and no session is followed by another by itself
	Notify       string        // a command to run when a message comes; "" is the terminal's bell
	NoBell       bool

	// AskPassword reads a password from the controlling terminal without echo. It is nil where there is none; then a password is the next line of In.
	AskPassword func(prompt string) ([]byte, error)

	// Deriver is Argon2id unless a test has another.
	Deriver password.Deriver

	// dial is a net.Dialer's unless a test has another.
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	// timeOfDay goes on while the machine sleeps. It is the system's unless a test has another.
	timeOfDay func() time.Time
}

// Terminal is a terminal in raw mode: what is typed comes from Read, what is shown goes to Write. What is not there is nil.
type Terminal struct {
	io.ReadWriter
	Width, Height int           // 0 where nobody knows
	Resize        <-chan [2]int // width and height, whenever they change
	UTF8          bool          // it shows more than ASCII
	Dumb          bool          // it understands no escape sequences, and is not in raw mode

	Suspend   func()          // gives the terminal back, stops the program, and returns in raw mode when it goes on
	Stop      <-chan struct{} // somebody wants it suspended
	Continued <-chan struct{} // it was stopped in another way, and goes on in raw mode
}

// Run runs a client until its input ends, it is told to quit, or ctx is done. It returns the exit code; why is told on Err.
func Run(ctx context.Context, cfg Config) int {
	if cfg.Deriver == nil {
		cfg.Deriver = password.Argon2id{}
	}
	if cfg.dial == nil {
		cfg.dial = (&net.Dialer{Timeout: dialWait}).DialContext
	}
	if cfg.timeOfDay == nil {
		cfg.timeOfDay = func() time.Time { return time.Now().Round(0) } // without the program's own time in it
	}
	ctx, interrupt := context.WithCancel(ctx)
	defer interrupt()
	mostBytes := maxLine
	if cfg.JSON {
		cfg.Terminal, cfg.AskPassword, mostBytes = nil, nil, maxObject
	}
	var screen screen
	var dress *look
	if t := cfg.Terminal; t != nil {
		dress = &look{colors: !cfg.NoColor && !t.Dumb}
		if t.Dumb {
			screen = newPlainScreen(t, cfg.AskPassword)
		} else {
			screen = newScreen(t, interrupt)
		}
	}
	ui := newUI(cfg.Out, cfg.Err, screen, cfg.JSON)
	ui.look = dress
	in := newInput(cfg.In, mostBytes, cfg.AskPassword, screen)
	r := newRunner(cfg, ui, in)
	return r.run(ctx)
}
