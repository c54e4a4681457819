package testenv

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// Stat returns fields of /proc/PID/stat from the state on: state, ppid, pgrp, session, …
func Stat(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ")
	return strings.Fields(after)
}

// Signal sends a signal to a daemon that the test started. (0, the PID of none, would mean the test
// and who started it.)
func Signal(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if pid <= 0 {
		t.Fatal("the test did not start the epmd that it found")
	}
	syscall.Kill(pid, sig)
}
