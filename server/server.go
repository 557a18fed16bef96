package server

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sim/internal/forget"
	"sim/proto"
	"sim/store"
)

// Config is what a server is made with.
type Config struct {
	Store      *store.Store // open; the caller closes it after Serve
	Listen     string       // HOST:PORT to listen on; the host may be empty, the port 0
	Public     string       // HOST:PORT that clients reach it at, or "" for the addresses of this machine
	Admin      string       // the path of the admin socket, or "" for none
	MaxConns   int          // connections in all; 0 for the default
	PuzzleBits uint8        // of the login's puzzle; 0 for the default
	Log        *slog.Logger // nil for none
	Identities bool         // the log tells names and addresses
}

// A Server is the relay: New listens, Serve serves.
type Server struct {
	// immutable
	log        *slog.Logger
	identities bool // may be in the log
	store      *store.Store
	listener   net.Listener
	admin      *admin // nil for none
	public     string
	key        [proto.PublicKeySize]byte
	login      *proto.LoginConfig
	pool       *pool
	lots       []*lot // made by Serve; none where there are none

	epoch     atomic.Pointer[proto.Epoch]
	counters  Counters
	admission admission
	budget    budget
	guessing  guessing
	registry  registry
	tidying   tidying
	detached  atomic.Int64 // sessions without a connection
	running   sync.WaitGroup
	lotsGiven atomic.Uint64 // to links
}

// New listens. Its errors are sentences for whoever starts the server.
func New(cfg Config) (*Server, error) {
	if cfg.Public != "" {
		if err := checkPublic(cfg.Public); err != nil {
			return nil, err
		}
	}
	listener, err := listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	s, err := newServer(cfg, listener)
	if err != nil {
		listener.Close()
		return nil, err
	}
	return s, nil
}

// newServer makes a server on a listener.
func newServer(cfg Config, listener net.Listener) (*Server, error) {
	if cfg.PuzzleBits == 0 {
		cfg.PuzzleBits = defaultPuzzleBits
	}
	if cfg.PuzzleBits < minPuzzleBits || cfg.PuzzleBits > proto.MaxPuzzleBits {
		return nil, fmt.Errorf("a puzzle has %d to %d bits, not %d: no client solves another", minPuzzleBits, proto.MaxPuzzleBits, cfg.PuzzleBits)
	}
	if cfg.MaxConns < 0 {
		return nil, fmt.Errorf("a server takes at least one connection, not %d", cfg.MaxConns)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	id := cfg.Store.Identity()
	key, err := ecdh.X25519().NewPrivateKey(id.PrivateKey[:])
	id = store.Identity{}
	if err != nil {
		return nil, fmt.Errorf("read the server's key: %w", err)
	}
	s := &Server{
		log:        cfg.Log,
		identities: cfg.Identities,
		store:      cfg.Store,
		listener:   listener,
		public:     cfg.Public,
		key:        [proto.PublicKeySize]byte(key.PublicKey().Bytes()),
		pool:       &pool{size: poolSize, reserve: poolReserve},
	}
	s.login = &proto.LoginConfig{Key: key, Directory: NewDirectory(cfg.Store), PuzzleBits: cfg.PuzzleBits, Epoch: s.epoch.Load}
	s.tidying.free = debug.FreeOSMemory
	s.admission.init(&s.counters, s.placesFor(cfg.MaxConns, descriptorLimit()))
	s.budget.init(&s.counters, cfg.PuzzleBits)
	s.guessing.init(&s.counters)
	s.registry.init()
	if err := s.newEpoch(); err != nil {
		return nil, fmt.Errorf("make the first epoch's keys: %w", err)
	}
	if cfg.Admin != "" {
		if s.admin, err = listenAdmin(cfg.Admin, localAccounts{store: cfg.Store, directory: NewDirectory(cfg.Store), server: s}, cfg.Log); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Addresses returns what clients can use, most useful first: the public address, or the one that the server listens on, or, if that is
// every address of this machine, each of them.
func (s *Server) Addresses() []proto.Address {
	hosts := []string{s.public}
	if s.public == "" {
		hosts = hostsOf(s.listener.Addr(), net.InterfaceAddrs)
	}
	var list []proto.Address
	for _, host := range hosts {
		list = append(list, proto.Address{Key: s.key, Host: host})
	}
	return list
}

// SetMaxConns changes Config.MaxConns while the server serves. Nobody is sent away.
func (s *Server) SetMaxConns(n int) { s.admission.limit(s.placesFor(n, descriptorLimit())) }

// placesFor is how many connections there can be, of a number that is wanted (0 for the default): each needs a file descriptor, as other
// things do.
func (s *Server) placesFor(wanted, descriptors int) int {
	room := max(1, descriptors-descriptorReserve)
	if wanted < 1 {
		return min(defaultMaxConns, room)
	}
	if wanted > room {
		s.log.Warn("fewer connections than --max-conns: this process may open too few files; raise its limit (ulimit -n, or LimitNOFILE= in a systemd unit)",
			"wanted", wanted, "connections", room, "files", descriptors)
	}
	return min(wanted, room)
}

// Serve serves until ctx is done; then it tells everybody who is logged in, waits for what waits to be written, for flushTime at most,
// and returns nil when all of its goroutines have ended. It is called once.
func (s *Server) Serve(ctx context.Context) error {
	inner, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, sockets := s.listener.(*net.TCPListener); sockets {
		s.lots = newLots()
	}
	defer func() {
		for _, t := range s.lots {
			t.end()
		}
	}()
	s.running.Go(func() { s.keep(inner) })
	s.running.Go(func() { s.registry.tellChanges(inner) })
	s.running.Go(s.accept)
	if s.admin != nil {
		s.running.Go(s.admin.serve)
	}
	s.log.Info("serving", "connections", s.admission.cap())
	<-ctx.Done()

	s.log.Info("stopping")
	s.listener.Close()
	if s.admin != nil {
		s.admin.close()
	}
	cancel()
	for _, session := range s.registry.stop() {
		session.stop()
	}
	for _, c := range s.admission.stop() {
		c.net.Close()
	}
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(flushTime)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		for _, c := range s.admission.everybody() {
			c.net.Close()
		}
		<-ended
	}
	s.log.Info("stopped")
	return nil
}

// nextLot is where the next link waits: they are spread evenly.
func (s *Server) nextLot() *lot {
	if len(s.lots) == 0 {
		return nil
	}
	return s.lots[s.lotsGiven.Add(1)%uint64(len(s.lots))]
}

// keep makes a new epoch every EpochLength; the handshakes that began in the old one are all that holds it then. And it says how the server is.
func (s *Server) keep(ctx context.Context) {
	ticker := time.NewTicker(proto.EpochLength)
	defer ticker.Stop()
	health := time.NewTicker(healthEvery)
	defer health.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-health.C:
			s.LogHealth()
		case now := <-ticker.C:
			if err := s.newEpoch(); err != nil {
				s.log.Error("no new epoch", "error", err)
			}
			s.registry.sweep(now)
			s.guessing.sweep()
		}
	}
}

func (s *Server) newEpoch() error {
	var e *proto.Epoch
	var err error
	forget.Do(func() { e, err = proto.NewEpoch() })
	if err != nil {
		return err
	}
	s.epoch.Store(e)
	return nil
}

// accept takes connections until the listener is closed. Other errors pass: mostly there is no file descriptor, and some come free.
func (s *Server) accept() {
	backoff := time.Duration(0)
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.counters.AcceptErrors.Add(1)
			if backoff == 0 {
				s.log.Warn("no connection can be accepted", "error", reasonOf(err))
			}
			backoff = min(max(2*backoff, acceptBackoffMin), acceptBackoffMax)
			time.Sleep(backoff)
			continue
		}
		backoff = 0
		s.take(c)
	}
}

// take begins a connection, or closes it when there is no room.
func (s *Server) take(c net.Conn) {
	taken := &conn{server: s, net: newWire(c), accepted: time.Now(), network: networkOf(c.RemoteAddr())}
	ok, victim := s.admission.admit(taken)
	s.closeEvicted(victim)
	if !ok {
		s.log.Debug("connection ended", "reason", "too many", taken.who(proto.Name{}))
		taken.net.Close()
		return
	}
	s.running.Go(func() { forget.Do(taken.serve) })
}

// closeEvicted closes the connection that had to go for another, if there is one.
func (s *Server) closeEvicted(victim *conn) {
	if victim != nil {
		s.log.Debug("connection ended", "reason", "evicted", victim.who(proto.Name{}))
		victim.net.Close()
	}
}

// Counters tell what became of connections and log-ins.
func (s *Server) Counters() *Counters { return &s.counters }

// reasonOf is an error for the log without the addresses that package net puts in.
func reasonOf(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return err.Error()
}

// listen listens on TCP. An IPv4 address, 0.0.0.0 too, means IPv4 alone.
func listen(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%q is no address to listen on: it looks like HOST:PORT or :PORT, with an IPv6 address in brackets", address)
	}
	network := "tcp"
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		network = "tcp4"
	}
	listener, err := net.Listen(network, address)
	if err == nil {
		return listener, nil
	}
	errno, _ := errors.AsType[syscall.Errno](err)
	switch {
	case errno == syscall.EADDRINUSE || runtime.GOOS == "windows" && errno == wsaAddrInUse:
		return nil, fmt.Errorf("port %s is in use by another program, perhaps another sim server: stop that one or choose another port: %w", port, err)
	case errno == syscall.EACCES || runtime.GOOS == "windows" && errno == wsaAccess:
		return nil, fmt.Errorf("this user has no permission to listen on port %s: choose one above 1023: %w", port, err)
	case errno == syscall.EADDRNOTAVAIL || runtime.GOOS == "windows" && errno == wsaAddrNotAvailable:
		return nil, fmt.Errorf("%s is no address of this machine, so nothing can listen on it: choose another host, or none for all: %w", host, err)
	}
	return nil, fmt.Errorf("%q is no address that this machine can listen on: %w", address, err)
}

// What Windows says for EACCES, EADDRINUSE and EADDRNOTAVAIL.
const (
	wsaAccess           syscall.Errno = 10013
	wsaAddrInUse        syscall.Errno = 10048
	wsaAddrNotAvailable syscall.Errno = 10049
)

// checkPublic checks that a client could read and dial what Addresses will print.
func checkPublic(public string) error {
	host, port, err := net.SplitHostPort(public)
	if err != nil || host == "" || strings.ContainsAny(public, "@/ \t\r\n") {
		return fmt.Errorf("%q is no public address: it looks like HOST:PORT, with an IPv6 address in brackets", public)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("the public address %q needs a port from 1 to 65535", public)
	}
	return nil
}

// hostsOf returns HOST:PORT for a listening address; for a wildcard, one for each address of the machine: loopback last, link-local left out.
func hostsOf(listening net.Addr, machine func() ([]net.Addr, error)) []string {
	at, err := netip.ParseAddrPort(listening.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return []string{listening.String()}
	}
	var near, far []string
	addrs, _ := machine()
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := prefix.Addr().Unmap()
		if ip.IsLinkLocalUnicast() || ip.IsMulticast() || at.Addr().Is4() && !ip.Is4() {
			continue
		}
		host := netip.AddrPortFrom(ip, at.Port()).String()
		if ip.IsLoopback() {
			near = append(near, host)
		} else {
			far = append(far, host)
		}
	}
	if hosts := append(far, near...); len(hosts) > 0 {
		return hosts
	}
	return []string{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()}
}
