package orphan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/fair"
	"github.com/beamrun/beamrun/internal/hostaddr"
	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/vmargs"
)

const (
	// askTimeout is how long a node may take to say its name: far longer than a busy one needs.
	askTimeout = time.Second

	// otpBacklog is that of a node's socket (inet_tcp_dist.erl). It tells it from what else the
	// node may listen on, its web server for one, which is best left alone: a stranger's bytes may
	// make it write a line into its log.
	otpBacklog = 128
)

// askAtOnce is how many nodes are asked at the same time.
var askAtOnce = fair.Limits{Each: 8, All: 64}

// Find returns the nodes of this host that the epmd at addr does not know, or knows at another
// port, each with the Problem that stands against registering it. It asks only those whose port
// epmd does not know either, and changes nothing. Unseen is how many Erlang VMs of the host it
// could not look into or ask: other users', and those beyond the limits by which one user's
// processes cannot keep it from another's. It takes half of the time that the context leaves, and
// [Timeout] at most.
//
// A node that is [Node.Apart], or so ByChoice, may well be as it should be; see [Node.Lost]. That
// one does without epmd its arguments say: -epmd_module, -erl_epmd_port, or kernel's parameters in
// their place.
//
// Errors: those of [epmd.Names].
func Find(ctx context.Context, addr netip.AddrPort) (nodes []Node, unseen int, err error) {
	ctx, cancel := inTime(ctx)
	defer cancel()
	s := search{epmd: addr}
	if err := s.askNames(ctx); err != nil {
		return nil, 0, err
	}
	nodes, unseen = s.find(ctx)
	return nodes, unseen, nil
}

// FindAll is [Find] where no epmd runs at addr: every node that is to have its name there has lost
// it.
func FindAll(ctx context.Context, addr netip.AddrPort) (nodes []Node, unseen int) {
	ctx, cancel := inTime(ctx)
	defer cancel()
	s := search{epmd: addr, down: true}
	return s.find(ctx)
}

// inTime returns a context that leaves time for what is found.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	soon := time.Now().Add(Timeout)
	if end, ok := ctx.Deadline(); ok {
		soon = time.Now().Add(min(Timeout, time.Until(end)/2))
	}
	return context.WithDeadline(ctx, soon)
}

func (s *search) find(ctx context.Context) (nodes []Node, unseen int) {
	s.backlog = min(otpBacklog, somaxconn())
	vms, unseen := owner.VMs(ctx)
	nodes = make([]Node, len(vms))
	user := func(i int) int { return vms[i].UID }
	askAtOnce.Do(len(vms), user, func(i int) { nodes[i] = s.look(ctx, vms[i]) })
	for i, vm := range vms {
		p := nodes[i].Problem
		if vm.Closed && vm.UID != os.Geteuid() ||
			p != nil && p.Kind == KindUnasked && nodes[i].Apart() {
			unseen++
		}
	}
	nodes = slices.DeleteFunc(nodes, func(n Node) bool { return n.Name == "" })
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.PID-b.PID)
	})
	s.judge(ctx, nodes)
	hasIt := func(n Node) bool { return n.Problem == nil && s.has(n) } // by now
	nodes = slices.DeleteFunc(nodes, hasIt)
	return nodes, unseen
}

// askNames asks the epmd for its names.
func (s *search) askNames(ctx context.Context) error {
	registered, err := epmd.Names(ctx, s.epmd)
	if err != nil {
		return err
	}
	s.ports, s.named = make(map[string][]uint16, len(registered)), map[uint16]bool{}
	for _, n := range registered {
		s.ports[n.Name], s.named[n.Port] = append(s.ports[n.Name], n.Port), true
	}
	return nil
}

// Lost says that the node should have its name in epmd and has not.
func (n Node) Lost() bool {
	if n.Problem == nil {
		return !n.ByChoice
	}
	return !n.Apart()
}

// Apart reports whether the node has nothing to do with this epmd, by all that can be seen: its
// Problem is of KindUser, KindNamespace, KindEpmd or KindEpmdless; or whether it is another user's
// of which nothing is known, for there was no time to ask it.
func (n Node) Apart() bool {
	switch {
	case n.Problem == nil:
		return false
	case n.Problem.Kind == KindUnasked:
		return !n.isOurs()
	}
	return slices.Contains([]Kind{KindUser, KindNamespace, KindEpmd, KindEpmdless}, n.Problem.Kind)
}

// search is what one Find knows.
type search struct {
	epmd netip.AddrPort
	down bool // there is no epmd
	// ports are those of the names in epmd's list. It may hold a name twice: one with a line end in
	// it looks like two entries.
	ports map[string][]uint16
	named map[uint16]bool // all of these ports

	backlog int // that of a node's socket here
}

// look returns the node that the VM runs, if epmd does not know it; else one without a name.
func (s *search) look(ctx context.Context, vm owner.Program) Node {
	n := Node{
		Name: vmargs.NodeName(vm.Args), PID: vm.PID, UID: vm.UID,
		ByChoice: vmargs.HasPeersPort(vm.Args), vm: vm, birth: vm.Birth(),
	}
	apart := func(kind Kind, hint, format string, args ...any) Node {
		if n.Name != "" { // else nobody misses it
			n.Problem = n.problem(kind, hint, format, args...)
		}
		return n
	}
	switch {
	case vm.Elsewhere:
		enter := shell.New("nsenter", "-t").Int(n.PID).Words("-n", "beamrun")
		return apart(KindNamespace,
			"repair it there, in its container, or as root: "+n.repair(enter),
			"%v runs in another network namespace, where this epmd is not", vm.Process)
	case vm.Unmapped && vm.UID != os.Geteuid():
		return apart(KindNamespace, "repair it there, in its container",
			"%v runs in another user namespace, whose users have other numbers", vm.Process)
	case vm.Closed && len(s.ports[n.Short()]) > 0:
		return Node{} // by all that can be seen
	case vm.Closed && n.isOurs():
		time.Sleep(5 * time.Millisecond)
		if n.birth == "" || vm.Birth() != n.birth { // it was about to end
			return Node{}
		}
		return apart(KindUnasked, "", "%v could not be looked into:"+
			" it has rights of its own (capabilities), or too many descriptors", vm.Process)
	case vm.Closed:
		return apart(KindUser, "as that user or as root: "+n.repair(shell.New("sudo", "beamrun")),
			"it is another user's (uid %d, pid %d), or this user may not look into it",
			n.UID, n.PID)
	}
	if vmargs.ChangedUser(vm.Args, n.UID) {
		return apart(KindEpmdless, "",
			"it does without epmd, by files of its user's (uid %d)", n.UID)
	}
	if directory := vmargs.NodesDir(vm.Args); directory != "" {
		switch there, err := n.hasFile(directory); {
		case err != nil:
			return apart(KindEpmdless, "", "it does without epmd, by files in %s,"+
				" which could not be looked at: %w", dist.Plain(directory), err)
		case there:
			return apart(KindEpmdless, "",
				"it does without epmd: it is registered by its file in %s", dist.Plain(directory))
		}
		return apart(KindEpmdless,
			"it makes it anew within 2 s; where it can't, beamrun doctor says so",
			"it does without epmd, and its file in %s is gone", dist.Plain(directory))
	}
	if m := vmargs.EpmdModule(vm.Args); m != "" {
		return apart(KindEpmdless, "", "%v does without epmd: its epmd_module is %s",
			vm.Process, dist.Plain(m))
	}
	at := func(port uint16) int {
		isIt := func(l owner.Socket) bool { return l.Addr.Port() == port }
		return slices.IndexFunc(vm.Sockets, isIt)
	}
	isNamed := func(l owner.Socket) bool { return s.named[l.Addr.Port()] }
	if n.Name == "" && slices.ContainsFunc(vm.Sockets, isNamed) {
		return Node{}
	}
	if slices.ContainsFunc(s.ports[n.Short()], func(port uint16) bool { return at(port) >= 0 }) {
		return Node{}
	}
	if port := vmargs.PeersPort(vm.Args); port != 0 && at(port) >= 0 {
		if n.Name == "" {
			n = s.ask(ctx, n)
		}
		n.Addr = dialable(vm.Sockets[at(port)].Addr)
		return apart(KindEpmdless, "", "it listens on port %d, as all of its peers", port)
	}
	// Windows shows no arguments
	if port := vmargs.EpmdPort(vm.Args); port != s.epmd.Port() && len(vm.Args) > 0 {
		return apart(KindEpmd, n.repair(shell.New("beamrun", "--port").Int(int(port))),
			"%v uses the epmd on port %d (ERL_EPMD_PORT)", vm.Process, port)
	}
	return s.ask(ctx, n)
}

// repair is the command that repairs the node, as words for a hint.
func (n Node) repair(beamrun shell.Command) string {
	return beamrun.Words("repair").Arg(n.Short()).String()
}

// ask has the node say its name.
func (s *search) ask(ctx context.Context, n Node) Node {
	var last error
	for _, l := range n.vm.Sockets {
		if l.Backlog != owner.UnknownBacklog && l.Backlog != s.backlog {
			continue
		}
		n.Addr = dialable(l.Addr)
		if vmargs.IsTLS(n.vm.Args) { // it would write of our bytes into its log
			if n.Name == "" {
				return Node{}
			}
			n.Problem = n.problem(KindTLS, "OTP 23.3 and later register again within 2 s,"+
				" unless they were started without epmd; else start it anew",
				"it speaks TLS (-proto_dist), so it can't be asked to register")
			return n
		}
		if ctx.Err() != nil {
			n.Problem = n.problem(KindUnasked, "try again with more time",
				"there was no time left to ask it: %w", ctx.Err())
			break
		}
		soon, cancel := context.WithTimeout(ctx, askTimeout)
		p, err := dist.Meet(soon, n.Addr)
		cancel()
		if err == nil {
			n.Name, n.Hidden = p.Name, p.Hidden
			p.Close()
			if s.has(n) { // by a name that it took later
				return Node{}
			}
			return n
		}
		switch {
		case errors.Is(err, dist.ErrNotNode): // something else of the node's
		case ctx.Err() != nil:
			n.Problem = n.problem(KindUnasked, "try again with more time",
				"there was not enough time left to ask it: %w", ctx.Err())
		case errors.Is(err, context.DeadlineExceeded):
			last = fmt.Errorf("it says nothing for %v", askTimeout)
		default:
			last = err
		}
	}
	switch {
	case n.Name == "": // it has none, or none that could be known
		return Node{}
	case n.Problem != nil:
		return n
	case last == nil:
		return Node{}
	}
	wake := shell.New("kill", "-CONT").Int(n.PID)
	n.Problem = n.problem(KindSilent, "if it is stopped, wake it: "+wake.String(),
		"at %s: %w", n.Addr, last)
	return n
}

// takenFor is how long a name may be another's, at a port where nobody listens, until that counts:
// epmd hears a moment later that a node has ended, and the next one of that name may be there
// within milliseconds (otp#11083).
const takenFor = 300 * time.Millisecond

// judge finds what stands against the nodes' names.
func (s *search) judge(ctx context.Context, found []Node) {
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		open := owner.Ports()
		stale := false
		bearers := map[string][]*Node{}
		elsewhere := map[uint16]bool{} // ports that epmd has for the names of these nodes
		for i := range found {
			n := &found[i]
			if n.Problem != nil {
				continue
			}
			bearers[n.Short()] = append(bearers[n.Short()], n)
			if ports := s.ports[n.Short()]; len(ports) > 0 && !s.has(*n) {
				stale = stale || !open[ports[0]]
			}
		}
		if stale && wait <= takenFor/2 && s.askAgain(ctx, wait) {
			continue
		}
		for i := range found {
			n := &found[i]
			if ports := s.ports[n.Short()]; n.Problem == nil && len(ports) > 0 && !s.has(*n) {
				s.ports[n.Short()] = s.lookUp(ctx, n.Short(), ports)
				for _, port := range s.ports[n.Short()] {
					elsewhere[port] = true
				}
			}
		}
		has := holders(ctx, elsewhere) // of all at once: each look at the host takes time
		for i := range found {
			n := &found[i]
			if n.Problem != nil {
				continue
			}
			if ports := s.ports[n.Short()]; len(ports) > 0 && !s.has(*n) {
				n.Problem = n.taken(ports[0], open[ports[0]], has)
			} else {
				n.Problem = n.twinOf(bearers[n.Short()])
			}
		}
		return
	}
}

// has reports whether epmd has the node's name for its port.
func (s *search) has(n Node) bool { return slices.Contains(s.ports[n.Short()], n.Addr.Port()) }

// lookUp returns the port that epmd really has for a name of its list, or none: whoever registers a
// name with a line end in it can have that list say anything.
func (s *search) lookUp(ctx context.Context, name string, listed []uint16) []uint16 {
	switch info, err := epmd.Lookup(ctx, s.epmd, name); {
	case err == nil:
		return []uint16{info.Port}
	case errors.Is(err, epmd.ErrNotRegistered):
		return nil
	}
	return listed
}

// holders returns who listens on the ports, as far as that is found within 250 ms.
func holders(ctx context.Context, ports map[uint16]bool) map[uint16]owner.Process {
	if len(ports) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
	defer cancel()
	isOther := func(s owner.Socket) bool { return !ports[s.Addr.Port()] }
	return owner.OfSockets(ctx, slices.DeleteFunc(owner.Listening(0), isOther))
}

// twinOf returns the problem of a node that is one of several with its name. Any user can have a
// process that bears the name of another user's node: this user's own is not kept from its name by
// that.
func (n *Node) twinOf(bearers []*Node) *Problem {
	const most = 5 // in a message
	var some []string
	count := 0
	for _, b := range bearers {
		if b.UID != n.UID && n.isOurs() {
			continue
		}
		if count++; count <= most {
			some = append(some, fmt.Sprintf("pid %d, port %d", b.PID, b.Addr.Port()))
		}
	}
	if count < 2 {
		return nil
	}
	if count > most {
		some = append(some, fmt.Sprintf("%d more", count-most))
	}
	hint := "end all but one of them"
	if slices.ContainsFunc(bearers, func(b *Node) bool { return b.UID != n.UID }) {
		hint = "they belong to several users; each can run: beamrun repair"
	}
	return n.problem(KindTwins, hint, "%d nodes of this host have the name %s: %s",
		count, n.Short(), strings.Join(some, "; "))
}

// askAgain asks for the names after a while, and reports whether that was possible.
func (s *search) askAgain(ctx context.Context, wait time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
	}
	return s.askNames(ctx) == nil
}

// taken is the problem of a node whose name epmd has at another port, on which somebody listens or
// not. Has is who has such ports.
func (n Node) taken(port uint16, open bool, has map[uint16]owner.Process) *Problem {
	if !open {
		return n.problem(KindTaken,
			"see who holds it, by a connection to epmd, and end that: beamrun doctor",
			"epmd has the name %s for port %d, where nobody listens", n.Short(), port)
	}
	who := "somebody"
	if p, ok := has[port]; ok {
		who = p.String()
	}
	return n.problem(KindTaken, fmt.Sprintf("end one of them; this one is pid %d", n.PID),
		"epmd has the name %s for %s, which listens on port %d", n.Short(), who, port)
}

// dialable is an address to connect to, for one to listen at.
func dialable(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(hostaddr.Dialable(a.Addr()), a.Port())
}

// somaxconn is the kernel's limit of any backlog.
func somaxconn() int {
	text, _ := os.ReadFile("/proc/sys/net/core/somaxconn") // the kernel's own
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return otpBacklog
	}
	return limit
}
