package client

import (
	"io"
	"slices"
	"sync"

	"sim/client/editor"
	"sim/proto"
)

// plainScreen is a terminal that understands no escape sequences (TERM=dumb). Lines are edited by the system, as far as it does.
type plainScreen struct {
	terminal *Terminal
	lines    *lineReader
	secret   func(prompt string) ([]byte, error)

	mu      sync.Mutex
	prompt  string // guarded by mu: it stands there, and a line is being typed
	cutOff  bool   // guarded by mu: the connection was lost since, or before
	working bool   // guarded by mu: it was said that a log-in takes its time
}

func newPlainScreen(t *Terminal, secret func(prompt string) ([]byte, error)) *plainScreen {
	return &plainScreen{terminal: t, lines: newLineReader(t, maxLine), secret: secret}
}

func (s *plainScreen) read(a ask) typed {
	text := a.prompt.text(s.terminal.UTF8)
	if a.secret && s.secret != nil {
		line, err := s.secret(text)
		return typed{line: line, err: err}
	}
	if err := s.shows(text); err != nil {
		return typed{err: err}
	}
	s.lost(a.prompt.cutOff, true)
	line, err := s.lines.next()
	out := slices.Clone(line)
	clear(line)
	under := a.prompt
	under.cutOff = s.lost(false, false)
	if question := doubt(string(out), under, func(string) bool { return false }, s.terminal.UTF8); question != "" && err == nil {
		if err = s.shows(question + " "); err == nil {
			line, err = s.lines.next()
		}
		if len(line) == 0 || line[0] != 'y' && line[0] != 'Y' {
			out = nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prompt = ""
	if err == io.EOF {
		io.WriteString(s.terminal, "\n")
	}
	return typed{out, err, a.prompt} // under which it was begun, whatever has come since
}

// lost says whether the connection was lost while a line is being typed, or is now; anew begins with the next line.
func (s *plainScreen) lost(now, anew bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutOff = now || s.cutOff && !anew
	return s.cutOff
}

// keep can't: what is typed here is the system's.
func (*plainScreen) keep(prompt, []byte) error { return nil }

// shows shows a prompt.
func (s *plainScreen) shows(prompt string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prompt = prompt
	_, err := io.WriteString(s.terminal, prompt)
	return err
}

func (s *plainScreen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := editor.Wrap(string(b), s.terminal.Width)
	if s.prompt != "" {
		text = "\n" + text + s.prompt
	}
	_, err := io.WriteString(s.terminal, text)
	return len(b), err
}

// reprompt begins a new line where the prompt is another.
func (s *plainScreen) reprompt(p prompt) error {
	s.mu.Lock()
	same := s.prompt == "" || s.prompt == p.text(s.terminal.UTF8)
	s.mu.Unlock()
	if s.lost(p.cutOff, false); same {
		return nil
	}
	if _, err := io.WriteString(s.terminal, "\n"); err != nil {
		return err
	}
	return s.shows(p.text(s.terminal.UTF8))
}

// progress says once that a log-in takes its time.
func (s *plainScreen) progress(step string) error {
	s.mu.Lock()
	first := step != "" && !s.working
	s.working = step != ""
	s.mu.Unlock()
	if !first {
		return nil
	}
	_, err := s.Write([]byte(step + dots(s.terminal.UTF8) + "\n"))
	return err
}

func (s *plainScreen) wipe(string) error {
	_, err := s.Write([]byte("* this terminal can't be cleared: what was shown stays on it\n"))
	return err
}

func (s *plainScreen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prompt != "" {
		io.WriteString(s.terminal, "\n")
	}
}

func (*plainScreen) takeBack()          {} // the system has the line
func (*plainScreen) user(string)        {}
func (*plainScreen) know([]proto.Name)  {}
func (*plainScreen) hints() <-chan hint { return nil }
