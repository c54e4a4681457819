package vmargs

import (
	"strings"
	"testing"
)

// Arguments as a VM has them, split at spaces.
func TestArguments(t *testing.T) {
	const begin = "beam.smp -S 1:1 -A 0 -- -root /usr/lib/erlang -bindir /bin -progname erl -- -home /home/a -- "
	for text, want := range map[string]struct {
		name, cookie string
		epmd         uint16
		tls          bool
	}{
		"":                        {},
		"-sname a":                {name: "a"},
		"-name a@h.example":       {name: "a@h.example"},
		"-sname":                  {},
		"-sname -noinput":         {},
		"-sname undefined":        {},
		"-sname a -sname b":       {name: "a"},
		"-noinput -sname a_B-9@h": {name: "a_B-9@h"},
		"-sname a;reboot":         {}, // no node's
		"-sname $(x)@h":           {},
		"-sname @h":               {},
		"-extra -sname a -setcookie c -epmd_port 7": {},
		"-sname a -extra -setcookie c":              {name: "a"},
		"-setcookie c":                              {cookie: "c"},
		"-setcookie c -setcookie d":                 {},
		"-setcookie c -setcookie":                   {},
		"-setcookie b@h c":                          {},
		"-setcookie b@h c -setcookie d":             {cookie: "d"},
		"-setcookie":                                {},
		"-epmd_port 24000":                          {epmd: 24000},
		"-epmd_port x":                              {},
		"-epmd_port 0":                              {},
		"-epmd_port 70000":                          {},
		"-proto_dist inet_tls":                      {tls: true},
		"-proto_dist inet6_tls":                     {tls: true},
		"-proto_dist inet6_tcp":                     {},
		"-proto_dist inet_tcp":                      {},
	} {
		if want.epmd == 0 {
			want.epmd = 4369
		}
		args := strings.Fields(begin + text)
		got := want
		got.name, got.cookie, got.epmd, got.tls = NodeName(args), Cookie(args), EpmdPort(args), IsTLS(args)
		if got != want || Value(args, "-home") != "/home/a" {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	for want, args := range map[bool][]string{true: {"-eval", `x(os:getenv("V"))`}, false: {"-extra", "V", "-eval"}} {
		if Evaluates(args, "V") != want {
			t.Errorf("%q", args)
		}
	}
}

// How arguments say that a node does without epmd.
func TestEpmdlessArguments(t *testing.T) {
	for text, want := range map[string]struct {
		module, folder string
		peers          string
		port           uint16
		visits         bool
	}{
		"-sname a":                                                           {},
		"-epmd_module erl_epmd":                                              {},
		"-epmd_module other -beamrun_nodes /f 0":                             {module: "other"},
		"-epmd_module erl_epmd -beamrun_nodes /f 0":                          {folder: "/f"},
		"-kernel epmd_module other -beamrun_nodes /f 0":                      {module: "other"},
		"-kernel a 1 epmd_module other b 2 -beamrun_nodes /f 0":              {module: "other"},
		"-kernel a 1 -kernel epmd_module other":                              {module: "other"},
		"-kernel a epmd_module other 1 -beamrun_nodes /f 0":                  {folder: "/f"},
		"-kernel a 1 epmd_module":                                            {},
		"-extra -beamrun_nodes /f 0":                                         {},
		"-beamrun_nodes /f 0":                                                {folder: "/f"},
		"-erl_epmd_port 9100":                                                {peers: "9100", port: 9100},
		"-erl_epmd_port 0":                                                   {peers: "0"},
		"-erl_epmd_port x":                                                   {peers: "x"},
		"-erl_epmd_port 70000":                                               {peers: "70000"},
		"-erl_epmd_port":                                                     {},
		"-kernel erl_epmd_node_listen_port 9100":                             {peers: "9100", port: 9100},
		"-kernel inet_dist_listen_min 1 -kernel erl_epmd_node_listen_port 7": {peers: "7", port: 7},
		"-erl_epmd_port 9100 -dist_listen false":                             {peers: "9100", port: 9100, visits: true},
		"-dist_listen true":                                                  {},
	} {
		args := strings.Fields("beam.smp -- -root /r -- " + text)
		got := want
		got.module, got.folder, got.peers, got.port, got.visits = EpmdModule(args), NodesDir(args), peersPort(args), PeersPort(args), OnlyVisits(args)
		if got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

// A release is known by what its scripts pass, whatever it is called.
func TestIsRelease(t *testing.T) {
	for args, want := range map[string]bool{
		"beam.smp -- -boot /srv/app/releases/1.0.0/start -boot_var RELEASE_LIB /srv/app/lib": true,
		"beam.smp -- -boot start_clean -config /srv/app/releases/1.0.0/sys":                  true,
		"beam.smp -- -boot /usr/lib/erlang/bin/start_clean":                                  false,
		"beam.smp -- -sname a -extra -boot /srv/app/releases/1/start":                        false,
	} {
		if got := IsRelease(strings.Fields(args)); got != want {
			t.Errorf("%s: %v", args, got)
		}
	}
}

func TestChangedUser(t *testing.T) {
	for args, want := range map[string]bool{
		"-beamrun_nodes /f 0": true, "-beamrun_nodes /f 1000": false, "-beamrun_nodes /f": false, "-beamrun_nodes": false,
		"-epmd_module other -beamrun_nodes /f 0": false, "": false,
	} {
		if got := ChangedUser(strings.Fields(args), 1000); got != want || ChangedUser(strings.Fields(args), 0) {
			t.Errorf("%q: %t", args, got)
		}
	}
}
