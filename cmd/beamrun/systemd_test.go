//go:build systemd

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
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
		fmt.Fprintln(os.Stderr, "the tests with the tag systemd change the system and reboot it; "+
			"they run in .ci/systemd only:", err)
		os.Exit(1)
	}
}

var epmdAddr = testenv.Loopback(4369)

const installed = "/usr/local/bin/beamrun"

// sh runs a shell command and returns what it printed, its errors too.
func sh(t *testing.T, format string, args ...any) string {
	t.Helper()
	command := fmt.Sprintf(format, args...)
	// without the test's context: tests clean up with sh
	out, err := exec.Command("timeout", "60", "bash", "-c", command).CombinedOutput()
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
	exec.Command("systemctl", "stop",
		"epmd.socket", "epmd.service", "beamrun-epmd-4369.service").Run()
	exec.Command("systemctl", "reset-failed").Run()
	// a user's manager has to stop its own epmd, so that it does not start it again
	if uid := appUser(t); exists("/run/user/" + uid + "/systemd/private") {
		sh(t, "runuser -u app -- env XDG_RUNTIME_DIR=/run/user/%s "+
			"systemctl --user stop beamrun-epmd-4369.service || true", uid)
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
	t.Cleanup(func() {
		exec.Command("systemctl", "unmask", "--runtime", "--quiet", "epmd.socket").Run()
	})
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
	// logind may still be ending the last one
	sh(t, "loginctl enable-linger app && systemctl start user@%s", uid)
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
	eventually(t, "the user manager has ended", func() bool {
		return !exists("/run/user/" + uid + "/systemd/private")
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			state := sh(t, "systemctl --no-pager status; journalctl --no-pager -n 50")
			t.Fatalf("it never came about that %s\n%s", what, state)
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
	command := append([]string{installed, "--json", "ensure"}, flags...)
	out, code := service(t, properties, command...)
	if err := json.Unmarshal([]byte(out), &res); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	return res, code
}

// since is the time for journalctl --since.
func since(t time.Time) string { return fmt.Sprintf("@%d.%06d", t.Unix(), t.Nanosecond()/1000) }

// journal is what a program said since begin.
func journal(t *testing.T, begin time.Time, program string) string {
	t.Helper()
	return sh(t, "journalctl --sync; journalctl --no-pager --quiet -o cat -t %s --since %s | "+
		"grep '^beamrun: ' || true", program, since(begin))
}
