package ensure

import (
	"fmt"
	"strconv"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell"
)

// stoppedHint is for a process that keeps others waiting.
func stoppedHint(p owner.Process) string {
	return fmt.Sprintf("if it is stopped, wake it: %v; else end it: %v",
		shell.New("kill", "-CONT").Int(p.PID), shell.New("kill", "-KILL").Int(p.PID))
}

// listenersOn shows who listens on the port, and clientsOf who has connections to it.
func listenersOn(port int) string {
	return shell.New("ss", "-ltnp").Option("sport = :", strconv.Itoa(port)).String()
}

func clientsOf(port int) string {
	return shell.New("ss", "-tnp").Option("dport = :", strconv.Itoa(port)).String()
}
