package listener

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// on looks the port up in the kernel's tables, proc_pid_net(5), then for the process that holds the socket's inode.
func on(port int) (Process, bool) {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, _ := os.ReadFile(table) // no tcp6 without IPv6
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st … uid timeout inode; an address is HEX:PORT, state 0A is LISTEN
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				sockets["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(sockets) == 0 {
		return Process{}, false
	}
	procs, _ := os.ReadDir("/proc")
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		fds, _ := os.ReadDir(filepath.Join("/proc", p.Name(), "fd"))
		for _, fd := range fds {
			target, _ := os.Readlink(filepath.Join("/proc", p.Name(), "fd", fd.Name()))
			if sockets[target] {
				comm, _ := os.ReadFile(filepath.Join("/proc", p.Name(), "comm"))
				return Process{PID: pid, Name: strings.TrimSpace(string(comm))}, true
			}
		}
	}
	return Process{}, false
}
