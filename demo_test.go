package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The commands that `sim demo --keep` prints work as they stand: two people join with them.
func TestDemoKeepIsJoined(t *testing.T) {
	t.Parallel()
	if os.PathSeparator != '/' {
		t.Skip("needs a shell")
	}
	demo := enter(t, t.TempDir(), "demo", "--keep")
	join := func(who string) string {
		line, err := demo.see(".* client --server sim://.* --user " + who + " .*")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", strings.TrimSpace(line))
		cmd.Stdin = strings.NewReader("list\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	for _, who := range []string{alice, bobby} {
		want := fmt.Sprintf("= logged in as %s\n= online (1): %s\n= logged out %s\n", who, who, who)
		if got := join(who); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	demo.signal("TERM")
	if code, err := demo.end(); code != 0 || err != nil {
		t.Error(code, err)
	}
}

// sizes is traffic that prints all that it has.
type sizes traffic

// What the tap finds, it finds: a demo that says otherwise would be believed.
func TestTapFindsWhatIsThere(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	tap, err := newTap(echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	c, err := net.Dial("tcp", tap.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(scriptWait))
	const sent = "\x00\x05Alice\x00\x01x\x00\x01y\x00\x01z\x00\x02no"
	for i := range len(sent) {
		io.WriteString(c, sent[i:i+1])
	}
	if _, err := io.ReadFull(c, make([]byte, len(sent))); err != nil {
		t.Fatal(err)
	}
	if found, n := tap.find([]string{"bobby", "alice"}); found != "alice" || n < len(sent) {
		t.Errorf("found %q in %d bytes", found, n)
	}
	if found, _ := tap.find([]string{"bobby"}); found != "" {
		t.Errorf("found %q", found)
	}
	got := fmt.Sprintf("%+v", sizes(tap.traffic()))
	if want := "{handshakeUp:[5 1 1 1] handshakeDown:[5 1 1] recordsUp:[2] recordsDown:[1 2] odd:[2 1 2]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
