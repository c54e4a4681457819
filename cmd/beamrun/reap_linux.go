package main

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reapStrangers waits, as PID 1 has to, for processes that others left behind: an epmd that a node
// or `docker exec` started, for one. Our own children are left to those that wait for them already,
// and get their end at once; what is still there after a tenth of a second is a stranger.
func reapStrangers() {
	for {
		// siginfo_t, with the padding that its union needs
		var info struct {
			signo, errno, code int32
			union              [0]uintptr
			pid                int32
			_                  [112]byte
		}
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)),
			unix.WEXITED|unix.WNOWAIT, nil)
		time.Sleep(100 * time.Millisecond)
		if err == nil { // else there is no child, or not yet
			unix.Wait4(int(info.pid), nil, unix.WNOHANG, nil)
		}
	}
}
