package epmdless

import (
	"os"
	"strconv"
	"strings"
)

// here says where a pid of ours means the process that it does: the boot of the kernel, and the pid
// namespace.
func here() (boot, space string) {
	self, _ := os.Readlink("/proc/self")
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if self != strconv.Itoa(os.Getpid()) || err != nil { // then /proc is another namespace's
		return unknown, unknown
	}
	if space, err = os.Readlink("/proc/self/ns/pid"); err != nil {
		return unknown, unknown
	}
	return strings.TrimSpace(string(id)), space
}

// network is the network namespace, for a file's name.
func network() string {
	link, _ := os.Readlink("/proc/self/ns/net") // net:[4026531840]
	_, id, _ := strings.Cut(strings.TrimSuffix(link, "]"), "[")
	return "-" + id
}
