package server

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"sim/proto"
	"sim/store"
)

// socketAccounts are the accounts of a running server.
type socketAccounts struct{ path string }

// dialAccounts returns nil and no error when no server listens at the path.
func dialAccounts(path string) (Accounts, error) {
	if !adminSupported || len(path) > maxSocketPath { // no server can have made it
		return nil, nil
	}
	a := &socketAccounts{path}
	_, err := a.exchange(adminHello, nil)
	switch {
	case err == nil:
		return a, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENOTSOCK):
		return nil, nil
	}
	return nil, err
}

// errNoAnswer is returned when a request was sent, or a part of it, and no answer came.
var errNoAnswer = errors.New("the server did not answer")

// noAnswer says what there is to do about it.
func (a *socketAccounts) noAnswer(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w in %v at its admin socket %s: the process is there, but suspended, or waits for its disk; wake it (kill -CONT) or start it again", errNoAnswer, adminExchangeTime, a.path)
	}
	return fmt.Errorf("admin socket %s: %w; perhaps it stopped, or it is not for this user: %w", a.path, errNoAnswer, err)
}

// change has the server change something.
func (a *socketAccounts) change(operation byte, operands []byte) error {
	_, err := a.exchange(operation, operands)
	if errors.Is(err, errNoAnswer) {
		return fmt.Errorf("%w; the change may have been made all the same: look before you try again", err)
	}
	return err
}

// exchange sends a request and returns the results.
func (a *socketAccounts) exchange(operation byte, operands []byte) ([]byte, error) {
	c, results, err := a.begin(operation, operands)
	if err != nil {
		return nil, err
	}
	c.Close()
	return results, nil
}

// begin is an exchange after which the connection goes on.
func (a *socketAccounts) begin(operation byte, operands []byte) (_ net.Conn, results []byte, err error) {
	c, err := net.DialTimeout("unix", a.path, adminDialTime)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil, fmt.Errorf("a server runs on this database, and only its own user or root may use its admin socket %s: %w", a.path, err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the server's admin socket can't be reached: %w", err)
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	peer, err := peerUser(c.(*net.UnixConn))
	if err != nil || !mayServe(peer, uint32(os.Geteuid()), ownerOf(filepath.Dir(a.path))) {
		return nil, nil, fmt.Errorf("the admin socket %s is another user's: run this command as the user who runs the server", a.path)
	}
	c.SetDeadline(time.Now().Add(adminExchangeTime))
	request := append([]byte{adminVersion, operation}, operands...)
	err = writeAdmin(c, request)
	clear(request)
	var answer []byte
	if err == nil {
		answer, err = readAdmin(c, maxAdminAnswer)
	}
	if err != nil {
		return nil, nil, a.noAnswer(err)
	}
	results, err = adminResults(answer)
	return c, results, err
}

func (a *socketAccounts) Salt(name proto.Name) (salt [32]byte, params proto.Argon2, taken bool, err error) {
	b, err := a.exchange(adminSalt, name[:])
	if err != nil {
		return salt, params, false, err
	}
	if len(b) != adminSaltAnswer-1 {
		return salt, params, false, fmt.Errorf("the running server answered %d bytes: use the same sim for it and this command", len(b))
	}
	params = proto.Argon2{Time: binary.BigEndian.Uint32(b[32:]), Memory: binary.BigEndian.Uint32(b[36:]), Threads: b[40]}
	return [32]byte(b), params, b[41] != 0, nil
}

func (a *socketAccounts) Add(name proto.Name, c Credential) error {
	return a.setCredential(adminAdd, name, c)
}

func (a *socketAccounts) SetCredential(name proto.Name, c Credential) error {
	return a.setCredential(adminSet, name, c)
}

func (a *socketAccounts) setCredential(operation byte, name proto.Name, c Credential) error {
	operands := appendCredential(name[:], c)
	defer clear(operands)
	return a.change(operation, operands)
}

func (a *socketAccounts) SetDisabled(name proto.Name, disabled bool) error {
	operation := byte(adminEnable)
	if disabled {
		operation = adminDisable
	}
	return a.change(operation, name[:])
}

func (a *socketAccounts) Remove(name proto.Name) error {
	return a.change(adminRemove, name[:])
}

func (a *socketAccounts) List(after string) (people []Person, err error) {
	var name proto.Name
	copy(name[:], after)
	err = a.page(&people, adminList, name[:])
	return people, err
}

func (a *socketAccounts) Log(after uint64) (entries []store.Entry, err error) {
	err = a.page(&entries, adminLog, binary.BigEndian.AppendUint64(nil, after))
	return entries, err
}

// page reads a page of a list.
func (a *socketAccounts) page(list any, operation byte, after []byte) error {
	results, err := a.exchange(operation, after)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(results, list); err != nil {
		return fmt.Errorf("the running server's answer is not understood: use the same sim for it and this command: %w", err)
	}
	return nil
}

func (a *socketAccounts) Live() bool { return true }

func (a *socketAccounts) Close() error { return nil }
