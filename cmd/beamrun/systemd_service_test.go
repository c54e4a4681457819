//go:build systemd

package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

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
	{name: "beamrun in a service with User=app, while app's user manager runs",
		user: "app", socket: true, linger: true, want: "user"},
	{name: "beamrun in a service of app's own user manager",
		user: "app", socket: true, linger: true, ofUser: true, want: "user"},
	{name: "beamrun in a service with User=app, without rights",
		user: "app", socket: true, want: "session"},
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

// systemctl runs systemctl(1) for the manager of the way's service app.
func (w way) systemctl(t *testing.T, args string) string {
	t.Helper()
	if w.ofUser {
		return sh(t, "runuser -u app -- env XDG_RUNTIME_DIR=/run/user/%s systemctl --user %s",
			appUser(t), args)
	}
	return sh(t, "systemctl %s", args)
}

// Service app starts its node, and with it epmd; service bob comes later; app is stopped. Is bob
// still found?
func TestSystemdServiceStops(t *testing.T) {
	table := []string{
		"| service | where epmd ran | alive after the stop | bob found by name | warned |"}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			w.prepare(t)
			begin := time.Now()
			start := installed + " erl -noinput -sname app"
			if w.baseline {
				start = "/bin/sh -c 'epmd -daemon && exec erl -noinput -sname app'"
			}
			if w.ofUser {
				sh(t, "runuser -u app -- env XDG_RUNTIME_DIR=/run/user/%s "+
					"systemd-run --user --quiet --unit=app --collect %s", appUser(t), start)
			} else {
				home := map[string]string{"root": "/root", "app": "/home/app"}[w.user]
				unitFile(t, "app.service", "[Service]\nEnvironment=HOME="+home+
					"\nUser="+w.user+"\nExecStart="+start+"\n")
				sh(t, "systemctl start app")
			}
			eventually(t, "app is registered", func() bool { return isRegistered(t, "app") })
			unitFile(t, "bob.service", "[Service]\nEnvironment=HOME=/root\n"+
				"ExecStart="+installed+" erl -noinput -sname bob\n")
			sh(t, "systemctl start bob")
			eventually(t, "bob is registered", func() bool { return isRegistered(t, "bob") })

			where := "epmd.service, by epmd.socket"
			if pid := testenv.PID(epmd.DefaultPort); pid != 1 { // systemd listens for the socket
				where = group(pid)
			}
			if w.want == "system" || w.want == "user" {
				of := way{ofUser: w.want == "user"}
				t.Log("\n" + of.systemctl(t, "status --no-pager beamrun-epmd-4369"))
			} else if w.want == "socket" {
				t.Log("\n" + sh(t, "systemctl status --no-pager epmd.socket epmd.service"))
			}

			w.systemctl(t, "stop app")
			time.Sleep(200 * time.Millisecond)
			_, err := epmd.Names(t.Context(), epmdAddr)
			alive, found := err == nil, false
			if alive { // else the one who looks would start an epmd
				ping := `[_, Host] = string:split(atom_to_list(node()), "@"), ` +
					`io:format("~p", [net_adm:ping(list_to_atom("bob@" ++ Host))]), halt().`
				found = isRegistered(t, "bob") &&
					sh(t, "HOME=/root erl -noinput -sname carol -eval '%s'", ping) == "pong"
			}
			warnings := journal(t, begin, "beamrun")
			table = append(table,
				fmt.Sprintf("| %s | %s | %v | %v | %q |", w.name, where, alive, found, warnings))
			survives := w.want != "" && w.want != "session"
			if alive != survives || found != survives {
				t.Errorf("alive %v, found %v", alive, found)
			}
			want := ""
			if w.want == "session" {
				want = `^beamrun: warning: this epmd ends with app\.service, ` +
					`and every node of the host loses its name then; ` +
					`add Wants=epmd\.socket and After=epmd\.socket to app\.service ` +
					`\(systemd did not run it apart: only root .*\)\n$`
			}
			if !regexp.MustCompile(cmp.Or(want, "^$")).MatchString(warnings) {
				t.Errorf("the journal has %q, want %s", warnings, want)
			}
		})
	}
	t.Log("\n" + strings.Join(table, "\n"))
}

// What it costs to have systemd start epmd: medians of the time that beamrun ensure reports, in a
// service.
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
			t.Logf("%s: %.1f ms, with --detach session %.1f ms: %+.1f ms",
				w.want, auto, plain, auto-plain)
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
			unitFile(t, "app@.service", "[Service]\nEnvironment=HOME=/root\nPrivateTmp=yes\n"+
				"ExecStart="+installed+" erl -noinput -sname app%i\n")
			sh(t, "systemctl start app@{1..20}")
			eventually(t, "all are registered", func() bool {
				nodes, _ := epmd.Names(t.Context(), epmdAddr)
				return len(nodes) == 20
			})
			t.Logf("all are up after %v", time.Since(begin))
			active := strings.Fields(sh(t, "systemctl is-active app@{1..20}"))
			inactive := func(s string) bool { return s != "active" }
			if len(active) != 20 || slices.ContainsFunc(active, inactive) {
				t.Errorf("the services are %q", active)
			}
			if epmds := sh(t, "pgrep -xc epmd"); epmds != "1\n" {
				t.Errorf("%s epmds", epmds)
			}
			log := sh(t, "journalctl --no-pager -o cat --since %s _PID=1", since(begin))
			starts := strings.Count(log, "Started beamrun-epmd-4369") +
				strings.Count(log, "Started epmd.service")
			t.Logf("systemd started epmd %d times", starts)
			if starts != 1 {
				t.Error(log)
			}
			if warnings := journal(t, begin, "beamrun"); warnings != "" {
				t.Error(warnings)
			}
		})
	}
}
