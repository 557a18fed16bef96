package main

import (
	"os"

	"golang.org/x/sys/windows"
	"golang.org/x/term"

	"sim/client"
)

// openTerminal opens the console.
func openTerminal() (in, out *os.File, err error) {
	in, err = os.OpenFile("CONIN$", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	out, err = os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		in.Close()
		return nil, nil, err
	}
	return in, out, nil
}

// watchTerminal has the console understand escape sequences. It tells no program of its size, and stops none.
// stop gives the console back in the modes that it had before.
func watchTerminal(_ *client.Terminal, stdin, stdout *os.File, before *term.State) (stop func()) {
	console := windows.Handle(stdout.Fd())
	var shown uint32
	if windows.GetConsoleMode(console, &shown) != nil || windows.SetConsoleMode(console, shown|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) != nil {
		return func() { term.Restore(int(stdin.Fd()), before) }
	}
	return func() {
		windows.SetConsoleMode(console, shown)
		term.Restore(int(stdin.Fd()), before)
	}
}

// exposed can't be told from a file's mode here.
func exposed(os.FileInfo) bool { return false }
