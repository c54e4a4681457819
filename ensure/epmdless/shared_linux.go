package epmdless

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/beamrun/beamrun/internal/safepath"
)

// sharedDir is where the module lies that root installs: a script may go on as another user (su),
// who reads nothing in root's home.
const sharedDir = "/var/cache/beamrun"

// shared makes a directory in sharedDir, for root, or returns "". Who is root in a user namespace
// only has no such place, but then its programs cannot become another user of the host either.
func shared(name string) (string, error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	dir := filepath.Join(sharedDir, name)
	for _, d := range []string{"/var", "/var/cache", sharedDir, dir} {
		if info, err := os.Stat(d); err == nil && len(d) < len(sharedDir) {
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
