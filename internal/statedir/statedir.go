// Package statedir finds the directories in which beamrun keeps what is this user's on this host.
package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/beamrun/beamrun/internal/safepath"
)

// Dir returns the directory for the lock and the daemon's log, and what else is kept for this user
// on this host until the last logout: beamrun in $XDG_RUNTIME_DIR, else that of [Cache]. It makes
// it if it is missing, mode 0700, and takes none that others can enter.
//
// Nobody else can change what is in it, or what its path leads to: every directory above it is this
// user's or root's, and not writable by others unless it is sticky, as /tmp is. A place where that
// is not so is passed over. So is a parent that is another user's, for that user could not use what
// root leaves there (sudo keeps HOME and XDG_RUNTIME_DIR). Where another user can change all that
// the environment names, it is beamrun-UID in /tmp; for root it is /run/beamrun (/var/run/beamrun
// on other systems than Linux), where only root can make one.
//
// Unsafe are the errors of places that were passed over because another user can change them.
func Dir() (dir string, unsafe []error, _ error) {
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

// Cache returns a directory, of that name, for what outlives a login and is the same in every
// session and service of this user that has the same HOME: in the directory beamrun of the user's
// cache directory, else in one of the temp directory, else in the last one of [Dir]. Each is made
// and taken as Dir does.
func Cache(name string) (string, error) {
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

// try makes a private directory in another, or takes the one that is there. isOurs: the other has
// to be this user's.
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

// LockName returns the name, in [Dir], of the lock of those who start an epmd on the port.
func LockName(port uint16) string { return "epmd-" + strconv.Itoa(int(port)) + ".lock" }

// LogName returns the name, in [Dir], of the log of that epmd.
func LogName(port uint16) string { return "epmd-" + strconv.Itoa(int(port)) + ".log" }
