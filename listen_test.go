package main

import (
	"net"
	"strings"
	"testing"
)

// Where only the public address is given, its port is listened on: what is printed then leads to the server.
func TestPublicPortIsListenedOn(t *testing.T) {
	dir := t.TempDir()
	if err := makePeople(dir + "/sim.db"); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	server, err := startActor(dir, nil, "server", "--public", "localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.signal("KILL") })
	line, err := server.see(`sim://.*`)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(line), "@localhost:"+port) {
		t.Fatalf("%q, %v", line, err)
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
