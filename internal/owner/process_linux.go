package owner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is read of a process at most. Its own process decides what most of these files hold.
const (
	maxName   = 64       // comm has 15 characters
	maxStat   = 1 << 12  // stat
	maxStatus = 1 << 16  // status, which lists the groups
	maxArgs   = 1 << 17  // cmdline; the kernel's own limit of one argument
	maxWords  = 1 << 12  // arguments, each of which may be empty
	maxEnv    = 1 << 20  // environ
	maxTable  = 32 << 20 // of the kernel's own tables, which are read line by line
)

// read returns the beginning of a file of /proc/PID, at most that long. It is empty where it cannot
// be read.
func read(pid int, name string, most int) []byte {
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return nil
	}
	return readAll(f, most)
}

// readAll reads the beginning of a file and closes it.
func readAll(f *os.File, most int) []byte {
	defer f.Close()
	text := make([]byte, 0, min(most, 1<<12))
	for len(text) < most {
		n, err := f.Read(text[len(text):min(cap(text), most)])
		if text = text[:len(text)+n]; err != nil {
			break
		}
		if len(text) == cap(text) {
			text = slices.Grow(text, min(len(text), most-len(text)))
		}
	}
	return text
}

// ids are the users and groups of a process, from /proc/PID/status: real, effective, saved and file
// system's.
type ids struct {
	uid, gid [4]int
	groups   []int
}

// isOne reports whether all of the four are the same user.
func (i ids) isOne() bool {
	return i.uid[0] == i.uid[1] && i.uid[1] == i.uid[2] && i.uid[2] == i.uid[3]
}

// parseIDs reads the text of a status file. Its first line holds the process's own name, in which
// the kernel escapes a line end.
func parseIDs(text string) (i ids, ok bool) {
	four := func(f []string, to *[4]int) bool {
		for n := range to {
			if len(f) != len(to) {
				return false
			}
			id, err := strconv.Atoi(f[n])
			if err != nil {
				return false
			}
			to[n] = id
		}
		return true
	}
	var uids, gids, groups bool
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		switch f := strings.Fields(rest); key {
		case "Uid":
			uids = four(f, &i.uid)
		case "Gid":
			gids = four(f, &i.gid)
		case "Groups":
			groups = strings.HasSuffix(line, "\n")
			for _, s := range f {
				id, err := strconv.Atoi(s)
				groups = groups && err == nil
				i.groups = append(i.groups, id)
			}
		}
	}
	return i, uids && gids && groups
}

// stat returns the fields of /proc/PID/stat from the state on, which is number 3 there, see
// proc_pid_stat(5).
func stat(pid int) []string {
	text := read(pid, "stat", maxStat)
	// before it is the name, with whatever in it
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
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
	boot, err := booted()
	if len(f) < 20 || err != nil {
		return time.Time{}
	}
	ticks, err := strconv.ParseInt(f[19], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(boot, 0).Add(time.Duration(ticks) * time.Second / perSecond)
}

func deleted(pid int) string {
	const mark = " (deleted)" // proc_pid_exe(5)
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	gone, is := strings.CutSuffix(path, mark)
	if err != nil || !is {
		return ""
	}
	if _, err := os.Lstat(path); err == nil { // a file may be called so
		return ""
	}
	return gone
}

func defuncts(ctx context.Context, name string) (found []Defunct) {
	const most = 1000
	for pid := range pids(ctx) {
		p := named(pid)
		if p.Name != name {
			continue
		}
		f := stat(pid)
		if len(f) < 2 || f[0] != "Z" {
			continue
		}
		uid, _ := userOf(pid)
		parent, _ := strconv.Atoi(f[1])
		if found = append(found, Defunct{p, uid, named(parent)}); len(found) == most {
			break
		}
	}
	return found
}

// stopped is asked every second or so by a watch. "t", stopped by a debugger, is another state.
func stopped(pid int) bool {
	f := stat(pid)
	return len(f) > 0 && f[0] == "T"
}

func hasTerminal(pid int) bool {
	f := stat(pid)
	return len(f) > 4 && f[4] != "0"
}

// booted returns when the kernel started, in seconds of Unix time.
func booted() (int64, error) {
	file, err := os.Open("/proc/stat")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, maxTable))
	lines.Buffer(nil, 1<<20) // the line of interrupts
	for lines.Scan() {
		if text, is := strings.CutPrefix(lines.Text(), "btime "); is {
			return strconv.ParseInt(text, 10, 64)
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("/proc/stat has no btime"))
}
