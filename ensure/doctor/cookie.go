package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/internal/cookiefile"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// cookie: the file that a plain erl reads.
func (h *host) cookie(context.Context) Check {
	path, err := cookie.DefaultPath()
	if home, herr := os.UserHomeDir(); err != nil || herr != nil || !isDir(home) {
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
		c := found(Warn, "there is no %s; the next node makes one that can be guessed"+
			" (CVE-2018-1279)", path)
		if h.mayRun() {
			return c.advise(writeIt, atRestart(rotate()))
		}
		return c.run(rotate())
	case errors.As(err, &stored) && errors.As(err, &file):
		c := found(Fail, "%s", stored.Message())
		command := file.Fix.With(rotateFile(path))
		switch {
		case file.Fix.Other:
			return c.advise(orCookie, stored.Hint)
		case command.IsZero():
			return c.advise("%s", stored.Hint)
		case file.Fix.Rotate && h.mayRun():
			return c.advise(writeIt, atRestart(command))
		}
		return c.run(command)
	case err != nil:
		return found(Fail, "%v", err)
	}
	if info, err := os.Stat(path); err != nil {
		return found(Fail, "%v", err)
	} else if !safepath.IsOwn(info) {
		of := userName(safepath.FileOwner(info))
		return found(Warn, "%s is a file of user %s, not of this one", path, of)
	}
	if weak := cookie.Weak(c); weak != nil {
		c := found(Warn, "%s: valid, but %v", path, weak)
		if h.mayRun() {
			return c.advise("%s", atRestart(rotate()))
		}
		return c.run(rotate()).advise("every host of a cluster needs the same")
	}
	return ok("%s, for this user alone, and not easily guessed", path)
}

// writeIt is the advice while nodes run without a file of their cookie.
const writeIt = "write the cookie of the nodes that run into it (erlang:get_cookie()), mode 400;" +
	" or %s"

// atRestart is the advice on a command that rotates a cookie, while nodes run, or may. They keep
// the cookie that they have, so nodes that start afterwards would not reach them.
func atRestart(rotate shell.Command) string {
	return fmt.Sprintf("at the next planned restart: stop the nodes, then: %v, then start them;"+
		" every host of a cluster needs the same", rotate)
}

// cookiesInPS: cookies that every user of the host can read.
func (h *host) cookiesInPS(context.Context) Check {
	if len(h.sockets) == 0 && len(h.vms) == 0 {
		return Check{}
	}
	var shown []string
	ofRelease, others := false, false
	for _, vm := range h.vms {
		if !vm.Elsewhere && vmargs.Cookie(vm.Args) != "" {
			name := vmargs.ShortName(vm.Args)
			if name == "" {
				name = vm.Name
			}
			who := fmt.Sprintf("%s (pid %d, user %s)", name, vm.PID, userName(vm.UID))
			shown = append(shown, who)
			if vmargs.IsRelease(vm.Args) {
				ofRelease = true
			} else {
				others = true
			}
		}
	}
	unseen := notSeen(h.unseenVMs, "VM")
	if len(shown) == 0 {
		c := ok("none in the arguments of %s%s", count(len(h.vms), "Erlang VM"), unseen)
		return h.asRootSees(c, h.unseenVMs)
	}
	var advice []string
	if ofRelease { // which takes no notice of what `beamrun cookie rotate` does
		advice = append(advice, hideOfRelease)
	}
	if others {
		advice = append(advice, startHidden)
	}
	return found(Warn, "every user of this host can read the cookie of %s (-setcookie)%s",
		strings.Join(shown, ", "), unseen).advise("%s", strings.Join(advice, "; "))
}
