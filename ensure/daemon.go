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
	"time"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/spawn"
	"github.com/beamrun/beamrun/internal/statedir"
)

// daemon is an epmd that we started and that does not answer yet.
type daemon struct {
	program string
	proc    *spawn.Process
	log     string // path of what it writes to stderr; empty when there is no folder for it
	from    int64  // where that begins, after what daemons before it wrote
	missed  bool   // it ended as one that found the port taken, and nobody was seen to have the port afterwards
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
			res.warn("no log of epmd: %v", err)
		} else {
			stderr.Close()
			stderr, d.log, d.from = log, log.Name(), size
		}
	}
	d.proc, err = spawn.Start(program, append([]string{"epmd"}, epmdArgs(e)...), spawn.Env(), stderr)
	return d, err
}

// epmdArgs are epmd's arguments for its foreground mode.
func epmdArgs(e Endpoint) []string {
	args := []string{"-port", strconv.Itoa(e.Port)}
	if len(e.Addresses) > 0 {
		args = append(args, "-address", e.list())
	}
	return args
}

// maxLog is how many bytes of earlier daemons the log may hold, some hundred lines.
const maxLog = 1 << 14

// openLog opens the daemon's log to append to it, or makes it, and returns its size. One that has grown is emptied: not each
// time, for on a disk that takes a quarter of a millisecond.
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

// awaitReady waits until an epmd answers at the endpoint, this one or another that was faster. When none does, ours
// does not stay either.
func (d *daemon) awaitReady(ctx context.Context, e Endpoint, patience time.Duration) (addr netip.AddrPort, err *Error) {
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
		err.Err = fmt.Errorf("the epmd that was started did not answer in time, was ended, and %s: %w", what, err.Err)
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

// lost says, once an epmd answers, that it is another one: ours, a moment behind, finds the port taken and ends.
func (d *daemon) lost(port int) bool {
	if owner.HasPort(d.proc.PID, port) {
		return false
	}
	if p, ok := owner.OfPortSoon(port); ok {
		return p.Session() != d.proc.PID // a script around epmd does not listen itself, and does not end
	}
	select { // another user's, or nobody tells
	case <-d.proc.Exited:
		return true
	case <-time.After(200 * time.Millisecond):
		return false
	}
}

// death is the error for a daemon that ended before it answered. An epmd that finds the port taken ends with status 0 and prints
// nothing (its EADDRINUSE).
func (d *daemon) death(e Endpoint) *Error {
	text, what := d.printed()
	err := &Error{Kind: KindSpawn, Endpoint: e, Err: fmt.Errorf("it ended with %s and %s", d.proc.Status, what)}
	if !d.proc.OK || text != "" {
		return err
	}
	p, known := owner.OfPortSoon(e.Port)
	switch {
	case known && p.Name != "epmd":
		err.Kind, err.Hint = KindForeign, foreignHint
		err.Err = fmt.Errorf("%v has the port on another address, and epmd needs it on all of its own: %w", p, err.Err)
	case !known && len(owner.Listening(e.Port)) == 0:
		d.missed = true
		if runtime.GOOS == "linux" { // else nobody is ever seen to listen
			err.Err = fmt.Errorf("%w, as epmd does where it finds the port taken, but nobody is seen to have the port now", err.Err)
			err.Hint = "it may be no epmd; see: " + shell.New("ls", "-lL").Path(d.program).String()
			break
		}
		fallthrough
	default:
		err.Hint = "another program may have the port on another address; see: " + listenersOn(e.Port)
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
		return "", "printed nothing"
	}
	text = string(bytes.ReplaceAll(output, []byte("\n"), []byte("; ")))
	return text, "printed: " + text
}
