package ensure

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/statedir"
)

// lockFile returns the lock of this user's starters, flock(2) on a file in dir. It is per port, whatever the
// addresses: epmd always listens on loopback too, so two of them with one port exclude each other anyway.
//
// The lock is politeness and the port is the truth: a crash leaves no lock behind, the file is never deleted (whoever
// waits for it would hold a lock on nothing), and callers without one still end with one epmd, only after more forks.
func lockFile(dir string, port int) *flock.Flock {
	return flock.New(filepath.Join(dir, statedir.LockName(port)),
		flock.SetFlag(os.O_CREATE|os.O_RDWR|safepath.OpenFlags), flock.SetPermissions(0o600))
}

// acquire waits until the lock is held, or there can be none, or somebody's epmd answers: then it is up and nothing is left to do.
func acquire(ctx context.Context, lock *flock.Flock, res *Result) (up bool, err *Error) {
	e := res.Endpoint
	err = poll(ctx, func() *Error {
		held, err := lock.TryLock()
		if err != nil {
			res.warn("no lock, so several starters at once may each fork an epmd: %v", err)
			return nil
		}
		if held {
			return nil
		}
		addr, perr := probe(ctx, &e, res.patience)
		if perr == nil {
			up, res.Address = true, addr
		}
		return perr
	})
	if err != nil && err.Kind == KindTimeout {
		who := "another process"
		err.Hint = "it may be stopped; find it: " + shell.New("fuser", "-v").Path(lock.Path()).String()
		if p, ok := owner.OfLock(lock.Path()); ok {
			who = p.String()
			err.Hint = stoppedHint(p)
		}
		err.Err = fmt.Errorf("%s holds the lock %s: %w", who, lock.Path(), err.Err)
	}
	return up, err
}
