//go:build systemd

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// These run where .ci/systemd boots a systemd: as root, in a file system that is thrown away, and
// on port 4369 of a network of its own.

// Elsewhere these tests would write a machine's units, end its epmd and reboot it.
func init() {
	if _, err := os.Stat("/io/thrown-away"); err != nil {
		fmt.Fprintln(os.Stderr, "the tests with the tag systemd change the system and reboot it; they run in .ci/systemd only:", err)
		os.Exit(1)
	}
}

var epmdAddr = testenv.Loopback(4369)

const installed = "/usr/local/bin/beamrun"

// sh runs a shell command and returns what it printed, its errors too.
func sh(t *testing.T, format string, args ...any) string {
	t.Helper()
	command := fmt.Sprintf(format, args...)
	out, err := exec.Command("timeout", "60", "bash", "-c", command).CombinedOutput() // not the context: tests clean up with it
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// script makes a program that every user can run, and returns its path.
func script(t *testing.T, name, body string) string {
	t.Helper()
	path := "/usr/local/bin/" + name
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// unitFile makes a unit, which ends with the test.
func unitFile(t *testing.T, name, text string) {
	t.Helper()
	path := "/etc/systemd/system/" + name
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	sh(t, "systemctl daemon-reload")
	t.Cleanup(func() {
		exec.Command("systemctl", "stop", strings.Replace(name, "@.", "@*.", 1)).Run()
		os.Remove(path)
	})
}

// noEpmd makes a host without an epmd, and again one at the test's end.
func noEpmd(t *testing.T) {
	t.Helper()
	stopEpmd(t)
	t.Cleanup(func() { stopEpmd(t) })
}

// stopEpmd stops every epmd on the usual port.
func stopEpmd(t *testing.T) {
	t.Helper()
	exec.Command("systemctl", "stop", "epmd.socket", "epmd.service", "beamrun-epmd-4369.service").Run()
	exec.Command("systemctl", "reset-failed").Run()
	// that of a user's manager ends well, and is not started again
	if uid := appUser(t); exists("/run/user/" + uid + "/systemd/private") {
		sh(t, "runuser -u app -- env XDG_RUNTIME_DIR=/run/user/%s systemctl --user stop beamrun-epmd-4369.service || true", uid)
	}
	testenv.Kill(t, epmd.DefaultPort)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// maskSocket hides the distribution's epmd.socket until the test's end.
func maskSocket(t *testing.T) {
	t.Helper()
	sh(t, "systemctl mask --runtime --quiet epmd.socket")
	t.Cleanup(func() { exec.Command("systemctl", "unmask", "--runtime", "--quiet", "epmd.socket").Run() })
}

// appUser makes the user app, and returns its number.
func appUser(t *testing.T) (uid string) {
	t.Helper()
	u, err := user.Lookup("app")
	if err != nil {
		sh(t, "useradd --create-home app")
		u, err = user.Lookup("app")
	}
	if err != nil {
		t.Fatal(err)
	}
	return u.Uid
}

// linger has the user manager of app run until the test's end.
func linger(t *testing.T) {
	t.Helper()
	uid := appUser(t)
	socket := "/run/user/" + uid + "/systemd/private"
	sh(t, "loginctl enable-linger app && systemctl start user@%s", uid) // logind may still be ending the last one
	eventually(t, socket+" is there", func() bool { return exists(socket) })
	t.Cleanup(func() {
		exec.Command("loginctl", "disable-linger", "app").Run()
		stopUserManager(t)
	})
}

func stopUserManager(t *testing.T) {
	t.Helper()
	uid := appUser(t)
	exec.Command("systemctl", "stop", "user@"+uid+".service").Run()
	eventually(t, "the user manager has ended", func() bool { return !exists("/run/user/" + uid + "/systemd/private") })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s\n%s", what, sh(t, "systemctl --no-pager status; journalctl --no-pager -n 50"))
		}
	}
}

func isRegistered(t *testing.T, node string) bool {
	_, err := epmd.Lookup(t.Context(), epmdAddr, node)
	return err == nil
}

// group is the control group of a process.
func group(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	_, group, _ := strings.Cut(string(text), "0::")
	return strings.TrimSpace(group)
}

// uidOf is the user of a process.
func uidOf(t *testing.T, pid int) uint32 {
	t.Helper()
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

// ensuredJSON is the JSON of beamrun ensure.
type ensuredJSON struct {
	Epmd struct {
		Started bool
		PID     int
		Detach  string
		Unit    string
		Ms      float64 `json:"elapsed_ms"`
	}
	Warnings []string
	Error    report
}

// service runs a program in a service until it ends. The properties are those of systemd.exec(5).
func service(t *testing.T, properties []string, command ...string) (stdout string, code int) {
	t.Helper()
	args := []string{"--quiet", "--wait", "--pipe", "--collect", "--unit=app.service"}
	for _, p := range properties {
		args = append(args, "--property="+p)
	}
	cmd := exec.CommandContext(t.Context(), "systemd-run", append(args, command...)...)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out), code
}

// serviceEnsure runs beamrun ensure in a service.
func serviceEnsure(t *testing.T, properties []string, flags ...string) (res ensuredJSON, code int) {
	t.Helper()
	out, code := service(t, properties, append([]string{installed, "--json", "ensure"}, flags...)...)
	if err := json.Unmarshal([]byte(out), &res); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	return res, code
}

// way is a service and what it may do.
type way struct {
	name     string
	user     string // of the service
	socket   bool   // the distribution's epmd.socket may be used
	linger   bool   // the user's manager runs
	ofUser   bool   // the user's manager runs the service too
	baseline bool   // epmd -daemon instead of beamrun
	want     string // Result.Detach
}

var ways = []way{
	{name: "epmd -daemon in a service of root", user: "root", socket: true, baseline: true},
	{name: "beamrun in a service of root", user: "root", socket: true, want: "socket"},
	{name: "the same, without the distribution's epmd.socket", user: "root", want: "system"},
	{name: "beamrun in a service with User=app, whose user manager runs", user: "app", socket: true, linger: true, want: "user"},
	{name: "beamrun in a service of app's own user manager", user: "app", socket: true, linger: true, ofUser: true, want: "user"},
	{name: "beamrun in a service with User=app, without rights", user: "app", socket: true, want: "session"},
}

func (w way) prepare(t *testing.T) {
	noEpmd(t)
	appUser(t)
	if !w.socket {
		maskSocket(t)
	}
	if w.linger {
		linger(t)
	}
}

// systemctl runs it for the manager of the way's service app.
func (w way) systemctl(t *testing.T, args string) string {
	t.Helper()
	if w.ofUser {
		return sh(t, "runuser -u app -- env XDG_RUNTIME_DIR=/run/user/%s systemctl --user %s", appUser(t), args)
	}
	return sh(t, "systemctl %s", args)
}

// Service app starts its node, and with it epmd; service bob comes later; app is stopped. Is bob
// still found?
func TestSystemdServiceStops(t *testing.T) {
	table := []string{"| service | where epmd ran | alive after the stop | bob found by name | warned |"}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			w.prepare(t)
			begin := time.Now()
			start := installed + " erl -noinput -sname app"
			if w.baseline {
				start = "/bin/sh -c 'epmd -daemon && exec erl -noinput -sname app'"
			}
			if w.ofUser {
				sh(t, "runuser -u app -- env XDG_RUNTIME_DIR=/run/user/%s systemd-run --user --quiet --unit=app --collect %s", appUser(t), start)
			} else {
				unitFile(t, "app.service", "[Service]\nEnvironment=HOME="+map[string]string{"root": "/root", "app": "/home/app"}[w.user]+
					"\nUser="+w.user+"\nExecStart="+start+"\n")
				sh(t, "systemctl start app")
			}
			eventually(t, "app is registered", func() bool { return isRegistered(t, "app") })
			unitFile(t, "bob.service", "[Service]\nEnvironment=HOME=/root\nExecStart="+installed+" erl -noinput -sname bob\n")
			sh(t, "systemctl start bob")
			eventually(t, "bob is registered", func() bool { return isRegistered(t, "bob") })

			where := "epmd.service, by epmd.socket"
			if pid := testenv.PID(epmd.DefaultPort); pid != 1 { // systemd itself listens for the socket
				where = group(pid)
			}
			if w.want == "system" || w.want == "user" {
				t.Log("\n" + way{ofUser: w.want == "user"}.systemctl(t, "status --no-pager beamrun-epmd-4369"))
			} else if w.want == "socket" {
				t.Log("\n" + sh(t, "systemctl status --no-pager epmd.socket epmd.service"))
			}

			w.systemctl(t, "stop app")
			time.Sleep(200 * time.Millisecond)
			_, err := epmd.Names(t.Context(), epmdAddr)
			alive, found := err == nil, false
			if alive { // else the one who looks would start an epmd
				ping := `[_, Host] = string:split(atom_to_list(node()), "@"), io:format("~p", [net_adm:ping(list_to_atom("bob@" ++ Host))]), halt().`
				found = isRegistered(t, "bob") && sh(t, "HOME=/root erl -noinput -sname carol -eval '%s'", ping) == "pong"
			}
			warnings := journal(t, begin, "beamrun")
			table = append(table, fmt.Sprintf("| %s | %s | %v | %v | %q |", w.name, where, alive, found, warnings))
			survives := w.want != "" && w.want != "session"
			if alive != survives || found != survives {
				t.Errorf("alive %v, found %v", alive, found)
			}
			want := ""
			if w.want == "session" {
				want = `^beamrun: warning: this epmd ends with app\.service, and every node of the host loses its name then; ` +
					`add Wants=epmd\.socket and After=epmd\.socket to app\.service \(systemd did not run it apart: only root .*\)\n$`
			}
			if !regexp.MustCompile(cmp.Or(want, "^$")).MatchString(warnings) {
				t.Errorf("the journal has %q, want %s", warnings, want)
			}
		})
	}
	t.Log("\n" + strings.Join(table, "\n"))
}

// What it costs to have systemd start epmd: medians of beamrun ensure's own time, in a service.
func TestSystemdCost(t *testing.T) {
	for _, w := range ways {
		if w.baseline || w.ofUser {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			w.prepare(t)
			cost := func(flags ...string) float64 {
				var ms []float64
				for range 5 {
					res, code := serviceEnsure(t, []string{"User=" + w.user}, flags...)
					if code != 0 || !res.Epmd.Started || flags == nil && res.Epmd.Detach != w.want {
						t.Fatalf("%d, %+v", code, res)
					}
					ms = append(ms, res.Epmd.Ms)
					stopEpmd(t)
				}
				slices.Sort(ms)
				return ms[len(ms)/2]
			}
			plain, auto := cost("--detach", "session"), cost()
			t.Logf("%s: %.1f ms, with --detach session %.1f ms: %+.1f ms", w.want, auto, plain, auto-plain)
		})
	}
}

// Twenty services that start at once, without a common /tmp for a lock: one epmd is started, and
// all are up.
func TestSystemdTwentyServices(t *testing.T) {
	for _, w := range ways[1:3] {
		t.Run(w.want, func(t *testing.T) {
			w.prepare(t)
			begin := time.Now()
			unitFile(t, "app@.service", "[Service]\nEnvironment=HOME=/root\nPrivateTmp=yes\nExecStart="+installed+" erl -noinput -sname app%i\n")
			sh(t, "systemctl start app@{1..20}")
			eventually(t, "all are registered", func() bool {
				nodes, _ := epmd.Names(t.Context(), epmdAddr)
				return len(nodes) == 20
			})
			t.Logf("all are up after %v", time.Since(begin))
			if active := strings.Fields(sh(t, "systemctl is-active app@{1..20}")); len(active) != 20 || slices.ContainsFunc(active, func(s string) bool { return s != "active" }) {
				t.Errorf("the services are %q", active)
			}
			if epmds := sh(t, "pgrep -xc epmd"); epmds != "1\n" {
				t.Errorf("%s epmds", epmds)
			}
			log := sh(t, "journalctl --no-pager -o cat --since %s _PID=1", since(begin))
			t.Logf("systemd started epmd %d times", strings.Count(log, "Started beamrun-epmd-4369")+strings.Count(log, "Started epmd.service"))
			if strings.Count(log, "Started beamrun-epmd-4369")+strings.Count(log, "Started epmd.service") != 1 {
				t.Error(log)
			}
			if warnings := journal(t, begin, "beamrun"); warnings != "" {
				t.Error(warnings)
			}
		})
	}
}

// The unit's properties.
func TestSystemdUnit(t *testing.T) {
	noEpmd(t)
	maskSocket(t)
	res, code := serviceEnsure(t, []string{"Environment=BEAMRUN_SECRET=hunter2"})
	if code != 0 || res.Epmd.Unit != "beamrun-epmd-4369.service" || res.Epmd.PID == 0 || res.Warnings != nil {
		t.Fatalf("%d, %+v", code, res)
	}
	if uid := uidOf(t, res.Epmd.PID); uid < 61184 || uid > 65519 { // systemd.exec(5), DynamicUser=
		t.Errorf("epmd runs as user %d", uid)
	}
	show := sh(t, "systemctl show -p Description -p Restart -p MainPID beamrun-epmd-4369")
	for _, want := range []string{"Description=Erlang Port Mapper Daemon on port 4369, started by beamrun", "Restart=on-failure", fmt.Sprint("MainPID=", res.Epmd.PID)} {
		if !strings.Contains(show, want+"\n") {
			t.Errorf("no %s in %s", want, show)
		}
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", res.Epmd.PID))
	if all := sh(t, "systemctl show beamrun-epmd-4369") + string(environ); err != nil || strings.Contains(all, "hunter2") || !strings.Contains(all, "PATH=") {
		t.Errorf("%v, %s", err, all)
	}
	syscall.Kill(res.Epmd.PID, syscall.SIGKILL)
	eventually(t, "systemd started it again", func() bool { _, err := epmd.Names(t.Context(), epmdAddr); return err == nil })
	if pid := testenv.PID(epmd.DefaultPort); pid == res.Epmd.PID || !strings.Contains(group(pid), "beamrun-epmd-4369.service") {
		t.Errorf("now it is %d in %s", pid, group(pid))
	}

	// a second one finds it
	if res, code := serviceEnsure(t, nil); code != 0 || res.Epmd.Started || res.Epmd.Unit != "" {
		t.Errorf("%d, %+v", code, res)
	}
}

// systemd starts a killed epmd again by itself, and --watch at the same time: both mean the same
// unit, or socket.
func TestSystemdWatch(t *testing.T) {
	for name, unit := range map[string]string{"socket": "epmd.service", "transient": "beamrun-epmd-4369.service"} {
		t.Run(name, func(t *testing.T) {
			noEpmd(t)
			if name == "transient" {
				maskSocket(t)
			}
			sh(t, "systemd-run --quiet --collect --unit=watched --setenv=HOME=/root %s --watch erl -sname watched -noinput", installed)
			t.Cleanup(func() { exec.Command("systemctl", "stop", "watched").Run() })
			eventually(t, "the node is there", func() bool { return isRegistered(t, "watched") })
			for range 3 {
				pid := testenv.PID(epmd.DefaultPort)
				syscall.Kill(pid, syscall.SIGKILL)
				begin := time.Now()
				eventually(t, "another epmd answers", func() bool {
					_, err := epmd.Names(t.Context(), epmdAddr)
					return err == nil && testenv.PID(epmd.DefaultPort) != pid
				})
				answers := time.Since(begin)
				eventually(t, "the node is there again", func() bool { return isRegistered(t, "watched") })
				t.Logf("%s: NAMES answers after %v, the node has its name after %v", name, answers, time.Since(begin))
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

// A unit that is there already is waited for, not doubled, by those with another lock too.
func TestSystemdUnitExists(t *testing.T) {
	noEpmd(t)
	slow, log := script(t, "slow-epmd", `sleep 1; exec epmd "$@"`), "/root/.cache/beamrun/epmd-4369.log"
	os.Remove(log)
	sh(t, "systemd-run --quiet --collect --unit=first %s --epmd %s ensure", installed, slow)
	eventually(t, "the unit is there", func() bool { return exec.Command("systemctl", "is-active", "beamrun-epmd-4369").Run() == nil })
	res, code := serviceEnsure(t, []string{"Environment=HOME=/root"}, "--epmd", slow)
	if code != 0 || res.Epmd.Started || res.Warnings != nil || exists(log) {
		t.Errorf("%d, %+v, a log of its own: %v", code, res, exists(log))
	}
}

// The port is the truth: an epmd that was faster than the unit's is nobody's merit.
func TestSystemdLostRace(t *testing.T) {
	noEpmd(t)
	slow := script(t, "slow-epmd", `sleep 1; exec epmd "$@"`)
	faster := exec.Command("epmd", "-port", "4369")
	started := make(chan error, 1)
	go func() {
		for exec.Command("systemctl", "is-active", "beamrun-epmd-4369").Run() != nil && t.Context().Err() == nil {
		}
		started <- faster.Start()
	}()
	res, code := serviceEnsure(t, nil, "--epmd", slow)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if pid := testenv.PID(epmd.DefaultPort); code != 0 || res.Epmd.Started || res.Epmd.Unit != "" || pid != faster.Process.Pid {
		t.Errorf("%d, %+v, port 4369 is process %d's", code, res, pid)
	}
	eventually(t, "the unit has ended", func() bool { return exec.Command("systemctl", "is-active", "beamrun-epmd-4369").Run() != nil })
	faster.Process.Kill()
	faster.Wait()
}

// Port, address and program are the unit's too; the distribution's socket, which can't have them,
// is left alone.
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
			if code != 0 || res.Epmd.Detach != "system" || res.Epmd.Unit != unit || res.Warnings != nil {
				t.Fatalf("%d, %+v", code, res)
			}
			if isRoot := uidOf(t, res.Epmd.PID) == 0; isRoot != test.root {
				t.Errorf("epmd runs as root: %v", isRoot)
			}
			failed := strings.Count(sh(t, "journalctl --sync; journalctl --no-pager -o cat -u %s --since %s", unit, since(begin)), "Failed at step EXEC")
			if want := strings.Count(strings.Join(test.flags, " "), home); failed != want { // it is not tried again and again
				t.Errorf("%d failed starts, want %d", failed, want)
			}
			listeners := sh(t, "ss -Hltn 'sport = :%d' | awk '{print $4}'", test.port)
			if onAll := strings.Contains(listeners, "0.0.0.0:"); onAll != (len(test.flags) == 2 && test.flags[0] != "--address") {
				t.Error(listeners)
			}
		})
	}
}

// Where systemd is not to be asked, or is asked in vain.
func TestSystemdDetach(t *testing.T) {
	app := appUser(t)
	notFound := "only root may start its units, and this user has no manager that runs: stat /run/user/" + app + "/systemd/private: no such file or directory"
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
		{name: "a network of its own", properties: []string{"PrivateNetwork=yes"}, detach: "session"},
		{name: "a service that ends only its main process", properties: []string{"User=app", "KillMode=process"}, detach: "session"},
		{name: "nowhere to write a lock or a log, and no need", properties: []string{"ProtectSystem=strict"}, detach: "socket"},
		{name: "no PATH", properties: []string{"Environment=PATH=/nowhere"}, detach: "socket"},
		{name: "systemd can't be reached", properties: []string{"InaccessiblePaths=/run/systemd/private", "InaccessiblePaths=/run/dbus"}, detach: "session",
			warning: `^this epmd ends with app\.service, .*; add Wants=.* \(systemd did not run it apart: systemd-run: exit status 1: Failed to connect to bus: .*\)$`},
		{name: "no rights, another port", properties: []string{"User=app"}, flags: []string{"--port", "PORT"}, detach: "session",
			warning: `^this epmd ends with app\.service, .*; add ExecStartPre=\+beamrun ensure to app\.service \(systemd did not`},
		{name: "no rights, but systemd has to", properties: []string{"User=app"}, flags: []string{"--detach", "systemd"}, code: exitNoEpmd,
			message: "epmd on 127.0.0.1:4369: spawn: " + notFound},
		{name: "a program that never listens", flags: []string{"--epmd", sleeping, "--timeout", "3s"}, code: exitNoEpmd,
			message: "epmd on 127.0.0.1:4369: timeout: beamrun-epmd-4369.service: context deadline exceeded: dial tcp 127.0.0.1:4369: connect: connection refused"},
		{name: "a program that ends at once", flags: []string{"--epmd", "/bin/false"}, code: exitNoEpmd,
			message: "epmd on 127.0.0.1:4369: spawn: it ended with status 1 and printed nothing"},
		{name: "a program that ends at once, and systemd has to", flags: []string{"--epmd", "/bin/false", "--detach", "systemd"}, code: exitNoEpmd,
			message: "epmd on 127.0.0.1:4369: spawn: beamrun-epmd-4369.service: it ended; see its journal: journalctl -u beamrun-epmd-4369.service; " +
				"beamrun-epmd-4369.service: it ended; see its journal: journalctl -u beamrun-epmd-4369.service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			noEpmd(t)
			for i, f := range test.flags {
				if f == "PORT" {
					test.flags[i] = strconv.Itoa(int(testenv.Port(t)))
				}
			}
			res, code := serviceEnsure(t, test.properties, test.flags...)
			if code != test.code || res.Epmd.Detach != test.detach || res.Error.Message != test.message {
				t.Errorf("%d, %+v", code, res)
			}
			if warnings := strings.Join(res.Warnings, "\n"); !regexp.MustCompile(cmp.Or(test.warning, "^$")).MatchString(warnings) {
				t.Errorf("warnings: %s", warnings)
			}
			if units := sh(t, "systemctl list-units --all --no-legend 'beamrun-*'"); test.code != 0 && units != "" {
				t.Errorf("left: %s", units)
			}
		})
	}
}

// Outside of services a session is enough, and systemd is asked for only by the flag.
func TestSystemdOutsideOfServices(t *testing.T) {
	noEpmd(t)
	t.Setenv("BEAMRUN_DETACH", "auto")
	for _, test := range []struct{ flags, detach string }{{"", "session"}, {"--detach systemd", "socket"}, {"--detach session", "session"}} {
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
	eventually(t, "the user manager runs", func() bool { return exists("/run/user/" + uid + "/systemd/private") })
	res, code := serviceEnsure(t, []string{"User=app"})
	want := "this epmd ends at the last logout of user " + uid + "; to keep it: loginctl enable-linger " + uid
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
	if code != 0 || res.Epmd.Detach != "session" || len(res.Warnings) != 1 || !strings.HasSuffix(res.Warnings[0], "(systemd did not run it apart: systemd-run: context deadline exceeded)") {
		t.Errorf("%d, %+v", code, res)
	}
	t.Logf("it took %.0f ms", res.Epmd.Ms)
}

// Whoever asks, an epmd that systemd keeps is left alone, and the command that stops it is told.
// That command, run as it stands by who asked, stops it. In the place of "sudo" the test is root
// itself.
func TestSystemdStop(t *testing.T) {
	uid := appUser(t)
	dir := "XDG_RUNTIME_DIR=/run/user/" + uid
	asRoot, asApp, inSession := "", "runuser -u app -- ", "runuser -u app -- env "+dir+" "
	const both, ours = "systemctl stop epmd.socket epmd.service", "systemctl stop beamrun-epmd-4369.service"
	inSocket := func(t *testing.T) { sh(t, "systemctl start epmd.socket") }
	inService := func(t *testing.T) {
		sh(t, "systemctl start epmd.socket && epmd -names && systemctl is-active epmd.service")
	}
	inTransient := func(t *testing.T) {
		maskSocket(t)
		sh(t, "%s --detach systemd ensure && systemctl is-active beamrun-epmd-4369.service", installed)
	}
	ofUser := func(t *testing.T) {
		linger(t)
		sh(t, "%s%s --detach systemd ensure && %ssystemctl --user is-active beamrun-epmd-4369.service", inSession, installed, inSession)
	}
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
		{"app's unit; app, logged in", ofUser, inSession, "systemctl --user stop beamrun-epmd-4369.service"},
		{"app's unit; app, in a service", ofUser, asApp, dir + " systemctl --user stop beamrun-epmd-4369.service"},
		{"app's unit; root", ofUser, asRoot, "runuser -u app -- env " + dir + " systemctl --user stop beamrun-epmd-4369.service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			noEpmd(t)
			test.start(t)
			stop := test.as + installed + " --json stop"
			epmds := sh(t, "pgrep -x epmd || true")
			var got struct{ Error report }
			out := sh(t, "%s || test $? = 1", stop)
			if err := json.Unmarshal([]byte(out), &got); err != nil || got.Error.Kind != "service" || got.Error.Hint != test.hint {
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

	t.Run("the service of a program", func(t *testing.T) { // it is not for epmd, and would not start it again
		noEpmd(t)
		sh(t, "systemd-run --quiet --collect --unit=program %s --detach session sh -c 'sleep 60'", installed)
		t.Cleanup(func() { exec.Command("systemctl", "stop", "program").Run() })
		eventually(t, "epmd answers", func() bool { _, err := epmd.Names(t.Context(), epmdAddr); return err == nil })
		if g := group(testenv.PID(epmd.DefaultPort)); !strings.HasSuffix(g, "/program.service") {
			t.Fatalf("epmd is in %s", g)
		}
		if out := sh(t, "%s stop", installed); !strings.Contains(out, ": stopped, in ") {
			t.Error(out)
		}
	})
}

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
			pid, _ := strconv.Atoi(strings.TrimSpace(sh(t, "systemctl show -P MainPID %s", test.units[0])))
			if args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); fmt.Sprint(uidOf(t, pid)) != appUser(t) || !strings.Contains(string(args), "-sname") {
				t.Errorf("the node is %q of user %d", args, uidOf(t, pid))
			}
			eventually(t, "the node has booted", func() bool { // before that, it may not hear TERM
				out, _ := exec.Command("su", "app", "-c", "erl_call -sname app -r -a 'init get_status []'").Output()
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
			if onlyLocal := !strings.Contains(listeners, "0.0.0.0:") && !strings.Contains(listeners, "*:"); onlyLocal != (len(test.units) == 3) {
				t.Error(listeners)
			}
			if said := journal(t, begin, "beamrun"); said != "" {
				t.Error(said)
			}
		})
	}
}

// since is the time for journalctl --since.
func since(t time.Time) string { return fmt.Sprintf("@%d.%06d", t.Unix(), t.Nanosecond()/1000) }

// journal is what a program said since begin.
func journal(t *testing.T, begin time.Time, program string) string {
	t.Helper()
	return sh(t, "journalctl --sync; journalctl --no-pager --quiet -o cat -t %s --since %s | grep '^beamrun: ' || true", program, since(begin))
}

// Ten services are enabled, of root and of app, and so is epmd.socket.
func TestBeforeReboot(t *testing.T) {
	appUser(t)
	for i := range 10 {
		user := []string{"root", "app"}[i%2]
		home := map[string]string{"root": "/root", "app": "/home/app"}[user]
		text := fmt.Sprintf("[Service]\nUser=%s\nEnvironment=HOME=%s\nExecStart=%s erl -noinput -sname app%d\n[Install]\nWantedBy=ci.service\n", user, home, installed, i)
		if err := os.WriteFile(fmt.Sprintf("/etc/systemd/system/app%d.service", i), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// lest the reboot, which ends this service too, ends the whole lane
	sh(t, `mkdir -p /run/systemd/system/ci.service.d
		printf '[Unit]\nSuccessAction=none\nFailureAction=none\n' >/run/systemd/system/ci.service.d/reboot.conf
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
	if active := sh(t, "systemctl is-active epmd.socket epmd.service app{0..9}"); active != strings.Repeat("active\n", 12) {
		t.Error(active)
	}
	if failed := sh(t, "systemctl --failed --no-legend; systemctl list-units --all --no-legend 'beamrun-*'"); failed != "" {
		t.Error(failed)
	}
	if epmds := sh(t, "pgrep -xa epmd"); !regexp.MustCompile(`^\d+ /usr/bin/epmd -systemd\n$`).MatchString(epmds) {
		t.Error(epmds)
	}
	log := sh(t, "journalctl --no-pager -o cat")
	if strings.Contains(log, "beamrun: ") || strings.Contains(log, "Address already in use") {
		t.Error(log)
	}
	t.Log("\n" + sh(t, "systemctl status --no-pager epmd.socket epmd.service"))
}
