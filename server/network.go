package server

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
)

// A network is the prefix of an address that whoever has one address mostly has all of: a /24 of IPv4, a /64 of IPv6. All of this machine's
// own addresses are one network, and so is all that has no IP address.
type network uint64

const (
	thisMachine network = 0
	ipv4        network = 1 << 24 // and the three bytes; as the head of an IPv6 address this is reserved, so nobody else has it
)

func networkOf(addr net.Addr) network {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return thisMachine
	}
	ip := tcp.AddrPort().Addr().Unmap()
	switch {
	case !ip.IsValid() || ip.IsLoopback():
		return thisMachine
	case ip.Is4():
		b := ip.As4()
		return ipv4 | network(b[0])<<16 | network(b[1])<<8 | network(b[2])
	}
	b := ip.As16()
	return network(binary.BigEndian.Uint64(b[:8]))
}

// A crowd is a set of connections that knows, at any time, which networks have most of them. Each operation takes one time, however many
// there are.
type crowd struct {
	size   int
	groups map[network]*group
	bySize [][]*group // bySize[n] are the groups of n, in no order; the last is not empty
}

// A group is the part of a crowd that is of one network.
type group struct {
	network network
	members []*place // in no order
	index   int      // in bySize[len(members)]
}

// A place is where a connection stands in a crowd: in one at a time.
type place struct {
	conn  *conn
	group *group
	index int // in group.members
}

func (w *crowd) add(p *place) {
	if w.groups == nil {
		w.groups = make(map[network]*group)
	}
	g := w.groups[p.conn.network]
	if g == nil {
		g = &group{network: p.conn.network}
		w.groups[g.network] = g
	} else {
		w.unsort(g)
	}
	p.group, p.index = g, len(g.members)
	g.members = append(g.members, p)
	w.sort(g)
	w.size++
}

func (w *crowd) remove(p *place) {
	g := p.group
	w.unsort(g)
	end := len(g.members) - 1
	g.members[p.index] = g.members[end]
	g.members[p.index].index = p.index
	g.members[end] = nil
	g.members = g.members[:end]
	p.group = nil
	if end == 0 {
		delete(w.groups, g.network)
	} else {
		w.sort(g)
	}
	w.size--
	for n := len(w.bySize); n > 0 && len(w.bySize[n-1]) == 0; n-- {
		w.bySize = w.bySize[:n-1]
	}
}

// pick returns a random connection of the network that has most, or nil. Of several such networks each is as likely: with an order in
// it, somebody could stand where the others fall.
func (w *crowd) pick() *conn {
	if w.size == 0 {
		return nil
	}
	most := w.bySize[len(w.bySize)-1]
	g := most[rand.IntN(len(most))]
	return g.members[rand.IntN(len(g.members))].conn
}

func (w *crowd) each(f func(*conn)) {
	for _, g := range w.groups {
		for _, p := range g.members {
			f(p.conn)
		}
	}
}

func (w *crowd) sort(g *group) {
	n := len(g.members)
	for len(w.bySize) <= n {
		w.bySize = append(w.bySize, nil)
	}
	g.index = len(w.bySize[n])
	w.bySize[n] = append(w.bySize[n], g)
}

func (w *crowd) unsort(g *group) {
	list := w.bySize[len(g.members)]
	end := len(list) - 1
	list[g.index] = list[end]
	list[g.index].index = g.index
	list[end] = nil
	w.bySize[len(g.members)] = list[:end]
}
