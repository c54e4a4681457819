package locate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/testenv"
)

// Attack M5: root executed the epmd of another user's HOME, BINDIR, ROOTDIR, RELEASE_ROOT or PATH.
// It is passed over, and where there is no other the error names what was, and why.
func TestFindAsRoot(t *testing.T) {
	dir := testenv.Hers(t, "!bin/epmd", "!bin/erl", "!otp/erts-13.1/bin/epmd", "!.asdf/installs/erlang/27.1/erts-15.1/bin/epmd",
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
	if got, err := Epmd(t.Context(), "", ""); err != nil || got != mine+"/epmd" {
		t.Errorf("found %s, %v", got, err)
	}
	t.Setenv("PATH", theirs)
	if erl, err := safepath.LookPath("erl", 0); err == nil && strings.HasPrefix(erl, dir) {
		t.Error("root would run " + erl)
	}
	// no place but hers
	ofHers := func() []string {
		return slices.Concat(ofRelease(""), onPath(), glob(dir+"/.asdf/installs/erlang/*/erts-*/bin"), besideErl())
	}
	t.Setenv("PATH", theirs+":"+t.TempDir())
	got, err := findIn(t.Context(), []func() []string{ofHers})
	var ferr *Error
	if !errors.As(err, &ferr) {
		t.Fatalf("found %s, %v", got, err)
	}
	for _, want := range []string{fmt.Sprintf("%s/bin/epmd: %[1]s belongs to uid %d", dir, testenv.Mallory), grouped + "/epmd is writable by others (mode 0775)"} {
		if !strings.Contains(ferr.Error(), want) {
			t.Errorf("%v, want %s", ferr.Error(), want)
		}
	}
	if !ferr.Missing || !strings.Contains(ferr.Hint, "by its path") {
		t.Errorf("%s, %s", ferr, ferr.Hint)
	}
	// who names one means it
	if got, err := Epmd(t.Context(), dir+"/bin/epmd", ""); err != nil || got != dir+"/bin/epmd" {
		t.Errorf("named: %s, %v", got, err)
	}
}
