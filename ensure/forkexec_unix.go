//go:build unix

package ensure

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Go marks each descriptor that it opens close-on-exec. What this process inherited (a shell's `exec 9>lock`, a CI
// runner's pipe) bears no mark and would go on into the daemon, which would hold it open for good. It must not be
// closed either: the program that is launched afterwards may want it (sd_listen_fds(3)).

var marking sync.Mutex

// forkExecMarked marks the inherited descriptors close-on-exec for the time of the fork. A child that another
// goroutine starts in that moment lacks them too; where the system can, forkExec of Linux avoids that.
func forkExecMarked(path string, args []string, attr *syscall.ProcAttr) (int, error) {
	marking.Lock()
	defer marking.Unlock()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	for fd := range int(min(limit.Cur, 1<<16)) {
		if fd < 3 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags|unix.FD_CLOEXEC); err != nil {
			return 0, err
		}
		defer unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags)
	}
	return syscall.ForkExec(path, args, attr)
}
