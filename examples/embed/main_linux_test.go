package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/beamrun/beamrun/internal/testenv"
)

// The test binary plays the example.
func TestMain(m *testing.M) {
	if os.Getenv("EMBED_TEST") != "" {
		main()
	}
	m.Run()
}

func TestEmbed(t *testing.T) {
	testenv.Need(t, "epmd", "erl")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(int(testenv.Port(t)))
	home := t.TempDir()
	for _, started := range []string{"true", "false"} {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), "EMBED_TEST=1", "ERL_EPMD_PORT="+port, "HOME="+home,
			"XDG_RUNTIME_DIR=", "XDG_CACHE_HOME=")
		out, err := cmd.CombinedOutput()
		want := regexp.MustCompile(`^epmd started here: ` + started + `\nembedded@\S+ is up\n$`)
		if err != nil || !want.Match(out) {
			t.Errorf("%v: %s", err, out)
		}
	}
}
