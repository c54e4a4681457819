package doctor

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell/shelltest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// inert sees that a check is three lines at most, and that its command starts only what it names.
func inert(t *testing.T, c Check) {
	t.Helper()
	for _, s := range []string{c.Evidence, c.Command, c.Advice} {
		if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is not one printable line", s)
		}
	}
	if err := shelltest.Inert(c.Command); err != nil {
		t.Error(err)
	}
}

// Whatever a neighbour's process, name, file or host is called, what is shown of it is inert.
func TestHostileWords(t *testing.T) {
	for _, s := range shelltest.Hostile {
		program := func(pid int, args ...string) owner.Program {
			return owner.Program{
				Process: owner.Process{PID: pid, Name: s}, Args: args, UID: os.Geteuid(),
				Sockets: []owner.Socket{{Addr: netip.MustParseAddrPort("127.0.0.1:7")}},
			}
		}
		process := owner.Process{PID: 1<<22 + 1, Name: s} // no such pid can be
		h := &host{
			config: ensure.Config{Port: 4369, Local: true},
			result: ensure.Result{
				Endpoint: ensure.Endpoint{Port: 4369},
				Address:  netip.MustParseAddrPort("127.0.0.1:4369"),
			},
			names: []epmd.Node{{Name: s, Port: 7}},
			sockets: []owner.Socket{{Addr: netip.MustParseAddrPort("0.0.0.0:4369")},
				{Addr: netip.MustParseAddrPort("0.0.0.0:7")}},
			on: map[uint16]owner.Process{4369: process, 7: process},
			vms: []owner.Program{program(1<<22+2, "beam", "-name", s, "-home", s,
				"-beamrun_nodes", s, "-setcookie", "x")},
			epmds:     []owner.Program{program(1<<22+3, "epmd", s)},
			connected: func() []holder { return []holder{{process, 0}} },
		}
		for _, run := range []func(*host, context.Context) Check{
			(*host).process, (*host).addresses, (*host).others,
			(*host).registered, (*host).cookiesInPS, (*host).epmdlessNodes,
		} {
			inert(t, run(h, t.Context()))
		}
		for _, kind := range []ensure.Kind{
			ensure.KindDown, ensure.KindHung, ensure.KindForeign, ensure.KindConfig,
		} {
			h.err = &ensure.Error{Kind: kind, Err: errors.New(s), Hint: "h " + s}
			inert(t, h.answers(t.Context()))
			inert(t, h.environment(t.Context()))
		}
		inert(t, h.again(found(Warn, "%s", s), h.ensureCommand(), s))
		t.Setenv("ERL_FLAGS", "-epmd_module "+s+" -pa "+s)
		inert(t, h.epmdModule(t.Context()))
		c := withHost(found(Fail, "%s", s), debians(), s)
		inert(t, c)
		if (c.Command == "") == isHostName(s) {
			t.Errorf("%q: %s", s, c.Command)
		}
		inert(t, withHost(found(Fail, "%s", s), debians(), "vm."+s, "vm"))
		t.Setenv("HOME", "/nowhere/"+s)
		inert(t, (&host{}).home(t.Context()))
		t.Setenv("ERL_EPMD_PORT", s)
		t.Setenv("ERL_EPMD_ADDRESS", s)
		t.Setenv("BEAMRUN_DETACH", s)
		_, err := ensure.Probe(t.Context(), ensure.Config{})
		h = &host{}
		if !errors.As(err, &h.err) {
			continue // the text is blank
		}
		inert(t, h.environment(t.Context()))
		os.Unsetenv("ERL_EPMD_PORT")
		_, err = ensure.Probe(t.Context(), ensure.Config{})
		if errors.As(err, &h.err) {
			inert(t, h.environment(t.Context()))
		}
	}
}

// Entries of the nodes' directory are removed, each by its own name, and nothing else.
func TestHostileEntries(t *testing.T) {
	dir := t.TempDir()
	var entries []string
	for _, s := range shelltest.Hostile {
		path := filepath.Join(dir, strings.ReplaceAll(s, "/", "_"))
		if s == "" || s == "." || s == ".." {
			continue
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, path)
		inert(t, foreign(dir, []string{path}))
	}
	c := foreign(dir, entries)
	inert(t, c)
	removes(t, c, dir)
}

// A reply that ends too early is said, and its names are not called none.
func TestNamesUnread(t *testing.T) {
	server := epmdtest.New(t)
	server.Register("alice", server.Port())
	server.SetFaults(epmdtest.Cut(8)) // the port is whole, and all that a probe reads
	h := look(t.Context(), Config{Epmd: ensure.Config{Port: server.Port()}})
	if h.err != nil || h.unnamed == nil {
		t.Fatalf("%v, %v", h.err, h.unnamed)
	}
	c := h.registered(t.Context())
	if c.Status != Warn || !strings.HasPrefix(c.Evidence, "names could not be read: ") {
		t.Errorf("%+v", c)
	}
	if c := h.answers(t.Context()); !strings.Contains(c.Evidence, "names that could not be read") {
		t.Errorf("%+v", c)
	}
}

// A name is stale only where the system shows who listens at all.
func TestNamesUnseen(t *testing.T) {
	server := epmdtest.New(t)
	server.Register("alice", 1)
	h := look(t.Context(), Config{Epmd: ensure.Config{Port: server.Port()}})
	c := h.registered(t.Context())
	if c.Status != Fail || !strings.HasPrefix(c.Evidence, "alice is stale: ") {
		t.Errorf("%+v", c)
	}
	// of another network
	h.sockets = []owner.Socket{{Addr: netip.MustParseAddrPort("127.0.0.1:1234")}}
	c = h.registered(t.Context())
	if c.Status != OK || !strings.Contains(c.Evidence, "who listens is not seen") {
		t.Errorf("%+v", c)
	}
	at := netip.MustParseAddrPort("127.0.0.1:1")
	h.sockets = []owner.Socket{{Addr: at}, {Addr: h.result.Address}}
	h.open = map[uint16]bool{1: true}
	h.on = nil // another user's process
	c = h.registered(t.Context())
	if c.Status != OK || !strings.Contains(c.Evidence, "; "+processUnseen+": alice") {
		t.Errorf("%+v", c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.sockets, h.open = h.sockets[1:], nil
	c = h.registered(ctx)
	if c.Status != Warn || !strings.Contains(c.Evidence, "; "+notInTime+": alice") {
		t.Errorf("%+v", c)
	}
}

// A cookie file that is another user's is not called this user's, and root is shown no command
// about one that another user can change.
func TestCookieOfAnother(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can have the files of another user")
	}
	const other = 54321
	for name, plant := range map[string]func(home string) error{
		"his directory, without a file": func(home string) error {
			return os.Chown(home, other, other)
		},
		"his file": func(home string) error {
			path := filepath.Join(home, ".erlang.cookie")
			text := []byte(strings.Repeat("a1", 32))
			return errors.Join(os.WriteFile(path, text, 0o400), os.Chown(path, other, other))
		},
		"his file, open to all": func(home string) error {
			path := filepath.Join(home, ".erlang.cookie")
			return errors.Join(os.WriteFile(path, []byte("x"), 0o644), os.Chown(path, other, other))
		},
		"a link to his": func(home string) error {
			path := filepath.Join(home, "theirs")
			return errors.Join(os.WriteFile(path, []byte("x"), 0o400), os.Chown(path, other, other),
				os.Symlink("theirs", filepath.Join(home, ".erlang.cookie")))
		},
		"a directory for all": func(home string) error { return os.Chmod(home, 0o777) },
	} {
		home := t.TempDir()
		if err := plant(home); err != nil {
			t.Fatal(err)
		}
		t.Setenv("HOME", home)
		t.Setenv("XDG_CONFIG_HOME", "")
		c := (&host{}).cookie(t.Context())
		if c.Status == OK || c.Command != "" || !strings.Contains(c.Evidence, "uid 54321") &&
			!strings.Contains(c.Evidence, "writable by others") {
			t.Errorf("%s: %+v", name, c)
		}
		t.Setenv("HOME", filepath.Join(home, "none"))
		c = (&host{}).home(t.Context())
		if strings.HasPrefix(name, "his directory") && (c.Command != "" || c.Advice == "") {
			t.Errorf("%s: %+v", name, c)
		}
	}
	t.Setenv("HOME", t.TempDir())
	if c := (&host{}).cookie(t.Context()); c.Command != "beamrun cookie rotate" {
		t.Errorf("root's own: %+v", c)
	}
}
