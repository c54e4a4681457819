package epmdless

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/internal/testenv"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// dropping is a port that drops SYNs, for its backlog is full: a connection takes for ever.
func dropping(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*unix.SockaddrInet4).Port
	for range 3 {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(c) })
		unix.Connect(c, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	return port
}

func looks() map[string]func(t *testing.T, folder string) []string {
	return map[string]func(t *testing.T, folder string) []string{
		"package": func(t *testing.T, _ string) (names []string) {
			nodes, _, err := Nodes(t.Context())
			if err != nil {
				t.Error(err)
			}
			for _, n := range nodes {
				names = append(names, n.Name)
			}
			return names
		},
		"module": askModule,
	}
}

// Addresses that somebody has planted cost a second, none of another host is connected to, and
// names are those of nodes.
func TestPlantedAddresses(t *testing.T) {
	testenv.Need(t, "erl")
	open, drops := listen(t), dropping(t)
	for who, look := range looks() {
		t.Run(who, func(t *testing.T) {
			folder := alone(t)
			put := func(name, addr string, port int) {
				path := filepath.Join(folder, name+".1")
				if err := os.WriteFile(path, fmt.Appendf(nil, "%s %d %s 1 1 - -\n", name, port, addr), 0o600); err != nil {
					t.Fatal(err)
				}
				at := time.Now().Add(-time.Hour)
				os.Chtimes(path, at, at)
			}
			put("alone", "127.0.0.1", open)
			begin := time.Now()
			look(t, folder)
			without := time.Since(begin)
			want := []string{"alone"}
			for i := range 40 {
				name := fmt.Sprintf("dropping%d", i)
				put(name, "127.0.0.1", drops)
				want = append(want, name) // what they are cannot be determined in time
			}
			for i, addr := range []string{"192.0.2.1", "2001:db8::1", "224.0.0.1", "255.255.255.255", "fe80::1%lo", "0.0.0.1", "::ffff:192.0.2.1"} {
				put(fmt.Sprintf("far%d", i), addr, open)
			}
			for i, addr := range []string{"127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"} {
				put(fmt.Sprintf("a-near_%d", i), addr, open)
				want = append(want, fmt.Sprintf("a-near_%d", i))
			}
			for _, name := range []string{"a;b", "a@b", "$(id)", "ü", "a\tb", strings.Repeat("a", 251) + "é"} {
				put(name, "127.0.0.1", open)
			}
			if who == "module" { // it looks one by one, so those that it comes to late may be kept
				for i := range 40 {
					os.Remove(filepath.Join(folder, fmt.Sprintf("dropping%d.1", i)))
				}
				want = append(want[:1], want[41:]...)
			}
			got := look(t, folder)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("nodes: %q, want %q", got, want)
			}
			for i := range 40 {
				put(fmt.Sprintf("dropping%d", i), "127.0.0.1", drops)
			}
			begin = time.Now()
			look(t, folder)
			took := time.Since(begin)
			t.Logf("%v, %v without them", took, without)
			if took > without+8*time.Second {
				t.Error("too long")
			}
		})
	}
}

// More entries than are looked at are said.
func TestManyEntries(t *testing.T) {
	folder := alone(t)
	for i := range maxEntries + 10 {
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, strange, err := Nodes(t.Context())
	var e *DirError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "4096") || len(strange) != maxEntries {
		t.Errorf("%d, %v", len(strange), err)
	}
}

// The module takes no directory if another user can change what its path leads to.
func TestModuleTrustsThePath(t *testing.T) {
	testenv.Need(t, "erl")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can give files to other users")
	}
	const mallory = 54321
	for what, tt := range map[string]struct {
		spoil func(top, dir string) error // in top, which is sticky; the folder is top/real/above/base/nodes, and dir top/real/above
		path  string
		ok    bool
	}{
		"nothing":           {func(top, dir string) error { return nil }, "real", true},
		"a sticky one":      {func(top, dir string) error { return unix.Chmod(dir, 0o1777) }, "real", true},
		"root's link":       {func(top, dir string) error { return os.Symlink("real", filepath.Join(top, "link")) }, "link", true},
		"open to all":       {func(top, dir string) error { return os.Chmod(dir, 0o777) }, "real", false},
		"open to the group": {func(top, dir string) error { return os.Chmod(dir, 0o770) }, "real", false},
		"another's":         {func(top, dir string) error { return os.Chown(dir, mallory, 0) }, "real", false},
		"nobody's":          {func(top, dir string) error { return os.Chown(dir, 65534, 65534) }, "real", false},
		"open further up":   {func(top, dir string) error { return os.Chmod(filepath.Dir(dir), 0o757) }, "real", false},
		"another's link": {func(top, dir string) error {
			return errors.Join(os.Symlink("real", filepath.Join(top, "link")), os.Lchown(filepath.Join(top, "link"), mallory, 0))
		}, "link", false},
		"a link into another's": {func(top, dir string) error {
			return errors.Join(os.Chown(dir, mallory, 0), os.Symlink(dir, filepath.Join(top, "link2")), os.Mkdir(filepath.Join(top, "x"), 0o700),
				os.Symlink("../link2/../../real", filepath.Join(top, "x", "link")))
		}, "x/link", false},
		"a link to itself": {func(top, dir string) error { return os.Symlink("link", filepath.Join(top, "link")) }, "link", false},
	} {
		t.Run(what, func(t *testing.T) {
			top, err := os.MkdirTemp("", "beamrun-path-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(top)
			dir := filepath.Join(top, "real", "above")
			folder := filepath.Join(dir, "base", "nodes")
			module := filepath.Join(t.TempDir(), moduleName+".beam")
			if err := errors.Join(os.WriteFile(module, beam, 0o644), unix.Chmod(top, 0o1777), os.MkdirAll(folder, 0o700), tt.spoil(top, dir)); err != nil {
				t.Fatal(err)
			}
			for _, is := range []string{"there", "missing"} {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				out, err := exec.CommandContext(ctx, "erl", "-noinput", "-pa", filepath.Dir(module),
					vmargs.NodesFlag, filepath.Join(top, tt.path, "above", "base", "nodes"), strconv.Itoa(os.Getuid()),
					"-eval", `{ok, _} = erl_epmd:start_link(),
					io:format("~0p~n", [erl_epmd:register_node("x", 1, inet_tcp)]), halt().`).CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				got := string(out)
				if tt.ok && got != "{ok,-1}\n" || !tt.ok && !strings.HasPrefix(got, "{error,{not_private,") {
					t.Errorf("%s: %s", is, got)
				}
				if made, _ := os.ReadDir(dir); is == "missing" && !tt.ok && len(made) > 0 {
					t.Errorf("made in it: %v", made)
				}
				os.RemoveAll(filepath.Dir(folder))
			}
		})
	}
}

// In a container without root the owner of / and of what is in it has no number; anything below it
// has to be the user's.
func TestModuleInAUserNamespace(t *testing.T) {
	testenv.Need(t, "erl", "setpriv", "unshare")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can be another user")
	}
	const victim = 54322
	top, err := os.MkdirTemp("", "beamrun-userns-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	if err := errors.Join(os.WriteFile(filepath.Join(top, moduleName+".beam"), beam, 0o644), os.Chmod(top, 0o755), os.Chown(top, victim, victim)); err != nil {
		t.Fatal(err)
	}
	register := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "setpriv", "--reuid=54322", "--regid=54322", "--clear-groups", "unshare", "--user", "--map-root-user",
			"erl", "-noinput", "-pa", top, vmargs.NodesFlag, filepath.Join(top, "base", "nodes"), "0", "-eval", `{ok, _} = erl_epmd:start_link(),
			io:format("~0p~n", [erl_epmd:register_node("x", 1, inet_tcp)]), halt().`)
		cmd.Dir, cmd.Env = "/", append(os.Environ(), "HOME="+top)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := register(); got != "{ok,-1}\n" {
		t.Errorf("%s", got)
	}
	if err := os.Chown(top, 54321, victim); err != nil { // as unmapped as /
		t.Fatal(err)
	}
	if got := register(); !strings.HasPrefix(got, "{error,{not_private,") {
		t.Errorf("%s", got)
	}
}
