package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sim/store"
)

// The admin socket is how a command reaches the accounts of a database that a running server holds: a Unix socket, 0600, whose two ends
// check each other's user. This file is the socket and who may use it, admin_wire.go what is said on it, admin_operations.go what is done,
// and admin_client.go the command's end.

// AdminPath returns the default path of a database's admin socket: its own path and ".sock", or, where that is too long for a socket,
// a name made from it in the user's directory for such things. A link to a database leads to the same socket.
func AdminPath(db string) string {
	if target, err := filepath.EvalSymlinks(db); err == nil {
		db = target
	}
	path := db + ".sock"
	if len(path) <= maxSocketPath {
		return path
	}
	if full, err := filepath.Abs(db); err == nil {
		db = full
	}
	sum := sha256.Sum256([]byte(db))
	name := hex.EncodeToString(sum[:10]) + ".sock"
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && len(dir) < maxSocketPath/2 {
		return filepath.Join(dir, "sim-"+name)
	}
	return filepath.Join("/tmp", fmt.Sprintf("sim-%d-%s", os.Getuid(), name))
}

// mayAdminister says whether the user at the other end of the socket may use it: the server's own, or root.
func mayAdminister(peer, server uint32) bool { return peer == server || peer == 0 }

// mayServe says whether a command trusts the user who made the socket: its own, or root. Root also trusts the owner of the directory
// that the socket is in, beside the database; nobody else could have put it there but in a directory that is everybody's, and that is root's.
func mayServe(peer, own, directory uint32) bool {
	return peer == own || peer == 0 || own == 0 && peer == directory
}

// admin is the server's end.
type admin struct {
	// immutable
	listener *net.UnixListener
	accounts localAccounts // but for who acts
	log      *slog.Logger
	readTime time.Duration

	mu      sync.Mutex
	conns   map[*net.UnixConn]struct{}
	stopped bool
}

// listenAdmin makes the socket. The caller holds the database, so a socket that nobody answers at is a dead server's, and is replaced.
func listenAdmin(path string, accounts localAccounts, log *slog.Logger) (*admin, error) {
	if !adminSupported {
		return nil, nil
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path of the admin socket %s is too long: choose one of at most %d bytes", path, maxSocketPath)
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil: // there is nothing, or listening will say what is wrong
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is to be the admin socket and is something else, which was left as it is: choose another path", path)
	default:
		if c, err := net.DialTimeout("unix", path, adminDialTime); err == nil {
			c.Close()
			return nil, fmt.Errorf("another server answers at the admin socket %s: stop it or choose another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("the admin socket %s of a server that is gone can't be removed: %w", path, err)
		}
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("the admin socket %s can't be made: see that its directory is there and this user may write to it: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("the admin socket %s can't be made private: %w", path, err)
	}
	return &admin{
		listener: listener,
		accounts: accounts,
		log:      log,
		readTime: adminReadTime,
		conns:    make(map[*net.UnixConn]struct{}),
	}, nil
}

// serve answers until close, at most maxAdmins at once; others wait to be accepted.
func (a *admin) serve() {
	var running sync.WaitGroup
	defer running.Wait()
	room := make(chan struct{}, maxAdmins)
	for {
		room <- struct{}{}
		c, err := a.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			a.log.Warn("no admin command can be accepted", "error", reasonOf(err))
			time.Sleep(acceptAdminBackoff)
			<-room
			continue
		}
		running.Go(func() {
			defer func() { <-room }()
			defer c.Close()
			if a.enter(c) {
				defer a.leave(c)
				a.exchange(c)
			}
		})
	}
}

func (a *admin) enter(c *net.UnixConn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.stopped {
		a.conns[c] = struct{}{}
	}
	return !a.stopped
}

func (a *admin) leave(c *net.UnixConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, c)
}

// close ends serve. A request that has been read is still answered.
func (a *admin) close() {
	a.listener.Close() // removes the socket
	a.mu.Lock()
	a.stopped = true
	var conns []*net.UnixConn
	for c := range a.conns {
		conns = append(conns, c)
	}
	a.mu.Unlock()
	for _, c := range conns {
		c.SetReadDeadline(time.Unix(1, 0))
	}
}

func (a *admin) isStopped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stopped
}

// exchange answers one request.
func (a *admin) exchange(c *net.UnixConn) {
	peer, err := peerUser(c)
	if err != nil || !mayAdminister(peer, uint32(os.Geteuid())) {
		a.log.Warn("an admin command of another user was refused")
		return
	}
	now := time.Now()
	c.SetWriteDeadline(now.Add(adminExchangeTime))
	c.SetReadDeadline(now.Add(a.readTime))
	if a.isStopped() { // close has set its deadline before ours, or will after it
		return
	}
	request, err := readAdmin(c, maxAdminRequest)
	if err != nil {
		return
	}
	accounts := a.accounts
	accounts.by = store.ViaSocket(peer)
	call := adminCall{accounts: &accounts, upkeep: &accounts, stopped: a.isStopped}
	answer := call.answer(request)
	clear(request)
	if writeAdmin(c, answer) == nil && call.stream != nil {
		call.stream(c)
	}
}
