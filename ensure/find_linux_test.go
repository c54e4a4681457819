package ensure

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// A directory of shims is passed over for what they stand for; an epmd that is a script elsewhere
// is the user's wish.
func TestFindBehindShims(t *testing.T) {
	testenv.Need(t, "epmd", "sh")
	real, err := exec.LookPath("epmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	counting, starts := testenv.Counting(t)
	data := t.TempDir()
	at := func(path string) string { return filepath.Join(data, path) }
	const shim = "#!/bin/sh\necho no version is set >&2; exit 126\n"
	err = errors.Join(os.MkdirAll(at("shims"), 0o755),
		os.MkdirAll(at("installs/erlang/27.1/erts-15.1/bin"), 0o755),
		os.WriteFile(at("shims/epmd"), []byte(shim), 0o755),
		os.Symlink("epmd", at("shims/erl")))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"BINDIR", "ROOTDIR", "RELEASE_ROOT"} {
		t.Setenv(key, "")
	}
	t.Setenv("PATH", at("shims")+":"+filepath.Dir(counting)+":"+os.Getenv("PATH"))
	if got, err := (Config{}).Find(t.Context()); err != nil || got != counting {
		t.Errorf("found %s, %v; want %s", got, err, counting)
	}
	res, err := Epmd(t.Context(), Config{Port: testenv.Port(t)})
	if err != nil || res.Program != counting || starts() != 1 {
		t.Errorf("%+v, %v, %d starts", res, err, starts())
	}

	installed := at("installs/erlang/27.1/erts-15.1/bin/epmd")
	if err := os.Symlink(real, installed); err != nil {
		t.Fatal(err)
	}
	port := testenv.Port(t)
	res, err = Epmd(t.Context(), Config{Port: port})
	if err != nil || res.Program != installed {
		t.Errorf("%+v, %v; want %s", res, err, installed)
	}
	if _, err := epmd.Names(t.Context(), testenv.Loopback(port)); err != nil {
		t.Error(err)
	}
}
