package ensure

import (
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// forkExec is syscall.ForkExec with a child that gets attr.Files and no other descriptor.
//
// The fork happens on a thread with a descriptor table of its own, a copy in which everything is marked close-on-exec
// (close_range(2), Linux 5.11): the process and its other threads see nothing of it. Where nothing is inherited it needs none of
// that: Go marks what it opens as it opens it. (What C code in this process opens unmarked, in that very moment, would go on.)
func forkExec(path string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
	if !inherited() { // else it takes a third of a millisecond more, and three more threads
		return syscall.ForkExec(path, args, attr)
	}
	marked := true
	onOwnThread(func() {
		if unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_UNSHARE|unix.CLOSE_RANGE_CLOEXEC) != nil {
			marked = false // an older kernel, or a seccomp filter of that age
			return
		}
		pid, err = syscall.ForkExec(path, args, attr)
	})
	if !marked {
		return forkExecMarked(path, args, attr)
	}
	return pid, err
}

// inherited says whether there may be a descriptor that a child would get: one that is not marked close-on-exec.
func inherited() bool {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return true
	}
	return slices.ContainsFunc(fds, func(entry fs.DirEntry) bool {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd < 3 {
			return err != nil
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil && flags&unix.FD_CLOEXEC == 0
	})
}

// onOwnThread runs f on a thread that ends with it.
func onOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: so the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// only the main thread would stay; while it is ours, another goroutine can't be on it
			onOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}
