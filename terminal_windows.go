package main

import (
	"os"

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

// watchTerminal does nothing: the console tells no program of its size, and stops none.
func watchTerminal(*client.Terminal, *os.File, *os.File, *term.State) (stop func()) {
	return func() {}
}

// exposed can't be told from a file's mode here.
func exposed(os.FileInfo) bool { return false }
