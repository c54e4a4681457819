package epmdless

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"

	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/statedir"
)

// moduleName is the name of the module: that of OTP's client of epmd, for it takes its place. It is
// not kept under that name here, or an erl that is run in this directory would load it.
const moduleName = "erl_epmd"

//go:embed module.beam
var beam []byte

// Install returns a directory that holds the module, and makes it when it is missing, by the hash
// of the module: below the user's cache directory, or for root on Linux in /var/cache/beamrun,
// where every user can read it. What stands there is compared with the module, byte by byte, and
// replaced if it is another.
func Install() (string, error) {
	sum := sha256.Sum256(beam)
	hash := hex.EncodeToString(sum[:8])
	mode := os.FileMode(0o644)
	dir, err := shared(hash)
	if dir == "" && err == nil {
		mode = 0o600
		dir, err = statedir.Cache("module-" + hash)
	}
	if err == nil {
		err = put(filepath.Join(dir, moduleName+".beam"), mode)
	}
	if err != nil {
		return "", &DirError{err}
	}
	return dir, nil
}

// put makes the file the module, in one step, for nodes may load it meanwhile.
func put(path string, mode os.FileMode) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode().IsRegular() && info.Size() == int64(len(beam)) &&
		safepath.IsOwn(info) && (runtime.GOOS == "windows" || info.Mode().Perm() == mode) {
		if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, beam) {
			return nil
		}
	}
	return statedir.Replace(path, beam, mode)
}
