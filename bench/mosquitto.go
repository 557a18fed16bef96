package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Mosquitto: MQTT 3.1.1, QoS 0, over TLS.

func noMosquitto() string {
	if _, err := exec.LookPath("mosquitto"); err != nil {
		return "it is not installed (the program mosquitto is not in the PATH)"
	}
	return ""
}

type mosquittoServer struct {
	run  *process
	host string
}

func startMosquitto(_ *options, dir string, _ int) (server, error) {
	home, host, err := newTLSHome(dir, "mosquitto-")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("listener %s 127.0.0.1\ncertfile %s/server.crt\nkeyfile %s/server.key\ntls_version tlsv1.3\nallow_anonymous true\npersistence false\nlog_dest none\nmax_queued_messages 0\n",
		port, home, home)
	if os.Geteuid() == 0 {
		config += "user root\n" // otherwise it gives its rights up, and can't read its key
	}
	file := filepath.Join(home, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	run, _, err := launch("mosquitto", "-c", file)
	if err != nil {
		return nil, err
	}
	return &mosquittoServer{run, host}, run.awaitListener("mosquitto", host)
}

func (s *mosquittoServer) process() *process { return s.run }
func (s *mosquittoServer) stop()             { s.run.stop() }

func (s *mosquittoServer) pair(n int) (from, to end, err error) {
	receiver, err := s.enter(fmt.Sprintf("to%d", n), n)
	if err != nil {
		return nil, nil, err
	}
	if err := receiver.subscribe(n); err != nil {
		return nil, nil, err
	}
	sender, err := s.enter(fmt.Sprintf("from%d", n), n)
	return sender, receiver, err
}

func (s *mosquittoServer) idle(n int) (end, error) {
	e, err := s.enter(fmt.Sprintf("idle%d", n), n)
	if err != nil {
		return nil, err
	}
	return e, e.subscribe(n)
}

// Types of MQTT's packets.
const (
	mqttConnect   = 1 << 4
	mqttConnack   = 2 << 4
	mqttPublish   = 3 << 4
	mqttSubscribe = 8<<4 | 2
	mqttSuback    = 9 << 4
)

func (s *mosquittoServer) enter(id string, topic int) (*mqttEnd, error) {
	conn, err := tls.DialWithDialer(dialer(topic), "tcp", s.host, clientTLS)
	if err != nil {
		return nil, err
	}
	e := &mqttEnd{copier: copier{conn: conn}, in: bufio.NewReaderSize(conn, 32<<10)}
	e.one = mqttPacket(mqttPublish, append(mqttString(fmt.Sprintf("p/%d", topic)), theText...))
	const cleanSession, keepAlive = 2, 0 // none
	hello := append(mqttString("MQTT"), 4, cleanSession, 0, keepAlive)
	return e, e.ask(mqttPacket(mqttConnect, append(hello, mqttString(id)...)), mqttConnack)
}

func mqttString(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func mqttPacket(kind byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{kind}, uint64(len(body))), body...)
}

type mqttEnd struct {
	copier
	in *bufio.Reader
}

func (e *mqttEnd) subscribe(topic int) error {
	body := append([]byte{0, 1}, mqttString(fmt.Sprintf("p/%d", topic))...)
	return e.ask(mqttPacket(mqttSubscribe, append(body, 0)), mqttSuback)
}

// ask sends a packet and waits for its answer, which says 0 at its end: no refusal, QoS 0.
func (e *mqttEnd) ask(packet []byte, answer byte) error {
	if _, err := e.conn.Write(packet); err != nil {
		return err
	}
	kind, n, err := e.header()
	if err != nil {
		return err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(e.in, body); err != nil {
		return err
	}
	if kind != answer || n == 0 || body[n-1] != 0 {
		return errors.New("mosquitto refused")
	}
	return nil
}

func (e *mqttEnd) header() (kind byte, size int, err error) {
	kind, err = e.in.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	n, err := binary.ReadUvarint(e.in)
	return kind, int(n), err
}

// receive reads a text, and those that have come with it.
func (e *mqttEnd) receive() (texts int, err error) {
	for texts == 0 || e.in.Buffered() > 0 {
		kind, n, err := e.header()
		if err != nil {
			return texts, err
		}
		if kind != mqttPublish || n != len(e.one)-3 { // the header: 1 byte, and 2 of the length
			return texts, fmt.Errorf("a packet of type %#x and %d bytes", kind, n)
		}
		if _, err := e.in.Discard(n); err != nil {
			return texts, err
		}
		texts++
	}
	return texts, nil
}

// version is that of an installed program, as it tells it itself.
func mosquittoVersion() string {
	out, _ := exec.Command("mosquitto", "-h").Output()
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return strings.TrimPrefix(string(line), "mosquitto version ")
}
