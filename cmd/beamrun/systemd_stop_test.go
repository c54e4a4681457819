//go:build systemd

package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// Whoever asks, an epmd that systemd keeps is left alone, and stop prints the command that stops
// it. That command, run as it stands by the one who asked, stops it. Where it has "sudo", the test
// runs the rest as root.
func TestSystemdStop(t *testing.T) {
	uid := appUser(t)
	dir := "XDG_RUNTIME_DIR=/run/user/" + uid
	asRoot, asApp, inSession := "", "runuser -u app -- ", "runuser -u app -- env "+dir+" "
	const both = "systemctl stop epmd.socket epmd.service"
	const ours = "systemctl stop beamrun-epmd-4369.service"
	inSocket := func(t *testing.T) { sh(t, "systemctl start epmd.socket") }
	inService := func(t *testing.T) {
		sh(t, "systemctl start epmd.socket && epmd -names && systemctl is-active epmd.service")
	}
	inTransient := func(t *testing.T) {
		maskSocket(t)
		sh(t, "%s --detach systemd ensure && systemctl is-active beamrun-epmd-4369.service",
			installed)
	}
	ofUser := func(t *testing.T) {
		linger(t)
		sh(t, "%[1]s%[2]s --detach systemd ensure && "+
			"%[1]ssystemctl --user is-active beamrun-epmd-4369.service", inSession, installed)
	}
	const ofUsers = "systemctl --user stop beamrun-epmd-4369.service"
	for _, test := range []struct {
		name  string
		start func(*testing.T)
		as    string
		hint  string
	}{
		{"epmd.socket, not yet used; root", inSocket, asRoot, both},
		{"epmd.socket, not yet used; app", inSocket, asApp, "sudo " + both},
		{"epmd.service; root", inService, asRoot, both},
		{"epmd.service; app", inService, asApp, "sudo " + both},
		{"beamrun's unit; root", inTransient, asRoot, ours},
		{"beamrun's unit; app", inTransient, asApp, "sudo " + ours},
		{"app's unit; app, logged in", ofUser, inSession, ofUsers},
		{"app's unit; app, in a service", ofUser, asApp, dir + " " + ofUsers},
		{"app's unit; root", ofUser, asRoot, "runuser -u app -- env " + dir + " " + ofUsers},
	} {
		t.Run(test.name, func(t *testing.T) {
			noEpmd(t)
			test.start(t)
			stop := test.as + installed + " --json stop"
			epmds := sh(t, "pgrep -x epmd || true")
			var got struct{ Error report }
			out := sh(t, "%s || test $? = 1", stop)
			err := json.Unmarshal([]byte(out), &got)
			if err != nil || got.Error.Kind != "service" || got.Error.Hint != test.hint {
				t.Fatalf("%v, %s, want %s", err, out, test.hint)
			}
			t.Logf("%s\n%s", got.Error.Message, got.Error.Hint)
			if now := sh(t, "pgrep -x epmd || true"); now != epmds {
				t.Errorf("epmd was %q and is %q", epmds, now)
			}
			if rest, ok := strings.CutPrefix(got.Error.Hint, "sudo "); ok {
				sh(t, "%s", rest)
			} else if test.as == asRoot {
				sh(t, "%s", got.Error.Hint)
			} else {
				sh(t, "%ssh -c '%s'", test.as, got.Error.Hint)
			}
			if out := sh(t, "%s", stop); !strings.Contains(out, `"stopped":false`) {
				t.Error(out)
			}
			if left := sh(t, "pgrep -x epmd || true"); left != "" {
				t.Errorf("left: %s", left)
			}
		})
	}

	// it is not for epmd, and would not start it again
	t.Run("the service of a program", func(t *testing.T) {
		noEpmd(t)
		sh(t, "systemd-run --quiet --collect --unit=program "+
			"%s --detach session sh -c 'sleep 60'", installed)
		t.Cleanup(func() { exec.Command("systemctl", "stop", "program").Run() })
		eventually(t, "epmd answers", func() bool {
			_, err := epmd.Names(t.Context(), epmdAddr)
			return err == nil
		})
		if g := group(testenv.PID(epmd.DefaultPort)); !strings.HasSuffix(g, "/program.service") {
			t.Fatalf("epmd is in %s", g)
		}
		if out := sh(t, "%s stop", installed); !strings.Contains(out, ": stopped, in ") {
			t.Error(out)
		}
	})
}
