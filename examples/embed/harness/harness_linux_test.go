package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/examples/internal/exampletest"
	"github.com/beamrun/beamrun/internal/testenv"
)

func TestStart(t *testing.T) {
	testenv.Need(t, "epmd", "erl", "erl_call")
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("XDG_CACHE_HOME", "")
	port := testenv.Port(t)

	t.Run("use", func(t *testing.T) {
		Start(t, port, "a", "b", "c")
		var names []string
		nodes, err := epmd.Names(t.Context(), testenv.Loopback(port))
		for _, node := range nodes {
			names = append(names, node.Name)
		}
		if slices.Sort(names); err != nil || !slices.Equal(names, []string{"a", "b", "c"}) {
			t.Errorf("%q, %v", names, err)
		}
		// the user's cookie opens none of them
		user, err := os.ReadFile(home + "/.erlang.cookie")
		if err != nil {
			t.Fatal(err)
		}
		call := exec.Command("erl_call", "-R", "-c", string(user), "-timeout", "5",
			"-sname", "a@localhost", "-a", "erlang node")
		call.Env = append(os.Environ(), fmt.Sprint("ERL_EPMD_PORT=", port))
		if out, err := call.CombinedOutput(); err == nil {
			t.Errorf("the user's cookie opens it: %s", out)
		}
	})

	exampletest.Wait(t, func() error {
		_, err := ensure.Probe(t.Context(), ensure.Config{Port: port})
		if e := new(ensure.Error); errors.As(err, &e) && e.Kind == ensure.KindDown {
			return nil
		}
		return fmt.Errorf("after the test, epmd: %v", err)
	})
}
