package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"sim/client/editor"
	"sim/proto"
)

// A screen is what a person sits at. Its owner is the printer's goroutine, but for read, which is the input's, and user, know and hints, which never
// wait for the terminal.
type screen interface {
	io.Writer // whole lines, above the one that is being typed
	read(a ask) typed
	reprompt(p prompt) error
	takeBack()                            // what is asked for, unless something was typed
	keep(under prompt, line []byte) error // that was typed, and not taken, until its user is back
	progress(step string) error           // of a log-in, until the next line or ""
	wipe(unread string) error             // what one user saw, before the next one comes; some of it is summed up
	user(name string)
	know(names []proto.Name)
	hints() <-chan hint // what the keys want told
	close()
}

const (
	maxKnown = 10_000 // names for completion
	maxAhead = 16_384 // keys that nobody has asked for yet; a paste counts as one for 16 bytes

	pasteOn  = "\x1b[?2004h" // marks around what is pasted
	pasteOff = "\x1b[?2004l"
)

// A hint is what is told about a key.
type hint struct {
	text    string
	cancels bool // it was Ctrl-C: what waits for messages ends, too
}

// editScreen is a terminal with a line editor.
type editScreen struct {
	terminal  *Terminal
	keys      *keys
	told      chan hint
	interrupt func()
	closed    chan struct{}

	drawing chan struct{} // a lock: whoever is in it may wait for a terminal that takes nothing
	editor  *editor.Editor
	prompt  prompt // guarded by drawing: what stands before the line
	paste   []byte // guarded by drawing: several lines, until the question about them is answered
	draft   draft  // guarded by drawing

	mu    sync.Mutex
	names map[string]bool // guarded by mu
	fresh bool            // guarded by mu: the next line begins without anything of a user before
}

// A draft is a line whose session ended before it was over. It is its user's, and nobody else's.
type draft struct {
	under prompt
	line  []byte
}

// newScreen takes a terminal. interrupt is called at the second Ctrl-C, whatever the client is doing.
func newScreen(t *Terminal, interrupt func()) *editScreen {
	s := &editScreen{terminal: t, keys: newKeys(), told: make(chan hint, 1), drawing: make(chan struct{}, 1), interrupt: interrupt, closed: make(chan struct{}), names: make(map[string]bool)}
	s.editor = editor.New(maxLine, s.complete)
	s.editor.Resize(t.Width, t.Height)
	s.draw(func(*editor.Editor) {}, pasteOn)
	go s.listen()
	go s.follow()
	return s
}

// listen reads the terminal until it ends or the client is interrupted.
func (s *editScreen) listen() {
	var raw [256]byte
	var decoder editor.Decoder
	var last time.Time // of the last Ctrl-C
	var cut time.Time  // when something of a paste came that Ctrl-C has ended
	for {
		n, err := s.terminal.Read(raw[:])
		var now []editor.Key
		if time.Since(cut) < cutWait {
			cut = time.Now()
		} else {
			cut = time.Time{}
		}
		decoder.Decode(raw[:n], func(k editor.Key) {
			switch {
			case !cut.IsZero():
				clear(k.Paste)
				return
			case k.Code == editor.CutPaste:
				cut = time.Now()
				s.hint("the paste was dropped")
				return
			case k.Code == editor.Stop && s.terminal.Suspend != nil:
				s.suspend()
				return
			case k.Code != editor.Interrupt:
				last = time.Time{}
			case time.Since(last) < ctrlCWait:
				s.interrupt()
				err = io.EOF
			default:
				last = time.Now()
				s.tell(hint{"press Ctrl-C again to quit", true})
			}
			now = append(now, k)
		})
		clear(raw[:n]) // it may be a password
		if s.keys.add(now, err); err != nil {
			return
		}
	}
}

// follow does what the terminal's owner tells.
func (s *editScreen) follow() {
	t := s.terminal
	for {
		select {
		case <-s.closed:
			return
		case size, ok := <-t.Resize:
			if !ok {
				return
			}
			s.draw(func(e *editor.Editor) { e.Resize(size[0], size[1]) })
		case <-t.Stop:
			s.suspend()
		case <-t.Continued:
			s.draw(func(e *editor.Editor) { e.Resume() }, pasteOn)
		}
	}
}

// suspend gives the terminal back until the program is continued.
func (s *editScreen) suspend() {
	s.draw(func(e *editor.Editor) { e.Pause() }, pasteOff)
	s.terminal.Suspend()
	s.draw(func(e *editor.Editor) { e.Resume() }, pasteOn)
}

// draw changes what is shown, and then tells the terminal; behind that comes what else it is to be told.
func (s *editScreen) draw(change func(*editor.Editor), more ...string) error {
	s.drawing <- struct{}{}
	defer func() { <-s.drawing }()
	change(s.editor)
	return s.flush(more...)
}

// flush has the terminal show what the editor wants. Its caller holds drawing.
func (s *editScreen) flush(more ...string) error {
	out := s.editor.Output()
	defer clear(out)
	if len(out) > 0 {
		if _, err := s.terminal.Write(out); err != nil {
			return err
		}
	}
	for _, m := range more {
		if _, err := io.WriteString(s.terminal, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *editScreen) Write(b []byte) (int, error) {
	return len(b), s.draw(func(e *editor.Editor) { e.Print(string(b)) })
}

func (s *editScreen) progress(step string) error {
	if step != "" {
		step += dots(s.terminal.UTF8)
	}
	return s.draw(func(e *editor.Editor) { e.SetStatus(step) })
}

func (s *editScreen) wipe(unread string) error {
	return s.draw(func(e *editor.Editor) {
		e.Wipe()
		e.Print(unread)
	})
}

// close gives the terminal back as it was found; the raw mode is its owner's to end.
func (s *editScreen) close() {
	close(s.closed)
	s.draw(func(e *editor.Editor) { s.setDraft(prompt{}, nil); e.Quit() }, pasteOff)
	s.keys.forget()
}

// reprompt changes what stands before the line that is being typed. What was begun in a session that is over is no command at the next prompt.
func (s *editScreen) reprompt(p prompt) error {
	return s.draw(func(e *editor.Editor) {
		if p.user == "" {
			s.setAside(e)
			e.Forget()
		}
		if len(e.Before())+len(e.After()) > 0 {
			p.cutOff = s.prompt.cutOff // as it was when this was begun
		}
		s.prompt = p
		e.SetPrompt(p.text(s.terminal.UTF8))
	})
}

// setAside takes what is being typed away from a session that is over.
func (s *editScreen) setAside(e *editor.Editor) {
	if s.prompt.user == "" {
		return
	}
	e.Ask("")
	if s.paste != nil {
		s.dropPaste()
		s.hint("nothing of the paste was sent: the session has ended")
	}
	if line := e.Take(); len(line) > 0 {
		s.setDraft(s.prompt, line)
		s.hint("the line that you were typing comes back when " + s.prompt.user + " logs in again")
	}
}

func (s *editScreen) setDraft(under prompt, line []byte) {
	clear(s.draft.line)
	s.draft = draft{under, line}
}

func (s *editScreen) keep(under prompt, line []byte) error {
	return s.draw(func(*editor.Editor) { s.setDraft(under, line) })
}

// takeBack ends the line with errTakenBack.
func (s *editScreen) takeBack() {
	s.drawing <- struct{}{}
	defer func() { <-s.drawing }()
	if len(s.editor.Before())+len(s.editor.After()) == 0 {
		s.keys.takeBack()
	}
}

// user begins anew with each user, and when nobody is logged in any more: what was typed in between is nobody's.
func (s *editScreen) user(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh = true
	if name == "" {
		s.names = make(map[string]bool)
	}
}

func (s *editScreen) know(names []proto.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		if len(s.names) < maxKnown {
			s.names[n.String()] = true
		}
	}
}

func (s *editScreen) knows(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[name]
}

func (s *editScreen) hints() <-chan hint { return s.told }

func (s *editScreen) hint(text string) { s.tell(hint{text: text}) }

func (s *editScreen) tell(h hint) {
	select {
	case s.told <- h:
	default:
	}
}

// complete is the editor's, which is asked with drawing held.
func (s *editScreen) complete(before string) (int, []string) {
	s.mu.Lock()
	names := make([]string, 0, len(s.names))
	for n := range s.names {
		names = append(names, n)
	}
	s.mu.Unlock()
	return fitting(before, s.prompt.target != "", names)
}

// read reads a line with its prompt.
func (s *editScreen) read(a ask) typed {
	if err := s.begin(a); err != nil {
		return typed{err: err}
	}
	for {
		k, more, err := s.keys.take()
		if err != nil {
			return typed{err: err}
		}
		if t := s.press(k, !more); t.line != nil || t.err != nil {
			return t
		}
	}
}

func (s *editScreen) begin(a ask) error {
	s.mu.Lock()
	fresh := s.fresh
	s.fresh = false
	s.mu.Unlock()
	mode := editor.Word
	switch {
	case a.secret:
		mode = editor.Secret
	case a.command:
		mode = editor.Command
	}
	return s.draw(func(e *editor.Editor) {
		if fresh {
			e.Forget()
		}
		s.prompt = a.prompt
		e.Begin(a.prompt.text(s.terminal.UTF8), mode)
		if a.prompt.user == "" {
			return
		}
		if d := s.draft; d.under.user == a.prompt.user && d.under.target == a.prompt.target {
			e.Insert(d.line)
			s.prompt.cutOff = s.prompt.cutOff || d.under.cutOff
		}
		s.setDraft(prompt{}, nil)
	})
}

// press gives the editor a key, and returns the line when it is over. More keys may be drawn at once.
func (s *editScreen) press(k editor.Key, last bool) (t typed) {
	s.drawing <- struct{}{}
	defer func() { <-s.drawing }()
	t.under = s.prompt
	var event editor.Event
	if k.Code != editor.Enter || !s.doubts() {
		event = s.editor.Key(k)
	}
	if k.Lossy {
		s.hint("not all of the paste was text (UTF-8): the rest of it was left out")
	}
	switch event.Kind {
	case editor.Pasted:
		s.pasted(event.Text)
	case editor.Yes:
		if s.paste == nil {
			event = s.editor.Key(editor.Key{Code: editor.Enter})
		} else {
			event = s.sendPaste()
		}
	case editor.No:
		if s.paste != nil {
			s.dropPaste()
			s.hint("nothing of the paste was sent")
		}
	case editor.TooLong:
		s.hint(fmt.Sprintf("the line is full: a message has at most %d bytes", maxText))
	}
	switch event.Kind {
	case editor.Ended:
		t.err = io.EOF
	case editor.Line:
		if t.line = event.Text; betterForgotten(string(t.line), t.under) {
			s.editor.ForgetLast()
		}
	}
	if last || t.line != nil || t.err != nil {
		if err := s.flush(); t.err == nil {
			t.err = err
		}
	}
	return t
}

// doubts asks whether a line that looks like a command is meant as a text, and says whether it does.
func (s *editScreen) doubts() bool {
	if s.prompt.target == "" || s.editor.Asking() {
		return false
	}
	s.editor.Ask(doubt(string(s.editor.Before())+string(s.editor.After()), s.prompt, s.knows, s.terminal.UTF8))
	return s.editor.Asking()
}

// pasted takes several lines. They are one message or nothing, never commands.
func (s *editScreen) pasted(text []byte) {
	to := recipient(string(s.editor.Before()), s.prompt.target)
	length := len(s.editor.Before()) + len(text) + len(s.editor.After())
	switch {
	case to == "":
		clear(text)
		s.hint("several lines were pasted, and are no commands: nothing of them was run. To send them as one message, type send NAME and a space before, or talk NAME")
	case length > maxText:
		clear(text)
		s.hint(fmt.Sprintf("the paste is too long: a message has at most %d bytes", maxText))
	default:
		s.paste = text
		s.editor.Ask(fmt.Sprintf("paste of %d lines, %d characters, as one message to %s? [y/N]", 1+bytes.Count(text, []byte("\n")), utf8.RuneCount(text), to))
	}
}

// recipient says who gets a message that begins so; nobody, if it does not begin as one.
func recipient(before, target string) string {
	command, slash := strings.CutPrefix(before, "/")
	if target != "" && (!slash || strings.HasPrefix(command, "/")) {
		return target
	}
	to, found := strings.CutPrefix(command, "send ")
	to, _, spaced := strings.Cut(to, " ")
	name, err := proto.ParseName(to)
	if !found || !spaced || err != nil {
		return ""
	}
	return name.String()
}

// sendPaste ends the line with the paste in it.
func (s *editScreen) sendPaste() editor.Event {
	defer s.dropPaste()
	if len(s.editor.Before()) == 0 && bytes.HasPrefix(s.paste, []byte("/")) {
		s.editor.Insert([]byte("/")) // of a text, and not of a command
	}
	if !s.editor.Insert(s.paste) {
		return editor.Event{}
	}
	return s.editor.Key(editor.Key{Code: editor.Enter})
}

func (s *editScreen) dropPaste() {
	clear(s.paste)
	s.paste = nil
}

// keys are those that were typed and not yet taken.
type keys struct {
	mu      sync.Mutex
	some    sync.Cond // of mu: keys came, or were taken
	waiting []editor.Key
	size    int
	back    bool  // what they are typed for is taken back
	err     error // the terminal's, behind the keys
}

// errTakenBack is returned in place of a line that nobody wants any more.
var errTakenBack = errors.New("taken back")

func newKeys() *keys {
	k := &keys{}
	k.some.L = &k.mu
	return k
}

func weight(k editor.Key) int { return 1 + len(k.Paste)/16 }

// add waits while there are too many: what is typed is not lost.
func (k *keys) add(more []editor.Key, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for err == nil && k.size >= maxAhead {
		k.some.Wait()
	}
	for _, key := range more {
		k.size += weight(key)
	}
	k.waiting, k.err = append(k.waiting, more...), err
	clear(more)
	k.some.Broadcast()
}

// take waits for a key, and says whether there are more.
func (k *keys) take() (key editor.Key, more bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting) == 0 && k.err == nil && !k.back {
		k.some.Wait()
	}
	if k.back {
		k.back = false
		return key, false, errTakenBack
	}
	if len(k.waiting) == 0 {
		return key, false, k.err
	}
	key = k.waiting[0]
	k.waiting[0] = editor.Key{} // it may be of a password
	k.waiting = k.waiting[1:]
	k.size -= weight(key)
	k.some.Broadcast()
	return key, len(k.waiting) > 0, nil
}

func (k *keys) takeBack() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.back = true
	k.some.Broadcast()
}

// forget clears what nobody will take any more.
func (k *keys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.waiting {
		clear(k.waiting[i].Paste)
	}
	clear(k.waiting)
	k.waiting = nil
}
