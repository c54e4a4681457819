package ensure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/hostaddr"
	"github.com/beamrun/beamrun/internal/neterr"
	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/spawn"
)

// probe asks each address of the endpoint in turn and returns the first where an epmd answers. Its
// error is of KindDown when nothing listens, else what the first address said that did not refuse.
// The endpoint comes by pointer: with a copy in each frame, the stack would have to grow.
func probe(ctx context.Context, e *Endpoint, timeout time.Duration) (netip.AddrPort, *Error) {
	var down, absent error
	targets := e.targets()
	for _, target := range targets {
		err := probeOne(ctx, e, target, timeout)
		switch {
		case err == nil && down != nil && probeOne(ctx, e, targets[0], timeout) == nil:
			// An epmd that just starts binds its addresses one by one, [::] before 0.0.0.0, and
			// answers only when it has them all. Nodes use 127.0.0.1, so that is the one to vouch
			// for.
			return targets[0], nil
		case err == nil:
			return target, nil
		case neterr.IsRefused(err):
			down = cmp.Or(down, err.Err)
		case neterr.IsAbsent(err):
			absent = cmp.Or(absent, err.Err)
		default:
			return target, err
		}
	}
	if down != nil {
		return netip.AddrPort{}, &Error{Kind: KindDown, Endpoint: *e, Err: down}
	}
	return netip.AddrPort{}, &Error{Kind: KindUnreachable, Endpoint: *e, Err: absent,
		Hint: "this host has no such address; is its loopback interface up? (ip link set lo up)"}
}

// probeOne asks one address.
func probeOne(
	ctx context.Context, e *Endpoint, target netip.AddrPort, timeout time.Duration,
) *Error {
	if err := ctx.Err(); err != nil {
		return &Error{Kind: endKind(err), Endpoint: *e, Address: target, Err: err}
	}
	start := time.Now()
	port, err := ping(ctx, target, timeout)
	if isCutOff(err) {
		port, err = pingAgain(ctx, target, start.Add(timeout), err)
	}
	switch {
	case err != nil:
	case port == e.Port:
		return nil
	default:
		err = fmt.Errorf("%w: it says that its port is %d", epmd.ErrNotEpmd, port)
	}
	return verdict(e, target, err, time.Since(start))
}

// pingAgain asks again after an epmd ended the connection: one that is being killed does so too,
// and is gone, or another one, a moment later. All the tries have to end by the same deadline.
func pingAgain(
	ctx context.Context, target netip.AddrPort, deadline time.Time, cut error,
) (port uint16, err error) {
	err = cut
	for wait := time.Millisecond; wait < 50*time.Millisecond; wait *= 2 {
		if !isCutOff(err) || time.Until(deadline) <= wait {
			break
		}
		select {
		case <-time.After(wait):
			port, err = ping(ctx, target, time.Until(deadline))
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = cut // that says more
	}
	return port, err
}

// ping returns the bare cause: the Error around it says the address.
func ping(ctx context.Context, target netip.AddrPort, timeout time.Duration) (uint16, error) {
	port, err := epmd.Ping(until{ctx, time.Now().Add(timeout)}, target)
	return port, errors.Unwrap(err)
}

// patience is the wait after which a silent peer is called hung. A caller that gave it less learns
// only that the time was up: even a healthy epmd may need some milliseconds on a busy machine.
const patience = 250 * time.Millisecond

const foreignHint = "end that program, or use another port for Erlang: ERL_EPMD_PORT=N"

// verdict says what it means that the target did not answer as an epmd does: it failed with err,
// after that wait.
func verdict(e *Endpoint, target netip.AddrPort, err error, waited time.Duration) *Error {
	v := &Error{Endpoint: *e, Address: target, Err: err}
	var op *net.OpError
	isDial := errors.As(err, &op) && op.Op == "dial"
	switch {
	case errors.Is(err, context.Canceled):
		v.Kind = KindCanceled
	case errors.Is(err, epmd.ErrNotEpmd):
		foreign(v)
	case isCutOff(err):
		cutOff(v)
	case isDial && op.Timeout(), errors.Is(err, context.DeadlineExceeded):
		silent(v, isDial, waited)
	default: // refused too, which probe looks for
		v.Kind, v.Hint = KindUnreachable, spawn.ScarcityHint(err)
	}
	return v
}

// foreign is the verdict on a peer that is no epmd. It names the program, where the operating
// system does.
func foreign(v *Error) {
	who := "another program"
	if p, ok := owner.OfPortSoon(v.Endpoint.Port); ok {
		who = p.String()
	}
	v.Kind, v.Hint = KindForeign, foreignHint
	v.Err = fmt.Errorf("%s has the port and is no epmd: %w", who, v.Err)
}

// cutOff is the verdict on a peer that ended the connection before its reply was complete.
func cutOff(v *Error) {
	v.Err = fmt.Errorf("it ended the connection before its reply was complete: %w", v.Err)
	p, ok := owner.OfPortSoon(v.Endpoint.Port)
	if !ok || p.Name != "epmd" {
		foreign(v)
		return
	}
	v.Kind, v.Err = KindHung, fmt.Errorf("%v has too many connections, or just ends: %w", p, v.Err)
	v.Hint = "see who holds its connections, about 1,020 at most: " + clientsOf(v.Endpoint.Port) +
		"; it drops idle ones after 60 s"
}

// silent is the verdict on a peer that accepted no connection (isDial), or one and sent no reply.
func silent(v *Error, isDial bool, waited time.Duration) {
	if waited < patience {
		v.Kind, v.Err = KindTimeout, context.DeadlineExceeded
		return
	}
	what := "it accepted the connection and sent no reply"
	if isDial {
		what, v.Err = "it accepted no connection", context.DeadlineExceeded
	}
	v.Err = fmt.Errorf("%s within %v: %w", what, waited.Round(time.Millisecond), v.Err)
	p, known := owner.OfPortSoon(v.Endpoint.Port)
	switch {
	case !known && isDial && len(owner.Listening(v.Endpoint.Port)) == 0: // a firewall
		v.Kind = KindTimeout
	case !known:
		v.Kind = KindHung
		v.Hint = "an epmd that is stopped, another user's program, or a firewall; as root see: " +
			listenersOn(v.Endpoint.Port)
	case p.Name == "epmd" || p.Name == "systemd": // systemd holds the port of an epmd.socket
		v.Kind = KindHung
		v.Hint = fmt.Sprintf("it is %v; %s", p, stoppedHint(p))
	default:
		foreign(v)
	}
}

// isCutOff reports whether the peer ended the connection before its reply was complete.
func isCutOff(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) || neterr.IsReset(err) }

// warnIfExposed looks whether something listens at the endpoint's port on an address that other
// hosts can reach.
func (r *Result) warnIfExposed(ctx context.Context) {
	addrs, err := hostaddr.All()
	if err != nil {
		r.warn(WarnExposed, "cannot determine whether other hosts reach this epmd: %v", err)
	}
	for _, addr := range addrs {
		// those of a link need a zone, and have a sibling
		if addr.IsLoopback() || addr.IsLinkLocalUnicast() {
			continue
		}
		target := netip.AddrPortFrom(addr, r.Endpoint.Port)
		if _, err := ping(ctx, target, 100*time.Millisecond); err == nil {
			r.warn(WarnExposed, "this epmd was not started as local: it listens on %s too,"+
				" where other hosts may reach it", target)
			return
		}
	}
}
