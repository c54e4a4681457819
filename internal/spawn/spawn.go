// Package spawn starts a daemon: a program that outlives this process.
package spawn

import (
	"cmp"
	"os"
	"strings"

	"github.com/beamrun/beamrun/internal/safepath"
)

// Process is a daemon that was started.
type Process struct {
	PID    int
	Exited chan struct{} // closed at its end; the fields below are set then
	Status string
	OK     bool // it ended with status 0
}

// Env returns what epmd, or a script around it, needs to run. There is nothing else in it: the
// daemon outlives us, and a cookie or token that it inherits would too. As root there is nothing in
// it that leads to what another user can change.
func Env() []string {
	var env []string
	for _, key := range []string{"PATH", "HOME", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
		"SystemRoot", "ERL_EPMD_RELAXED_COMMAND_CHECK"} {
		value, ok := os.LookupEnv(key)
		if ok && os.Geteuid() == 0 {
			value, ok = forRoot(key, value)
		}
		if ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// forRoot returns what is left of a variable for root's daemon.
func forRoot(key, value string) (left string, ok bool) {
	switch key {
	case "PATH":
		return cmp.Or(safepath.Trusted(value, 0), safepath.SystemPath), true
	case "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH":
		left = safepath.Trusted(value, 0)
		return left, left != "" // an empty one would mean the current directory
	case "HOME":
		return value, safepath.Check(value, 0) == nil
	case "TZ": // may name a file
		isPath := strings.HasPrefix(strings.TrimPrefix(value, ":"), "/")
		return value, !strings.Contains(value, "..") && !isPath
	}
	return value, true
}
