package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// NATS: its server is a module, and runs as a process of its own. The protocol is lines of text, and the payload.

func serveNATS() error {
	config, err := serverTLS()
	if err != nil {
		return err
	}
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, MaxConn: 1 << 20,
		TLSConfig: config, TLSHandshakeFirst: true, TLSTimeout: startWait.Seconds(),
		NoLog: true, NoSigs: true,
	})
	if err != nil {
		return err
	}
	go s.Start()
	if !s.ReadyForConnections(startWait) {
		return errors.New("NATS is not ready")
	}
	fmt.Println(s.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

type natsServer struct{ run *process }

func startNATS(*options, string, int) (server, error) {
	run, err := startRole("nats")
	if err != nil {
		return nil, err
	}
	return &natsServer{run}, nil
}

func (s *natsServer) process() *process { return s.run }
func (s *natsServer) stop()             { s.run.stop() }

func (s *natsServer) pair(n int) (from, to end, err error) {
	receiver, err := s.enter(n)
	if err != nil {
		return nil, nil, err
	}
	sender, err := s.enter(n)
	return sender, receiver, err
}

// idle is subscribed to something, as whoever waits for a message is.
func (s *natsServer) idle(n int) (end, error) { return s.enter(n) }

// enter connects an end, and subscribes to the subject of a pair.
func (s *natsServer) enter(subject int) (*natsEnd, error) {
	conn, err := tls.DialWithDialer(dialer(subject), "tcp", s.run.first, clientTLS)
	if err != nil {
		return nil, err
	}
	e := &natsEnd{copier: copier{conn: conn}, in: bufio.NewReaderSize(conn, 32<<10)}
	e.one = fmt.Appendf(nil, "PUB p.%d %d\r\n%s\r\n", subject, textSize, theText)
	if _, err := fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":true,\"echo\":false}\r\nSUB p.%d 1\r\nPING\r\n", subject); err != nil {
		return nil, err
	}
	for {
		line, err := e.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(line, []byte("PONG")) {
			return e, nil
		}
	}
}

type natsEnd struct {
	copier
	in *bufio.Reader
}

// receive reads a text, and those that have come with it.
func (e *natsEnd) receive() (texts int, err error) {
	for texts == 0 || e.in.Buffered() > 0 {
		line, err := e.in.ReadSlice('\n')
		if err != nil {
			return texts, err
		}
		switch {
		case bytes.HasPrefix(line, []byte("MSG ")):
			fields := bytes.Fields(line)
			n, err := strconv.Atoi(string(fields[len(fields)-1]))
			if err != nil || n != textSize {
				return texts, fmt.Errorf("a text of %d bytes", n)
			}
			if _, err := e.in.Discard(n + 2); err != nil {
				return texts, err
			}
			texts++
		case bytes.HasPrefix(line, []byte("PING")):
			if _, err := io.WriteString(e.conn, "PONG\r\n"); err != nil {
				return texts, err
			}
		case bytes.HasPrefix(line, []byte("-ERR")):
			return texts, fmt.Errorf("NATS: %s", bytes.TrimSpace(line))
		}
	}
	return texts, nil
}
