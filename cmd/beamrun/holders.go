package main

import (
	"context"
	"net/netip"
	"slices"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/hostaddr"
	"github.com/beamrun/beamrun/internal/owner"
)

// heldName is a name that epmd has, and who listens on its port.
type heldName struct {
	epmd.Node

	// Known: the operating system says whether anybody listens; on Linux it does, of an epmd of
	// this host.
	Known bool

	// Alive: somebody does. Else the name is stale: nobody can connect to the node, if there still
	// is one.
	Alive bool

	// PID is that of the process that listens, and Program what ps calls it ("beam.smp"), both as
	// set by findHolders.
	PID     int
	Program string
}

// heldNames returns the names that the epmd at addr has, in its own order, and which are alive:
// one question to the epmd and one to the operating system. No node is connected to, for many write
// a line into their log about one who says nothing.
func heldNames(ctx context.Context, addr netip.AddrPort) ([]heldName, error) {
	listening := make(chan map[uint16]bool, 1)
	// meanwhile, for epmd takes milliseconds for a thousand names
	go func() { listening <- owner.Ports() }()
	nodes, err := epmd.Names(ctx, addr)
	open := <-listening
	if err != nil {
		return nil, err
	}
	port := addr.Port()
	known := open[port] && hostaddr.IsOwn(addr.Addr())
	if known && slices.ContainsFunc(nodes, func(n epmd.Node) bool { return !open[n.Port] }) {
		open = owner.Ports() // it may have begun to listen just then
		known = open[port]   // else the system did not say, this time
	}
	names := make([]heldName, len(nodes))
	for i, n := range nodes {
		names[i] = heldName{Node: n, Known: known, Alive: known && open[n.Port]}
	}
	return names, nil
}

// findHolders finds the processes that listen on the ports of the names that are alive, which takes
// a look into every process of the host. Another user's process stays unknown, but to root.
func findHolders(ctx context.Context, names []heldName) {
	wanted := map[uint16]bool{}
	for _, n := range names {
		if n.Alive {
			wanted[n.Port] = true
		}
	}
	if len(wanted) == 0 {
		return
	}
	held := owner.OfSockets(ctx, slices.DeleteFunc(owner.Listening(0), func(s owner.Socket) bool {
		return !wanted[s.Addr.Port()]
	}))
	for i, n := range names {
		if p, ok := held[n.Port]; ok {
			names[i].PID, names[i].Program = p.PID, p.Name
		}
	}
}
