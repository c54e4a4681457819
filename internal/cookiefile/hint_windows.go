package cookiefile

import (
	"errors"
	"io/fs"

	"github.com/beamrun/beamrun/internal/shell"
)

// both gives the first of two commands, for cmd and PowerShell 5 share no &&. The next call says
// the second.
func both(first, next shell.Command) shell.Command {
	if first.IsZero() {
		return next
	}
	return first
}

func moveCommand(path string) shell.Command {
	return shell.New("move").Path(path).Path(path + ".old")
}

func keepCommand(path string) shell.Command { return moveCommand(path) }

func isSystem(string) bool { return false }

func privateHint(path string, _ fs.FileInfo) Fix {
	return Fix{Command: shell.New("icacls").Path(path)}
}

func reachHint(string, error) Fix { return Fix{} }

func dirHint(dir string) Fix {
	if isMissing(dir) {
		return Fix{Command: shell.New("mkdir").Path(dir)}
	}
	return Fix{}
}

func storeHint(file string, err error) Fix {
	if errors.Is(err, fs.ErrNotExist) {
		return dirHint(dirOf(file))
	}
	return Fix{}
}
