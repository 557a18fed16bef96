package client

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"sim/proto"
)

// errPasted is returned for a line that was pasted with its line break: what is pasted is never a command.
var errPasted = errors.New("a pasted line is not run: paste it without its line break, and press Enter yourself")

const (
	// wipeSequence clears the screen and what was scrolled off it (ECMA-48 ED 2, xterm's ED 3).
	wipeSequence = "\x1b[H\x1b[2J\x1b[3J"
	maxLineRunes = 4096 // of x/term's line editor
	maxHistory   = 100
	maxKnown     = 10_000 // names for completion
	maxStrokes   = 1024   // reads of the terminal that nobody has asked for yet
)

// screen is a terminal with a line editor: golang.org/x/term's. read belongs to the input's goroutine, Write to the printer's.
type screen struct {
	term  *term.Terminal
	keys  *keys
	hints chan string // what the keys want told

	mu    sync.Mutex
	names map[string]bool // guarded by mu
	fresh bool            // guarded by mu: the next line begins without the history of a user before
}

// newScreen takes a terminal. interrupt is called at the second Ctrl-C, whatever the client is doing.
func newScreen(t *Terminal, interrupt func()) *screen {
	s := &screen{hints: make(chan string, 1), names: make(map[string]bool)}
	s.keys = newKeys(t, s, interrupt)
	go s.keys.listen()
	s.term = term.NewTerminal(s.keys, promptOf(""))
	s.term.AutoCompleteCallback = s.key
	s.term.SetBracketedPasteMode(true)
	s.resize([2]int{t.Width, t.Height})
	if t.Resize != nil {
		go func() {
			for size := range t.Resize {
				s.resize(size)
			}
		}()
	}
	return s
}

func (s *screen) resize(size [2]int) {
	if size[0] > 0 && size[1] > 0 {
		s.term.SetSize(size[0], size[1])
	}
}

// Write prints above the line that is being typed.
func (s *screen) Write(b []byte) (int, error) { return s.term.Write(b) }

// close gives the terminal back as it was found; the raw mode is its owner's to end.
func (s *screen) close() { s.term.SetBracketedPasteMode(false) }

// promptOf returns the prompt for a user, or for nobody.
func promptOf(name string) string {
	if name == "" {
		name = "sim"
	}
	return name + "> "
}

// user begins anew when nobody is logged in any more: history and the names to complete. It does not wait for the terminal.
func (s *screen) user(name string) {
	if name == "" {
		s.mu.Lock()
		s.names, s.fresh = make(map[string]bool), true
		s.mu.Unlock()
	}
}

func (s *screen) know(names []proto.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		if len(s.names) < maxKnown {
			s.names[n.String()] = true
		}
	}
}

// read reads a line with its prompt.
func (s *screen) read(a ask) ([]byte, error) {
	if a.secret {
		line, err := s.term.ReadPassword(a.prompt)
		if err == term.ErrPasteIndicator {
			err = nil // a password may be pasted with its line break: it is no command
		}
		s.keys.pasted.Store(false)
		return []byte(line), err
	}
	s.term.SetPrompt(a.prompt)
	s.mu.Lock()
	if s.fresh {
		s.term.History, s.fresh = new(history), false
	}
	s.mu.Unlock()
	line, err := s.term.ReadLine()
	if pasted := s.keys.pasted.Swap(false); err == term.ErrPasteIndicator || err == nil && pasted {
		err = errPasted
	}
	return []byte(line), err
}

func (s *screen) hint(text string) {
	select {
	case s.hints <- text:
	default:
	}
}

// key is called by the line editor for each key: Tab completes, and a full line is told.
func (s *screen) key(text string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		if len([]rune(text)) == maxLineRunes && key >= ' ' && key != 127 {
			s.hint("the line is full: 4096 characters are as many as can be typed; send longer texts through a pipe")
		}
		return "", 0, false
	}
	s.mu.Lock()
	names := make([]string, 0, len(s.names))
	for n := range s.names {
		names = append(names, n)
	}
	s.mu.Unlock()
	return complete(text, pos, names)
}

// complete completes the word before pos as far as all that fits agrees.
func complete(text string, pos int, names []string) (string, int, bool) {
	if pos > len(text) {
		return "", 0, false
	}
	start, fits := fitting(text[:pos], false, names)
	if len(fits) == 0 {
		return "", 0, false
	}
	common := fits[0]
	for _, f := range fits[1:] {
		for !strings.HasPrefix(f, common) {
			common = common[:len(common)-1]
		}
	}
	if len(fits) == 1 && !strings.HasPrefix(text[pos:], " ") {
		common += " "
	}
	return text[:start] + common + text[pos:], start + len(common), true
}

// keys stands between the terminal and the line editor, for Ctrl-C: the first clears the line, a second soon after ends everything, at a time
// when no line is asked for, too. And for what is pasted: of that no byte is a key, and the line editor tells a pasted line break only where
// the whole line was pasted.
type keys struct {
	terminal  *Terminal
	screen    *screen
	interrupt func()

	// owned by listen
	last    time.Time // of the last Ctrl-C
	now     stroke    // what comes of the bytes that are being looked at
	pasting bool
	mark    int // bytes of pasteStart or pasteEnd that have come

	// owned by Read
	rest   []byte
	pasted atomic.Bool // a line break; read, too

	mu      sync.Mutex
	some    sync.Cond // of mu: strokes came, or were taken
	strokes []stroke  // guarded by mu
	err     error     // guarded by mu: the terminal's, behind the strokes
}

// stroke is what one read of the terminal gave.
type stroke struct {
	keys   []byte
	pasted bool // a line break
}

func newKeys(t *Terminal, s *screen, interrupt func()) *keys {
	k := &keys{terminal: t, screen: s, interrupt: interrupt}
	k.some.L = &k.mu
	return k
}

const (
	ctrlC = 0x03
	// clearLine is, to the line editor, to the end of the line (Ctrl-E) and delete to its start (Ctrl-U).
	clearLine = "\x05\x15"
	// pasteStart and pasteEnd stand around what is pasted; they differ in one byte.
	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

func (k *keys) Write(b []byte) (int, error) { return k.terminal.Write(b) }

// Read gives the line editor what was typed.
func (k *keys) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, io.ErrShortBuffer // the line editor waits for the end of a key that has none
	}
	if len(k.rest) == 0 {
		next, err := k.take()
		if err != nil {
			return 0, err
		}
		k.rest = next.keys
		if next.pasted {
			k.pasted.Store(true)
		}
	}
	n := copy(b, k.rest)
	clear(k.rest[:n]) // it may be a password
	k.rest = k.rest[n:]
	return n, nil
}

// take waits for a stroke that has keys.
func (k *keys) take() (stroke, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.strokes) == 0 && k.err == nil {
		k.some.Wait()
	}
	if len(k.strokes) == 0 {
		return stroke{}, k.err
	}
	next := k.strokes[0]
	k.strokes = k.strokes[1:]
	k.some.Broadcast()
	return next, nil
}

// listen reads the terminal until it ends or the client is interrupted. What is typed ahead waits here, up to maxStrokes.
func (k *keys) listen() {
	var raw [256]byte
	for {
		n, err := k.terminal.Read(raw[:])
		k.now = stroke{keys: make([]byte, 0, 2*len(raw))} // never grows: no stray copies of a password
		for _, c := range raw[:n] {
			if k.pastes(c) {
				continue
			}
			if c != ctrlC {
				k.now.keys = append(k.now.keys, c)
				k.last = time.Time{}
				continue
			}
			now := time.Now()
			if now.Sub(k.last) < ctrlCWait {
				k.interrupt()
				err = io.EOF
				break
			}
			k.last = now
			k.now.keys = append(k.now.keys, clearLine...)
			k.screen.hint("press Ctrl-C again to quit")
		}
		clear(raw[:n])
		k.mu.Lock()
		for len(k.strokes) >= maxStrokes {
			k.some.Wait()
		}
		if k.err = err; len(k.now.keys) > 0 {
			k.strokes = append(k.strokes, k.now)
		}
		k.some.Broadcast()
		k.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// pastes follows the marks around what is pasted, and takes the bytes between them. Those that would go to the terminal as they are it drops.
func (k *keys) pastes(c byte) bool {
	if !k.pasting {
		switch c {
		case pasteStart[k.mark]:
			k.mark++
		case pasteStart[0]:
			k.mark = 1
		default:
			k.mark = 0
		}
		if k.mark == len(pasteStart) {
			k.pasting, k.mark = true, 0
		}
		return false
	}
	if c == pasteEnd[k.mark] {
		if k.mark++; k.mark == len(pasteEnd) {
			k.now.keys = append(k.now.keys, pasteEnd...)
			k.pasting, k.mark = false, 0
		}
		return true
	}
	if k.mark > 0 { // it was no end
		k.now.keys = append(k.now.keys, pasteEnd[1:k.mark]...)
		k.mark = 0
		return k.pastes(c)
	}
	switch {
	case c == '\r' || c == '\n':
		k.now.pasted = true
	case c < ' ' && c != '\t' || c == 0x7f:
		return true
	}
	k.now.keys = append(k.now.keys, c)
	return true
}

// history is what Up brings back: the last lines of one user.
type history struct{ lines []string }

func (h *history) Add(entry string) {
	if entry == "" || len(h.lines) > 0 && h.lines[0] == entry {
		return
	}
	h.lines = slices.Insert(h.lines, 0, entry)
	if len(h.lines) > maxHistory {
		h.lines = h.lines[:maxHistory]
	}
}

func (h *history) Len() int { return len(h.lines) }

// At returns an entry, the newest being 0.
func (h *history) At(i int) string { return h.lines[i] }
