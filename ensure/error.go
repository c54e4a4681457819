package ensure

import (
	"fmt"
	"net/netip"
)

// Kind says what went wrong; it is what a caller switches on, and what `beamrun --json` prints.
type Kind string

const (
	// KindConfig: a field of Config, or ERL_EPMD_PORT or ERL_EPMD_ADDRESS, holds no value of its type.
	KindConfig Kind = "config"

	// KindDown: nothing listens. Only [Probe] returns it; [Epmd] mends it.
	KindDown Kind = "down"

	// KindHung: the connection is accepted but no reply comes: a stopped epmd, or a firewall in between.
	KindHung Kind = "hung"

	// KindForeign: another program has the port.
	KindForeign Kind = "foreign"

	// KindUnreachable: the connection failed in a way that does not tell whether an epmd runs.
	KindUnreachable Kind = "unreachable"

	// KindNotFound: there is no epmd program to start.
	KindNotFound Kind = "not-found"

	// KindSpawn: the daemon could not be started, or it died before it answered.
	KindSpawn Kind = "spawn"

	// KindTimeout: the time was up before an epmd answered. The cause is [context.DeadlineExceeded].
	KindTimeout Kind = "timeout"

	// KindCanceled: the caller's context was cancelled. The cause is [context.Canceled].
	KindCanceled Kind = "canceled"
)

// Error is the only type of error that this package returns.
type Error struct {
	Kind     Kind
	Endpoint Endpoint
	Address  netip.AddrPort // the one address that it is about; the zero value when it is about them all
	Err      error          // the cause
	Hint     string         // what mends it; may be empty
}

// Message is the error without its hint.
func (e *Error) Message() string {
	switch {
	case e.Kind == KindConfig: // there is no endpoint yet
		return e.Err.Error()
	case e.Address.IsValid():
		return fmt.Sprintf("epmd on %s: %s: %v", e.Address, e.Kind, e.Err)
	}
	return fmt.Sprintf("epmd on %s: %s: %v", e.Endpoint, e.Kind, e.Err)
}

// Error is the message and, where there is one, the hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message()
	}
	return e.Message() + "; hint: " + e.Hint
}

func (e *Error) Unwrap() error { return e.Err }
