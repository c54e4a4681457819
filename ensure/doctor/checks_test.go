package doctor

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/owner"
)

func TestEndsWithoutIPv6(t *testing.T) {
	const no, ends, may = "no", "ends", "may"
	for version, want := range map[string]string{
		// otp#4820
		"10.7.2.19": ends, "11.1.8": ends, "11.2.2.12": ends, "11.2.2.13": no, "11.2.2.18": no,
		"12.0": ends, "12.3.1": ends, "12.3.2": no, "12.3.2.17": no, "13.1.5": no, "14.2": no,
		// otp#11402
		"15.2.7.10": no, "15.2.7.11": ends, "15.2.7.12": may,
		"16.2.1": no, "16.3": may, "17.0.2": may, "17.1": no,
		"": no, "x": no, "11.x": no,
	} {
		got := no
		switch e, m := endsWithoutIPv6(version); {
		case e:
			got = ends
		case m:
			got = may
		}
		if got != want {
			t.Errorf("%q: %s, want %s", version, got, want)
		}
	}
}

func TestFlagWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                 nil,
		" -a  b\t-c\n":                     {"-a", "b", "-c"},
		`-pa "a b" -eval 'x("y")' z\ w ""`: {"-pa", "a b", "-eval", `x("y")`, "z w", ""},
		`a"b c`:                            {"ab c"},
	} {
		if got := flagWords(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// The module is looked for where a node would find it, of each way to ask for one.
func TestEpmdModule(t *testing.T) {
	dir := t.TempDir()
	ebin := filepath.Join(dir, "app-1", "ebin")
	if err := os.MkdirAll(ebin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(ebin, "my_epmd.beam"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		aflags, flags, elixir, libs string
		want                        Status
	}{
		{want: ""},
		{flags: "-epmd_module erl_epmd", want: ""},
		{flags: "-extra -epmd_module my_epmd", want: ""},
		{flags: "-epmd_module my_epmd", want: Warn},
		{flags: "-kernel epmd_module my_epmd", want: Warn},
		{flags: "-epmd_module my_epmd", libs: dir, want: OK},
		{aflags: "-pa /nowhere " + ebin, flags: "-epmd_module my_epmd", want: OK},
		// plain erl does not look at that
		{flags: "-epmd_module my_epmd", elixir: "-pz " + ebin, want: Warn},
		{aflags: "-pz " + ebin, elixir: "-epmd_module my_epmd", want: OK},
		{elixir: "-epmd_module my_epmd -pa " + dir, want: Warn},
		{aflags: "-epmd_module ../ebin/my_epmd -pa " + ebin, want: Warn},
	} {
		t.Setenv("ERL_AFLAGS", test.aflags)
		t.Setenv("ERL_FLAGS", test.flags)
		t.Setenv("ERL_ZFLAGS", "")
		t.Setenv("ELIXIR_ERL_OPTIONS", test.elixir)
		t.Setenv("ERL_LIBS", test.libs)
		if c := (&host{}).epmdModule(t.Context()); c.Status != test.want {
			t.Errorf("%+v: %+v", test, c)
		}
	}
}

// A cookie is rotated by a command only where no node of this user can be running.
func TestMayRun(t *testing.T) {
	me := os.Geteuid()
	names := []epmd.Node{{Name: "a", Port: 1}}
	for name, test := range map[string]struct {
		h    host
		want bool
	}{
		"no VM":             {host{}, false},
		"another user's VM": {host{names: names, vms: []owner.Program{{UID: me + 1}}}, false},
		"this user's VM":    {host{vms: []owner.Program{{UID: me + 1}, {UID: me}}}, true},
		"this user's VM, which could not be looked into": {
			host{vms: []owner.Program{{UID: me, Closed: true}}}, true,
		},
		"a VM that was not looked at": {host{unseenVMs: 1}, true},
		"names, and no VM is seen":    {host{names: names}, true},
	} {
		if got := test.h.mayRun(); got != test.want && me >= 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The words are those of repair.
func TestNotSeen(t *testing.T) {
	if got := notSeen(0, "VM"); got != "" {
		t.Errorf("%q", got)
	}
	one := "; 1 VM of other users was not looked at"
	two := "; 2 VMs of other users were not looked at"
	if os.Geteuid() == 0 {
		one, two = "; 1 VM could not be looked at", "; 2 VMs could not be looked at"
	}
	if got := notSeen(1, "VM"); got != one {
		t.Errorf("%q", got)
	}
	if got := notSeen(2, "VM"); got != two {
		t.Errorf("%q", got)
	}
}

// A release's cookie is not changed by `beamrun cookie rotate`, which is therefore not advised.
func TestCookiesInPS(t *testing.T) {
	vm := func(args ...string) owner.Program {
		node := []string{"beam.smp", "--", "-sname", "a", "-setcookie", "x"}
		return owner.Program{Args: append(node, args...)}
	}
	release, plain := vm("-boot", "/srv/app/releases/1.0/start"), vm("-boot", "start_clean")
	for _, test := range []struct {
		vms               []owner.Program
		release, rotation bool
	}{
		{[]owner.Program{release}, true, false},
		{[]owner.Program{plain}, false, true},
		{[]owner.Program{release, plain}, true, true},
	} {
		c := (&host{vms: test.vms}).cookiesInPS(t.Context())
		if c.Status != Warn || c.Command != "" ||
			strings.Contains(c.Advice, "releases/COOKIE") != test.release ||
			strings.Contains(c.Advice, "cookie rotate") != test.rotation {
			t.Errorf("%+v", c)
		}
	}
	c := (&host{vms: []owner.Program{{}}, unseenVMs: 2}).cookiesInPS(t.Context())
	if c.Status != OK || !strings.Contains(c.Evidence, "; 2 VMs ") {
		t.Errorf("%+v", c)
	}
}

// A short name that leads here keeps its address, which may be the only one at which nodes listen.
func TestHostKeepsAddress(t *testing.T) {
	for at, want := range map[string]string{"192.168.1.5": "192.168.1.5", "::1": "127.0.1.1"} {
		c := withHost(found(Warn, "x"), netip.MustParseAddr(at), "vm.example.org", "vm")
		end := " sh " + want + " vm.example.org vm"
		if runtime.GOOS != "windows" && !strings.HasSuffix(c.Command, end) {
			t.Errorf("%s: %s", at, c.Command)
		}
	}
}
