package cookie

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

func moveCommand(path string) shell.Command { return shell.New("move").Path(path).Path(path + ".old") }

func replaceCommand(path string) shell.Command { return moveCommand(path) }

func isSystem(string) bool { return false }

func privateHint(path string, _ fs.FileInfo) hint {
	return hint{command: shell.New("icacls").Path(path)}
}

func reachHint(string, error) hint { return hint{} }

func dirHint(dir string) hint {
	if isMissing(dir) {
		return hint{command: shell.New("mkdir").Path(dir)}
	}
	return hint{}
}

func storeHint(file string, err error) hint {
	if errors.Is(err, fs.ErrNotExist) {
		return dirHint(dirOf(file))
	}
	return hint{}
}
