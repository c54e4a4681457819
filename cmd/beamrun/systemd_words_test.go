//go:build systemd

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/shell/shelltest"
)

// A service may make control groups of any name below its own. Where such a name looks like a unit
// of beamrun's, but is a command, stop and doctor do not show it. They show a unit's name with
// backslashes, and the command stops that unit.
func TestSystemdWords(t *testing.T) {
	noEpmd(t)
	maskSocket(t)
	sh(t, "%s -q cookie rotate", installed)
	t.Setenv("BEAMRUN_DETACH", "auto")
	dir := t.TempDir()
	runs := func() bool {
		return strings.Contains(sh(t, "epmd -names 2>&1 || true"), "up and running")
	}
	for _, group := range []string{
		"beamrun-epmd-$(touch${IFS}pwned).service", "beamrun-epmd-a;touch pwned;.service",
		"beamrun-epmd-\x1b[2J.service", "--help.service",
	} {
		t.Run(group, func(t *testing.T) {
			run := script(t, "hostile-group", `
for top in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
	own=$top$(sed -n 's/^\(0:\|1:name=systemd\)://;T;s/^://;p;q' /proc/self/cgroup)
	mkdir "$own/$GROUP" && echo $$ >"$own/$GROUP/cgroup.procs"
done
exec epmd`)
			file := dir + "/group"
			if err := os.WriteFile(file, []byte(group), 0o644); err != nil {
				t.Fatal(err)
			}
			sh(t, `systemd-run --quiet --unit=app --collect -p Delegate=yes `+
				`--setenv=GROUP="$(cat %s)" %s`, file, run)
			t.Cleanup(func() { sh(t, "systemctl stop app || true"); stopEpmd(t) })
			eventually(t, "epmd answers", runs)
			in := sh(t, "cat /proc/$(pgrep -xo epmd)/cgroup")
			if !strings.Contains(in, group) {
				t.Fatalf("epmd is in %s", in)
			}
			said := sh(t, "%s doctor || true; %[1]s --json doctor || true; "+
				"%[1]s stop 2>&1 || true", installed)
			shownAreInert(t, said)
			if strings.Contains(said, "pwned") || strings.Contains(said, "[2J") ||
				strings.Contains(said, "--help.service") {
				t.Errorf("it shows a word of the group's name:\n%s", said)
			}
		})
	}

	t.Run("a unit's name with backslashes", func(t *testing.T) {
		sh(t, `systemd-run --quiet --collect --unit='beamrun-epmd-$(touch pwned).service' epmd`)
		t.Cleanup(func() { stopEpmd(t) })
		eventually(t, "epmd answers", runs)
		said := sh(t, "%s doctor 2>&1 || true; %[1]s stop 2>&1 || true", installed)
		shownAreInert(t, said)
		hint := regexp.MustCompile(`(?m)^hint: (systemctl stop .*x24.*)$`).FindStringSubmatch(said)
		if hint == nil {
			t.Fatalf("it said\n%s", said)
		}
		sh(t, "%s", hint[1])
		if out := sh(t, "epmd -names 2>&1 || true"); strings.Contains(out, "up and running") {
			t.Errorf("after %s: %s", hint[1], out)
		}
		t.Log(hint[1])
	})
}

// shownAreInert fails the test if a command that is shown starts more than it names.
func shownAreInert(t *testing.T, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		command, is := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		shown := []string{command}
		if !is {
			shown = shelltest.Commands(strings.TrimPrefix(strings.TrimSpace(line), "hint: "))
		}
		for _, c := range shown {
			if err := shelltest.Inert(c); err != nil {
				t.Error(err)
			}
		}
	}
}
