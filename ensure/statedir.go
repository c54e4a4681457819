package ensure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/beamrun/beamrun/internal/safepath"
)

// StateDir returns the directory for the lock and the daemon's log, and what else is kept for this user on this host until the last logout:
// beamrun in $XDG_RUNTIME_DIR, else that of [CacheDir]. It makes it when it is missing, mode 0700, and takes none that others can enter.
//
// Nobody else can change what is in it, or what its path leads to: every directory above it is this user's or root's, and not writable by
// others unless it is sticky, as /tmp is. A place where that is not so is passed over, and so is a parent that is somebody else's (sudo
// keeps HOME and XDG_RUNTIME_DIR), for what root leaves there the user could not use. Where another user can change all that the
// environment names, it is beamrun-UID in /tmp; for root it is /run/beamrun (/var/run/beamrun on other systems than Linux), where only root
// can make one.
func StateDir() (string, error) {
	dir, _, err := stateDir()
	return dir, err
}

// stateDir also returns why places were passed over that another user can change.
func stateDir() (dir string, unsafe []error, _ error) {
	var s search
	found := false
	if at := os.Getenv("XDG_RUNTIME_DIR"); at != "" {
		dir, found = s.try(at, "beamrun", true)
	}
	if !found {
		dir, found = s.cache()
	}
	if !found {
		return "", nil, s.err()
	}
	return dir, s.unsafe(), nil
}

// CacheDir returns a directory, of that name, for what outlives a login and is the same in every session and service of this user that has
// the same HOME: in the directory beamrun of the user's cache directory, else in one of the temp directory, else in the last one of
// [StateDir]. Each is made and taken as StateDir does.
func CacheDir(name string) (string, error) {
	var s search
	dir, found := s.cache()
	if !found {
		return "", s.err()
	}
	dir = filepath.Join(dir, name)
	return dir, safepath.MakePrivate(dir, os.Geteuid())
}

// search is what one search for a directory has seen.
type search struct{ errs []error }

func (s *search) cache() (dir string, found bool) {
	if cache, err := os.UserCacheDir(); err == nil {
		found = true
		if f, err := safepath.Find(nil, cache, os.Geteuid(), true); err == nil {
			if f.Close(); f.Err != nil {
				_, found = s.try(filepath.Dir(cache), filepath.Base(cache), true)
			}
		}
		if found {
			dir, found = s.try(cache, "beamrun", true)
		}
		if found {
			return dir, true
		}
	}
	inTemp := "beamrun-" + strconv.Itoa(os.Getuid())
	if dir, found = s.try(os.TempDir(), inTemp, false); found {
		return dir, true
	}
	if len(s.unsafe()) == 0 || runtime.GOOS == "windows" {
		return "", false
	}
	if os.Geteuid() == 0 {
		own := "/run"
		if runtime.GOOS != "linux" {
			own = "/var/run"
		}
		if dir, found = s.try(own, "beamrun", true); found {
			return dir, true
		}
	}
	return s.try("/tmp", inTemp, false)
}

// try makes a private directory in another, or takes the one that is there. isOurs: the other has to be this user's.
func (s *search) try(in, name string, isOurs bool) (dir string, found bool) {
	dir, uid := filepath.Join(in, name), os.Geteuid()
	above, err := safepath.Find(nil, in, uid, true)
	if err == nil {
		above.Close()
		if err = above.Err; err == nil && isOurs && above.Owner() != uid {
			err = fmt.Errorf("%s belongs to uid %d", in, above.Owner())
		}
	}
	if err == nil {
		err = safepath.MakePrivate(dir, uid)
	}
	if err != nil {
		s.errs = append(s.errs, err)
	}
	return dir, err == nil
}

// err is all of them, in one line.
func (s *search) err() error {
	err := s.errs[0]
	for _, next := range s.errs[1:] {
		err = fmt.Errorf("%w; %w", err, next)
	}
	return err
}

// unsafe are the errors of places that another user can change.
func (s *search) unsafe() (errs []error) {
	for _, err := range s.errs {
		if errors.As(err, new(*safepath.Error)) {
			errs = append(errs, err)
		}
	}
	return errs
}

// LockName is the name of the lock, in the folder of [StateDir], of those who start an epmd on the port.
func LockName(port int) string { return "epmd-" + strconv.Itoa(port) + ".lock" }

// LogName is the name of that epmd's log.
func LogName(port int) string { return "epmd-" + strconv.Itoa(port) + ".log" }
