//go:build systemd

package main

import (
	"cmp"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/testenv"
)

// Where systemd is not to be asked, or is asked without success.
func TestSystemdDetach(t *testing.T) {
	app := appUser(t)
	notFound := "only root may start its units, and this user has no manager that runs: " +
		"stat /run/user/" + app + "/systemd/private: no such file or directory"
	sleeping := script(t, "sleeping-epmd", "exec sleep 60")
	for _, test := range []struct {
		name       string
		properties []string
		flags      []string
		detach     string
		code       int
		warning    string // a pattern
		message    string
	}{
		{name: "the user says session", flags: []string{"--detach", "session"}, detach: "session"},
		{name: "a network of its own",
			properties: []string{"PrivateNetwork=yes"}, detach: "session"},
		{name: "a service that ends only its main process",
			properties: []string{"User=app", "KillMode=process"}, detach: "session"},
		{name: "nowhere to write a lock or a log, and no need",
			properties: []string{"ProtectSystem=strict"}, detach: "socket"},
		{name: "no PATH", properties: []string{"Environment=PATH=/nowhere"}, detach: "socket"},
		{name: "systemd can't be reached", detach: "session", properties: []string{
			"InaccessiblePaths=/run/systemd/private", "InaccessiblePaths=/run/dbus"},
			warning: `^this epmd ends with app\.service, .*; add Wants=.* ` +
				`\(systemd did not run it apart: systemd-run: exit status 1: ` +
				`Failed to connect to bus: .*\)$`},
		{name: "no rights, another port", properties: []string{"User=app"},
			flags: []string{"--port", "PORT"}, detach: "session",
			warning: `^this epmd ends with app\.service, .*; ` +
				`add ExecStartPre=\+beamrun ensure to app\.service \(systemd did not`},
		{name: "no rights, but systemd has to", properties: []string{"User=app"},
			flags: []string{"--detach", "systemd"}, code: exitNoEpmd,
			message: "epmd on 127.0.0.1:4369: spawn: " + notFound},
		{name: "a program that never listens",
			flags: []string{"--epmd", sleeping, "--timeout", "3s"}, code: exitNoEpmd,
			message: "epmd on 127.0.0.1:4369: timeout: beamrun-epmd-4369.service: " +
				"context deadline exceeded: dial tcp 127.0.0.1:4369: connect: connection refused"},
		{name: "a program that ends at once",
			flags: []string{"--epmd", "/bin/false"}, code: exitNoEpmd,
			message: "epmd on 127.0.0.1:4369: spawn: it ended with status 1 and printed nothing"},
		{name: "a program that ends at once, and systemd has to",
			flags: []string{"--epmd", "/bin/false", "--detach", "systemd"}, code: exitNoEpmd,
			message: "epmd on 127.0.0.1:4369: spawn: beamrun-epmd-4369.service: it ended; " +
				"see its journal: journalctl -u beamrun-epmd-4369.service; " +
				"beamrun-epmd-4369.service: it ended; " +
				"see its journal: journalctl -u beamrun-epmd-4369.service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			noEpmd(t)
			for i, f := range test.flags {
				if f == "PORT" {
					test.flags[i] = strconv.Itoa(int(testenv.Port(t)))
				}
			}
			res, code := serviceEnsure(t, test.properties, test.flags...)
			if code != test.code || res.Epmd.Detach != test.detach ||
				res.Error.Message != test.message {
				t.Errorf("%d, %+v", code, res)
			}
			warnings := strings.Join(res.Warnings, "\n")
			if !regexp.MustCompile(cmp.Or(test.warning, "^$")).MatchString(warnings) {
				t.Errorf("warnings: %s", warnings)
			}
			units := sh(t, "systemctl list-units --all --no-legend 'beamrun-*'")
			if test.code != 0 && units != "" {
				t.Errorf("left: %s", units)
			}
		})
	}
}

// Outside of services a session is enough. Only the flag asks for systemd.
func TestSystemdOutsideOfServices(t *testing.T) {
	noEpmd(t)
	t.Setenv("BEAMRUN_DETACH", "auto")
	for _, test := range []struct{ flags, detach string }{
		{"", "session"}, {"--detach systemd", "socket"}, {"--detach session", "session"},
	} {
		out := sh(t, "systemd-run --quiet --scope %s --json ensure %s", installed, test.flags)
		if !strings.Contains(out, `"detach":"`+test.detach+`"`) {
			t.Errorf("%s: %s", test.flags, out)
		}
		stopEpmd(t)
	}
}

// The user manager of somebody who is only logged in ends with the login.
func TestSystemdLogout(t *testing.T) {
	noEpmd(t)
	uid := appUser(t)
	sh(t, "systemd-run --quiet --unit=login --collect -p PAMName=login -p User=app sleep 60")
	t.Cleanup(func() {
		exec.Command("systemctl", "stop", "login").Run()
		stopUserManager(t) // logind would, some seconds later
	})
	eventually(t, "the user manager runs", func() bool {
		return exists("/run/user/" + uid + "/systemd/private")
	})
	res, code := serviceEnsure(t, []string{"User=app"})
	want := "this epmd ends at the last logout of user " + uid +
		"; to keep it: loginctl enable-linger " + uid
	if code != 0 || res.Epmd.Detach != "user" || !slices.Equal(res.Warnings, []string{want}) {
		t.Errorf("%d, %+v", code, res)
	}
}

// A manager that hangs costs time, but there is time left.
func TestSystemdHungManager(t *testing.T) {
	noEpmd(t)
	linger(t)
	manager := strings.TrimSpace(sh(t, "systemctl show -P MainPID user@%s.service", appUser(t)))
	sh(t, "kill -STOP %s", manager)
	t.Cleanup(func() { sh(t, "kill -CONT %s", manager) })
	res, code := serviceEnsure(t, []string{"User=app"}, "--timeout", "3s")
	const reason = "(systemd did not run it apart: systemd-run: context deadline exceeded)"
	if code != 0 || res.Epmd.Detach != "session" || len(res.Warnings) != 1 ||
		!strings.HasSuffix(res.Warnings[0], reason) {
		t.Errorf("%d, %+v", code, res)
	}
	t.Logf("it took %.0f ms", res.Epmd.Ms)
}
