//go:build attacks

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func init() { attacks["hunt"] = playHunt }

// playHunt is "hunt FILE READY": it looks for processes of mallory's that mallory has not started,
// which act for root. It tries to look into them and to trace them, and it stops them. A line for
// each goes into the file.
func playHunt(args []string) error {
	runtime.LockOSThread()
	mine := map[string]bool{}
	all := func() []string {
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		return dirs
	}
	for _, dir := range all() {
		mine[dir] = true
	}
	os.WriteFile(args[1], nil, 0o644)
	for {
		for _, dir := range all() {
			var info syscall.Stat_t
			if mine[dir] || syscall.Stat(dir, &info) != nil || info.Uid != mallory {
				continue
			}
			comm, _ := os.ReadFile(dir + "/comm")
			if strings.HasPrefix(string(comm), "attack") ||
				strings.HasPrefix(string(comm), "beam.smp") {
				mine[dir] = true
				continue
			}
			pid, _ := strconv.Atoi(filepath.Base(dir))
			var got []string
			// one that ends has no memory left, and lets its files be opened
			for _, name := range []string{"mem", "environ", "maps"} {
				f, err := os.Open(dir + "/" + name)
				if err != nil {
					continue
				}
				text := make([]byte, 100)
				n, err := f.ReadAt(text, 0)
				if n > 0 || errors.Is(err, syscall.EIO) { // nothing lies at address 0 of a memory
					got = append(got, fmt.Sprintf("%s %q", name, text[:n]))
				}
				f.Close()
			}
			if links, err := os.ReadDir(dir + "/fd"); err == nil && len(links) > 0 {
				got = append(got, fmt.Sprint(len(links), " descriptors"))
			}
			if syscall.PtraceAttach(pid) == nil {
				got = append(got, "ptrace")
			}
			stopped := syscall.Kill(pid, syscall.SIGSTOP) == nil
			writeDown(args[0], fmt.Sprintf("%s stopped %v got %q\n",
				strings.TrimSpace(string(comm)), stopped, got))
			mine[dir] = true
		}
		time.Sleep(200 * time.Microsecond)
	}
}
