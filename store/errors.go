package store

import (
	"errors"
	"fmt"
	"io/fs"
)

// What a caller can tell apart with errors.Is. The errors that the functions
// return say more: a whole sentence for a person, with the file's path, what
// happened and what to do.
var (
	// ErrHeld is returned when another process, or another Store of this one,
	// has held the file for the second that Open waits.
	ErrHeld = errors.New("the database is in use")

	// ErrNotOurs is returned when the path is not a database of sim: a
	// directory, a device, another program's file. It is left as it was.
	ErrNotOurs = errors.New("not a sim database")

	// ErrNewer is returned when a later version of sim made the database, or
	// changed its layout.
	ErrNewer = errors.New("the database is of a newer version")

	// ErrDamaged is returned when the database is one of sim's, or looks like
	// it, and something in it is missing, cut short or overwritten.
	ErrDamaged = errors.New("the database is damaged")

	// ErrExists is returned when an account is added under a name that has one.
	ErrExists = errors.New("the account exists")

	// ErrNoAccount is returned when an account is changed that doesn't exist.
	ErrNoAccount = errors.New("no such account")

	// ErrChanged is returned when an account is changed that was changed since
	// its generation was read.
	ErrChanged = errors.New("the account was changed meanwhile")

	// ErrNotSaved is returned when the disk didn't take a change: it is full,
	// read-only or broken. The database is as it was before.
	ErrNotSaved = errors.New("the change was not saved")
)

// failure is a sentence about one of the kinds above.
type failure struct {
	text  string
	kind  error // one of the above, or fs.ErrNotExist
	cause error // may be nil
}

func (f *failure) Error() string {
	if f.cause == nil {
		return f.text
	}
	return f.text + " (" + f.cause.Error() + ")"
}

func (f *failure) Unwrap() []error {
	if f.cause == nil {
		return []error{f.kind}
	}
	return []error{f.kind, f.cause}
}

func missing(path string) error {
	return &failure{fmt.Sprintf("there is no database %s: name the one that is meant with --db; `sim server` makes a new one", path), fs.ErrNotExist, nil}
}

func held(path string, cause error) error {
	return &failure{fmt.Sprintf("the database %s is in use by another sim process: stop that one, or wait until it has ended, and try again", path), ErrHeld, cause}
}

func notOurs(path, what string, cause error) error {
	return &failure{fmt.Sprintf("%s is %s, not a sim database, and was left as it is: name another file", path, what), ErrNotOurs, cause}
}

func newer(path string, schema uint32) error {
	return &failure{fmt.Sprintf("the database %s has the layout %d, and this sim knows only %d: run the newer sim that made it", path, schema, schemaVersion), ErrNewer, nil}
}

func damaged(path, what string, cause error) error {
	return &failure{fmt.Sprintf("the database %s is damaged, %s: put a backup in its place", path, what), ErrDamaged, cause}
}

// cutShort is also what a disk leaves that was full when the database was made.
func cutShort(path string, cause error) error {
	return &failure{fmt.Sprintf("the database %s is damaged, it is cut short or its head is overwritten: put a backup in its place, or delete it if it was new and nobody had been added", path), ErrDamaged, cause}
}

func notSaved(path string, cause error) error {
	return &failure{fmt.Sprintf("the database %s could not be written, so nothing was changed: see that its disk has room and can be written to, and try again", path), ErrNotSaved, cause}
}

func moved(path string) error {
	return &failure{fmt.Sprintf("the database %s was moved, deleted or replaced while sim has it open, so nothing was changed: put it back in its place; or save it with `sim backup`, stop the server, and `sim restore` it", path), ErrNotSaved, nil}
}

func notCopied(path string, cause error) error {
	return &failure{fmt.Sprintf("no copy of the database %s could be made beside it, where a backup begins: see that its disk has room and can be written to, and try again", path), ErrNotSaved, cause}
}

// notRestored tells why a copy is not put back. What is wrong with the copy is told
// of the copy, and not of the passing file that it was in.
func notRestored(path string, cause error) error {
	f := &failure{"the backup is damaged and can't be restored, and nothing was changed: take another one", ErrDamaged, nil}
	switch {
	case errors.Is(cause, ErrNewer):
		f = &failure{"the backup was made by a newer sim, and nothing was changed: restore it with that one", ErrNewer, nil}
	case errors.Is(cause, ErrNotOurs), errors.Is(cause, fs.ErrNotExist):
		f = &failure{"this is no backup of sim's, and nothing was changed: name another file", ErrNotOurs, nil}
	case errors.Is(cause, ErrNotSaved):
		f = notSaved(path, nil).(*failure)
	}
	if why, ok := errors.AsType[*failure](cause); ok {
		f.cause = why.cause
	}
	return f
}
