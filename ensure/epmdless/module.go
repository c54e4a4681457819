package epmdless

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"

	"github.com/beamrun/beamrun/ensure"
)

// Module is the name of the callback module. A node loads it by kernel's parameter epmd_module, before OTP 27.2 by -epmd_module.
const Module = "beamrun_epmd"

// The flags of the Erlang VM that the module reads, by init:get_argument/1.
const (
	FolderFlag = "-beamrun_nodes" // FOLDER [UID]: that of [Folder], and this user's number; none on Windows
	PeerFlag   = "-beamrun_peer"  // NAME@HOST=PORT, a node elsewhere; any number of them
	PeersFlag  = "-beamrun_peers" // a file with a line for each peer, read at each search, at most 1 MiB
)

//go:embed beamrun_epmd.beam
var beam []byte

// Install returns a folder that holds the module, and makes it when it is missing: below the user's cache folder, by the hash of the
// module. What stands there is compared with the module, byte by byte, and replaced if it is another.
func Install() (string, error) {
	sum := sha256.Sum256(beam)
	dir, err := ensure.CacheDir("module-" + hex.EncodeToString(sum[:8]))
	if err == nil {
		err = put(filepath.Join(dir, Module+".beam"))
	}
	if err != nil {
		return "", &FolderError{err}
	}
	return dir, nil
}

// put makes the file the module, in one step, for nodes may load it meanwhile.
func put(path string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == int64(len(beam)) {
		if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, beam) {
			return nil
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), Module+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(beam)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
