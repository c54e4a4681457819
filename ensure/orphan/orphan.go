// Package orphan finds the nodes of this host that run and that epmd does not know, and gives them
// their names back.
//
// A node has its name in epmd for as long as its connection to epmd lasts. When epmd dies, OTP
// before 23.3 never registers again, nor does any OTP a node that was started without an epmd
// (-erl_epmd_port 0): such a node runs, keeps the connections that it has, and nobody finds it any
// more. One that does without epmd altogether, by files (package epmdless) or by a port that all
// nodes share (-erl_epmd_port N), has lost nothing.
//
//	nodes, _, err := orphan.Find(ctx, epmdAddress)
//	for _, n := range nodes {
//		if n.Problem == nil {
//			err = n.RegisterItself(ctx, epmdAddress)
//		}
//	}
//
// # Other users
//
// Any process can look like a node, and who answers its challenge with a cookie gives it what opens
// a node with that cookie. So this process answers only over a connection whose other end the
// kernel says is this user's own, looked up between the challenge and the answer. For a node of
// another user root starts a helper, which becomes that user, in that process's root directory,
// before it reads a cookie: see [Node.RegisterItself] and [Helper]. Where the system does not say
// to whom a connection belongs, which is everywhere but on Linux, no node is registered.
//
// [Find] looks into the processes of this host and, where these don't say it, asks for a node's
// name by the first messages of the distribution handshake, which need no cookie and leave no line
// in the node's log. [Node.Register] has the node itself register, by a call of its own
// erl_epmd:register_node/2; so the name lives as long as the node, and nobody holds it for it.
//
// Processes are looked into by /proc on Linux, lsof(8) and ps(1) on macOS and BSD, netstat and
// tasklist on Windows. The latter two were only built, and what these programs print was read from
// their manuals and from an lsof on Linux.
package orphan

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/beamrun/beamrun/internal/owner"
)

// Timeout bounds a call whose context has no deadline.
const Timeout = 5 * time.Second

// Node is a node that runs on this host and that epmd does not know, or knows at another port.
type Node struct {
	// Name is the node's full name, "alice@host"; where it could not be asked, as much as its
	// arguments say.
	Name string

	// Addr is where it accepts connections; not valid where nobody tells.
	Addr netip.AddrPort

	// PID and UID are those of its process; PID is 0 where nobody tells.
	PID, UID int

	// Hidden says that it is a hidden node (-hidden). OTP registers one as any other.
	Hidden bool

	// ByChoice says that it was started to boot without epmd (-erl_epmd_port), so it may never have
	// been registered.
	ByChoice bool

	// Problem says why it can't be registered; nil: it can, if the cookie is right.
	Problem *Problem

	vm    owner.Program
	birth string            // of its process, as long as the pid is that process's
	from  *owner.Inspection // in a helper, which is in the node's root directory and is its user
}

// Short is the part of the name that epmd knows: what stands before the @.
func (n Node) Short() string { return short(n.Name) }

// Is reports whether the name means this node: its full name, or what stands before the @.
func (n Node) Is(name string) bool {
	// a name from its arguments may have no host
	return name == n.Name || name == n.Short() || short(name) == n.Name
}

// TakesGivenCookie reports whether a cookie of this user's may be proven to the node: it is this
// user's, and sees the same files, so it is in no container.
func (n Node) TakesGivenCookie() bool { return n.isOurs() && !n.vm.Apart }

// Err is the Problem as an error, nil if there is none.
func (n Node) Err() error {
	if n.Problem == nil {
		return nil
	}
	return n.Problem
}

func short(name string) string {
	part, _, _ := strings.Cut(name, "@")
	return part
}

// String names the node in messages.
func (n Node) String() string {
	s := n.Name
	if n.Hidden {
		s += ", hidden"
	}
	switch {
	case n.PID == 0:
		return s
	case !n.Addr.IsValid():
		return fmt.Sprintf("%s (pid %d)", s, n.PID)
	}
	return fmt.Sprintf("%s (pid %d, port %d)", s, n.PID, n.Addr.Port())
}

// Kind says why a node has no name; it is what a caller switches on, and what `beamrun --json`
// prints.
type Kind string

const (
	// KindTaken: epmd has the name for another node, or for somebody who holds it.
	KindTaken Kind = "taken"

	// KindTwins: two nodes that epmd does not know have the same name.
	KindTwins Kind = "twins"

	// KindCookie: the node has another cookie, or there is none.
	KindCookie Kind = "cookie"

	// KindTLS: the node takes connections by TLS only, which this package does not speak.
	KindTLS Kind = "tls"

	// KindUser: it is another user's node, or what listens is another user's.
	KindUser Kind = "other-user"

	// KindNamespace: it runs in another network namespace: a container, most often.
	KindNamespace Kind = "other-namespace"

	// KindEpmd: it uses another epmd (ERL_EPMD_PORT).
	KindEpmd Kind = "other-epmd"

	// KindEpmdless: it does without epmd: by files (package epmdless), by a port that all nodes
	// share, or by a module of its own in place of OTP's client of epmd (-epmd_module).
	KindEpmdless Kind = "epmdless"

	// KindSilent: it does not answer.
	KindSilent Kind = "silent"

	// KindUnasked: there was no time left to ask it for its name.
	KindUnasked Kind = "not-asked"

	// KindRefused: it takes no connection from us, or its erl_epmd did not register it.
	KindRefused Kind = "refused"
)

// Problem is why a node cannot have its name back: the only type of error that [Node.Register]
// returns, and a Node's Problem.
type Problem struct {
	Kind Kind
	Node string // its name
	Err  error  // the cause
	Hint string // the fix; may be empty
}

// Message is the error without its hint.
func (e *Problem) Message() string { return fmt.Sprintf("node %s: %s: %v", e.Node, e.Kind, e.Err) }

// Error is the message and, where there is one, the hint.
func (e *Problem) Error() string {
	if e.Hint == "" {
		return e.Message()
	}
	return e.Message() + "; hint: " + e.Hint
}

func (e *Problem) Unwrap() error { return e.Err }

func (n Node) problem(kind Kind, hint, format string, args ...any) *Problem {
	return &Problem{Kind: kind, Node: n.Name, Err: fmt.Errorf(format, args...), Hint: hint}
}

func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, Timeout)
}
