package ensure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/beamrun/beamrun/ensure/internal/ours"
)

// StateDir returns the folder for the lock and the daemon's log, and what else is kept for this user on this host until the
// last logout: beamrun in $XDG_RUNTIME_DIR, else that of [CacheDir]. It makes it when it is missing, mode 0700, and takes none
// that others can enter. A parent that is somebody else's (sudo keeps HOME and XDG_RUNTIME_DIR) is passed over, for what
// root leaves there the user could not use.
func StateDir() (string, error) {
	var errs []error
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" && isOurs(runtime) {
		dir := filepath.Join(runtime, "beamrun")
		err := makePrivate(dir)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	dir, err := cacheDir()
	if err == nil {
		return dir, nil
	}
	return "", errors.Join(append(errs, err)...)
}

// CacheDir returns a folder, of that name, for what outlives a login and is the same in every session and service of this user
// that has the same HOME: in the folder beamrun of the user's cache folder, else in one of the temp folder. Both are made and
// taken as StateDir does.
func CacheDir(name string) (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, name)
	return dir, makePrivate(dir)
}

func cacheDir() (string, error) {
	var errs []error
	try := func(dir string) bool {
		err := makePrivate(dir)
		if err != nil {
			errs = append(errs, err)
		}
		return err == nil
	}
	if cache, err := os.UserCacheDir(); err == nil && isOurs(filepath.Dir(cache)) {
		if err := os.Mkdir(cache, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			errs = append(errs, err)
		} else if dir := filepath.Join(cache, "beamrun"); isOurs(cache) && try(dir) {
			return dir, nil
		}
	}
	if dir := filepath.Join(os.TempDir(), "beamrun-"+strconv.Itoa(os.Getuid())); try(dir) {
		return dir, nil
	}
	return "", errors.Join(errs...)
}

// LockName is the name of the lock, in the folder of [StateDir], of those who start an epmd on the port.
func LockName(port int) string { return "epmd-" + strconv.Itoa(port) + ".lock" }

// LogName is the name of that epmd's log.
func LogName(port int) string { return "epmd-" + strconv.Itoa(port) + ".log" }

// makePrivate makes dir, or makes sure that what stands there is a folder of ours that nobody else can enter.
func makePrivate(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir) // a link there is somebody's trap
	if err != nil {
		return err
	}
	if !info.IsDir() || !ours.Is(info) || !isPrivate(info) {
		return fmt.Errorf("%s is not a folder of this user alone (mode 0700)", dir)
	}
	return nil
}

func isOurs(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() && ours.Is(info)
}
