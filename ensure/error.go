package ensure

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell"
)

// Kind says what went wrong; it is what a caller switches on, and what `beamrun --json` prints.
type Kind string

const (
	// KindConfig: ERL_EPMD_PORT, ERL_EPMD_ADDRESS or BEAMRUN_DETACH holds no value of its type; or
	// a Config has an address that epmd does not take, Addresses beside Local, or an unknown
	// Detach.
	KindConfig Kind = "config"

	// KindDown: nothing listens. Only [Probe] returns it; [Epmd] starts an epmd.
	KindDown Kind = "down"

	// KindHung: the connection is accepted but no reply comes: a stopped epmd, or a firewall in
	// between.
	KindHung Kind = "hung"

	// KindForeign: another program has the port.
	KindForeign Kind = "foreign"

	// KindUnreachable: the connection failed in a way that does not show whether an epmd runs.
	KindUnreachable Kind = "unreachable"

	// KindNotFound: there is no epmd program to start.
	KindNotFound Kind = "not-found"

	// KindSpawn: the daemon could not be started, or it died before it answered.
	KindSpawn Kind = "spawn"

	// KindTimeout: the time was up before an epmd answered. The cause is
	// [context.DeadlineExceeded].
	KindTimeout Kind = "timeout"

	// KindCanceled: the caller's context was cancelled. The cause is [context.Canceled].
	KindCanceled Kind = "canceled"
)

// Error is the only type of error that this package returns.
type Error struct {
	Kind     Kind
	Endpoint Endpoint
	Address  netip.AddrPort // the one address that it is about; zero: it is about them all
	Err      error          // the cause
	Hint     string         // the fix; may be empty
}

// Message is the error without its hint, in one line: another user may have made a part of it, so
// what a terminal would act on is escaped.
func (e *Error) Message() string {
	message := e.Err.Error()
	switch {
	case e.Kind == KindConfig: // there is no endpoint yet
	case e.Address.IsValid():
		message = fmt.Sprintf("epmd on %s: %s: %s", e.Address, e.Kind, message)
	default:
		message = fmt.Sprintf("epmd on %s: %s: %s", e.Endpoint, e.Kind, message)
	}
	return shell.Line(message)
}

// Error is the message and, where there is one, the hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message()
	}
	return e.Message() + "; hint: " + e.Hint
}

func (e *Error) Unwrap() error { return e.Err }

// stoppedHint is for a process that keeps others waiting.
func stoppedHint(p owner.Process) string {
	return fmt.Sprintf("if it is stopped, wake it: %v; else end it: %v",
		shell.New("kill", "-CONT").Int(p.PID), shell.New("kill", "-KILL").Int(p.PID))
}

// listenersOn shows who listens on the port, and clientsOf who has connections to it.
func listenersOn(port uint16) string {
	return shell.New("ss", "-ltnp").Option("sport = :", strconv.Itoa(int(port))).String()
}

func clientsOf(port uint16) string {
	return shell.New("ss", "-tnp").Option("dport = :", strconv.Itoa(int(port))).String()
}
