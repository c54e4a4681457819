package epmdless

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/beamrun/beamrun/internal/safepath"
)

// SharedDir is where the module lies that root installs: a script may go on as another user (su),
// who reads nothing in root's home.
const SharedDir = "/var/cache/beamrun"

// shared makes a directory in SharedDir, for root, or returns "". Who is root in a user namespace
// only has no such place, but then its programs cannot become another user of the host either.
func shared(name string) (string, error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	dir := filepath.Join(SharedDir, name)
	for _, d := range []string{"/var", "/var/cache", SharedDir, dir} {
		if info, err := os.Stat(d); err == nil && len(d) < len(SharedDir) {
			if !safepath.IsOwn(info) {
				return "", nil
			}
			continue // whatever its mode is
		}
		err := safepath.MakeShared(d, 0)
		if errors.Is(err, fs.ErrPermission) || errors.As(err, new(*safepath.Error)) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
	}
	return dir, nil
}
