//go:build unix

package locate

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	epmdName    = "epmd"
	installHint = "Debian, Ubuntu: apt-get install erlang-base; Fedora: dnf install erlang-erts;" +
		" Alpine: apk add erlang; macOS: brew install erlang"
)

// installDirs are where packages and version managers put epmd, as patterns.
func installDirs() []string {
	dirs := []string{
		"/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", // for a caller with no PATH
		"/usr/lib/erlang/bin", "/usr/lib/erlang/erts-*/bin",
		"/usr/lib64/erlang/bin", "/usr/lib64/erlang/erts-*/bin",
		"/usr/local/lib/erlang/bin", "/usr/local/lib/erlang/erts-*/bin",
		"/opt/erlang/*/bin", "/opt/erlang/bin",
		"/opt/homebrew/lib/erlang/erts-*/bin", "/opt/homebrew/opt/erlang/lib/erlang/erts-*/bin",
		"/usr/local/opt/erlang/lib/erlang/erts-*/bin",
		"/home/linuxbrew/.linuxbrew/opt/erlang/lib/erlang/erts-*/bin",
		"/opt/local/lib/erlang/erts-*/bin",
	}
	if home := os.Getenv("HOME"); home != "" {
		dirs = append(dirs,
			home+"/.asdf/installs/erlang/*/erts-*/bin",
			home+"/.local/share/mise/installs/erlang/*/erts-*/bin",
			home+"/.kerl/builds/*/release_*/erts-*/bin")
	}
	return dirs
}

// isScarcity reports whether the error is of a system that has too little left, and tells nothing
// about a path.
func isScarcity(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil
}
