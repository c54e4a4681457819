package locate

import (
	"os"
	"path/filepath"
)

const (
	epmdName    = "epmd.exe"
	installHint = "winget install Erlang.ErlangOTP"
)

// installDirs are where the installer, Chocolatey and scoop put epmd, as patterns.
func installDirs() []string {
	var dirs []string
	for _, key := range []string{"ProgramFiles", "ProgramFiles(x86)"} {
		if base := os.Getenv(key); base != "" {
			dirs = append(dirs, filepath.Join(base, "erl*", "erts-*", "bin"),
				filepath.Join(base, "Erlang OTP", "erts-*", "bin"))
		}
	}
	if home := os.Getenv("USERPROFILE"); home != "" {
		scoop := filepath.Join(home, "scoop", "apps", "erlang", "current")
		dirs = append(dirs, filepath.Join(scoop, "erts-*", "bin"))
	}
	return dirs
}

func isScarcity(error) bool { return false }

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
