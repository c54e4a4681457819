//go:build !linux

package orphan

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/beamrun/beamrun/internal/cookiefile"
)

func (n Node) load(path string) (string, error) { return cookiefile.Load(path) }

// hasFile reports whether a file in the directory registers the node.
func (n Node) hasFile(directory string) (bool, error) {
	files, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	isIts := func(f fs.DirEntry) bool { return strings.HasPrefix(f.Name(), n.Short()+".") }
	return slices.ContainsFunc(files, isIts), nil
}
