// Package metrics shows an operator how a server is: at /metrics in Prometheus' form, at /healthz in one line. There is nothing in either about
// one name or address.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sim/server"
)

const (
	maxConns    = 8 // at once; others wait
	maxScrapes  = 2 // at once; others are told to come back
	readTime    = 5 * time.Second
	writeTime   = 10 * time.Second
	idleTime    = time.Minute
	maxHeader   = 8 << 10
	closingTime = time.Second // for answers that are on their way
)

// ErrPublic is returned when others than this machine could reach the address, and nobody has said that they may.
var ErrPublic = errors.New("others than this machine could reach it")

// Listen listens at HOST:PORT: on this machine alone, or, if public, wherever it says.
func Listen(address string, public bool) (net.Listener, error) {
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("find the address for metrics: %w", err)
	}
	if ip, ok := netip.AddrFromSlice(at.IP); !public && !(ok && ip.Unmap().IsLoopback()) {
		return nil, ErrPublic
	}
	// The address that was looked at, whatever the name may mean later.
	listener, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	return &bounded{TCPListener: listener, places: make(chan struct{}, maxConns), closed: make(chan struct{})}, nil
}

// Serve answers on a listener until stop is called.
func Serve(listener net.Listener, s *server.Server) (stop func()) {
	discard := slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) // the library's words have addresses
	h := &http.Server{
		Handler:        handler(s),
		ReadTimeout:    readTime,
		WriteTimeout:   writeTime,
		IdleTimeout:    idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       discard,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Serve(listener)
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), closingTime)
		defer cancel()
		if h.Shutdown(ctx) != nil {
			h.Close()
		}
		<-ended
	}
}

func handler(s *server.Server) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{s},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		h := s.Health()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "ok sessions=%d detached=%d max_conns=%d puzzle_bits=%d queue_wait=%s memory_mib=%d goroutines=%d\n",
			h.Sessions, h.Detached, h.MaxConns, h.PuzzleBits, h.QueueWait.Round(time.Millisecond), h.Memory>>20, h.Goroutines)
	})
	return mux
}

// collector reads the server when it is asked to; between two scrapes it costs nothing.
type collector struct{ server *server.Server }

var (
	sessions     = describe("sessions", "People who are logged in.")
	detached     = describe("sessions_detached", "Of them, those without a connection, who may come back.")
	connections  = describe("connections", "Connections, by what they have shown so far.", "stage")
	maximum      = describe("connections_limit", "Connections that there can be.")
	accepted     = describe("connections_accepted_total", "Connections that were let in.")
	turnedAway   = describe("connections_turned_away_total", "Connections for which there was no room.")
	acceptErrors = describe("accept_errors_total", "Connections that could not be accepted, mostly for want of file descriptors.")
	evicted      = describe("connections_evicted_total", "Connections that had to go for others, by what they had shown.", "stage")
	logins       = describe("logins_total", "Log-ins that ended, by how.", "result")
	delayed      = describe("proofs_delayed_total", "Passwords that had to wait for their turn at a name.")
	bits         = describe("puzzle_bits", "How hard a log-in's puzzle is, without what failures add.")
	queueWait    = describe("queue_wait_seconds", "How long a new log-in would wait for its public-key work.")
	relays       = describe("relays_total", "Peer messages that a receiver's queue took.")
	relayedBytes = describe("relayed_bytes_total", "Bytes of these, as their senders sealed them.")
	returned     = describe("undeliverable_total", "Peer messages that went back, by why.", "reason")
	outboxes     = describe("outbox_bytes", "Bytes that wait for sessions.")
)

// reasons are the labels of Counters.Undeliverables.
var reasons = [...]string{1: "offline", 2: "full", 3: "gone"}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sim_"+name, help, labels, nil)
}

// Describe describes nothing: what Collect yields is checked at each scrape.
func (collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	h, n := c.server.Health(), c.server.Counters()
	gauge(sessions, float64(h.Sessions))
	gauge(detached, float64(h.Detached))
	gauge(maximum, float64(h.MaxConns))
	gauge(bits, float64(h.PuzzleBits))
	gauge(queueWait, h.QueueWait.Seconds())
	gauge(outboxes, float64(h.Outboxes))
	for stage, connected := range h.Connections {
		gauge(connections, float64(connected), server.Stages[stage])
	}
	for stage := range n.Evicted {
		count(evicted, n.Evicted[stage].Load(), server.Stages[stage])
	}
	count(accepted, n.Accepted.Load())
	count(turnedAway, n.TooMany.Load())
	count(acceptErrors, n.AcceptErrors.Load())
	for _, ended := range []struct {
		result string
		n      uint64
	}{
		{"succeeded", n.Succeeded.Load()},
		{"refused", n.Refused.Load()},
		{"resumed", n.Resumed.Load()},
		{"not_resumed", n.NotResumed.Load()},
		{"busy", n.BusyLogins.Load() + n.BusyProofs.Load()},
		{"bad_hello", n.BadHellos.Load()},
		{"other_version", n.OtherVersions.Load()},
		{"wrong_solution", n.WrongSolutions.Load()},
		{"bad_login", n.BadLogins.Load()},
		{"bad_proof", n.BadProofs.Load()},
		{"unfinished", n.Unfinished.Load()},
	} {
		count(logins, ended.n, ended.result)
	}
	count(delayed, n.DelayedProofs.Load())
	count(relays, n.Relays.Load())
	count(relayedBytes, n.RelayedBytes.Load())
	for reason := 1; reason < len(reasons); reason++ {
		count(returned, n.Undeliverables[reason].Load(), reasons[reason])
	}
}
