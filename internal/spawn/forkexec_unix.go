//go:build unix

package spawn

import (
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Go marks each descriptor that it opens close-on-exec. What this process inherited (a shell's
// `exec 9>lock`, a CI runner's pipe) bears no mark and would go on into the daemon, which would
// hold it open for good. It must not be closed or marked here: the program that is launched
// afterwards may want it (sd_listen_fds(3)), and another goroutine may use its number for something
// else at any moment. So it is closed in the child, between fork and exec.

// forkExec is syscall.ForkExec with a child that gets attr.Files and no other descriptor. (What C
// code in this process opens unmarked, in that very moment, would go on.)
func forkExec(path string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
	const closed = ^uintptr(0) // for syscall.ForkExec
	own := *attr
	last := lastInherited()
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && uint64(last)+3 > uint64(limit.Cur) {
		return 0, syscall.EMFILE // the child needs one or two above it
	}
	if n := last + 1 - len(own.Files); n > 0 {
		own.Files = slices.Concat(own.Files, slices.Repeat([]uintptr{closed}, n))
	}
	return syscall.ForkExec(path, args, &own)
}

// lastInherited returns the highest descriptor that a child would get, 2 if it gets only the
// standard ones.
func lastInherited() int {
	last := 2
	look := func(fd int) {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			last = max(last, fd)
		}
	}
	if entries, err := os.ReadDir("/dev/fd"); err == nil {
		for _, e := range entries {
			if fd, err := strconv.Atoi(e.Name()); err == nil {
				look(fd)
			}
		}
		return last
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		for fd := 3; fd < int(min(limit.Cur, 1<<16)); fd++ {
			look(fd)
		}
	}
	return last
}
