package ensure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/gofrs/flock"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/parse"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/spawn"
	"github.com/beamrun/beamrun/internal/statedir"
)

// startInTime is start with the timers that the probe before it did without.
func (c *Config) startInTime(one *call, res *Result) *Error {
	ctx, cancel := context.WithDeadline(one.Context, one.end)
	defer cancel()
	defer one.sayInTime()()
	return c.start(ctx, res)
}

// start starts the daemon, behind the lock where one can be had.
func (c *Config) start(ctx context.Context, res *Result) (err *Error) {
	e := res.Endpoint
	detach, err := c.detach()
	if err != nil {
		return err
	}
	program, err := c.find(ctx)
	if err != nil {
		err.Endpoint = e
		return err
	}
	dir, unsafe, dirErr := statedir.Dir()
	if dirErr != nil {
		res.warn(WarnNoDirectory,
			"no lock and no log of epmd, for there is no directory for them: %v", dirErr)
	} else {
		if len(unsafe) > 0 {
			res.warn(WarnDirectory, "the lock and the log of epmd are in %s, and not where"+
				" another user can change them: %v", dir, errors.Join(unsafe...))
		}
		lock := lockFile(dir, e.Port)
		defer lock.Unlock()
		if up, err := acquire(ctx, lock, res); up || err != nil {
			return err
		}
	}
	// somebody may have been faster
	if res.Address, err = probe(ctx, &e, res.patience); err == nil || err.Kind != KindDown {
		return err
	}
	var mortal string
	if detach != DetachSession {
		var done bool
		done, mortal, err = c.startUnit(ctx, detach == DetachSystemd, program, res)
		if done || err != nil {
			return err
		}
	}
	d, err := c.spawnReady(ctx, program, dir, res)
	// Another user's epmd may have had the port, and have ended since. Or a probe had it: its
	// socket met itself, as happens where the port is also an ephemeral one.
	for tries := 0; tries < 3 && err != nil && d != nil && d.missed; tries++ {
		d, err = c.spawnReady(ctx, program, dir, res)
	}
	if err != nil {
		return err
	}
	if d.lost(e.Port) {
		return nil // it found the port taken: another user's epmd was faster and answers
	}
	res.Started, res.PID, res.Program, res.Detach = true, d.proc.PID, program, "session"
	if mortal != "" {
		res.warn(WarnEnds, "%s", mortal)
	}
	return nil
}

// spawnReady starts the daemon and waits until an epmd answers. It returns nil for a daemon that
// could not be started.
func (c *Config) spawnReady(
	ctx context.Context, program, dir string, res *Result,
) (*daemon, *Error) {
	e := res.Endpoint
	d, spawnErr := spawnDaemon(program, e, dir, res)
	if spawnErr != nil {
		hint := spawn.Hint(program, spawnErr)
		return nil, &Error{Kind: KindSpawn, Endpoint: e, Err: spawnErr, Hint: hint}
	}
	var err *Error
	res.Address, err = d.awaitReady(ctx, e, res.patience)
	return d, err
}

// lockFile returns the lock of this user's starters, flock(2) on a file in dir. It is per port,
// whatever the addresses: epmd always listens on loopback too, so two of them with one port exclude
// each other anyway.
//
// The lock is advisory; only the bind guarantees a single epmd. A crash leaves no lock behind. The
// file is never deleted, for whoever waits for it would hold a lock on nothing. Callers without a
// lock still end with one epmd, only after more forks.
func lockFile(dir string, port uint16) *flock.Flock {
	return flock.New(filepath.Join(dir, statedir.LockName(port)),
		flock.SetFlag(os.O_CREATE|os.O_RDWR|safepath.OpenFlags), flock.SetPermissions(0o600))
}

// acquire waits until the lock is held, or there can be none, or somebody's epmd answers: then it
// is up and nothing is left to do.
func acquire(ctx context.Context, lock *flock.Flock, res *Result) (up bool, err *Error) {
	e := res.Endpoint
	err = poll(ctx, func() *Error {
		held, err := lock.TryLock()
		if err != nil {
			res.warn(WarnNoLock,
				"no lock, so several starters at once may each fork an epmd: %v", err)
			return nil
		}
		if held {
			return nil
		}
		addr, perr := probe(ctx, &e, res.patience)
		if perr == nil {
			up, res.Address = true, addr
		}
		return perr
	})
	if err != nil && err.Kind == KindTimeout {
		who := "another process"
		find := shell.New("fuser", "-v").Path(lock.Path())
		err.Hint = "it may be stopped; find it: " + find.String()
		if p, ok := owner.OfLock(lock.Path()); ok {
			who = p.String()
			err.Hint = stoppedHint(p)
		}
		err.Err = fmt.Errorf("%s holds the lock %s: %w", who, lock.Path(), err.Err)
	}
	return up, err
}

// daemon is an epmd that we started and that does not answer yet.
type daemon struct {
	program string
	proc    *spawn.Process
	log     string // path of what it writes to stderr; empty if there is none
	from    int64  // where that begins, after what daemons before it wrote
	missed  bool   // it found the port taken, and nobody was seen to have the port afterwards
}

// spawnDaemon starts epmd in its foreground mode, see the package comment.
func spawnDaemon(program string, e Endpoint, dir string, res *Result) (*daemon, error) {
	d := &daemon{program: program}
	stderr, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { stderr.Close() }()
	if dir != "" {
		log, size, err := openLog(filepath.Join(dir, statedir.LogName(e.Port)))
		if err != nil {
			res.warn(WarnNoLog, "no log of epmd: %v", err)
		} else {
			stderr.Close()
			stderr, d.log, d.from = log, log.Name(), size
		}
	}
	args := append([]string{"epmd"}, epmdArgs(e)...)
	d.proc, err = spawn.Start(program, args, spawn.Env(), stderr)
	return d, err
}

// epmdArgs are epmd's arguments for its foreground mode.
func epmdArgs(e Endpoint) []string {
	args := []string{"-port", strconv.Itoa(int(e.Port))}
	if len(e.Addresses) > 0 {
		args = append(args, "-address", parse.Join(e.Addresses))
	}
	return args
}

// maxLog is how many bytes of earlier daemons the log may hold, some hundred lines.
const maxLog = 1 << 14

// openLog opens the daemon's log to append to it, or makes it, and returns its size. One that has
// grown is emptied: not each time, for on a disk that takes a quarter of a millisecond.
func openLog(path string) (log *os.File, size int64, err error) {
	log, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|safepath.OpenFlags, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := log.Stat()
	if err != nil || !info.Mode().IsRegular() {
		log.Close()
		return nil, 0, errors.Join(err, fmt.Errorf("%s is no regular file", path))
	}
	if info.Size() <= maxLog {
		return log, info.Size(), nil
	}
	if err := log.Truncate(0); err != nil {
		log.Close()
		return nil, 0, err
	}
	return log, 0, nil
}

// awaitReady waits until an epmd answers at the endpoint, this one or another that was faster. When
// none does, ours does not stay either.
func (d *daemon) awaitReady(
	ctx context.Context, e Endpoint, patience time.Duration,
) (addr netip.AddrPort, err *Error) {
	err = poll(ctx, func() (err *Error) {
		gone := d.gone() // before the probe: what it does after its end counts no more
		addr, err = probe(ctx, &e, patience)
		if err != nil && err.Kind == KindDown && gone {
			return d.death(e)
		}
		return err
	})
	if err == nil || d.gone() {
		return addr, err
	}
	// Others may have found it by now, so it is only ended if it still does not answer.
	if addr, late := probe(context.WithoutCancel(ctx), &e, 50*time.Millisecond); late == nil {
		return addr, nil
	}
	d.proc.Kill()
	if err.Kind == KindTimeout {
		_, what := d.printed()
		err.Err = fmt.Errorf("the epmd that was started did not answer in time, was ended,"+
			" and %s: %w", what, err.Err)
	}
	return addr, err
}

func (d *daemon) gone() bool {
	select {
	case <-d.proc.Exited:
		return true
	default:
		return false
	}
}

// lost reports, once an epmd answers, whether it is another one: ours, a moment behind, finds the
// port taken and ends.
func (d *daemon) lost(port uint16) bool {
	if owner.HasPort(d.proc.PID, port) {
		return false
	}
	if p, ok := owner.OfPortSoon(port); ok {
		// a script around epmd does not listen itself, and does not end
		return p.Session() != d.proc.PID
	}
	select { // another user's, or it cannot be determined
	case <-d.proc.Exited:
		return true
	case <-time.After(200 * time.Millisecond):
		return false
	}
}

// death is the error for a daemon that ended before it answered. An epmd that finds the port taken
// ends with status 0 and prints nothing (its EADDRINUSE).
func (d *daemon) death(e Endpoint) *Error {
	text, what := d.printed()
	err := &Error{Kind: KindSpawn, Endpoint: e}
	err.Err = fmt.Errorf("it ended with %s and %s", d.proc.Status, what)
	if !d.proc.OK || text != "" {
		return err
	}
	p, known := owner.OfPortSoon(e.Port)
	switch {
	case known && p.Name != "epmd":
		err.Kind, err.Hint = KindForeign, foreignHint
		err.Err = fmt.Errorf("%v has the port on another address, and epmd needs it on all of"+
			" its own: %w", p, err.Err)
	case !known && len(owner.Listening(e.Port)) == 0:
		d.missed = true
		if runtime.GOOS == "linux" { // else nobody is ever seen to listen
			err.Err = fmt.Errorf("%w, as epmd does where it finds the port taken,"+
				" but nobody is seen to have the port now", err.Err)
			err.Hint = "it may be no epmd; see: " + shell.New("ls", "-lL").Path(d.program).String()
			break
		}
		fallthrough
	default:
		err.Hint = "another program may have the port on another address; see: " +
			listenersOn(e.Port)
	}
	return err
}

// printed returns what the daemon printed, the end of it, and that in words.
func (d *daemon) printed() (text, what string) {
	const most = 2048
	if d.log == "" { // there is no log, and a warning says why
		return "", "its output was not kept"
	}
	f, err := os.Open(d.log)
	if err != nil {
		return "", "its output could not be read: " + err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		f.Seek(max(d.from, info.Size()-most), io.SeekStart)
	}
	output, _ := io.ReadAll(io.LimitReader(f, most))
	if output = bytes.TrimSpace(output); len(output) == 0 {
		if err := takesMore(d.log); err != nil {
			return "", "its output could not be kept: " + err.Error()
		}
		return "", "printed nothing"
	}
	text = string(bytes.ReplaceAll(output, []byte("\n"), []byte("; ")))
	return text, "printed: " + text
}

// takesMore returns an error if the log takes no byte, as on a full disk. Then an empty log does
// not show that the daemon printed nothing.
func takesMore(path string) error {
	log, size, err := openLog(path)
	if err != nil {
		return err
	}
	defer log.Close()
	if size >= spawn.SizeLimit() { // the write would end this process
		return &os.PathError{Op: "write", Path: path, Err: syscall.EFBIG}
	}
	_, err = log.WriteString("\n")
	return err
}

// Between two tries we wait for half a millisecond at first (epmd needs about two to start), then
// longer and longer, give or take a half, lest a hundred callers come in step.
const (
	firstWait = 500 * time.Microsecond
	maxWait   = 20 * time.Millisecond
)

// poll calls try until it returns anything but an error of KindDown, or until the context ends.
// Then its error is of KindTimeout or KindCanceled and carries both causes, the context's and the
// last answer: backoff alone would keep the context's only.
func poll(ctx context.Context, try func() *Error) (last *Error) {
	waits := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstWait),
		backoff.WithMaxInterval(maxWait), backoff.WithMaxElapsedTime(0))
	var down *Error
	_ = backoff.Retry(func() error {
		if last = try(); last == nil || last.Kind != KindDown {
			return nil
		}
		down = last
		return last
	}, backoff.WithContext(waits, ctx))
	err := ended(ctx)
	if err != nil && down != nil && last != nil && (last.Kind == KindDown || errors.Is(last, err)) {
		both := fmt.Errorf("%w: %w", err, down.Err)
		return &Error{Kind: endKind(err), Endpoint: down.Endpoint, Err: both}
	}
	return last
}

// ended is the context's error, also in the moment after its deadline when the context does not
// know yet.
func ended(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(end) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// endKind is the kind of error that a context's end means.
func endKind(err error) Kind {
	if err == context.Canceled {
		return KindCanceled
	}
	return KindTimeout
}
