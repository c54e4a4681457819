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

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/cookiefile"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/statedir"
)

// This file is about what belongs to the user: the cookie, the environment, the home directory and the
// directory of the lock.

// cookie: the file that a plain erl reads.
func (p *patient) cookie(context.Context) Check {
	path, err := cookie.DefaultPath()
	if home, herr := os.UserHomeDir(); err != nil || herr != nil || !isFolder(home) {
		return Check{} // home says it
	}
	if unsafe := othersPath(path); unsafe != nil {
		return found(Warn, "%v, so another user can change which cookie root's nodes have", unsafe).
			advise("use root's own home: sudo -H, or HOME=/root")
	}
	c, err := cookie.Load(path)
	var stored *cookie.Error
	var file *cookiefile.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c := found(Warn, "there is no %s; the next node makes one that can be guessed (CVE-2018-1279)", path)
		if p.mayRun() {
			return c.advise("write the cookie of the nodes that run into it (erlang:get_cookie()), mode 400; or %s", atRestart(rotate().String()))
		}
		return c.run(rotate())
	case errors.As(err, &stored) && errors.As(err, &file):
		c := found(Fail, "%s", stored.Message())
		command := file.Fix.With(rotateFile(path))
		switch {
		case file.Fix.Other:
			return c.advise("%s, or give the cookie with --cookie env:NAME", stored.Hint)
		case command.IsZero():
			return c.advise("%s", stored.Hint)
		case file.Fix.Rotate && p.mayRun():
			return c.advise("write the cookie of the nodes that run into it (erlang:get_cookie()), mode 400; or %s", atRestart(command.String()))
		}
		return c.run(command)
	case err != nil:
		return found(Fail, "%v", err)
	}
	if info, err := os.Stat(path); err != nil {
		return found(Fail, "%v", err)
	} else if !safepath.IsOwn(info) {
		return found(Warn, "%s is a file of user %s, not of this one", path, userName(safepath.FileOwner(info)))
	}
	if weak := cookie.Weak(c); weak != nil {
		c := found(Warn, "%s: valid, but %v", path, weak)
		if p.mayRun() {
			return c.advise("%s", atRestart(rotate().String()))
		}
		return c.run(rotate()).advise("every host of a cluster needs the same")
	}
	return ok("%s, for this user alone, and not easily guessed", path)
}

// atRestart says when to rotate a cookie while nodes run, or may. It is no command: they keep the
// cookie that they have, so nodes that start afterwards would not reach them.
func atRestart(command string) string {
	return "at the next planned restart: stop the nodes, then: " + command + ", then start them; every host of a cluster needs the same"
}

func rotate() shell.Command { return shell.New("beamrun", "cookie", "rotate") }

// rotateFile puts a new cookie into the file at path.
func rotateFile(path string) shell.Command {
	return shell.New("beamrun", "--cookie").Option("file:", path).Words("cookie", "rotate")
}

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
func (p *patient) environment(context.Context) Check {
	const key = "ERL_EPMD_PORT"
	if p.err != nil && p.err.Kind == ensure.KindConfig {
		variable, _, _ := strings.Cut(p.err.Err.Error(), ":")
		c := found(Fail, "%s", p.err.Message()).advise("%s", p.err.Hint)
		if slices.Contains([]string{key, "ERL_EPMD_ADDRESS", "BEAMRUN_DETACH"}, variable) {
			c = c.run(shell.New("unset").Arg(variable))
		}
		return c
	}
	said := func(key string) string { return cmp.Or(os.Getenv(key), "not set") }
	evidence := fmt.Sprintf("%s: %s; ERL_EPMD_ADDRESS: %s", key, said(key), said("ERL_EPMD_ADDRESS"))
	if p.err == nil {
		return ok("%s", evidence)
	}
	if port := p.elsewhere(); port != 0 {
		c := found(Fail, "%s, and none answers on port %d, but there is one on port %d", evidence, p.port(), port)
		if os.Getenv(key) != "" && port == epmd.DefaultPort {
			return c.run(shell.New("unset", key))
		}
		return c.run(shell.New("export").Option(key+"=", strconv.Itoa(int(port))))
	}
	return ok("%s", evidence)
}

// elsewhere is the port of an epmd on another port than the one that was asked, 0 if there is none.
func (p *patient) elsewhere() uint16 {
	for _, e := range p.epmds {
		for _, s := range e.Sockets {
			if port := s.Addr.Port(); port != p.port() {
				return port
			}
		}
	}
	return 0
}

// home: without HOME no node with a name boots.
func (p *patient) home(context.Context) Check {
	home, err := os.UserHomeDir()
	if err != nil {
		c := found(Fail, "%v: a node with a name does not boot without it", err)
		if u, err := user.Current(); err == nil && u.HomeDir != "" {
			return c.run(shell.New("export").Option("HOME=", u.HomeDir))
		}
		return c.advise("set it to a directory with a cookie file, or where one can be made")
	}
	if !isFolder(home) {
		c := found(Fail, "HOME is %s, which is no folder: a node with a name does not boot", home)
		if unsafe := othersPath(home); unsafe != nil {
			return c.advise("use root's own home (sudo -H): %v", unsafe)
		}
		return c.run(shell.New("mkdir", "-p", "-m", "700").Path(home))
	}
	return ok("%s", home)
}

func isFolder(path string) bool {
	if unsafe := othersPath(path); unsafe != nil && unsafe.Served {
		return true // nothing is asked of a file system that may never answer
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// stateFolder: of the lock and the log. Without them epmd is started all the same.
func (p *patient) stateFolder(context.Context) Check {
	dir, _, err := statedir.Dir()
	if err != nil {
		return found(Warn, "no folder for the lock and epmd's log: %s", strings.ReplaceAll(err.Error(), "\n", "; ")).
			advise("set XDG_RUNTIME_DIR, HOME or TMPDIR to a folder of this user")
	}
	for _, name := range []string{statedir.LockName(p.port()), statedir.LogName(p.port())} {
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
			return c.advise("set XDG_RUNTIME_DIR, HOME or TMPDIR to a directory of root's: %v", unsafe)
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
