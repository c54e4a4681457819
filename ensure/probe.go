package ensure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/internal/listener"
)

// probeTimeout is how long one address may take to answer: far longer than a loaded epmd needs, and short enough to
// wait for when it is stopped.
const probeTimeout = 2 * time.Second

// patience is the wait after which a silent peer is called hung. A caller that gave it less learns only that the time
// was up: even a healthy epmd may need some milliseconds on a busy machine.
const patience = 250 * time.Millisecond

const foreignHint = "end that program, or use another port for Erlang: --port N or ERL_EPMD_PORT=N"

// probe asks each address of the endpoint in turn and returns the first where an epmd answers. Its error is of
// KindDown when nothing listens, else what the first address said that did not refuse.
func probe(ctx context.Context, e Endpoint, timeout time.Duration) (netip.AddrPort, *Error) {
	var refused, absent error
	targets := e.targets()
	for _, target := range targets {
		err := probeOne(ctx, e, target, timeout)
		switch {
		case err == nil && refused != nil && probeOne(ctx, e, targets[0], timeout) == nil:
			// An epmd that just starts binds its addresses one by one, [::] before 0.0.0.0, and answers only when it
			// has them all. Nodes use 127.0.0.1, so that is the one to vouch for.
			return targets[0], nil
		case err == nil:
			return target, nil
		case isAny(err, errsRefused):
			refused = cmp.Or(refused, err.Err)
		case isAny(err, errsAbsent):
			absent = cmp.Or(absent, err.Err)
		default:
			return target, err
		}
	}
	if refused != nil {
		return netip.AddrPort{}, &Error{Kind: KindDown, Endpoint: e, Err: refused, Hint: "start it: beamrun ensure"}
	}
	return netip.AddrPort{}, &Error{Kind: KindUnreachable, Endpoint: e, Err: absent,
		Hint: "this host has no such address; is its loopback interface up? (ip link set lo up)"}
}

// probeOne asks one address.
func probeOne(ctx context.Context, e Endpoint, target netip.AddrPort, timeout time.Duration) *Error {
	fail := func(kind Kind, hint string, err error) *Error {
		return &Error{Kind: kind, Endpoint: e, Address: target, Err: err, Hint: hint}
	}
	// foreign names the program that has the port, where the operating system tells
	foreign := func(err error) *Error {
		who := "another program"
		if p, ok := listener.On(e.Port); ok {
			who = p.String()
		}
		return fail(KindForeign, foreignHint,
			fmt.Errorf("%s has the port and is no epmd: %w", who, err))
	}

	if err := ctx.Err(); err != nil {
		return fail(endKind(err), "", err)
	}
	start := time.Now()
	port, err := ping(ctx, target, timeout)
	// an epmd that is being killed does this too, and is gone, or another one, a moment later
	for wait := time.Millisecond; isCutOff(err) && wait < 50*time.Millisecond; wait *= 2 {
		select {
		case <-time.After(wait):
			port, err = ping(ctx, target, timeout)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	var op *net.OpError
	isDial := errors.As(err, &op) && op.Op == "dial"
	switch {
	case err == nil && int(port) == e.Port:
		return nil
	case err == nil:
		return foreign(fmt.Errorf("%w: it says that its port is %d", epmd.ErrNotEpmd, port))
	case errors.Is(err, context.Canceled):
		return fail(KindCanceled, "", err)
	case errors.Is(err, epmd.ErrNotEpmd):
		return foreign(err)
	case isCutOff(err):
		err = fmt.Errorf("it ended the connection before its reply was complete: %w", err)
		if p, ok := listener.On(e.Port); ok && p.Name == "epmd" {
			return fail(KindHung, fmt.Sprintf("see who holds its connections, about 1,020 at most: ss -tnp 'dport = :%d'; it drops idle ones after 60 s", e.Port),
				fmt.Errorf("%v has too many connections, or just ends: %w", p, err))
		}
		return foreign(err)
	case isDial && op.Timeout(), errors.Is(err, context.DeadlineExceeded):
		waited := time.Since(start).Round(time.Millisecond)
		what := "it accepted the connection and sent no reply within"
		if isDial {
			what, err = "it accepted no connection within", context.DeadlineExceeded
		}
		err = fmt.Errorf("%s %v: %w", what, waited, err)
		if waited < patience {
			return fail(KindTimeout, "", context.DeadlineExceeded)
		}
		p, known := listener.On(e.Port)
		switch {
		case !known && isDial:
			return fail(KindTimeout, "", err)
		case !known:
			return fail(KindHung, fmt.Sprintf("an epmd that is stopped, another user's program, or a firewall; as root see: ss -ltnp 'sport = :%d'", e.Port), err)
		case p.Name != "epmd" && p.Name != "systemd": // systemd holds the port of an epmd.socket
			return foreign(err)
		}
		return fail(KindHung, fmt.Sprintf("it is %v; if it is stopped, wake it: kill -CONT %d; else end it: kill -KILL %d", p, p.PID, p.PID), err)
	}
	return fail(KindUnreachable, scarcityHint(err), err)
}

// ping returns the bare cause: the Error around it says the address.
func ping(ctx context.Context, target netip.AddrPort, timeout time.Duration) (uint16, error) {
	port, err := epmd.Ping(ctx, target, timeout)
	return port, errors.Unwrap(err)
}

// isCutOff says that the peer ended the connection before its reply was complete.
func isCutOff(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) || isAny(err, errsReset) }

func isAny(err error, targets []error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}
