package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// A sender doesn't send what the server has no room to keep, whatever has arrived.
func TestSenderWaitsForWhatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &simEnd{granted: make(chan int, seenRoom)}
		if err := e.awaitRoom(seenRoom); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.AfterFunc(time.Second, func() { e.granted <- seenFrames })
		if err := e.awaitRoom(seenFrames); err != nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := e.awaitRoom(1); !errors.Is(err, errLost) {
			t.Errorf("more than there is room for: %v", err)
		}
	})
}

// A session that the server ended is no session that it holds.
func TestSessionThatWasNotKeptAliveIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simServer{quit: make(chan struct{})}
		defer close(s.quit)
		go s.keepAlive()
		if time.Sleep(2 * pingEvery); s.idlers.health() != nil {
			t.Error(s.idlers.health())
		}
		here, there := net.Pipe()
		there.Close()
		s.idlers.add(&simEnd{socket: here, in: bufio.NewReader(here), session: &proto.Session{Name: nameOf(7)}, pinged: true})
		time.Sleep(2 * pingEvery)
		if err := s.idlers.health(); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "user7 was not kept alive") {
			t.Errorf("%v", err)
		}
	})
}

func TestEndsComeFromSeveralAddresses(t *testing.T) {
	for n, want := range map[int]string{0: "127.0.0.1", endsEach - 1: "127.0.0.1", endsEach: "127.0.0.2", 10 * endsEach: "127.0.0.11"} {
		if got := dialer(n).LocalAddr.(*net.TCPAddr).IP.String(); got != want {
			t.Errorf("end %d comes from %s, not %s", n, got, want)
		}
	}
}

// Whatever keeps a session out is told, and what is told of each is of those that are in.
func TestWhatStoppedTheNextSession(t *testing.T) {
	for err, want := range map[error]string{
		&net.OpError{Err: os.NewSyscallError("socket", syscall.EMFILE)}:   "this program may open no more files",
		&net.OpError{Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}: "no more ports",
		fmt.Errorf("log in: %w", io.EOF):                                  "the server closed the connection",
		errors.New("something else"):                                      "something else",
	} {
		var out strings.Builder
		h := &holding{wanted: 100, sessions: 10, stopped: err, fresh: 100_000, resting: 0.01}
		h.print(&out)
		for _, want := range []string{"10 sessions of 100", want, "each: 10000 when", "take 1.00 % of a core: 30000 µs"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v: no %q in\n%s", err, want, &out)
			}
		}
	}
}
