//go:build unix

package launcher

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/beamrun/beamrun/cookie"
)

// emptyHome is a home directory, and all that decides where the state directory is leads there.
func emptyHome(t *testing.T) string {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("XDG_CACHE_HOME", "")
	return home
}

func TestAsksForShell(t *testing.T) {
	for args, want := range map[string]bool{
		"": false, "-sname x -remsh y": true, "--sname x --remsh y": true, "-remsh": true,
		"-extra -remsh y": false, "run -- --remsh y": false, "--remsh=y": false,
	} {
		if got := asksForShell(strings.Fields(args)); got != want {
			t.Errorf("%q: %t", args, got)
		}
	}
}

// A remote shell gets another home in place of the variable and the -eval.
func TestRemoteShellEnvironment(t *testing.T) {
	home := emptyHome(t)
	warn := func(w string) { t.Error(w) }
	odd := filepath.Join(home, `it's "a"\ home`)
	env := []string{"A=B", "ERL_AFLAGS=-hidden", cookieVar + "=old", "HOME=" + odd}
	got := environ(t, Config{Args: []string{"-remsh", "x"}, Env: env, Cookie: "abc", Warn: warn})
	dir := value(got, "HOME")
	want := []string{"A=B", "HOME=" + dir, "ERL_AFLAGS=-hidden -env HOME " + home + `/it\'s\ \"a\"\\\ home`}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if c, err := cookie.Load(filepath.Join(dir, ".erlang.cookie")); c != "abc" || err != nil || !strings.HasPrefix(dir, home+"/") {
		t.Errorf("%s: %q, %v", dir, c, err)
	}
	if given := environ(t, Config{Args: []string{"--remsh", "x", "--cookie", "mine"}, Env: env, Cookie: "abc"}); !slices.Equal(given, env) {
		t.Errorf("with a cookie of its own: %q", given)
	}
}

// Where there can be no such directory, the shell gets the cookie as other programs do, and somebody
// is told.
func TestRemoteShellWithoutFolder(t *testing.T) {
	home := emptyHome(t)
	if err := os.WriteFile(filepath.Join(home, ".cache"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", "/etc/passwd")
	for _, env := range [][]string{{"HOME=" + home}, {"HOME="}, {"A=B"}} {
		var said []string
		c := Config{Args: []string{"--remsh", "x"}, Env: env, Cookie: "abc", Warn: func(w string) { said = append(said, w) }}
		got := environ(t, c)
		if len(said) != 1 || strings.Contains(said[0], "\n") || strings.Contains(said[0], "abc") {
			t.Errorf("%q: %q", env, said)
		}
		if value(got, cookieVar) != "abc" || value(got, "ERL_AFLAGS") != setCookie || value(got, "HOME") != value(env, "HOME") {
			t.Errorf("%q became %q", env, got)
		}
		c.Warn = nil
		environ(t, c)
	}
}

// One directory for one home and cookie, of any number of launches at once; private, and whatever
// stood there before.
func TestShellHome(t *testing.T) {
	home := emptyHome(t)
	for _, name := range []string{".erlang", ".erlang.cookie", "visible"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte("of the user"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	made := func(home, c string) string {
		t.Helper()
		dir, err := shellHome(home, c)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := cookie.Load(filepath.Join(dir, ".erlang.cookie")); got != c || err != nil {
			t.Errorf("the cookie is %q, %v", got, err)
		}
		return dir
	}
	var dirs [20]string
	var wg sync.WaitGroup
	for i := range dirs {
		wg.Go(func() { dirs[i], _ = shellHome(home, "abc") })
	}
	wg.Wait()
	dir := made(home, "abc")
	for _, other := range dirs {
		if other != dir {
			t.Errorf("%q beside %s", other, dir)
		}
	}
	if made(home, "abd") == dir || made("/", "abc") == dir {
		t.Error("another cookie, or home, has the same folder")
	}
	info, err := os.Lstat(dir)
	if err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{".cache", ".erlang", ".erlang.cookie"}; !slices.Equal(names, want) {
		t.Errorf("it holds %q, want %q", names, want)
	}
	if to, _ := os.Readlink(filepath.Join(dir, ".erlang")); to != filepath.Join(home, ".erlang") {
		t.Errorf(".erlang leads to %q", to)
	}

	// what is no good file with that cookie is replaced, and a link is not followed
	file, victim := filepath.Join(dir, ".erlang.cookie"), filepath.Join(home, "victim")
	for _, spoil := range []func() error{
		func() error { return os.WriteFile(file, []byte("other"), 0o400) },
		func() error { return os.WriteFile(file, []byte("abc"), 0o644) },
		func() error { return os.WriteFile(victim, []byte("abc"), 0o400) },
	} {
		os.Remove(file)
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if os.Symlink(victim, file) == nil {
			defer func() {
				if text, _ := os.ReadFile(victim); string(text) != "abc" {
					t.Errorf("the link was followed: %q", text)
				}
			}()
		}
		made(home, "abc")
		if info, err := os.Lstat(file); err != nil || info.Mode() != 0o400 {
			t.Errorf("%v, %v", info, err)
		}
	}
}
