package owner_test

import (
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/testenv"
)

// Wake continues the process that was followed if it is stopped. It signals none that runs, and
// none once it has ended, for its pid may be another's by then.
func TestWake(t *testing.T) {
	testenv.Need(t, "epmd")
	port := testenv.Port(t)
	epmd := exec.Command("epmd", "-port", strconv.Itoa(int(port)))
	if err := epmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { epmd.Process.Kill(); epmd.Wait() }()
	testenv.Eventually(t, "epmd listens", func() bool { return testenv.PID(port) == epmd.Process.Pid })
	f := owner.Follow(port)
	if f == nil {
		t.Fatal("not followed")
	}
	defer f.Close()
	isStopped := func() bool { return testenv.Stat(f.PID)[0] == "T" }
	if f.Wake() {
		t.Error("woken while it ran")
	}
	testenv.Signal(t, f.PID, syscall.SIGSTOP)
	testenv.Eventually(t, "it is stopped", isStopped)
	if !f.Wake() {
		t.Error("not woken")
	}
	testenv.Eventually(t, "it runs again", func() bool { return !isStopped() })
	testenv.Signal(t, f.PID, syscall.SIGKILL)
	<-f.Gone
	if f.Wake() {
		t.Error("woken after its end")
	}
}
