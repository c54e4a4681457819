package watch

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/neterr"
	"github.com/beamrun/beamrun/internal/owner"
)

const (
	// maxKnown is how many names a nameBook remembers, and maxOfPort how many of them have one
	// port: other users can register any number of names, also at ports of ours.
	maxKnown  = 4096
	maxOfPort = 16

	// listenPatience is for all connections together by which it is found out who listens, where
	// the system does not say; and listenAtOnce is how many are made at the same time.
	listenPatience = 250 * time.Millisecond
	listenAtOnce   = 64
)

// nameBook remembers which nodes were registered: those of this user, where the system tells who
// listens on their ports.
type nameBook struct {
	known   map[string]knownName
	asked   time.Time // when update was called last
	missing bool      // one of the known is not registered
}

type knownName struct {
	port   uint16
	missed time.Time // since when it is not registered; zero: it is
	busy   bool      // it is being repaired
}

// restart is called for a new epmd: a node has to come back to that one.
func (b *nameBook) restart() {
	b.asked = time.Time{}
	for name, k := range b.known {
		b.known[name] = knownName{port: k.port}
	}
}

func (b *nameBook) due() bool { return b.missing || time.Since(b.asked) >= namesEvery }

// update takes what is registered now and returns the nodes that run and will not come back by
// themselves. They stay known as busy until repaired is called. With wait there are none: the last
// ones are not repaired yet.
func (b *nameBook) update(nodes []epmd.Node, ports listeners, wait bool) (lost []epmd.Node) {
	now := time.Now()
	b.asked, b.missing = now, false
	registered := map[string]bool{}
	ofPort := map[uint16]int{}
	for _, k := range b.known {
		ofPort[k.port]++
	}
	for _, n := range nodes {
		k, isKnown := b.known[n.Name]
		if !ports.mayBeOurs(n.Port) || isKnown && k.port != n.Port && ports.isOurs(k.port) {
			// another user's; the second, one who took the name of a node of ours that still runs
			continue
		}
		if !isKnown || k.port != n.Port {
			if !isKnown && len(b.known) >= maxKnown || ofPort[n.Port] >= maxOfPort {
				continue
			}
			ofPort[n.Port]++
		}
		registered[n.Name] = true
		b.known[n.Name] = knownName{port: n.Port}
	}
	var late []epmd.Node
	for name, k := range b.known {
		switch {
		case registered[name]:
			continue
		case k.missed.IsZero():
			k.missed = now
			b.known[name] = k
		case now.Sub(k.missed) >= comeBack && !k.busy && !wait:
			late = append(late, epmd.Node{Name: name, Port: k.port})
		}
		b.missing = true
	}
	slices.SortFunc(late, func(a, b epmd.Node) int { return int(a.Port) - int(b.Port) })
	for i, state := range ports.states(late) {
		n := late[i]
		switch k := b.known[n.Name]; state {
		case closed:
			delete(b.known, n.Name)
		case open:
			k.busy = true
			b.known[n.Name] = k
			lost = append(lost, n)
		}
	}
	return lost
}

// repaired is called with what became of the busy ones. One that has no name now is forgotten, so
// that it is told of once.
func (b *nameBook) repaired(r repair) {
	for _, n := range r.asked {
		isBack := func(l LostNode) bool { return l.Node == n && l.Err == nil }
		switch k, isKnown := b.known[n.Name]; {
		// registered again, or lost anew with another epmd
		case !isKnown || k.port != n.Port || !k.busy:
		case r.stopped:
			b.known[n.Name] = knownName{port: n.Port}
		case slices.ContainsFunc(r.lost, isBack):
			b.known[n.Name] = knownName{port: n.Port}
		default:
			delete(b.known, n.Name)
		}
	}
}

// listeners knows who listens on this host.
type listeners struct {
	ctx   context.Context
	addr  netip.Addr      // to connect to, where the system does not say
	ours  map[uint16]bool // the ports of this user's sockets
	known bool            // the system says
}

func lookForListeners(ctx context.Context, addr netip.Addr) listeners {
	l := listeners{ctx: ctx, addr: addr}
	l.ours, l.known = owner.PortsOf(os.Geteuid())
	return l
}

func (l listeners) isOurs(port uint16) bool    { return l.known && l.ours[port] }
func (l listeners) mayBeOurs(port uint16) bool { return !l.known || l.ours[port] }

type portState int

const (
	unclear portState = iota // it could not be found out in time
	open
	closed
)

// states returns whether somebody, of this user where the system says, listens on the ports of the
// nodes. No port is connected to where the system says: another user can have any number of them on
// which a connection takes for ever.
func (l listeners) states(nodes []epmd.Node) []portState {
	states := make([]portState, len(nodes))
	if l.known {
		for i, n := range nodes {
			states[i] = closed
			if l.ours[n.Port] {
				states[i] = open
			}
		}
		return states
	}
	ctx, cancel := context.WithTimeout(l.ctx, listenPatience)
	defer cancel()
	slots := make(chan bool, listenAtOnce)
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			slots <- true
			defer func() { <-slots }()
			at := netip.AddrPortFrom(l.addr, n.Port)
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
			switch {
			case err == nil:
				conn.Close()
				states[i] = open
			case neterr.IsRefused(err):
				states[i] = closed
			}
		})
	}
	wg.Wait()
	return states
}
