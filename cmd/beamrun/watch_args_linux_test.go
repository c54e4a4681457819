package main

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/beamrun/beamrun/internal/testenv"
)

// sighting is what a process had as its arguments, one text for each time that they changed, and
// how often they were read.
type sighting struct {
	args  []string
	reads int
}

// sightings are those of the processes of the machine, by their pids.
type sightings map[string]*sighting

// watchArgs reads the arguments of each process that starts, as fast as it can, until stop is
// called.
func watchArgs() (stop func() sightings) {
	var done atomic.Bool
	old := map[string]bool{}
	for _, pid := range pids() {
		old[pid] = true
	}
	seen := sightings{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for !done.Load() {
			for _, pid := range pids() {
				if old[pid] {
					continue
				}
				args := testenv.ReadStart("/proc/" + pid + "/cmdline")
				if len(args) == 0 { // it ended
					continue
				}
				s := seen[pid]
				if s == nil {
					s = &sighting{}
					seen[pid] = s
				}
				s.reads++
				if n := len(s.args); n == 0 || s.args[n-1] != string(args) {
					s.args = append(s.args, string(args))
				}
			}
		}
	})
	return func() sightings {
		done.Store(true)
		wg.Wait()
		return seen
	}
}

func pids() (pids []string) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		if name[0] >= '0' && name[0] <= '9' {
			pids = append(pids, name)
		}
	}
	return pids
}

// with are the processes that had one of the words in an argument.
func (s sightings) with(words ...string) sightings {
	found := sightings{}
	for pid, one := range s {
		for _, args := range one.args {
			for _, w := range words {
				if strings.Contains(args, w) {
					found[pid] = one
				}
			}
		}
	}
	return found
}

// of counts them.
func (s sightings) of(words ...string) int { return len(s.with(words...)) }

// reads counts how often arguments were read.
func (s sightings) reads() (n int) {
	for _, one := range s {
		n += one.reads
	}
	return n
}
