package main

import (
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
// which act for root, and tries to look into them, to trace them, and stops them. A line for each
// goes into the file.
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
			if strings.HasPrefix(string(comm), "attack") || strings.HasPrefix(string(comm), "beam.smp") {
				mine[dir] = true
				continue
			}
			pid, _ := strconv.Atoi(filepath.Base(dir))
			var got []string
			for _, name := range []string{"mem", "environ", "maps"} {
				f, err := os.Open(dir + "/" + name)
				if err != nil {
					continue
				}
				if name != "environ" {
					got = append(got, name)
				} else if text := make([]byte, 100); true {
					if n, _ := f.Read(text); n > 0 {
						got = append(got, fmt.Sprintf("environ %q", text[:n]))
					}
				}
				f.Close()
			}
			if links, err := os.ReadDir(dir + "/fd"); err == nil {
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
