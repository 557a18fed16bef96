package client

import (
	"errors"
	"net"
	"sync"
	"time"
)

// A network stands between clients and a fakeServer, and does to their connections what networks do.
type network struct {
	mu    sync.Mutex
	away  error // in place of a connection
	fates func(n int) fateOfLink
	links []*link
	dials []time.Time
}

// fateOfLink is what becomes of the n-th connection. Its zero value is a good one.
type fateOfLink struct {
	cutUp, cutDown     int           // it is cut when so many bytes have gone up, or down; 0 never
	stallUp, stallDown int           // nothing gets through any more from there on, and nobody is told
	lag                time.Duration // of each piece
}

// through puts a network before the server.
func (s *fakeServer) through(fates func(n int) fateOfLink) *network {
	n := &network{fates: fates}
	s.network = n
	return n
}

var errAway = errors.New("dial: connection refused")

// dial makes a connection to what serve serves.
func (n *network) dial(serve func(net.Conn)) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials = append(n.dials, time.Now())
	if n.away != nil {
		return nil, n.away
	}
	var fate fateOfLink
	if n.fates != nil {
		fate = n.fates(len(n.links))
	}
	client, nearClient := net.Pipe()
	nearServer, server := net.Pipe()
	l := &link{client: nearClient, server: nearServer, fate: fate}
	n.links = append(n.links, l)
	go l.carry(nearServer, nearClient, fate.cutUp, fate.stallUp, &l.up)
	go l.carry(nearClient, nearServer, fate.cutDown, fate.stallDown, &l.down)
	go serve(server)
	return client, nil
}

// goesAway refuses new connections and cuts the old ones; nil is the end of that.
func (n *network) goesAway(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = err
	if err != nil {
		for _, l := range n.links {
			l.cut()
		}
	}
}

// tried returns when clients dialled since the last time.
func (n *network) tried() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.dials
	n.dials = nil
	return all
}

// each does something to every connection that there was.
func (n *network) each(f func(*link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		f(l)
	}
}

// A link is one connection through a network.
type link struct {
	client, server net.Conn
	fate           fateOfLink

	mu       sync.Mutex
	up, down int // bytes
	stalled  bool
	wasCut   bool
}

func (l *link) cut() {
	l.client.Close()
	l.server.Close()
}

// stall lets nothing through any more.
func (l *link) stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = true
}

// carry carries bytes one way, until an end closes or its fate comes.
func (l *link) carry(to, from net.Conn, cut, stall int, carried *int) {
	defer l.cut()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		time.Sleep(l.fate.lag)
		l.mu.Lock()
		before := *carried
		*carried += n
		stalled := l.stalled || stall > 0 && before >= stall
		ends := cut > 0 && *carried >= cut
		l.wasCut = l.wasCut || ends
		l.mu.Unlock()
		if ends {
			n = cut - before
		}
		if !stalled {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if ends {
			return
		}
	}
}
