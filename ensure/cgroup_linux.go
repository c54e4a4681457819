package ensure

import "strings"

// service is a service of systemd.
type service struct {
	name   string // app.service
	ofUser bool   // the user's own manager runs it
}

// serviceOf returns the service that a process is in, by the text of its /proc/PID/cgroup. It has no name in a login
// session or a container.
//
//	0::/system.slice/app.service
//	0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.service
//	0::/user.slice/user-1000.slice/session-2.scope
//	0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.scope
//
// The line 0:: is that of cgroup v2, name=systemd that of v1. A host with both has systemd's tree in either.
func serviceOf(cgroup string) service {
	for line := range strings.Lines(cgroup) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || f[0] != "0" && f[1] != "name=systemd" {
			continue
		}
		// the innermost unit; a service may have made more folders below its own (Delegate=yes)
		groups := strings.Split(f[2], "/")
		for i := len(groups) - 1; i > 0; i-- {
			if strings.HasSuffix(groups[i], ".scope") {
				break
			}
			if strings.HasSuffix(groups[i], ".service") {
				return service{groups[i], strings.Contains(f[2], "/user@") && !strings.HasPrefix(groups[i], "user@")}
			}
		}
	}
	return service{}
}
