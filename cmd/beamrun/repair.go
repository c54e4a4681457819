package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdless"
	"github.com/beamrun/beamrun/ensure/orphan"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/fair"
)

// repair is `beamrun repair [NODE...]`.
//
// Without NODE it acts on all: a name is given back by the node that lost it, is taken from nobody,
// and only where it is plain whose it is. What it would do is what `beamrun doctor` says, and
// --dry-run.
func (a *app) repair(ctx context.Context, args []string) error {
	if a.source == cookie.Fresh {
		return &usageError{"--cookie fresh: no node can have that one", "beamrun help repair"}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(a.timeout, ensure.DefaultTimeout))
	defer cancel()
	found, unseen, addr, err := a.findLost(ctx)
	if err != nil {
		return err
	}
	attempts := a.chosen(ctx, found, args, addr)
	if a.source != "" {
		refuseStrangers(attempts)
	}
	if !a.dryRun {
		if err := a.registerAll(ctx, attempts, addr); err != nil {
			return err
		}
	}
	return a.sayAttempts(attempts, unseen)
}

// findLost finds the nodes that have lost their names. It starts an epmd if there is none, but not
// for --dry-run.
func (a *app) findLost(
	ctx context.Context,
) (found []orphan.Node, unseen int, addr netip.AddrPort, err error) {
	if a.dryRun {
		res, err := ensure.Probe(ctx, a.epmd())
		if isDown(err) {
			first, err := netip.ParseAddrPort(res.Endpoint.String())
			if err != nil {
				return nil, 0, addr, err
			}
			found, unseen = orphan.FindAll(ctx, first)
			return found, unseen, first, nil
		}
		if err != nil {
			return nil, 0, addr, err
		}
		found, unseen, err = orphan.Find(ctx, res.Address)
		return found, unseen, res.Address, err
	}
	res, err := ensure.Epmd(ctx, a.epmd())
	if err != nil {
		a.untold = texts(res.Warnings)
		return nil, 0, addr, err
	}
	a.sayWarnings(texts(res.Warnings))
	if res.Started && !a.json && !a.quiet {
		fmt.Fprintln(a.stdout, clean(ensureLine(&res)))
	}
	found, unseen, err = orphan.Find(ctx, res.Address)
	return found, unseen, res.Address, err
}

// runsHere reports whether that may be the full name of a node of this host, whatever the host is
// called in it. It asks the node that is registered by the part before the @.
func runsHere(ctx context.Context, node string, found []orphan.Node, addr netip.AddrPort) bool {
	short, _, _ := strings.Cut(node, "@")
	// no host: it is not known
	isIt := func(n orphan.Node) bool { return n.Name == node || n.Name == short }
	if slices.ContainsFunc(found, isIt) {
		return true
	}
	info, err := epmd.Lookup(ctx, addr, short)
	if err != nil {
		return false
	}
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	full, _, err := dist.Ask(soon, netip.AddrPortFrom(addr.Addr(), info.Port))
	return full == node || errors.Is(err, dist.ErrTLS) // that one is not asked
}

// attempt is what became of a node.
type attempt struct {
	node  orphan.Node
	state string // "lost", "repaired", "registered"
	took  time.Duration
	err   error
}

// chosen are the nodes that args name, or without args all that are lost.
func (a *app) chosen(
	ctx context.Context, found []orphan.Node, args []string, addr netip.AddrPort,
) (all []*attempt) {
	if len(args) == 0 {
		for _, n := range found {
			if n.Lost() {
				all = append(all, &attempt{node: n, state: "lost", err: n.Err()})
			}
		}
		return all
	}
	// where no directory can be had, nobody is registered in one
	byFile, _, _ := epmdless.Nodes(ctx)
	for _, arg := range args {
		other := new(otherHostError)
		err := a.refuseOtherHost(ctx, arg)
		if errors.As(err, &other) && !runsHere(ctx, arg, found, addr) {
			all = append(all, &attempt{node: orphan.Node{Name: arg}, state: "unknown", err: other})
			continue
		}
		var here, apart []*attempt
		for _, n := range found {
			switch o := (&attempt{node: n, state: "lost", err: n.Err()}); {
			case n.Is(arg) && n.Apart():
				apart = append(apart, o)
			case n.Is(arg):
				here = append(here, o)
			}
		}
		name, _, _ := strings.Cut(arg, "@")
		i := slices.IndexFunc(byFile, func(n epmdless.Node) bool { return n.Name == name })
		info, err := epmd.Lookup(ctx, addr, name)
		switch {
		case len(here) > 0:
			all = append(all, here...) // of others that have the name elsewhere, nothing was asked
		case err == nil:
			n := orphan.Node{Name: arg, Addr: netip.AddrPortFrom(addr.Addr(), info.Port)}
			all = append(all, &attempt{node: n, state: "registered"})
		// a refused connection is epmd's end, for a dry run
		case !errors.Is(err, epmd.ErrNotRegistered) && !errors.Is(err, syscall.ECONNREFUSED):
			why := &orphan.Problem{Kind: orphan.KindUnasked, Node: arg,
				Err:  fmt.Errorf("epmd was not asked for it: %w", err),
				Hint: "try again with more time: --timeout"}
			all = append(all, &attempt{node: orphan.Node{Name: arg}, state: "unknown", err: why})
		case i >= 0:
			n := orphan.Node{Name: arg, Addr: byFile[i].Addr, PID: byFile[i].PID}
			all = append(all, &attempt{node: n, state: "registered"})
		case len(apart) > 0:
			all = append(all, apart...)
		default:
			why := &orphan.Problem{Kind: "not-found", Node: arg,
				Err: fmt.Errorf("no such node runs here, by all that %s can see", me()),
				Hint: "beamrun doctor lists the nodes that have lost their names;" +
					" those of other users are seen by root"}
			all = append(all, &attempt{node: orphan.Node{Name: arg}, state: "unknown", err: why})
		}
	}
	return all
}

// refuseStrangers keeps a cookie that was given, which is this user's, from what is not this user's
// node on this host: one of another user, and one in a container, which only looks like a node of
// this user.
func refuseStrangers(attempts []*attempt) {
	for _, o := range attempts {
		if o.err == nil && o.state == "lost" && !o.node.TakesGivenCookie() {
			o.err = &orphan.Problem{Kind: orphan.KindUser, Node: o.node.Name,
				Err: fmt.Errorf("it belongs to uid %d (pid %d), or has another root directory,"+
					" and --cookie is shown to this user's own nodes alone",
					o.node.UID, o.node.PID),
				Hint: "without --cookie it is repaired with its own;" +
					" or run beamrun as its user, in its container"}
		}
	}
}

func me() string {
	u, err := user.Current()
	if err != nil {
		return "this user"
	}
	return "user " + u.Username
}

// repairAtOnce is how many nodes are repaired at the same time: of other users each by a process.
var repairAtOnce = fair.Limits{Each: 2, All: 8}

// registerAll has the lost ones register, several at a time.
func (a *app) registerAll(ctx context.Context, attempts []*attempt, addr netip.AddrPort) error {
	isDone := func(o *attempt) bool { return o.state != "lost" || o.err != nil }
	todo := slices.DeleteFunc(slices.Clone(attempts), isDone)
	given, helper := "", []string(nil)
	if len(todo) == 0 {
		return nil
	}
	if a.source != "" {
		var err error
		if given, err = a.givenCookie(); err != nil {
			return err
		}
	} else if os.Geteuid() == 0 {
		self, err := ownProgram()
		if err != nil {
			return err
		}
		helper = []string{self, helperCommand}
	}
	repairAtOnce.Do(len(todo), func(i int) int { return todo[i].node.UID }, func(i int) {
		o := todo[i]
		begin := time.Now()
		if given != "" {
			o.err = o.node.Register(ctx, addr, given)
		} else {
			o.err = o.node.RegisterItself(ctx, addr, helper...)
		}
		if o.took = time.Since(begin); o.err == nil {
			o.state = "repaired"
		}
	})
	return nil
}

// givenCookie is that of --cookie. It makes no file.
func (a *app) givenCookie() (string, error) {
	if a.source != cookie.User {
		return a.source.Cookie()
	}
	path, err := a.source.Path()
	if err != nil {
		return "", err
	}
	return cookie.Load(path)
}

// sayAttempts says what became of each. What failed is said on stderr.
func (a *app) sayAttempts(attempts []*attempt, unseen int) error {
	failed := false
	nodes := []attemptJSON{}
	for _, o := range attempts {
		failed = failed || o.err != nil
		nodes = append(nodes, o.json())
		if a.json {
			continue
		}
		if o.err != nil {
			r, _ := describe(o.err)
			a.sayReport(r)
		} else if !a.quiet {
			fmt.Fprintln(a.stdout, o)
		}
	}
	if a.json {
		a.printJSON(struct {
			Nodes    []attemptJSON `json:"nodes"`
			Unjudged int           `json:"unjudged"` // VMs that were not looked at
		}{nodes, unseen})
	} else if len(attempts) == 0 && !a.quiet {
		fmt.Fprintln(a.stdout, noneLost(unseen))
	}
	if failed {
		return &printedError{exitFailed}
	}
	return nil
}

// noneLost says of what was looked at that all is right with it.
func noneLost(unseen int) string {
	vms, were := "VMs", "were"
	if unseen == 1 {
		vms, were = "VM", "was"
	}
	switch {
	case unseen == 0:
		return "no node has lost its name"
	case os.Geteuid() == 0:
		return fmt.Sprintf("no node that was looked at has lost its name;"+
			" %d %s could not be looked at", unseen, vms)
	}
	return fmt.Sprintf("no node of yours has lost its name; %d %s of other users %s not looked at",
		unseen, vms, were)
}

func (o *attempt) String() string {
	switch o.state {
	case "lost":
		return clean(o.node.String()) + ": has lost its name"
	case "registered":
		return fmt.Sprintf("%s: is registered, at port %d",
			printable(o.node.Name), o.node.Addr.Port())
	}
	return fmt.Sprintf("%s: registered again, in %v",
		clean(o.node.String()), o.took.Round(100*time.Microsecond))
}

type attemptJSON struct {
	Name      string  `json:"name"`
	State     string  `json:"state"` // lost, repaired, registered, unknown
	Port      uint16  `json:"port,omitempty"`
	PID       int     `json:"pid,omitempty"`
	Hidden    bool    `json:"hidden,omitempty"`
	ElapsedMS float64 `json:"elapsed_ms,omitempty"`
	Error     *report `json:"error,omitempty"`
}

func (o *attempt) json() attemptJSON {
	j := attemptJSON{
		Name: o.node.Name, State: o.state, Port: o.node.Addr.Port(), PID: o.node.PID,
		Hidden: o.node.Hidden, ElapsedMS: float64(o.took.Microseconds()) / 1000,
	}
	if o.err != nil {
		r, _ := describe(o.err)
		j.Error = &r
	}
	return j
}
