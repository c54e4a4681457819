package ensure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/neterr"
	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/spawn"
)

// patience is the wait after which a silent peer is called hung. A caller that gave it less learns only that the time
// was up: even a healthy epmd may need some milliseconds on a busy machine.
const patience = 250 * time.Millisecond

const foreignHint = "end that program, or use another port for Erlang: --port N or ERL_EPMD_PORT=N; nodes can also do without epmd: --epmdless"

// verdict says what it means that the target did not answer as an epmd does: it failed with err, after that wait.
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

// foreign is the verdict on a peer that is no epmd. It names the program, where the operating system does.
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
	v.Hint = "see who holds its connections, about 1,020 at most: " + clientsOf(v.Endpoint.Port) + "; it drops idle ones after 60 s"
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
		v.Hint = "an epmd that is stopped, another user's program, or a firewall; as root see: " + listenersOn(v.Endpoint.Port)
	case p.Name == "epmd" || p.Name == "systemd": // systemd holds the port of an epmd.socket
		v.Kind = KindHung
		v.Hint = fmt.Sprintf("it is %v; %s", p, stoppedHint(p))
	default:
		foreign(v)
	}
}

// isCutOff says that the peer ended the connection before its reply was complete.
func isCutOff(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) || neterr.IsReset(err) }
