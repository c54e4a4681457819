package owner

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func programs(match func(name string) bool) (found []Program) {
	var sockets map[string]Socket // when it is needed
	ours, _ := os.Readlink("/proc/self/ns/net")
	for _, pid := range pids() {
		p := named(pid)
		if !match(p.Name) {
			continue
		}
		dir := fmt.Sprintf("/proc/%d", pid)
		args := argsOf(pid)
		info, err := os.Stat(dir)
		if err != nil || args == nil { // it has ended
			continue
		}
		q := Program{Process: p, UID: int(info.Sys().(*syscall.Stat_t).Uid), Args: args}
		theirs, err := os.Readlink(dir + "/ns/net")
		q.Closed, q.Elsewhere = err != nil, err == nil && theirs != ours
		if !q.Closed && !q.Elsewhere {
			if sockets == nil {
				sockets = byInode(listening(0))
			}
			eachSocket(pid, func(link string) bool {
				if s, ok := sockets[link]; ok {
					q.Sockets = append(q.Sockets, s)
				}
				return true
			})
		}
		found = append(found, q)
	}
	return found
}

// argsOf returns the arguments of a process, nil after its end.
func argsOf(pid int) []string {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(cmdline) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
}

func byInode(sockets []Socket) map[string]Socket {
	m := make(map[string]Socket, len(sockets))
	for _, s := range sockets {
		m[s.inode] = s
	}
	return m
}

func ofSockets(sockets []Socket) map[uint16]Process {
	wanted, found := byInode(sockets), map[uint16]Process{}
	for _, pid := range pids() {
		if len(wanted) == 0 {
			break
		}
		var held []string
		eachSocket(pid, func(link string) bool {
			if _, ok := wanted[link]; ok {
				held = append(held, link)
			}
			return true
		})
		if len(held) == 0 {
			continue
		}
		p := named(pid)
		for _, link := range held {
			found[wanted[link].Addr.Port()] = p
			if p.Name != "systemd" { // see ofPort
				delete(wanted, link)
			}
		}
	}
	return found
}

// pids are those of all processes, the oldest first, or nearly so: of those that share a socket, it has made it.
func pids() (all []int) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// eachSocket calls f for each socket of the process, by its name in /proc/PID/fd, until f returns false. Another user's
// process shows none.
func eachSocket(pid int, f func(link string) bool) {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var link [64]byte
	for _, name := range names {
		n, err := unix.Readlinkat(int(dir.Fd()), name, link[:])
		if err == nil && bytes.HasPrefix(link[:n], []byte("socket:")) && !f(string(link[:n])) {
			return
		}
	}
}

func getenv(pid int, key string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	for v := range bytes.SplitSeq(text, []byte{0}) {
		if value, ok := bytes.CutPrefix(v, []byte(key+"=")); ok {
			return string(value)
		}
	}
	return ""
}

func pathOf(pid int, path string) string {
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil || ours == theirs {
		return path
	}
	return filepath.Join(fmt.Sprintf("/proc/%d/root", pid), path)
}
