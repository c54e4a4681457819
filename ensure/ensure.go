// Package ensure makes sure that epmd, the Erlang Port Mapper Daemon, answers on this host.
//
// Erlang nodes need it to find each other by name. `erl -sname` starts it by itself;
// net_kernel:start and Elixir's Node.start do not, and fail with econnrefused where nobody else
// has.
//
//	res, err := ensure.Epmd(ctx, ensure.Config{})
//
// [Epmd] asks first, in epmd's own protocol: an open port is no proof, for a stopped epmd accepts
// connections and any program may have the port. If epmd replies, it does nothing more: nothing is
// spawned, no lock is taken and no file is touched. When nothing listens, it takes a lock
// (flock(2)), asks again, starts one epmd, detached from this process, and waits until it answers.
// It never starts an epmd beside something that has the port.
//
// The daemon is `epmd -port N` in the foreground mode of epmd(1) (with -daemon its messages, its
// exit code and its pid would be lost), in a session of its own, in the root directory, with null
// as stdin and stdout, a log file as stderr, no other descriptor, and an environment of only what
// it needs.
//
// In a service of systemd that is not enough, and systemd runs the daemon: see [Detach].
//
// Else it is a child of this process. While this process lives, one goroutine waits for the
// daemon's end, so that no zombie stays (a leak checker has to allow for that goroutine);
// when this process ends, init takes the daemon over. A process that is about to turn into another
// program (execve) should have a short-lived child start the daemon instead, as `beamrun PROGRAM`
// does with `beamrun ensure`: few programs wait for children that they do not know.
//
// Package watch keeps an epmd alive for as long as a launcher runs, package orphan gives nodes that
// run their lost names back, and package doctor reports what is wrong on a host.
//
// Every call ends by its deadline, with a result or an [Error]. Its Kind, words and hint state what
// is wrong, and the fix. README.md in this directory is the table of all faults that are known,
// kept by the tests.
package ensure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/beamrun/beamrun/internal/locate"
	"github.com/beamrun/beamrun/internal/shell"
)

// DefaultTimeout bounds a call of [Epmd] or [Probe] whose Config has no Timeout.
const DefaultTimeout = 10 * time.Second

// DefaultProbeTimeout bounds the wait for the reply of one address where a Config has no
// ProbeTimeout: far longer than a loaded epmd needs, and short enough to wait for a stopped one.
const DefaultProbeTimeout = 2 * time.Second

// Config describes which epmd is meant. The zero value is right for most.
type Config struct {
	// Port is epmd's TCP port, 1 to 65535. 0: ERL_EPMD_PORT, else 4369.
	Port uint16

	// Addresses are the IP addresses that the epmd listens on, as in epmd(1) -address; the probe
	// asks them in this order. None: ERL_EPMD_ADDRESS, else every address of the host, and the
	// probe asks 127.0.0.1, then [::1].
	Addresses []netip.Addr

	// Local limits the epmd to the loopback interface; there must be no Addresses then, and
	// ERL_EPMD_ADDRESS does not count. An epmd that runs already and listens on more is taken all
	// the same, with a warning.
	Local bool

	// Program is the epmd to start. Empty: the first of the release's own (BINDIR, ROOTDIR,
	// ReleaseRoot), the one on PATH, the one beside the erl on PATH, and those in the usual install
	// directories.
	Program string

	// ReleaseRoot is the directory of the release that is about to start: its epmd comes before
	// those on PATH. Empty: RELEASE_ROOT.
	ReleaseRoot string

	// Detach is how the daemon is set apart from this process. Empty: BEAMRUN_DETACH, else
	// [DetachAuto].
	Detach Detach

	// Timeout bounds the whole call; an earlier deadline of the context wins. 0: [DefaultTimeout].
	Timeout time.Duration

	// ProbeTimeout bounds the wait for the reply of one address. 0: [DefaultProbeTimeout].
	ProbeTimeout time.Duration

	// Waiting is called once when a call of [Epmd] or [Probe] has taken a second and goes on. It
	// may be called in another goroutine. Nil: nothing is called.
	Waiting func(Endpoint)
}

// Result is what was found or done.
type Result struct {
	// Endpoint is the one that was resolved; its Env makes a program use it too, if somebody chose
	// it.
	Endpoint Endpoint

	// Address is where the epmd answered.
	Address netip.AddrPort

	// Started is true if this call started the daemon. Else it was there, or somebody else was
	// faster.
	Started bool

	// PID is the daemon's, when this call started it and it is known, else 0.
	PID int

	// Program is the epmd that this call started, else empty.
	Program string

	// Detach is how the daemon was set apart from this process: "session"; or systemd runs it:
	// "socket" (the distribution's epmd.socket), "system" (a unit of the system), "user" (one of
	// the user's own manager). Empty when this call did not start it.
	Detach string

	// Unit is the unit of systemd that runs the daemon, when this call started it so, else empty.
	Unit string

	// Elapsed is how long the call took.
	Elapsed time.Duration

	// Warnings are what did not work and was not needed, such as a lock on a read-only file
	// system.
	Warnings []Warning

	patience time.Duration // how long the reply of one address may take
}

// Warning is something that did not work and was not needed.
type Warning struct {
	Kind    WarningKind
	Message string // on one line
}

// String returns the message.
func (w Warning) String() string { return w.Message }

// WarningKind is what a [Warning] is about.
type WarningKind string

// What a warning is about.
const (
	// WarnNoLock: there is no lock, so several callers at once may each start an epmd, of which
	// one remains.
	WarnNoLock WarningKind = "no-lock"

	// WarnNoLog: what the daemon prints is not kept.
	WarnNoLog WarningKind = "no-log"

	// WarnNoDirectory: there is neither, for no directory can be used.
	WarnNoDirectory WarningKind = "no-directory"

	// WarnDirectory: lock and log are not in the usual directory, for another user can change it.
	// Callers that use another one have another lock.
	WarnDirectory WarningKind = "directory"

	// WarnEnds: the daemon ends with the service, or with the login, of this process.
	WarnEnds WarningKind = "ends"

	// WarnExposed: an epmd that was to be local listens on an address that other hosts may reach,
	// or this cannot be determined.
	WarnExposed WarningKind = "exposed"
)

// Epmd makes sure that an epmd answers at the endpoint that c means. Every error is an *[Error].
func Epmd(ctx context.Context, c Config) (res Result, err error) {
	err = c.run(ctx, true, &res)
	return res, err
}

// Probe asks whether an epmd answers at the endpoint that c means, and starts none: its error is of
// [KindDown] when nothing listens there. Every error is an *[Error].
func Probe(ctx context.Context, c Config) (res Result, err error) {
	err = c.run(ctx, false, &res)
	return res, err
}

// run takes and fills in by pointer: with copies in each frame, the stack would have to grow before
// main has done a thing.
func (c *Config) run(ctx context.Context, mayStart bool, res *Result) error {
	begin := time.Now()
	end := begin.Add(cmp.Or(c.Timeout, DefaultTimeout))
	one := call{until: until{ctx, end}, waiting: c.Waiting, begin: begin}
	err := c.resolve(&res.Endpoint)
	if err != nil {
		return err
	}
	one.endpoint = &res.Endpoint
	if runtime.GOOS != "linux" { // there a probe has timers anyway
		defer one.sayInTime()()
	}
	res.patience = cmp.Or(c.ProbeTimeout, DefaultProbeTimeout)
	res.Address, err = probe(&one, &res.Endpoint, res.patience)
	if err != nil && err.Kind == KindDown && mayStart {
		err = c.startInTime(&one, res)
	}
	if err == nil && c.Local {
		res.warnIfExposed(&one)
	}
	res.Elapsed = time.Since(begin)
	if err != nil {
		return err
	}
	return nil // not err, which as an error would be a nil *Error
}

func (r *Result) warn(kind WarningKind, format string, args ...any) {
	// an error of several has a line for each
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	r.Warnings = append(r.Warnings, Warning{kind, shell.Line(text)})
}

// Find returns the epmd that [Epmd] would start, an absolute path. The error is an *[Error] of
// [KindNotFound] or [KindSpawn], or that of the context's end.
//
// As root it is one that root alone can change, with every directory and link on the way, unless
// Program names it.
func (c Config) Find(ctx context.Context) (string, error) {
	path, err := c.find(ctx)
	if err != nil {
		return "", err
	}
	return path, nil
}

func (c *Config) find(ctx context.Context) (string, *Error) {
	path, err := locate.Epmd(ctx, c.Program, c.ReleaseRoot)
	if err == nil {
		return path, nil
	}
	e := &Error{Kind: KindSpawn, Err: err}
	if no := new(locate.Error); errors.As(err, &no) {
		e.Err, e.Hint = no.Err, no.Hint
		if no.Missing {
			e.Kind = KindNotFound
		}
	}
	if end := ended(ctx); end != nil && errors.Is(err, end) {
		e.Kind = endKind(end)
	}
	return "", e
}
