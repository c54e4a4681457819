package launcher

import (
	"errors"
	"os"
)

// CanExec says whether [Exec] works here.
const CanExec = false

func execve(string, []string, []string) error { return errors.ErrUnsupported }

func exitCode(state *os.ProcessState) int { return state.ExitCode() }
