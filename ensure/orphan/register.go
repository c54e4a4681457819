package orphan

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/owner"
)

// Register has a node of this user's register itself with the epmd at addr, and returns when that
// epmd has its name. That the node is registered by then (from OTP 23.3 on it tries by itself,
// every 2 s) is no error. The cookie is this user's: it is proven to none but this user's nodes,
// see the package comment.
//
// A wrong cookie leaves a line in the node's log: "Connection attempt … rejected". The error is a
// *[Problem].
func (n Node) Register(ctx context.Context, addr netip.AddrPort, cookie string) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	if err := n.register(ctx, addr, cookie); err != nil {
		return err
	}
	return nil
}

// RegisterItself is Register with the node's own cookie, and without one: this process never has it
// where the node is another user's. For such a node root starts the helper, a command line of a
// program that calls [Helper] before anything else. Without a helper another user's node is an
// error of [KindUser].
func (n Node) RegisterItself(ctx context.Context, addr netip.AddrPort, helper ...string) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	err := n.Problem
	switch {
	case err != nil:
	case n.isOurs():
		var cookie string
		if cookie, err = n.cookie(ctx); err == nil {
			err = n.register(ctx, addr, cookie)
		}
	default:
		err = n.registerByHelper(ctx, addr, helper)
	}
	if err != nil {
		return err
	}
	return nil
}

// isOurs reports whether the node is this user's.
func (n Node) isOurs() bool { return n.UID == os.Geteuid() }

// holds reports whether the node's process has that end of a connection.
func (n Node) holds(ctx context.Context, other owner.Peer) bool {
	if n.from != nil {
		return n.from.Holds(ctx, other)
	}
	return owner.Process{PID: n.PID}.Holds(ctx, other) && n.birth == n.vm.Birth()
}

func (n Node) register(ctx context.Context, addr netip.AddrPort, cookie string) *Problem {
	switch {
	case n.Problem != nil:
		return n.Problem
	case !n.isOurs():
		return n.notOurs()
	}
	p, err := dist.Meet(ctx, n.Addr)
	if err != nil {
		return n.problem(KindSilent, "", "at %s: %w", n.Addr, err)
	}
	defer p.Close()
	if p.Name != n.Name {
		return n.problem(KindSilent, "", "at %s there is node %.255q now", n.Addr, p.Name)
	}
	switch err := p.Prove(cookie, n.holds); {
	case errors.As(err, new(*dist.OtherUserError)):
		return n.problem(KindUser, "", "at %s: %w", n.Addr, err)
	case errors.Is(err, dist.ErrCookie):
		return n.problem(KindCookie, "give its own: --cookie SOURCE; its log has a line of this",
			"%w", err)
	case err != nil:
		return n.problem(KindSilent, "", "at %s: %w", n.Addr, err)
	}
	for wait := 20 * time.Millisecond; ; wait *= 2 {
		result, err := p.Call("erl_epmd", "register_node", n.Short(), int(n.Addr.Port()))
		if err != nil {
			return n.problem(KindSilent, "", "at %s: its answer: %w", n.Addr, err)
		}
		verdict, again := n.outcome(ctx, addr, result)
		if !again || wait > takenFor {
			return verdict
		}
		select {
		case <-ctx.Done():
			return verdict
		case <-time.After(wait):
		}
	}
}

// outcome says what a call of erl_epmd:register_node/2 has come to, and whether it may come to
// something else a moment later: see takenFor.
func (n Node) outcome(
	ctx context.Context, addr netip.AddrPort, result any,
) (verdict *Problem, again bool) {
	registered := n.registered(ctx, addr)
	if registered == nil || !errors.Is(registered, epmd.ErrNotRegistered) {
		return registered, registered != nil && registered.Kind == KindTaken
	}
	answer := dist.Show(result)
	switch {
	case isTuple(result, "ok"), isTuple(result, "error", "already_registered"),
		isTuple(result, "error", "econnrefused"):
		return n.problem(KindEpmd, "name the epmd that it uses: --port N",
			"it uses an epmd on another port (its erl_epmd says %s)", answer), false
	case isTuple(result, "badrpc"):
		return n.problem(KindEpmdless, "",
			"it has no erl_epmd that could register it: %.200s", answer), false
	}
	return n.problem(KindRefused, "", "its erl_epmd says %.200s", answer),
		isTuple(result, "error", "duplicate_name")
}

// registered asks the epmd whether it has the name for this node's port; nil: it has.
func (n Node) registered(ctx context.Context, addr netip.AddrPort) *Problem {
	switch info, err := epmd.Lookup(ctx, addr, n.Short()); {
	case err != nil:
		return n.problem(KindRefused, "", "%w", err)
	case info.Port != n.Addr.Port():
		has := holders(ctx, map[uint16]bool{info.Port: true})
		return n.taken(info.Port, owner.Ports()[info.Port], has)
	}
	return nil
}

func (n Node) notOurs() *Problem {
	return n.problem(KindUser, "", "it belongs to uid %d (pid %d),"+
		" and a cookie of this user is not shown to it", n.UID, n.PID)
}

// isTuple reports whether the term is a tuple that begins with these atoms.
func isTuple(term any, atoms ...dist.Atom) bool {
	t, ok := term.([]any)
	if !ok || len(t) < len(atoms) {
		return false
	}
	for i, a := range atoms {
		if t[i] != a {
			return false
		}
	}
	return true
}
