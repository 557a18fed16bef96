package metrics

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sim/server"
	"sim/store"
)

func TestListen(t *testing.T) {
	for _, c := range []struct {
		address string
		public  bool
		want    error
	}{
		{"127.0.0.1:0", false, nil},
		{"localhost:0", false, nil},
		{"0.0.0.0:0", false, ErrPublic},
		{":0", false, ErrPublic},
		{"[::]:0", false, ErrPublic},
		{"192.0.2.1:0", false, ErrPublic},
		{"[::ffff:192.0.2.1]:0", false, ErrPublic},
		{"0.0.0.0:0", true, nil},
	} {
		l, err := Listen(c.address, c.public)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.address, err)
		}
		if err == nil {
			l.Close()
		}
	}
}

// served serves a new server's metrics. The server accepts, so that it has something to tell.
func served(t *testing.T) (at string, s *server.Server) {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "sim.db"), store.Options{ArgonTime: 2, ArgonMemory: 19456, ArgonThreads: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err = server.New(server.Config{Store: st, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	stop := Serve(listener, s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		cancel()
		<-ended
		st.Close()
	})
	return "http://" + listener.Addr().String(), s
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

func TestMetrics(t *testing.T) {
	at, s := served(t)
	s.Counters().Relays.Add(7)
	s.Counters().Undeliverables[2].Add(3)
	code, body := get(t, at+"/metrics")
	if code != http.StatusOK {
		t.Fatal(code, body)
	}
	for _, line := range []string{
		"sim_sessions 0", "sim_relays_total 7", `sim_undeliverable_total{reason="full"} 3`, `sim_connections{stage="proven"} 0`,
		`sim_connections_evicted_total{stage="silent"} 0`, `sim_logins_total{result="refused"} 0`, "sim_puzzle_bits 18",
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("%q is missing in\n%s", line, body)
		}
	}
	for _, name := range []string{"go_goroutines ", "sim_queue_wait_seconds "} {
		if !strings.Contains(body, "\n"+name) {
			t.Errorf("%q is missing in\n%s", name, body)
		}
	}
	// No label is about one person or address: these are all that there are.
	for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(body, -1) {
		switch label[1] {
		case "stage", "result", "reason", "quantile", "version":
		default:
			t.Errorf("there is a label %q", label[1])
		}
	}
	if code, body := get(t, at+"/healthz"); code != http.StatusOK || !strings.HasPrefix(body, "ok sessions=0 detached=0 max_conns=") || strings.Count(body, "\n") != 1 {
		t.Errorf("%d %q", code, body)
	}
	if code, _ := get(t, at+"/"); code != http.StatusNotFound {
		t.Error(code)
	}
	if response, err := http.Post(at+"/metrics", "", nil); err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Error(response, err)
	}
}

// Of many connections that say nothing few are there at once, and when they go, others are answered.
func TestPlaces(t *testing.T) {
	at, _ := served(t)
	host := strings.TrimPrefix(at, "http://")
	var idle []net.Conn
	for range 3 * maxConns {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	client := http.Client{Timeout: 100 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	if _, err := client.Get(at + "/healthz"); err == nil {
		t.Error("one more was answered")
	}
	for _, c := range idle {
		c.Close()
	}
	if code, _ := get(t, at+"/healthz"); code != http.StatusOK {
		t.Error(code)
	}
}
