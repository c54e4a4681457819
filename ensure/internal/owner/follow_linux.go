package owner

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func follow(port int) *Followed {
	p, ok := ofPort(port)
	if !ok {
		return nil
	}
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK)
	if err != nil { // before Linux 5.10
		return nil
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	conn, err := f.SyscallConn()
	if err != nil || !hasPort(p.PID, port) { // it is not the pid of another by now
		f.Close()
		return nil
	}
	gone := make(chan struct{})
	go func() {
		// a pidfd is ready to be read once the process has ended; until then the runtime's poller waits
		err := conn.Read(func(fd uintptr) bool {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return n == 1 && err == nil
		})
		if err == nil {
			close(gone)
		}
	}()
	return &Followed{Process: p, Gone: gone, Close: f.Close}
}

// wake is called every second or so: package os would have the runtime's poller take the file, and let it go again.
func wake(pid int) bool {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/stat", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var stat [64]byte // pid (name) state …; a name has 15 characters at most
	n, _ := unix.Read(fd, stat[:])
	_, after, _ := bytes.Cut(stat[:max(n, 0)], []byte(") "))
	// T is stopped by a signal; t, by a debugger, is left to it
	return bytes.HasPrefix(after, []byte("T ")) && unix.Kill(pid, unix.SIGCONT) == nil
}
