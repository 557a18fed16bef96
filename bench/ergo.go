package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Ergo: IRC over TLS, private messages between two nicknames. Everybody may say as much as they want.

func noErgo() string {
	if _, err := exec.LookPath("ergo"); err != nil {
		return "it is not installed (the program ergo is not in the PATH)"
	}
	if ergoVersion() == "" { // there are other programs of this name
		return "the program ergo in the PATH is not the IRC server"
	}
	return ""
}

// ergoConfig is for a host, and for a directory with a certificate.
const ergoConfig = `
network: {name: bench}
server:
    name: bench.test
    listeners:
        %q: {tls: {cert: %[2]s/server.crt, key: %[2]s/server.key}, min-tls-version: 1.3}
    casemapping: ascii
    lookup-hostnames: false
    max-sendq: 1M
    ip-limits: {count: false, throttle: false}
    idle-timeouts: {registration: 60s, ping: 1h, disconnect: 2h}
datastore: {path: %[2]s/ircd.db}
languages: {enabled: false}
limits: {nicklen: 32, identlen: 20, realnamelen: 150, channellen: 64, awaylen: 390, kicklen: 390, topiclen: 390,
    monitor-entries: 100, whowas-entries: 100, chan-list-modes: 100, registration-messages: 1024}
fakelag: {enabled: false}
history: {enabled: false}
accounts: {authentication-enabled: false, multiclient: {enabled: false}}
channels: {default-modes: +n}
logging: [{method: stderr, type: "*", level: error}]
`

type ergoServer struct {
	run  *process
	host string
}

func startErgo(_ *options, dir string, _ int) (server, error) {
	home, host, err := newTLSHome(dir, "ergo-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(home, "ircd.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, ergoConfig, host, home), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command("ergo", "initdb", "--quiet", "--conf", file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ergo initdb: %w\n%s", err, out)
	}
	run, _, err := launch("ergo", "run", "--quiet", "--conf", file)
	if err != nil {
		return nil, err
	}
	return &ergoServer{run, host}, run.awaitListener("ergo", host)
}

func (s *ergoServer) process() *process { return s.run }
func (s *ergoServer) stop()             { s.run.stop() }

func (s *ergoServer) pair(n int) (from, to end, err error) {
	nick := fmt.Sprintf("to%d", n)
	receiver, err := s.enter(nick, n)
	if err != nil {
		return nil, nil, err
	}
	sender, err := s.enter(fmt.Sprintf("from%d", n), n)
	if err != nil {
		return nil, nil, err
	}
	sender.one = fmt.Appendf(nil, "PRIVMSG %s :%s\r\n", nick, theText)
	return sender, receiver, nil
}

func (s *ergoServer) idle(n int) (end, error) { return s.enter(fmt.Sprintf("idle%d", n), n) }

// enter connects end n under a nickname.
func (s *ergoServer) enter(nick string, n int) (*ergoEnd, error) {
	conn, err := tls.DialWithDialer(dialer(n), "tcp", s.host, clientTLS)
	if err != nil {
		return nil, err
	}
	e := &ergoEnd{copier: copier{conn: conn}, in: bufio.NewReaderSize(conn, 32<<10)}
	if err := e.register(nick); err != nil {
		conn.Close()
		return nil, err
	}
	return e, nil
}

type ergoEnd struct {
	copier
	in *bufio.Reader
}

// register takes a nickname, and all that the server says to that.
func (e *ergoEnd) register(nick string) error {
	if _, err := fmt.Fprintf(e.conn, "NICK %s\r\nUSER bench 0 * :bench\r\nPING in\r\n", nick); err != nil {
		return err
	}
	for {
		line, err := e.in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case bytes.HasPrefix(line, []byte("ERROR")):
			return fmt.Errorf("ergo: %s", bytes.TrimSpace(line))
		case bytes.Contains(line, []byte(" PONG ")):
			return nil
		}
	}
}

// receive reads a text, and those that have come with it.
func (e *ergoEnd) receive() (texts int, err error) {
	for texts == 0 || e.in.Buffered() > 0 {
		line, err := e.in.ReadSlice('\n')
		if err != nil {
			return texts, err
		}
		if !bytes.Contains(line, []byte(" PRIVMSG ")) || !bytes.HasSuffix(bytes.TrimSpace(line), theText) {
			return texts, errors.New("ergo sent another line than a text")
		}
		texts++
	}
	return texts, nil
}

func ergoVersion() string {
	out, _ := exec.Command("ergo", "--version").Output()
	version, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "ergo-")
	if !ok {
		return ""
	}
	return version
}
