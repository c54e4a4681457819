package ensure

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// forkExec is syscall.ForkExec with a child that gets attr.Files and no other descriptor.
//
// The fork happens on a thread with a descriptor table of its own, a copy in which everything is marked close-on-exec
// (close_range(2), Linux 5.11): the process and its other threads see nothing of it.
func forkExec(path string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
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
