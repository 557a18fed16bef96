package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/nacl/box"
)

// DERP, Tailscale's relay, over TLS: frames between public keys. It drops what it has no room for, so it gets room for all that are on their way.

const derpRoom = 256 // packets that it holds for a client, in place of 32

func noDERP() string {
	if _, err := exec.LookPath("derper"); err != nil {
		return "it is not installed (the program derper is not in the PATH; go install tailscale.com/cmd/derper builds it)"
	}
	return ""
}

type derpServer struct {
	run  *process
	host string
}

func startDERP(o *options, dir string, _ int) (server, error) {
	if o.window > derpRoom {
		return nil, fmt.Errorf("it drops texts where more than %d are on their way: give a smaller -window", derpRoom)
	}
	home, err := os.MkdirTemp(dir, "derp-")
	if err != nil {
		return nil, err
	}
	host, err := freeHost()
	if err != nil {
		return nil, err
	}
	run, _, err := launch("env", fmt.Sprintf("TS_DEBUG_DERP_PER_CLIENT_SEND_QUEUE_DEPTH=%d", derpRoom),
		"derper", "-a", host, "-hostname", "127.0.0.1", "-certmode", "manual", "-certdir", home, "-c", filepath.Join(home, "derper.json"), "-http-port", "-1", "-stun=false")
	if err != nil {
		return nil, err
	}
	return &derpServer{run, host}, run.awaitListener("derper", host)
}

func (s *derpServer) process() *process { return s.run }
func (s *derpServer) stop()             { s.run.stop() }

func (s *derpServer) pair(n int) (from, to end, err error) {
	receiver, err := s.enter(n)
	if err != nil {
		return nil, nil, err
	}
	sender, err := s.enter(n)
	if err != nil {
		return nil, nil, err
	}
	sender.one = derpFrame(derpSendPacket, append(receiver.key[:], theText...))
	return sender, receiver, nil
}

func (s *derpServer) idle(n int) (end, error) { return s.enter(n) }

// Types of DERP's frames.
const (
	derpServerKey  = 1
	derpClientInfo = 2
	derpServerInfo = 3
	derpSendPacket = 4
	derpRecvPacket = 5
	derpKeepAlive  = 6
)

const (
	derpMagic   = "DERP🔑"
	derpHeader  = 5 // bytes: a type, and the length of the rest
	derpKeySize = 32
)

// enter connects an end under a key of its own.
func (s *derpServer) enter(n int) (*derpEnd, error) {
	conn, err := tls.DialWithDialer(dialer(n), "tcp", s.host, clientTLS)
	if err != nil {
		return nil, err
	}
	e := &derpEnd{copier: copier{conn: conn}, in: bufio.NewReaderSize(conn, 32<<10)}
	if err := e.greet(); err != nil {
		conn.Close()
		return nil, err
	}
	return e, nil
}

type derpEnd struct {
	copier
	in  *bufio.Reader
	key *[derpKeySize]byte
}

// greet turns HTTP into DERP, and tells the server who this is.
func (e *derpEnd) greet() error {
	if _, err := io.WriteString(e.conn, "GET /derp HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(e.in, nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("DERP answers %s", response.Status)
	}
	greeting, err := e.await(derpServerKey)
	if err != nil {
		return err
	}
	name, ok := bytes.CutPrefix(greeting, []byte(derpMagic))
	if !ok || len(name) < derpKeySize {
		return errors.New("no greeting of DERP")
	}
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	e.key = public
	var nonce [24]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return err
	}
	info := append(append([]byte(nil), public[:]...), nonce[:]...)
	info = box.Seal(info, []byte(`{"version":2}`), &nonce, (*[derpKeySize]byte)(name), private)
	if _, err := e.conn.Write(derpFrame(derpClientInfo, info)); err != nil {
		return err
	}
	_, err = e.await(derpServerInfo)
	return err
}

func derpFrame(kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body))), body...)
}

// await reads a frame of a type.
func (e *derpEnd) await(want byte) ([]byte, error) {
	kind, n, err := e.header()
	if err != nil {
		return nil, err
	}
	if kind != want || n > e.in.Size() {
		return nil, fmt.Errorf("DERP sent a frame of type %d and %d bytes", kind, n)
	}
	body := make([]byte, n)
	_, err = io.ReadFull(e.in, body)
	return body, err
}

func (e *derpEnd) header() (kind byte, size int, err error) {
	head, err := e.in.Peek(derpHeader)
	if err != nil {
		return 0, 0, err
	}
	kind, size = head[0], int(binary.BigEndian.Uint32(head[1:]))
	_, err = e.in.Discard(derpHeader)
	return kind, size, err
}

// receive reads a text, and those that have come with it.
func (e *derpEnd) receive() (texts int, err error) {
	for texts == 0 || e.in.Buffered() > 0 {
		kind, n, err := e.header()
		switch {
		case err != nil:
			return texts, err
		case kind == derpRecvPacket && n == derpKeySize+textSize:
			texts++
		case kind != derpKeepAlive:
			return texts, fmt.Errorf("DERP sent a frame of type %d and %d bytes", kind, n)
		}
		if _, err := e.in.Discard(n); err != nil {
			return texts, err
		}
	}
	return texts, nil
}

func derpVersion() string {
	out, _ := exec.Command("derper", "-version").Output()
	line, _, _ := bytes.Cut(out, []byte("\n"))
	version, _, _ := strings.Cut(string(line), "-")
	return version
}
