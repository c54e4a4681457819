package systemd

import "testing"

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
