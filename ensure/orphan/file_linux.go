package orphan

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/cookie"
)

// loadOf reads the cookie file of that user's node. Where root repairs another user's node, that user chose the path, and what
// answers may be no node but theirs: a digest of somebody else's cookie is not for them.
func loadOf(uid int, path string) (string, error) {
	f, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		return cookie.Load(path) // which says it in its words
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", &cookie.FileError{Path: path, Err: err}
	}
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); uid != 0 && owner != uid {
		return "", &cookie.FileError{Path: path, Err: fmt.Errorf("it belongs to user %d, and the node is user %d's", owner, uid),
			Hint: "if that one is meant: --cookie SOURCE"}
	}
	c, err := cookie.Load(fmt.Sprintf("/proc/self/fd/%d", f.Fd())) // that very file, whatever the path means by now
	if errors.As(err, new(*cookie.FileError)) {
		if _, again := cookie.Load(path); again != nil {
			err = again // with the path in it
		}
	}
	return c, err
}
