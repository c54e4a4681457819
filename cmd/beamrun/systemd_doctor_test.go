//go:build systemd

package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// alarms are the lines of `beamrun -q doctor`, for root.
func alarms(t *testing.T) string {
	return strings.TrimSpace(sh(t, "%s -q doctor || true", installed))
}

// No false alarm where systemd runs epmd, or a login does. An alarm where a service, a user's
// manager, or a failed unit will end it. The command that doctor prints, run as it stands, fixes
// it.
func TestSystemdDoctor(t *testing.T) {
	noEpmd(t)
	appUser(t)
	sh(t, "%s -q cookie rotate", installed)
	t.Setenv("BEAMRUN_DETACH", "auto")
	const (
		login       = "systemd-run --quiet --unit=login --collect -p PAMName=login -p User=app "
		asUnit      = "systemd-run --quiet --unit=app --collect "
		bySystemd   = installed + " -q --detach systemd ensure"
		session     = installed + " -q --detach session ensure"
		untilItRuns = "until epmd -names; do sleep 0.05; done"
	)
	for _, test := range []struct{ name, plant, found string }{
		{"epmd.socket", "systemctl start epmd.socket", ""},
		{"a unit of beamrun's", "systemctl mask --runtime --quiet epmd.socket; " +
			bySystemd + "; systemctl unmask --runtime --quiet epmd.socket", ""},
		{"a scope", "systemd-run --quiet --scope " + session, ""},
		{"a login", login + "sh -c '" + session + "; exec sleep 60'; " + untilItRuns, ""},
		{"a service that leaves it alone",
			asUnit + "-p KillMode=process sh -c '" + session + "; exec sleep 60'; " +
				untilItRuns, ""},
		{"a service that ends epmd with itself",
			asUnit + "sh -c 'epmd -daemon; exec sleep 60'; " + untilItRuns,
			`(?s)\Awarn +lifetime +it ends with app.service, .*` +
				`every node of this host loses its name then\n` +
				` +\$ beamrun stop && beamrun --detach systemd ensure\n.*Wants=epmd.socket.*\z`},
		{"a user's manager that ends with the login", login + "sleep 60; " +
			"until [ -e /run/user/$(id -u app)/systemd/private ]; do sleep 0.05; done; " +
			"runuser -u app -- env XDG_RUNTIME_DIR=/run/user/$(id -u app) " + bySystemd,
			`(?s)\Awarn +lifetime +beamrun-epmd-4369.service of the manager of user app, ` +
				`which ends at that user's last logout\n +\$ loginctl enable-linger \d+\z`},
		{"a unit that failed", "systemd-run --quiet --scope epmd -daemon; " +
			untilItRuns + "; ! systemctl start epmd.socket",
			`(?s)\Awarn +systemd units +epmd.socket failed, epmd.service inactive\n` +
				` +\$ systemctl reset-failed epmd.socket\n.*\z`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Cleanup(func() {
				exec.Command("systemctl", "stop", "app", "login").Run()
				exec.Command("loginctl", "disable-linger", "app").Run()
				stopEpmd(t) // it keeps a login from its end
				stopUserManager(t)
			})
			sh(t, "%s", test.plant)
			got := alarms(t)
			if test.found == "" {
				if got != "" {
					t.Errorf("a false alarm: %s", got)
				}
				t.Logf("no alarm: %s", test.name)
				return
			}
			if !regexp.MustCompile(test.found).MatchString(got) {
				t.Fatalf("it said\n%s\nwant %s", got, test.found)
			}
			command := regexp.MustCompile(`(?m)^ +\$ (.*)$`).FindStringSubmatch(got)[1]
			sh(t, "PATH=$PATH:/usr/local/bin; %s", command)
			if after := alarms(t); after != "" {
				t.Errorf("after %s: %s", command, after)
			}
			t.Logf("| %s | %s | %s |", test.name, strings.Split(got, "\n")[0], command)
		})
	}
}
