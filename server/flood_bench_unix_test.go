//go:build unix

package server

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sim/proto"
)

// The benchmarks of floods run mallory in a process of her own, so that what is measured here is the server's alone.

const malloryConns = 64 // at once

// TestMallory is mallory's process: it floods the server that the environment names.
func TestMallory(t *testing.T) {
	kind := os.Getenv("SIM_FLOOD")
	if kind == "" {
		t.Skip("the benchmarks of floods run it")
	}
	key, err := base64.RawStdEncoding.DecodeString(os.Getenv("SIM_FLOOD_KEY"))
	if err != nil {
		t.Fatal(err)
	}
	count, _ := strconv.Atoi(os.Getenv("SIM_FLOOD_COUNT"))
	address := os.Getenv("SIM_FLOOD_ADDRESS")
	i := slices.IndexFunc(benched, func(f benchedFlood) bool { return f.name == kind })
	flood := benched[i]
	var came atomic.Int64
	var all sync.WaitGroup
	for range malloryConns {
		all.Go(func() {
			for i := came.Add(1); count == 0 || int(i) <= count; i = came.Add(1) {
				c, err := net.Dial("tcp", address)
				if err != nil {
					continue // the server's backlog is full, or ours of ports
				}
				login, _ := proto.NewLoginClient([32]byte(key), nameOf(t, fmt.Sprintf("name%d", i%5000)))
				flood.one(&newcomer{t: t, conn: c, login: login, password: "a guess"})
				c.(*net.TCPConn).SetLinger(0) // no port waits
				c.Close()
			}
		})
	}
	all.Wait()
}

// A benchedFlood is what mallory does with a connection. She doesn't wait for the end where the server only lets time pass.
type benchedFlood struct {
	name string
	one  func(n *newcomer)
}

var benched = []benchedFlood{
	{"silent", func(n *newcomer) {}},
	{"bad-mac1", func(n *newcomer) { n.conn.Write(badHello) }},
	{"unsolved", func(n *newcomer) { n.advance(0, 1) }},
	{"wrong-solution", func(n *newcomer) {
		b, _ := n.hello()
		n.conn.Write(b)
		if _, err := readBody(n.conn); err == nil {
			n.conn.Write(wrongSolution)
			io.Copy(io.Discard, n.conn)
		}
	}},
	{"wrong-password", func(n *newcomer) { n.advance(0, 3) }},
}

var (
	badHello      = append([]byte{0, 51, 1, 1, 1}, make([]byte, 48)...)
	wrongSolution = append([]byte{0, 161, 3}, make([]byte, 160)...)
)

// mallory starts a flood of a number of connections, or, of 0, until it is ended.
func (w *world) mallory(kind string, count int) *exec.Cmd {
	w.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestMallory$", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), "SIM_FLOOD="+kind, "SIM_FLOOD_COUNT="+strconv.Itoa(count),
		"SIM_FLOOD_ADDRESS="+w.server.listener.Addr().String(), "SIM_FLOOD_KEY="+base64.RawStdEncoding.EncodeToString(w.server.key[:]))
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, 10) // her machine is not ours
	return cmd
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRejected is what it costs the server to turn a connection away: floods/s/core is how many of them take all of a core.
func BenchmarkRejected(b *testing.B) {
	for _, flood := range benched {
		b.Run(flood.name, func(b *testing.B) {
			w := newWorld(b, nil, func(s *Server) {
				s.log, s.budget.difficulty = slog.New(slog.DiscardHandler), difficulty{bits: 5, least: 5} // mallory's failures make it harder for her
			})
			before := cpuTime()
			b.ResetTimer()
			if err := w.mallory(flood.name, b.N).Wait(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/(cpuTime()-before).Seconds(), "floods/s/core")
		})
	}
}

// BenchmarkStorm is how the honest fare in a flood with puzzles as hard as they are: the time of a log-in (without Argon2id), and of a text's way from alice to bob.
func BenchmarkStorm(b *testing.B) {
	for _, kind := range append([]benchedFlood{{name: "rest"}}, benched...) {
		b.Run(kind.name, func(b *testing.B) {
			w := newWorld(b, []string{"alice", "bob", "carol"}, func(s *Server) {
				s.log, s.budget.difficulty = slog.New(slog.DiscardHandler), difficulty{bits: defaultPuzzleBits, least: defaultPuzzleBits}
			})
			alice, bob := w.enter("alice"), w.enter("bob")
			if kind.one != nil {
				cmd := w.mallory(kind.name, 0)
				defer func() { cmd.Process.Kill(); cmd.Wait() }()
				for ended(&w.server.counters) < 2000 && w.server.counters.Refused.Load() < 20 {
					alice.ping()
				}
			}
			var way, login []time.Duration
			var tries int
			begin, before := time.Now(), w.server.counters.Accepted.Load()
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				alice.relay(1, "bob", proto.Tag{}, "hello")
				bob.expectRelayed("alice", "hello")
				way = append(way, time.Since(began))
				if i%200 != 0 {
					continue
				}
				began = time.Now()
				for {
					tries++
					if carol, err := w.try("carol", passwordOf("carol")); err == nil {
						login = append(login, time.Since(began))
						carol.logout()
						break
					}
				}
			}
			b.ReportMetric(float64(w.server.counters.Accepted.Load()-before)/time.Since(begin).Seconds(), "floods/s")
			percentile := func(x []time.Duration, p float64) float64 {
				slices.Sort(x)
				return float64(x[int(p*float64(len(x)-1))]) / 1e6
			}
			b.ReportMetric(percentile(way, .5), "text-p50-ms")
			b.ReportMetric(percentile(way, .99), "text-p99-ms")
			b.ReportMetric(percentile(login, .5), "login-p50-ms")
			b.ReportMetric(percentile(login, 1), "login-max-ms")
			b.ReportMetric(float64(tries)/float64(len(login)), "tries/login")
			b.ReportMetric(float64(w.server.counters.PuzzleBits.Load()), "bits")
		})
	}
}
