//go:build unix

package cookiefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
)

// both makes one command of two, of which the second needs the first.
func both(first, next shell.Command) shell.Command { return first.And(next) }

// moveCommand asks before it overwrites.
func moveCommand(path string) shell.Command {
	return shell.New("mv", "-i").Path(path).Path(path + ".old")
}

// keepCommand gives a second name to a text that is no cookie, whatever else it is, before a new
// cookie takes its place. Unlike cp and mv, ln overwrites nothing, and a name that is taken stops
// the command.
func keepCommand(path string) shell.Command {
	return shell.New("ln", "-L").Path(path).Path(path + ".old")
}

// isSystem reports whether path names no place for files, such as /dev/fd/63 of a shell's <(…).
func isSystem(path string) bool {
	return strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/")
}

// privateHint is for a file that may not be read, or that others may.
func privateHint(path string, info fs.FileInfo) Fix {
	chmod := shell.New("chmod", "400").Path(path)
	if isMine(info) {
		return Fix{Command: chmod}
	}
	me, dir := os.Geteuid(), dirOf(follow(path))
	above, err := os.Stat(dir)
	if me != 0 && err == nil && isMine(above) && safepath.Check(dir, me) == nil {
		// root's, most often: a program of ours ran under sudo
		chown := shell.New("chown").Int(me).Path(path).Sudo()
		if isPrivate(info) {
			return Fix{Command: chown}
		}
		return Fix{Command: chown.And(chmod)}
	}
	return Fix{Words: fmt.Sprintf("the file is another user's: become that one,"+
		" with sudo -H -u '#%d', or name a file of your own", owner(info))}
}

// reachHint is for a path that cannot be followed to its end.
func reachHint(path string, err error) Fix {
	dir := dirOf(follow(path))
	switch {
	case errors.Is(err, syscall.ELOOP):
		return Fix{Command: moveCommand(path)}
	case errors.Is(err, syscall.ENOTDIR):
		return dirHint(dir)
	case errors.Is(err, fs.ErrPermission):
		// Only a directory that can be entered shows what is in it.
		closed, info := nearest(dir)
		if info != nil && isMine(info) {
			return Fix{Command: shell.New("chmod", "u+x").Path(closed)}
		}
		return theirs(closed)
	}
	return Fix{}
}

// theirs is for a directory in which this user has no rights.
func theirs(dir string) Fix {
	return Fix{Words: fmt.Sprintf("directory %s is another user's: is HOME yours?"+
		" or name a file of your own", shell.Quote(dir))}
}

// dirHint makes the directory dir, and is nothing when it is there.
func dirHint(dir string) Fix {
	above, info := nearest(dir)
	mkdir := shell.New("mkdir", "-p", "-m", "700").Path(dir)
	switch {
	case info == nil:
		return Fix{}
	case !info.IsDir():
		return Fix{Command: both(moveCommand(above), mkdir)}
	case above == dir:
		return Fix{}
	}
	switch err := unix.Access(above, unix.W_OK|unix.X_OK); {
	case errors.Is(err, syscall.EROFS):
		return Fix{Command: shell.New("df").Path(above)}
	case err != nil && safepath.Check(above, 0) == nil:
		install := shell.New("install", "-d", "-o").Int(os.Geteuid()).Words("-m", "700").Path(dir)
		return Fix{Command: install.Sudo()}
	case err != nil: // whoever can change it could have root give away what they like
		return theirs(above)
	}
	return Fix{Command: mkdir}
}

// nearest returns dir, or the lowest thing above it that is there and can be seen.
func nearest(dir string) (string, fs.FileInfo) {
	for {
		info, err := os.Stat(dir)
		if err == nil {
			return dir, info
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir, nil
		}
		dir = up
	}
}

// storeHint is for a file that could not be made.
func storeHint(file string, err error) Fix {
	dir := dirOf(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return dirHint(dir)
	case errors.Is(err, syscall.EROFS):
		return Fix{Command: shell.New("df").Path(dir)}
	case errors.Is(err, syscall.ENOSPC): // of bytes, or of inodes
		return Fix{Command: shell.New("df", "-h").Path(dir).And(shell.New("df", "-i").Path(dir))}
	case errors.Is(err, syscall.EDQUOT):
		return Fix{Command: shell.New("quota")}
	case errors.Is(err, syscall.EFBIG):
		return Fix{Command: shell.New("ulimit", "-f", "unlimited")}
	case !errors.Is(err, fs.ErrPermission) || os.Geteuid() == 0:
		return Fix{}
	}
	info, err := os.Stat(dir)
	if err == nil && isMine(info) && unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		return Fix{Command: shell.New("chmod", "u+wx").Path(dir)}
	}
	return theirs(dir)
}
