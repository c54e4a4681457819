package owner

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func follow(port uint16) *Followed {
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
		// a pidfd is ready to be read once the process has ended; until then the runtime's poller
		// waits
		err := conn.Read(func(fd uintptr) bool {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return n == 1 && err == nil
		})
		if err == nil {
			close(gone)
		}
	}()
	resume := func() (err error) {
		cerr := conn.Control(func(fd uintptr) {
			err = unix.PidfdSendSignal(int(fd), unix.SIGCONT, nil, 0)
		})
		return errors.Join(cerr, err)
	}
	return &Followed{Process: p, Gone: gone, Close: f.Close, resume: resume}
}
