package launcher

import "os"

func exitCode(state *os.ProcessState) int { return state.ExitCode() }
