package owner

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// stat returns the fields of /proc/PID/stat from the state on, which is number 3 there, see proc_pid_stat(5).
func stat(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // before it is the name, with whatever in it
}

func birth(pid int) string {
	if f := stat(pid); len(f) > 19 && f[0] != "Z" && f[0] != "X" {
		return f[19]
	}
	return ""
}

func since(pid int) time.Time {
	const perSecond = 100 // USER_HZ, the same on all that Go runs on
	f := stat(pid)
	text, _ := os.ReadFile("/proc/stat")
	_, after, _ := strings.Cut(string(text), "\nbtime ")
	line, _, _ := strings.Cut(after, "\n")
	boot, err := strconv.ParseInt(line, 10, 64)
	if len(f) < 20 || err != nil {
		return time.Time{}
	}
	ticks, err := strconv.ParseInt(f[19], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(boot, 0).Add(time.Duration(ticks) * time.Second / perSecond)
}

func stopped(pid int) bool {
	f := stat(pid)
	return len(f) > 0 && f[0] == "T"
}

func hasTerminal(pid int) bool {
	f := stat(pid)
	return len(f) > 4 && f[4] != "0"
}
