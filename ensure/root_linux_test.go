package ensure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/safepath"
)

const mallory = 54321 // a user that no system has

// hers makes a directory of mallory's, with what stands in it, each an empty directory or, with "!" before it, a program of hers.
func hers(t *testing.T, entries ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		epmdtest.Skip(t, "only root can make another user's files")
	}
	dir := filepath.Join(t.TempDir(), "hers")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name, isProgram := strings.CutPrefix(e, "!")
		path := filepath.Join(dir, name)
		above := path
		if isProgram {
			above = filepath.Dir(path)
		}
		err := os.MkdirAll(above, 0o755)
		if isProgram {
			err = errors.Join(err, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, mallory, mallory))
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Attack M5: root executed the epmd of another user's HOME, BINDIR, ROOTDIR, RELEASE_ROOT or PATH. It is passed over, and where there is
// no other the error names what was, and why.
func TestFindAsRoot(t *testing.T) {
	dir := hers(t, "!bin/epmd", "!bin/erl", "!otp/erts-13.1/bin/epmd", "!.asdf/installs/erlang/27.1/erts-15.1/bin/epmd",
		"!.local/share/mise/installs/erlang/27.1/erts-15.1/bin/epmd", "!.kerl/builds/x/release_x/erts-15.1/bin/epmd", "!.asdf/shims/epmd")
	mine := filepath.Join(t.TempDir(), "bin")
	linked := filepath.Join(t.TempDir(), "linked")
	grouped := filepath.Join(t.TempDir(), "grouped")
	err := errors.Join(os.Mkdir(mine, 0o755), os.WriteFile(mine+"/epmd", nil, 0o755), os.Mkdir(linked, 0o755),
		os.Symlink(dir+"/bin/epmd", linked+"/epmd"), os.Mkdir(grouped, 0o755), os.WriteFile(grouped+"/epmd", nil, 0o755), syscall.Chmod(grouped+"/epmd", 0o775))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", dir)
	t.Setenv("BINDIR", dir+"/bin")
	t.Setenv("ROOTDIR", dir+"/otp")
	t.Setenv("RELEASE_ROOT", dir+"/otp")
	theirs := strings.Join([]string{dir + "/bin", dir + "/.asdf/shims", linked, grouped}, ":")
	t.Setenv("PATH", theirs+":"+mine)
	if got, err := (Config{}).find(t.Context()); err != nil || got != mine+"/epmd" {
		t.Errorf("found %s, %v", got, err)
	}
	t.Setenv("PATH", theirs)
	if erl, err := safepath.LookPath("erl", 0); err == nil && strings.HasPrefix(erl, dir) {
		t.Error("root would run " + erl)
	}
	// no place but hers
	ofHers := func() []string {
		return slices.Concat(ofRelease(), onPath(), glob(dir+"/.asdf/installs/erlang/*/erts-*/bin"), besideErl())
	}
	t.Setenv("PATH", theirs+":"+t.TempDir())
	got, ferr := findIn(t.Context(), []func() []string{ofHers})
	if ferr == nil {
		t.Fatalf("found %s", got)
	}
	for _, want := range []string{fmt.Sprintf("%s/bin/epmd: %[1]s belongs to uid %d", dir, mallory), grouped + "/epmd is writable by others (mode 0775)"} {
		if !strings.Contains(ferr.Message(), want) {
			t.Errorf("%v, want %s", ferr.Message(), want)
		}
	}
	if ferr.Kind != KindNotFound || !strings.Contains(ferr.Hint, "--epmd PATH") {
		t.Errorf("%s, %s", ferr.Kind, ferr.Hint)
	}
	// who names one means it
	if got, err := (Config{Program: dir + "/bin/epmd"}).find(t.Context()); err != nil || got != dir+"/bin/epmd" {
		t.Errorf("named: %s, %v", got, err)
	}
}

// What the daemon of root's gets leads to nothing that another user can change.
func TestDaemonEnvAsRoot(t *testing.T) {
	dir := hers(t, "bin", "lib")
	for key, value := range map[string]string{"PATH": dir + "/bin:/usr/bin:relative", "HOME": dir, "LD_LIBRARY_PATH": dir + "/lib",
		"DYLD_LIBRARY_PATH": dir + "/lib:/usr/lib", "TZ": ":" + dir + "/tz"} {
		t.Setenv(key, value)
	}
	if got := strings.Join(daemonEnv(), " "); got != "PATH=/usr/bin DYLD_LIBRARY_PATH=/usr/lib" {
		t.Error(got)
	}
	t.Setenv("PATH", dir+"/bin")
	t.Setenv("TZ", "Europe/Berlin")
	if got := strings.Join(daemonEnv(), " "); !strings.HasPrefix(got, "PATH="+safepath.SystemPath+" TZ=Europe/Berlin ") {
		t.Error(got)
	}
}

// Attack M3: the lock, the log and the module of root's nodes were in a directory of root's below one of mallory's, who put her own in its
// place. No such place is taken, by nobody, and the next is, with a warning.
func TestStateDirNotBelowOthers(t *testing.T) {
	dir := hers(t, "run", "home", "tmp")
	mine := filepath.Join(t.TempDir(), "mine")
	grouped := filepath.Join(t.TempDir(), "grouped")
	own := []string{mine, dir + "/run/root", dir + "/home/root", dir + "/tmp/root", grouped, grouped + "/root"}
	for _, path := range own { // as root may have made them, in her directory
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Chmod(grouped, 0o770); err != nil {
		t.Fatal(err)
	}
	set := func(runtime, home, tmp string) {
		t.Setenv("XDG_RUNTIME_DIR", runtime)
		t.Setenv("HOME", home)
		t.Setenv("XDG_CACHE_HOME", "")
		t.Setenv("TMPDIR", tmp)
	}
	for _, c := range []struct {
		runtime, home, tmp, want string
		warnings                 int
	}{
		{mine, dir + "/home/root", dir + "/tmp", mine + "/beamrun", 0},
		{"", mine, dir + "/tmp", mine + "/.cache/beamrun", 0},
		{dir + "/run/root", mine, dir + "/tmp", mine + "/.cache/beamrun", 1},
		{grouped + "/root", mine, dir + "/tmp", mine + "/.cache/beamrun", 1},
		{dir + "/run/root", dir + "/home/root", mine, mine + "/beamrun-0", 2},
		{dir + "/run/root", dir + "/home/root", dir + "/tmp/root", "/run/beamrun", 3},
		{dir + "/run", dir + "/home", dir + "/tmp", "/run/beamrun", 3},
	} {
		set(c.runtime, c.home, c.tmp)
		got, unsafe, err := stateDir()
		if got != c.want || len(unsafe) != c.warnings || err != nil {
			t.Errorf("%+v: %s, %v, %v", c, got, unsafe, err)
		}
		for _, err := range unsafe {
			if !errors.As(err, new(*safepath.Error)) {
				t.Errorf("%v", err)
			}
		}
		if cache, err := CacheDir("x"); strings.HasPrefix(cache, dir) || err != nil {
			t.Errorf("%+v: cache %s, %v", c, cache, err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), "beamrun") || strings.HasPrefix(filepath.Base(path), ".cache") {
			t.Errorf("%s was made", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	os.Remove("/run/beamrun/x")
	os.Remove("/run/beamrun") // if it is empty
}
