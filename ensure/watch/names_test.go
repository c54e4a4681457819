package watch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
)

func newBook() *nameBook { return &nameBook{known: map[string]knownName{}} }

func (b *nameBook) later(d time.Duration) {
	for name, k := range b.known {
		if !k.missed.IsZero() {
			k.missed = k.missed.Add(-d)
			b.known[name] = k
		}
	}
}

// Other users' names are not remembered, however many there are, and push out none of ours.
func TestNameBookKeepsOurs(t *testing.T) {
	b, ours := newBook(), listeners{known: true, ours: map[uint16]bool{1000: true, 2000: true, 3000: true}}
	alice, bob := epmd.Node{Name: "alice", Port: 1000}, epmd.Node{Name: "bob", Port: 2000}
	b.update([]epmd.Node{alice}, ours, false)
	for round := range 100 { // names at a stranger's port, and at ours
		var flood []epmd.Node
		for i := range 1000 {
			flood = append(flood, epmd.Node{Name: fmt.Sprint("fake", round, ".", i), Port: 666}, epmd.Node{Name: fmt.Sprint("at", round, ".", i), Port: 1000})
		}
		b.update(append(flood, alice, bob), ours, false)
	}
	if len(b.known) > 2*maxOfPort || b.known["alice"].port != 1000 || b.known["bob"].port != 2000 {
		t.Errorf("%d are known: alice %v, bob %v", len(b.known), b.known["alice"], b.known["bob"])
	}

	// the name of a node of ours that runs is taken, by a stranger and at another port of ours
	b = newBook()
	b.update([]epmd.Node{alice, bob}, ours, false)
	taken := []epmd.Node{{Name: "alice", Port: 666}, {Name: "bob", Port: 3000}}
	b.update(taken, ours, false)
	b.later(comeBack)
	if lost := b.update(taken, ours, false); !slices.Equal(lost, []epmd.Node{alice, bob}) {
		t.Errorf("lost: %v", lost)
	}

	// one that began anew at another port is not
	b = newBook()
	b.update([]epmd.Node{alice}, ours, false)
	delete(ours.ours, 1000)
	moved := []epmd.Node{{Name: "alice", Port: 3000}}
	b.update(moved, ours, false)
	b.later(comeBack)
	if lost := b.update(moved, ours, false); lost != nil || b.known["alice"].port != 3000 {
		t.Errorf("lost: %v, known: %v", lost, b.known)
	}
}

func TestNameBookIsBounded(t *testing.T) {
	b := newBook()
	for round := range 3 {
		var nodes []epmd.Node
		for i := range maxKnown - 1 {
			nodes = append(nodes, epmd.Node{Name: fmt.Sprint(round, ".", i), Port: uint16(i)})
		}
		b.update(nodes, listeners{ctx: t.Context()}, false)
	}
	if len(b.known) > maxKnown {
		t.Errorf("%d are known", len(b.known))
	}
}

// Only what is known to have ended is forgotten, and all is asked at once where the system does not
// say.
func TestStates(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended.Close()
	port := func(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }
	here := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	nodes := []epmd.Node{{Name: "a", Port: port(l)}, {Name: "b", Port: port(ended)}}
	if got := (listeners{ctx: t.Context(), addr: here}).states(nodes); !slices.Equal(got, []portState{open, closed}) {
		t.Errorf("by connections: %v", got)
	}
	if got := (listeners{known: true, ours: map[uint16]bool{port(l): true}}).states(nodes); !slices.Equal(got, []portState{open, closed}) {
		t.Errorf("by the system: %v", got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got := (listeners{ctx: gone, addr: here}).states(nodes[:1]); got[0] != unclear {
		t.Errorf("in no time: %v", got)
	}
}
