//go:build systemd

package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
)

// Ten services are enabled, of root and of app, and so is epmd.socket.
func TestBeforeReboot(t *testing.T) {
	appUser(t)
	for i := range 10 {
		user := []string{"root", "app"}[i%2]
		home := map[string]string{"root": "/root", "app": "/home/app"}[user]
		text := fmt.Sprintf("[Service]\nUser=%s\nEnvironment=HOME=%s\n"+
			"ExecStart=%s erl -noinput -sname app%d\n"+
			"[Install]\nWantedBy=ci.service\n", user, home, installed, i)
		path := fmt.Sprintf("/etc/systemd/system/app%d.service", i)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// the reboot ends this service too, which must not end the whole lane
	sh(t, `mkdir -p /run/systemd/system/ci.service.d
		printf '[Unit]\nSuccessAction=none\nFailureAction=none\n' \
			>/run/systemd/system/ci.service.d/reboot.conf
		systemctl daemon-reload
		systemctl enable --quiet epmd.socket app{0..9}
		systemctl reboot`)
	time.Sleep(time.Minute)
	t.Fatal("no reboot")
}

// After a reboot all are up, with the one epmd of the socket.
func TestAfterReboot(t *testing.T) {
	eventually(t, "all are registered", func() bool {
		nodes, _ := epmd.Names(t.Context(), epmdAddr)
		return len(nodes) == 10
	})
	active := sh(t, "systemctl is-active epmd.socket epmd.service app{0..9}")
	if active != strings.Repeat("active\n", 12) {
		t.Error(active)
	}
	failed := sh(t, "systemctl --failed --no-legend; "+
		"systemctl list-units --all --no-legend 'beamrun-*'")
	if failed != "" {
		t.Error(failed)
	}
	epmds := sh(t, "pgrep -xa epmd")
	if !regexp.MustCompile(`^\d+ /usr/bin/epmd -systemd\n$`).MatchString(epmds) {
		t.Error(epmds)
	}
	log := sh(t, "journalctl --no-pager -o cat")
	if strings.Contains(log, "beamrun: ") || strings.Contains(log, "Address already in use") {
		t.Error(log)
	}
	t.Log("\n" + sh(t, "systemctl status --no-pager epmd.socket epmd.service"))
}
