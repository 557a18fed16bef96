package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sim/proto"
)

// mallory is a program of these tests: `mallory KIND ADDRESS` floods a server until she is killed.
func init() { programs["mallory"] = mallory }

// floods are what mallory does with a connection.
var floods = []struct {
	name  string
	conns int // at once
	one   func(c net.Conn, key [32]byte, n int)
}{
	{"silent", 6000, func(c net.Conn, _ [32]byte, _ int) { io.Copy(io.Discard, c) }},
	{"bad mac1", 64, func(c net.Conn, _ [32]byte, _ int) { // and she doesn't wait for the end of the silence
		c.Write(append([]byte{0, 51, 1, 1, 1}, make([]byte, 48)...))
	}},
	{"wrong solution", 64, func(c net.Conn, key [32]byte, n int) {
		if l, _ := greet(c, key, n); l != nil {
			c.Write(append([]byte{0, 161, 3}, make([]byte, 160)...))
			io.Copy(io.Discard, c)
		}
	}},
	{"wrong password", 64, func(c net.Conn, key [32]byte, n int) {
		login, task := greet(c, key, n)
		if login == nil {
			return
		}
		solution, _ := task.Puzzle.Solve(&task.Binding, nil)
		b, err := login.Login(time.Now(), solution)
		if err != nil {
			return
		}
		if task, err = hear(c, b, login.Salt); err != nil {
			return
		}
		solution, _ = task.Puzzle.Solve(&task.Binding, nil)
		if b, err = login.Proof(time.Now(), solution, new([32]byte)); err == nil {
			c.Write(b)
			io.Copy(io.Discard, c)
		}
	}},
}

// People talk and log in, and no faster.
const (
	textPause  = 5 * time.Millisecond
	loginPause = 300 * time.Millisecond
)

// greet is the log-in up to the puzzle; nil when it came to nothing.
func greet(c net.Conn, key [32]byte, n int) (*proto.LoginClient, *proto.Task) {
	name, err := proto.ParseName(fmt.Sprintf("user%d", n%200)) // some are there, most are not
	if err != nil {
		return nil, nil
	}
	login, err := proto.NewLoginClient(key, name)
	if err != nil {
		return nil, nil
	}
	b, err := login.Hello(time.Now())
	if err != nil {
		return nil, nil
	}
	task, err := hear(c, b, login.Challenge)
	if err != nil {
		return nil, nil
	}
	return login, task
}

// hear writes a message and takes the answer.
func hear(c net.Conn, b []byte, take func([]byte) (*proto.Task, error)) (*proto.Task, error) {
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	return take(body)
}

func mallory() {
	address, err := proto.ParseAddress(os.Args[2])
	if err != nil {
		panic(err)
	}
	runtime.GOMAXPROCS(1) // one of her cores against the server's
	for _, flood := range floods {
		if flood.name != os.Args[1] {
			continue
		}
		var all sync.WaitGroup
		for i := range flood.conns {
			all.Go(func() {
				for n := i; ; n += flood.conns {
					c, err := net.Dial("tcp", address.Host)
					if err != nil {
						time.Sleep(time.Millisecond) // all of her ports are in use
						continue
					}
					flood.one(c, address.Key, n)
					c.(*net.TCPConn).SetLinger(0)
					c.Close()
				}
			})
		}
		all.Wait()
	}
}

// Mallory floods a server in four ways while alice and bob talk and carol logs in. They manage. With SIM_FLOODS=30s, the time of each flood,
// they manage in time, and the figures are told; with SIM_MALLORY_NICE=0 mallory gets as much of the machine as they do. The time of a log-in is without Argon2id; a text's is until its sender has the receipt.
func TestFloods(t *testing.T) {
	length, timed := time.Second, false
	if s := os.Getenv("SIM_FLOODS"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		length, timed = d, true
	}
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, kind := range append([]string{"rest"}, "silent", "bad mac1", "wrong solution", "wrong password") {
		t.Run(kind, func(t *testing.T) {
			server := newCrowdServer(t, 3)
			alice, bob := arrives(t, server, 0), arrives(t, server, 1)
			defer alice.end(10 * time.Second)
			defer bob.end(10 * time.Second)
			_, before := server.vitals()
			if kind != "rest" {
				args := []string{"mallory", kind, server.address.String()}
				if _, err := exec.LookPath("nice"); err == nil {
					args = append([]string{"nice", "-n", cmp.Or(os.Getenv("SIM_MALLORY_NICE"), "10")}, args...) // her machine is not ours
				}
				mallory := exec.Command(args[0], args[1:]...)
				if err := mallory.Start(); err != nil {
					t.Fatal(err)
				}
				defer func() { mallory.Process.Kill(); mallory.Wait() }()
			}
			began := time.Now()

			var logins, texts []time.Duration
			tries := 0
			var carol sync.WaitGroup
			carol.Go(func() {
				for len(logins) == 0 || time.Since(began) < length {
					time.Sleep(loginPause)
					since := time.Now()
					for range 100 {
						tries++
						c := visit(t.Context(), server.address, "user2")
						got, err := c.result(2 * time.Minute)
						c.end(10 * time.Second)
						if err == nil && strings.HasPrefix(got, "= logged in") {
							logins = append(logins, time.Since(since))
							break
						}
					}
					if since.Add(time.Minute).Before(time.Now()) {
						t.Errorf("a log-in took %v", time.Since(since))
						return
					}
				}
			})
			for time.Since(began) < length {
				since := time.Now()
				fmt.Fprintln(alice.input, "send user1 hello")
				if got, err := alice.result(time.Minute); err != nil || got != "= user1: delivered" {
					t.Fatal(got, err)
				}
				texts = append(texts, time.Since(since))
				time.Sleep(textPause)
			}
			carol.Wait()
			_, after := server.vitals()
			took := time.Since(began)

			p99 := percentile(texts, .99)
			t.Logf("%.0f connections/s; a log-in takes %v, at most %v, %.1f tries; a text %v, p99 %v; the server's CPU %.0f %%, puzzles of %.0f bits",
				(after["sim_connections_accepted_total"]-before["sim_connections_accepted_total"])/took.Seconds(),
				percentile(logins, .5), percentile(logins, 1), float64(tries)/float64(len(logins)), percentile(texts, .5), p99,
				100*(after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"])/took.Seconds(), after["sim_puzzle_bits"])
			if timed && p99 > 100*time.Millisecond {
				t.Errorf("the p99 of texts is %v", p99)
			}
		})
	}
}

// arrives logs somebody in.
func arrives(t *testing.T, server *crowdServer, i int) *visitor {
	t.Helper()
	v := visit(t.Context(), server.address, fmt.Sprintf("user%d", i))
	if got, err := v.result(time.Minute); err != nil || !strings.HasPrefix(got, "= logged in") {
		t.Fatal(got, err)
	}
	return v
}

func percentile(x []time.Duration, p float64) time.Duration {
	slices.Sort(x)
	return x[int(p*float64(len(x)-1))].Round(10 * time.Microsecond)
}
