package owner

import (
	"bufio"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lookFor bounds a look into every process of the host that has no context: some milliseconds are
// enough for a thousand of them.
const lookFor = 250 * time.Millisecond

func ofPort(port uint16) (Process, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), lookFor)
	defer cancel()
	p, ok := ofSockets(ctx, listening(port))[port]
	return p, ok
}

func hasPort(pid int, port uint16) (has bool) {
	sockets := byInode(listening(port))
	if len(sockets) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookFor)
	defer cancel()
	eachSocket(ctx, pid, maxDescriptors, func(inode uint32) bool {
		_, has = sockets[inode]
		return !has
	})
	return has
}

// ofLock looks the file up in the kernel's table of locks, proc_locks(5).
func ofLock(path string) (Process, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return Process{}, false
	}
	inode := ":" + strconv.FormatUint(info.Sys().(*syscall.Stat_t).Ino, 10)
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return Process{}, false
	}
	defer locks.Close()
	lines := bufio.NewScanner(io.LimitReader(locks, maxTable))
	for lines.Scan() {
		// 1: FLOCK ADVISORY WRITE pid major:minor:inode start end; "1: -> FLOCK …" is one that
		// waits
		f := strings.Fields(lines.Text())
		if len(f) == 8 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
				return named(pid), true
			}
		}
	}
	return Process{}, false
}

func session(pid int) int {
	sid, _ := unix.Getsid(pid)
	return sid
}

func named(pid int) Process {
	return Process{PID: pid, Name: strings.TrimSpace(string(read(pid, "comm", maxName)))}
}
