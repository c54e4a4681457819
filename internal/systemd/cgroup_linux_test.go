package systemd

import (
	"strings"
	"testing"
)

func TestServiceOf(t *testing.T) {
	for _, test := range []struct {
		cgroup string
		want   Service
	}{
		{"0::/system.slice/app.service\n", Service{"app.service", ""}},
		{"0::/system.slice/system-app.slice/app@1.service\n", Service{"app@1.service", ""}},
		{"0::/system.slice/app.service/workers/1\n", Service{"app.service", ""}},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.service\n", Service{"app.service", "1000"}},
		{"0::/user.slice/user-1000.slice/user@1000.service\n", Service{"user@1000.service", ""}},
		{"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", Service{}},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal-1.scope\n", Service{}},
		{"0::/user.slice/user-1000.slice/session-2.scope\n", Service{}},
		{"0::/system.slice/docker-0123.scope\n", Service{}},
		{"0::/machine.slice/c1.scope/payload/system.slice/app.service\n", Service{"app.service", ""}},
		{"0::/\n", Service{}},
		{"", Service{}},
		// v1, and both
		{"12:pids:/system.slice/app.service\n1:name=systemd:/system.slice/app.service\n0::/\n", Service{"app.service", ""}},
		{"4:memory:/system.slice/app.service\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n", Service{}},
		{"9:name=systemd:/\n8:pids:/\n0::/system.slice/ci.service\n", Service{"ci.service", ""}},
		// a directory that a service made below its own has any name
		{"0::/system.slice/app.service/beamrun-epmd-$(id>&2).service\n", Service{"app.service", ""}},
		{"0::/system.slice/app.service/--help.service\n", Service{"app.service", ""}},
		{"0::/system.slice/app.service/a b.service\n", Service{"app.service", ""}},
		{"0::/system.slice/app.service/" + strings.Repeat("a", 255) + ".service\n", Service{"app.service", ""}},
		{"0::/system.slice/app.service/.service\n", Service{"app.service", ""}},
		{`0::/system.slice/a\x2db@c.service` + "\n", Service{`a\x2db@c.service`, ""}},
		{"0::/user.slice/user-1000.slice/user@1000.service/beamrun-epmd-`id`.service\n", Service{"user@1000.service", ""}},
		{"0::/$(id).service\n", Service{}},
		{"0::/system.slice/user@-1.service/app.service\n", Service{"app.service", ""}},
		{"0::/system.slice/user@1000 id.service/app.service\n", Service{"app.service", ""}},
		{"0::/system.slice/user@$(id).service/app.service\n", Service{"app.service", ""}},
		{"no colons\n0:\n::\n", Service{}},
	} {
		if got := serviceOf(test.cgroup); got != test.want {
			t.Errorf("%q: %+v, want %+v", test.cgroup, got, test.want)
		}
	}
}

func TestEpmdServices(t *testing.T) {
	for name, want := range map[string]bool{
		"epmd.service": true, "epmd@127.0.0.1.service": true, "beamrun-epmd-4369.service": true, "beamrun-epmd-1.service": true,
		"rabbitmq-server.service": false, "my-epmd.service": false, "epmd.service.d.service": false, "user@0.service": false, "": false,
	} {
		if got := (Service{Name: name}).IsEpmds(); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestIsUnit(t *testing.T) {
	for name, want := range map[string]bool{
		"epmd.service": true, "epmd.socket": true, "user@1000.service": true, `dev-disk-by\x2duuid.device`: true, "a:b_c.scope": true,
		strings.Repeat("a", 247) + ".service": true, strings.Repeat("a", 248) + ".service": false,
		"": false, "epmd": false, ".service": false, "epmd.": false, "-rf.service": false, "--help.service": false, "a b.service": false,
		"$(id).service": false, "a;b.service": false, "a\n.service": false, "é.service": false, "a/b.service": false, "a%.service": false,
	} {
		if got := IsUnit(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// A session is a word of a sentence only, and a unit's name all the same.
func FuzzServiceOf(f *testing.F) {
	f.Add("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.service\n")
	f.Add("0::/system.slice/a.service/user@0.service/beamrun-epmd-$(id).service\n")
	f.Fuzz(func(t *testing.T, cgroup string) {
		s := serviceOf(cgroup)
		if s.Name != "" && !IsUnit(s.Name) || strings.Trim(s.User, "0123456789") != "" {
			t.Errorf("%q: %+v", cgroup, s)
		}
	})
}
