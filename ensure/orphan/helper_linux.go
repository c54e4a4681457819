package orphan

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell"
)

// registerByHelper has a helper register another user's node. What the helper says is that user's
// word; that the name is there, the epmd says to this process too.
func (n Node) registerByHelper(ctx context.Context, addr netip.AddrPort, helper []string) *Problem {
	switch {
	case len(helper) == 0 || os.Geteuid() != 0:
		return n.notOurs()
	case n.vm.Unmapped:
		return n.problem(KindNamespace, "repair it there, in its container",
			"it runs in another user namespace, whose users have other numbers")
	}
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	text, err := json.Marshal(request{n.PID, n.birth, n.UID, n.Name, n.Addr, addr, left})
	if err != nil {
		return n.problem(KindRefused, "", "%w", err)
	}
	said, err := talk(ctx, helper, text)
	switch {
	case err != nil:
		return n.problem(KindRefused, "", "the helper that becomes uid %d: %w",
			n.UID, cmp.Or(ctx.Err(), err))
	case said.Kind == "":
		return n.registered(ctx, addr)
	case !slices.Contains(kinds, said.Kind):
		return n.problem(KindRefused, "", "the helper that became uid %d says %.40q",
			n.UID, said.Kind)
	}
	// its words, on one line; its hints are not for root
	return n.problem(said.Kind, "", "%s", clip(said.Text))
}

// talk starts a helper, tells it what to do, and returns what it says. It has no descriptor but its
// pipes, an empty environment, and can gain no rights by what it may start; it ends with this
// process. The context's end is not the helper's: one that waits for a file system of its user's
// (FUSE) can't even be killed.
func talk(ctx context.Context, helper []string, text []byte) (reply, error) {
	type result struct {
		said reply
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// The thread is never unlocked, so it ends with this goroutine: what is set here is
		// inherited by the helper, and by nothing else. It has to last as long as the helper, which
		// Pdeathsig would else end.
		runtime.LockOSThread()
		said, err := talkHere(ctx, helper, text)
		done <- result{said, err}
	}()
	select {
	case r := <-done:
		return r.said, r.err
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}

func talkHere(ctx context.Context, helper []string, text []byte) (said reply, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, helper[0], helper[1:]...)
	cmd.Args[0] = os.Args[0] // most often it is this very program
	cmd.Env, cmd.Dir, cmd.Stdin = []string{}, "/", bytes.NewReader(text)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 100 * time.Millisecond
	out, err := cmd.StdoutPipe()
	if err != nil {
		return said, err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return said, err
	}
	if err := cmd.Start(); err != nil {
		return said, err
	}
	err = readJSON(out, &said)
	cancel() // it has said what it had to say, or too much
	cmd.Wait()
	return said, err
}

// clip shortens a text of another user's to what a message may hold, on one line.
func clip(s string) string {
	const most = 400
	return shell.Line(s[:min(len(s), most)])
}

// Helper is the helper of [Node.RegisterItself]: it reads what to do from in, becomes the node's
// user for good, has the node register itself with that user's cookie, and says to out how that
// went. It is for a process that has done nothing yet and ends afterwards; only root may run it,
// and it is of use to nobody but RegisterItself.
func Helper(in io.Reader, out io.Writer) error {
	var r request
	if err := readJSON(in, &r); err != nil {
		return fmt.Errorf("orphan: what to do: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.Left)
	defer cancel()
	n := Node{Name: r.Name, Addr: r.Addr, PID: r.PID, UID: r.UID, birth: r.Birth}
	var failed *Problem
	if err := n.become(); err != nil {
		failed = n.problem(KindRefused, "", "the helper could not become uid %d: %w", r.UID, err)
	} else if err := n.RegisterItself(ctx, r.Epmd); err != nil {
		errors.As(err, &failed)
	}
	var said reply
	if failed != nil {
		said = reply{failed.Kind, failed.Err.Error()}
	}
	return json.NewEncoder(out).Encode(said)
}

// become gives this process the root directory, the groups and the user of the node's process, and
// takes all rights from it. There is no way back: what follows is done by that user, and can read
// what that user can read there.
func (n *Node) become() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can")
	}
	// With one of these bits set, a process that becomes another user keeps its rights.
	if bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0); err != nil || bits != 0 {
		return fmt.Errorf("securebits %#x: %w", bits, cmp.Or(err, errors.ErrUnsupported))
	}
	if err := closeInherited(); err != nil {
		return err
	}
	p := owner.Process{PID: n.PID}
	root, err := p.Root()
	if err != nil {
		return err
	}
	defer root.Close()
	from, err := p.Inspect()
	switch {
	case err != nil:
		return err
	// what was opened until now is of a process with this pid, and this is that process
	case n.birth == "" || p.Birth() != n.birth:
		return errors.New("the process has ended")
	case from.UID != n.UID || from.UID == 0:
		return fmt.Errorf("the process belongs to uid %d by now", from.UID)
	}
	n.from, n.vm.Args = from, from.Args
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"prctl", func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }},
		// of all threads, which share them
		{"fchdir", func() error { return unix.Fchdir(int(root.Fd())) }},
		{"chroot", func() error { return unix.Chroot(".") }},
		{"chdir", func() error { return unix.Chdir("/") }},
		// package syscall's change all threads, and with them go the capabilities
		{"setgroups", func() error { return syscall.Setgroups(from.Groups) }},
		{"setresgid", func() error { return syscall.Setresgid(from.GID, from.GID, from.GID) }},
		{"setresuid", func() error { return syscall.Setresuid(from.UID, from.UID, from.UID) }},
		{"prctl", func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }},
	} {
		if err := step.do(); err != nil {
			return os.NewSyscallError(step.what, err)
		}
	}
	return hasNoRights(from.UID)
}

// hasNoRights returns an error if this thread is not that user alone, or has a capability left.
func hasNoRights(uid int) error {
	real, effective, saved := unix.Getresuid()
	if real != uid || effective != uid || saved != uid {
		return fmt.Errorf("it is still uid %d, %d, %d", real, effective, saved)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	for _, c := range caps {
		if c.Effective|c.Permitted != 0 {
			return errors.New("it still has capabilities")
		}
	}
	return nil
}

// closeInherited closes what this process has got from others: a shell's descriptor of a file that
// only root may read, for one. The runtime's own are none of that kind.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < 3 {
			continue
		}
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:[event") {
			unix.Close(fd)
		}
	}
	return nil
}
