package statedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/testenv"
)

// Attack M3: the lock, the log and the module of root's nodes were in a directory of root's below
// one of testenv.Mallory's, who put her own in its place. No such place is taken, by nobody, and
// the next is, with a warning.
func TestStateDirNotBelowOthers(t *testing.T) {
	dir := testenv.Hers(t, "run", "home", "tmp")
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
		got, unsafe, err := Dir()
		if got != c.want || len(unsafe) != c.warnings || err != nil {
			t.Errorf("%+v: %s, %v, %v", c, got, unsafe, err)
		}
		for _, err := range unsafe {
			if !errors.As(err, new(*safepath.Error)) {
				t.Errorf("%v", err)
			}
		}
		if cache, err := Cache("x"); strings.HasPrefix(cache, dir) || err != nil {
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
