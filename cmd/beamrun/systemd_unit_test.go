//go:build systemd

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// The unit's properties.
func TestSystemdUnit(t *testing.T) {
	noEpmd(t)
	maskSocket(t)
	res, code := serviceEnsure(t, []string{"Environment=BEAMRUN_SECRET=hunter2"})
	if code != 0 || res.Epmd.Unit != "beamrun-epmd-4369.service" || res.Epmd.PID == 0 ||
		res.Warnings != nil {
		t.Fatalf("%d, %+v", code, res)
	}
	if uid := uidOf(t, res.Epmd.PID); uid < 61184 || uid > 65519 { // systemd.exec(5), DynamicUser=
		t.Errorf("epmd runs as user %d", uid)
	}
	show := sh(t, "systemctl show -p Description -p Restart -p MainPID beamrun-epmd-4369")
	for _, want := range []string{
		"Description=Erlang Port Mapper Daemon on port 4369, started by beamrun",
		"Restart=on-failure", fmt.Sprint("MainPID=", res.Epmd.PID),
	} {
		if !strings.Contains(show, want+"\n") {
			t.Errorf("no %s in %s", want, show)
		}
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", res.Epmd.PID))
	all := sh(t, "systemctl show beamrun-epmd-4369") + string(environ)
	if err != nil || strings.Contains(all, "hunter2") || !strings.Contains(all, "PATH=") {
		t.Errorf("%v, %s", err, all)
	}
	syscall.Kill(res.Epmd.PID, syscall.SIGKILL)
	eventually(t, "systemd started it again", func() bool {
		_, err := epmd.Names(t.Context(), epmdAddr)
		return err == nil
	})
	pid := testenv.PID(epmd.DefaultPort)
	if pid == res.Epmd.PID || !strings.Contains(group(pid), "beamrun-epmd-4369.service") {
		t.Errorf("now it is %d in %s", pid, group(pid))
	}

	// a second one finds it
	if res, code := serviceEnsure(t, nil); code != 0 || res.Epmd.Started || res.Epmd.Unit != "" {
		t.Errorf("%d, %+v", code, res)
	}
}

// systemd starts a killed epmd again by itself, and --watch does at the same time. Both use the
// same unit or socket.
func TestSystemdWatch(t *testing.T) {
	for name, unit := range map[string]string{
		"socket": "epmd.service", "transient": "beamrun-epmd-4369.service",
	} {
		t.Run(name, func(t *testing.T) {
			noEpmd(t)
			if name == "transient" {
				maskSocket(t)
			}
			sh(t, "systemd-run --quiet --collect --unit=watched --setenv=HOME=/root "+
				"%s --watch erl -sname watched -noinput", installed)
			t.Cleanup(func() { exec.Command("systemctl", "stop", "watched").Run() })
			registered := func() bool { return isRegistered(t, "watched") }
			eventually(t, "the node is there", registered)
			for range 3 {
				pid := testenv.PID(epmd.DefaultPort)
				syscall.Kill(pid, syscall.SIGKILL)
				begin := time.Now()
				eventually(t, "another epmd answers", func() bool {
					_, err := epmd.Names(t.Context(), epmdAddr)
					return err == nil && testenv.PID(epmd.DefaultPort) != pid
				})
				answers := time.Since(begin)
				eventually(t, "the node is there again", registered)
				t.Logf("%s: NAMES answers after %v, the node has its name after %v",
					name, answers, time.Since(begin))
			}
			if pid := testenv.PID(epmd.DefaultPort); !strings.HasSuffix(group(pid), "/"+unit) {
				t.Errorf("epmd is in %s", group(pid))
			}
			if n := strings.TrimSpace(sh(t, "pgrep -c -x epmd")); n != "1" {
				t.Errorf("%s epmds", n)
			}
			sh(t, "systemctl stop watched")
			if _, err := epmd.Names(t.Context(), epmdAddr); err != nil {
				t.Errorf("after the end of the watch: %v", err)
			}
		})
	}
}

// A caller with another lock also waits for a unit that exists already, and makes no second one.
func TestSystemdUnitExists(t *testing.T) {
	noEpmd(t)
	slow := script(t, "slow-epmd", `sleep 1; exec epmd "$@"`)
	const log = "/root/.cache/beamrun/epmd-4369.log"
	os.Remove(log)
	sh(t, "systemd-run --quiet --collect --unit=first %s --epmd %s ensure", installed, slow)
	eventually(t, "the unit is there", func() bool {
		return exec.Command("systemctl", "is-active", "beamrun-epmd-4369").Run() == nil
	})
	res, code := serviceEnsure(t, []string{"Environment=HOME=/root"}, "--epmd", slow)
	if code != 0 || res.Epmd.Started || res.Warnings != nil || exists(log) {
		t.Errorf("%d, %+v, a log of its own: %v", code, res, exists(log))
	}
}

// What has the port counts: where another epmd was faster than the unit's, beamrun reports that it
// started none.
func TestSystemdLostRace(t *testing.T) {
	noEpmd(t)
	slow := script(t, "slow-epmd", `sleep 1; exec epmd "$@"`)
	faster := exec.Command("epmd", "-port", "4369")
	started := make(chan error, 1)
	inactive := func() bool {
		return exec.Command("systemctl", "is-active", "beamrun-epmd-4369").Run() != nil
	}
	go func() {
		for inactive() && t.Context().Err() == nil {
		}
		started <- faster.Start()
	}()
	res, code := serviceEnsure(t, nil, "--epmd", slow)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	pid := testenv.PID(epmd.DefaultPort)
	if code != 0 || res.Epmd.Started || res.Epmd.Unit != "" || pid != faster.Process.Pid {
		t.Errorf("%d, %+v, process %d has port 4369", code, res, pid)
	}
	eventually(t, "the unit has ended", inactive)
	faster.Process.Kill()
	faster.Wait()
}

// The unit takes the port, the address and the program. The distribution's socket, which cannot
// take them, is left alone.
func TestSystemdEndpoint(t *testing.T) {
	noEpmd(t)
	port := testenv.Port(t)
	home := "/root/bin/epmd" // where a user without privileges can't go
	sh(t, "mkdir -p /root/bin && chmod 700 /root && cp $(command -v epmd) %s", home)
	for _, test := range []struct {
		flags []string
		port  uint16
		root  bool
	}{
		{[]string{"--port", strconv.Itoa(int(port))}, uint16(int(port)), false},
		{[]string{"--address", "127.0.0.1"}, epmd.DefaultPort, false},
		{[]string{"--local"}, epmd.DefaultPort, false},
		{[]string{"--epmd", home}, epmd.DefaultPort, true},
		{[]string{"--port", "100"}, 100, true},
	} {
		t.Run(strings.Join(test.flags, " "), func(t *testing.T) {
			unit := fmt.Sprintf("beamrun-epmd-%d.service", test.port)
			t.Cleanup(func() { exec.Command("systemctl", "stop", unit).Run() })
			begin := time.Now()
			res, code := serviceEnsure(t, nil, test.flags...)
			if code != 0 || res.Epmd.Detach != "system" || res.Epmd.Unit != unit ||
				res.Warnings != nil {
				t.Fatalf("%d, %+v", code, res)
			}
			if isRoot := uidOf(t, res.Epmd.PID) == 0; isRoot != test.root {
				t.Errorf("epmd runs as root: %v", isRoot)
			}
			log := sh(t, "journalctl --sync; journalctl --no-pager -o cat -u %s --since %s",
				unit, since(begin))
			failed := strings.Count(log, "Failed at step EXEC")
			// it is not tried again and again
			if want := strings.Count(strings.Join(test.flags, " "), home); failed != want {
				t.Errorf("%d failed starts, want %d", failed, want)
			}
			listeners := sh(t, "ss -Hltn 'sport = :%d' | awk '{print $4}'", test.port)
			wantAll := len(test.flags) == 2 && test.flags[0] != "--address"
			if onAll := strings.Contains(listeners, "0.0.0.0:"); onAll != wantAll {
				t.Error(listeners)
			}
		})
	}
}
