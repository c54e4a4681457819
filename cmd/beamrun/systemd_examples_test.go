//go:build systemd

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
)

// The units of examples/systemd: epmd outlives the service, and the node is app's.
func TestSystemdExamples(t *testing.T) {
	self, _ := os.Executable()
	dir := filepath.Join(filepath.Dir(self), "examples")
	for _, test := range []struct {
		units []string
		mask  bool
		runs  string // the epmd
	}{
		{[]string{"app.service"}, true, "beamrun-epmd-4369.service"},
		{[]string{"app.service"}, false, "epmd.service"},
		{[]string{"app-socket.service"}, false, "epmd.service"},
		{[]string{"app-socket.service", "epmd.socket", "epmd.service"}, false, "epmd.service"},
	} {
		t.Run(fmt.Sprint(test.units, test.mask), func(t *testing.T) {
			noEpmd(t)
			appUser(t)
			if test.mask {
				maskSocket(t)
			}
			begin := time.Now()
			for _, name := range test.units {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				unitFile(t, name, string(text))
			}
			sh(t, "systemd-analyze verify %s/%s", dir, test.units[0])
			sh(t, "systemctl start %s", test.units[0])
			eventually(t, "the node is registered", func() bool { return isRegistered(t, "app") })
			mainPID := sh(t, "systemctl show -P MainPID %s", test.units[0])
			pid, _ := strconv.Atoi(strings.TrimSpace(mainPID))
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			uid := uidOf(t, pid)
			if fmt.Sprint(uid) != appUser(t) || !strings.Contains(string(args), "-sname") {
				t.Errorf("the node is %q of user %d", args, uid)
			}
			eventually(t, "the node has booted", func() bool { // before that, it may not hear TERM
				const status = "erl_call -sname app -r -a 'init get_status []'"
				out, _ := exec.Command("su", "app", "-c", status).Output()
				return strings.Contains(string(out), "{started")
			})
			sh(t, "systemctl stop %s", test.units[0])
			if _, err := epmd.Names(t.Context(), epmdAddr); err != nil {
				t.Error(err)
			}
			if state := sh(t, "systemctl is-active %s", test.runs); state != "active\n" {
				t.Errorf("%s is %s", test.runs, state)
			}
			listeners := sh(t, "ss -Hltn 'sport = :4369' | awk '{print $4}'")
			onAll := strings.Contains(listeners, "0.0.0.0:") || strings.Contains(listeners, "*:")
			if onAll == (len(test.units) == 3) {
				t.Error(listeners)
			}
			if said := journal(t, begin, "beamrun"); said != "" {
				t.Error(said)
			}
		})
	}
}
