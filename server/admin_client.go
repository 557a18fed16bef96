package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"sim/proto"
)

// socketAccounts are the accounts of a running server.
type socketAccounts struct{ path string }

// dialAccounts returns nil and no error when no server listens at the path.
func dialAccounts(path string) (Accounts, error) {
	if !adminSupported || len(path) > maxSocketPath { // no server can have made it
		return nil, nil
	}
	a := &socketAccounts{path}
	_, err := a.exchange(adminHello)
	switch {
	case err == nil:
		return a, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENOTSOCK):
		return nil, nil
	}
	return nil, err
}

// exchange sends a request and returns the results.
func (a *socketAccounts) exchange(operation byte, operands ...[]byte) ([]byte, error) {
	c, err := net.DialTimeout("unix", a.path, adminDialTime)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("a server runs on this database, and only its own user or root may use its admin socket %s: %w", a.path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the server's admin socket can't be reached: %w", err)
	}
	defer c.Close()
	peer, err := peerUser(c.(*net.UnixConn))
	if err != nil || !mayServe(peer, uint32(os.Geteuid()), ownerOf(filepath.Dir(a.path))) {
		return nil, fmt.Errorf("the admin socket %s is another user's: run this command as the user who runs the server", a.path)
	}
	c.SetDeadline(time.Now().Add(adminExchangeTime))
	request := []byte{adminVersion, operation}
	for _, o := range operands {
		request = append(request, o...)
	}
	err = writeAdmin(c, request)
	clear(request)
	var answer []byte
	if err == nil {
		answer, err = readAdmin(c)
	}
	if err != nil {
		return nil, fmt.Errorf("the server at the admin socket %s did not answer; perhaps it stopped, or it is not for this user: %w", a.path, err)
	}
	return adminResults(answer)
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

func (a *socketAccounts) Add(name proto.Name, verifier *[256]byte) error {
	_, err := a.exchange(adminAdd, name[:], verifier[:])
	return err
}

func (a *socketAccounts) Close() error { return nil }
