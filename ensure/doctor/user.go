package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/statedir"
)

// This file is about what belongs to the user: the environment, the home directory and the
// directory of the lock.

// othersPath returns why another user can change what is at the path, and nil if none can, or if
// this user is not root: as root no command is shown about such a path.
func othersPath(path string) *safepath.Error {
	var unsafe *safepath.Error
	if os.Geteuid() != 0 || !errors.As(safepath.Check(path, 0), &unsafe) {
		return nil
	}
	if unsafe.Owner != 0 { // nothing is asked of it
		return unsafe
	}
	if info, err := os.Lstat(unsafe.At); err == nil && info.Mode().IsRegular() {
		return nil // root's own file with a wrong mode: chmod is the fix
	}
	return unsafe
}

// environment: whether ERL_EPMD_PORT means the epmd that runs.
func (h *host) environment(context.Context) Check {
	const key = "ERL_EPMD_PORT"
	if h.err != nil && h.err.Kind == ensure.KindConfig {
		variable, _, _ := strings.Cut(h.err.Err.Error(), ":")
		c := found(Fail, "%s", h.err.Message()).advise("%s", h.err.Hint)
		if slices.Contains([]string{key, "ERL_EPMD_ADDRESS", "BEAMRUN_DETACH"}, variable) {
			c = c.run(shell.New("unset").Arg(variable))
		}
		return c
	}
	said := func(key string) string { return cmp.Or(os.Getenv(key), "not set") }
	evidence := fmt.Sprintf("%s: %s; ERL_EPMD_ADDRESS: %s",
		key, said(key), said("ERL_EPMD_ADDRESS"))
	if h.err == nil {
		return ok("%s", evidence)
	}
	if port := h.elsewhere(); port != 0 {
		c := found(Fail, "%s, and none answers on port %d, but there is one on port %d",
			evidence, h.port(), port)
		if os.Getenv(key) != "" && port == epmd.DefaultPort {
			return c.run(shell.New("unset", key))
		}
		return c.run(shell.New("export").Option(key+"=", strconv.Itoa(int(port))))
	}
	return ok("%s", evidence)
}

// elsewhere is the port of an epmd on another port than the one that was asked, 0 if there is none.
func (h *host) elsewhere() uint16 {
	for _, e := range h.epmds {
		for _, s := range e.Sockets {
			if port := s.Addr.Port(); port != h.port() {
				return port
			}
		}
	}
	return 0
}

// home: without HOME no node with a name boots.
func (h *host) home(context.Context) Check {
	home, err := os.UserHomeDir()
	if err != nil {
		c := found(Fail, "%v: a node with a name does not boot without it", err)
		if u, err := user.Current(); err == nil && u.HomeDir != "" {
			return c.run(shell.New("export").Option("HOME=", u.HomeDir))
		}
		return c.advise("set it to a directory with a cookie file, or where one can be made")
	}
	if !isDir(home) {
		c := found(Fail, "HOME is %s, which is no folder: a node with a name does not boot", home)
		if unsafe := othersPath(home); unsafe != nil {
			return c.advise("use root's own home (sudo -H): %v", unsafe)
		}
		return c.run(shell.New("mkdir", "-p", "-m", "700").Path(home))
	}
	return ok("%s", home)
}

func isDir(path string) bool {
	if unsafe := othersPath(path); unsafe != nil && unsafe.Served {
		return true // nothing is asked of a file system that may never answer
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// stateDir: of the lock and the log. Without them epmd is started all the same.
func (h *host) stateDir(context.Context) Check {
	dir, _, err := statedir.Dir()
	if err != nil {
		return found(Warn, "no folder for the lock and epmd's log: %s",
			strings.ReplaceAll(err.Error(), "\n", "; ")).
			advise("set XDG_RUNTIME_DIR, HOME or TMPDIR to a folder of this user")
	}
	for _, name := range []string{statedir.LockName(h.port()), statedir.LogName(h.port())} {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.Mode().IsRegular() {
			var f *os.File
			if f, err = os.OpenFile(path, os.O_WRONLY, 0); err == nil {
				f.Close()
				continue
			}
		}
		if err == nil {
			err = fmt.Errorf("%s is no regular file", path)
		}
		c := found(Warn, "%v", err)
		if unsafe := othersPath(dir); unsafe != nil {
			return c.advise("set XDG_RUNTIME_DIR, HOME or TMPDIR to a directory of root's: %v",
				unsafe)
		}
		// not rm: an epmd that runs may write its log there, and goes on doing so
		move := shell.New("mv", "-i")
		if runtime.GOOS == "windows" {
			move = shell.New("move")
		}
		return c.run(move.Path(path).Path(path + ".old"))
	}
	return ok("%s", dir)
}
