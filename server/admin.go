package server

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"sim/proto"
	"sim/store"
)

// The admin socket is how a command reaches the accounts of a database that a running server holds: a Unix socket, 0600, whose two ends
// check each other's user. One exchange a connection, each message u16 length ‖ body:
//
//	request   u8 version ‖ u8 operation ‖ operands
//	          0 hello   nothing
//	          1 salt    name (32)
//	          2 add     name (32) ‖ verifier (256)
//	answer    u8 status ‖ results, or a sentence of UTF-8 when the status is not 0
//	          salt      salt (32) ‖ u32 passes ‖ u32 KiB ‖ u8 lanes ‖ u8 taken
const (
	adminVersion = 1

	adminHello = 0
	adminSalt  = 1
	adminAdd   = 2

	adminDone     = 0
	adminExists   = 1 // store.ErrExists
	adminNotSaved = 2 // store.ErrNotSaved
	adminRefused  = 3 // a request that makes no sense
	adminFailed   = 4 // any other error

	adminSaltAnswer = 1 + 32 + 4 + 4 + 1 + 1
)

// AdminPath returns the default path of a database's admin socket: its own path and ".sock", or, where that is too long for a socket,
// a name made from it in the user's directory for such things.
func AdminPath(db string) string {
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
	accounts *localAccounts
	log      *slog.Logger
	readTime time.Duration

	mu      sync.Mutex
	conns   map[*net.UnixConn]struct{}
	stopped bool
}

// listenAdmin makes the socket. The caller holds the database, so a socket that nobody answers at is a dead server's, and is replaced.
func listenAdmin(path string, directory *proto.Directory, st *store.Store, log *slog.Logger) (*admin, error) {
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
		accounts: &localAccounts{st, directory},
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
	a.mu.Lock()
	stopped := a.stopped // close has set its deadline before ours, or will after it
	a.mu.Unlock()
	if stopped {
		return
	}
	request, err := readAdmin(c)
	if err != nil {
		return
	}
	answer := answerAdmin(a.accounts, request)
	clear(request)
	writeAdmin(c, answer)
}

// answerAdmin answers a request's body.
func answerAdmin(accounts Accounts, request []byte) []byte {
	if len(request) < 2 || request[0] != adminVersion {
		return adminSentence(adminRefused, "the running server is of another version than this command: use the same sim for both")
	}
	operation, operands := request[1], request[2:]
	malformed := adminSentence(adminRefused, "the running server does not understand this command: use the same sim for both")
	if operation == adminHello && len(operands) == 0 {
		return []byte{adminDone}
	}
	if len(operands) < proto.NameSize {
		return malformed
	}
	name, err := proto.ParseName(proto.Name(operands).String())
	if err != nil || name != proto.Name(operands) {
		return malformed
	}
	operands = operands[proto.NameSize:]
	switch {
	case operation == adminSalt && len(operands) == 0:
		salt, params, taken, err := accounts.Salt(name)
		if err != nil {
			return adminError(err)
		}
		b := append([]byte{adminDone}, salt[:]...)
		b = binary.BigEndian.AppendUint32(b, params.Time)
		b = binary.BigEndian.AppendUint32(b, params.Memory)
		b = append(b, params.Threads, 0)
		if taken {
			b[len(b)-1] = 1
		}
		return b
	case operation == adminAdd && len(operands) == 256:
		if err := accounts.Add(name, (*[256]byte)(operands)); err != nil {
			return adminError(err)
		}
		return []byte{adminDone}
	}
	return malformed
}

func adminError(err error) []byte {
	status := byte(adminFailed)
	switch {
	case errors.Is(err, store.ErrExists):
		status = adminExists
	case errors.Is(err, store.ErrNotSaved):
		status = adminNotSaved
	}
	return adminSentence(status, err.Error())
}

func adminSentence(status byte, text string) []byte {
	return append([]byte{status}, strings.ToValidUTF8(text[:min(len(text), maxAdminText)], "")...)
}

// readAdmin reads one message.
func readAdmin(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n == 0 || n > maxAdminMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}

// writeAdmin writes one message, and clears it: it may be a verifier.
func writeAdmin(w io.Writer, body []byte) error {
	message := append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
	defer clear(message)
	_, err := w.Write(message)
	return err
}

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

// An adminFailure is what a running server answered.
type adminFailure struct {
	text string
	kind error // store.ErrExists, store.ErrNotSaved or nil
}

func (f *adminFailure) Error() string { return f.text }
func (f *adminFailure) Unwrap() error { return f.kind }

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
	switch answer[0] {
	case adminDone:
		return answer[1:], nil
	case adminExists:
		return nil, &adminFailure{string(answer[1:]), store.ErrExists}
	case adminNotSaved:
		return nil, &adminFailure{string(answer[1:]), store.ErrNotSaved}
	}
	return nil, &adminFailure{string(answer[1:]), nil}
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
