package owner

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func ofPort(port int) (Process, bool) {
	sockets := inodes(port)
	if len(sockets) == 0 {
		return Process{}, false
	}
	var found Process
	for _, pid := range pids() {
		if hasOne(pid, sockets) {
			// a systemd that holds a socket for a service is not the one that answers, once that service runs
			if found = named(pid); found.Name != "systemd" {
				break
			}
		}
	}
	return found, found.PID != 0
}

func hasPort(pid, port int) bool { return hasOne(pid, inodes(port)) }

// hasOne says whether the process has one of the sockets open. Another user's processes don't show theirs.
func hasOne(pid int, sockets map[string]bool) (has bool) {
	eachSocket(pid, func(link string) bool {
		has = sockets[link]
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
	text, _ := os.ReadFile("/proc/locks")
	for line := range strings.Lines(string(text)) {
		// 1: FLOCK ADVISORY WRITE pid major:minor:inode start end; "1: -> FLOCK …" is one that waits
		f := strings.Fields(line)
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
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return Process{PID: pid, Name: strings.TrimSpace(string(comm))}
}
