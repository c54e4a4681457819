package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Service is a service of systemd.
type Service struct {
	Name string // app.service
	User string // the number of the user whose own manager runs it; empty: the system's does
}

// IsEpmds reports whether the service has no purpose but an epmd: the distribution's (epmd@.service
// in Fedora and openSUSE), or ours.
func (s Service) IsEpmds() bool {
	return s.Name == "epmd.service" || strings.HasPrefix(s.Name, "epmd@") ||
		strings.HasPrefix(s.Name, "beamrun-epmd-")
}

// IsUnit reports whether systemd could have a unit of that name, see systemd.unit(5). A text that
// comes from elsewhere, such as a cgroup's name, is a word for systemctl only if it is one.
func IsUnit(name string) bool {
	const allowed = `0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_.@-\`
	dot := strings.LastIndexByte(name, '.')
	return len(name) <= 255 && dot > 0 && dot < len(name)-1 && name[0] != '-' && name[0] != '.' &&
		strings.Trim(name, allowed) == ""
}

// Of returns the service that a process is in.
func Of(pid int) Service { return serviceOf(cgroupOf(pid)) }

// Session returns the login session that a process is in, session-2.scope, or "".
func Session(pid int) string {
	for _, group := range strings.Split(path(cgroupOf(pid)), "/") {
		isScope := strings.HasPrefix(group, "session-") && strings.HasSuffix(group, ".scope")
		if isScope && IsUnit(group) {
			return group
		}
	}
	return ""
}

func cgroupOf(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return string(text)
}

// serviceOf returns the service that a process is in, by the text of its /proc/PID/cgroup. It has
// no name in a login session or a container.
//
//	0::/system.slice/app.service
//	0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.service
//	0::/user.slice/user-1000.slice/session-2.scope
//	0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope
//
// The line 0:: is that of cgroup v2, name=systemd that of v1. A host with both has systemd's tree
// in either.
func serviceOf(cgroup string) Service {
	// The innermost unit. A service may have made more directories below its own (Delegate=yes), of
	// any name: one that is no unit's name is passed over.
	groups := strings.Split(path(cgroup), "/")
	for i := len(groups) - 1; i > 0; i-- {
		if strings.HasSuffix(groups[i], ".scope") {
			break
		}
		if strings.HasSuffix(groups[i], ".service") && IsUnit(groups[i]) {
			return Service{groups[i], managerOf(groups[:i])}
		}
	}
	return Service{}
}

// path is the directory of systemd's tree that the text of a cgroup names.
func path(cgroup string) (path string) {
	for line := range strings.Lines(cgroup) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && (f[0] == "0" || f[1] == "name=systemd") && len(f[2]) > len(path) {
			path = f[2]
		}
	}
	return path
}

// managerOf returns the user whose manager has the units below those directories, "" if it is the
// system's.
func managerOf(groups []string) string {
	for _, g := range groups {
		id, isUsers := strings.CutPrefix(g, "user@")
		id, isService := strings.CutSuffix(id, ".service")
		if _, err := strconv.ParseUint(id, 10, 32); err == nil && isUsers && isService {
			return id
		}
	}
	return ""
}
