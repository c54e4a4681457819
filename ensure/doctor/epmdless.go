package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdless"
	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// enrol is how long a node may take until it has its file: it looks for that every 2 s.
const enrol = 3 * time.Second

// epmdlessNodes: whether the nodes of this user that do without epmd are found. Others' are theirs.
func (h *host) epmdlessNodes(ctx context.Context) Check {
	vms := slices.DeleteFunc(slices.Clone(h.vms), func(vm owner.Program) bool {
		return vm.UID != os.Geteuid() || vm.Closed || vm.Elsewhere || len(vm.Sockets) == 0 ||
			vmargs.OnlyVisits(vm.Args)
	})
	dir, err := epmdless.Dir()
	if err != nil {
		needs := func(vm owner.Program) bool { return vmargs.NodesDir(vm.Args) != "" }
		if h.epmdless || slices.ContainsFunc(vms, needs) {
			return found(Fail, "%s", strings.ReplaceAll(err.Error(), "\n", "; ")).
				advise("set HOME to a directory of this user's;" +
					" what is not of this user alone: chmod 700, or remove it")
		}
		return Check{} // no node needs it
	}
	closed := 0
	for _, vm := range h.vms {
		if vm.UID == os.Geteuid() && vm.Closed {
			closed++
		}
	}
	nodes, strange, err := epmdless.Nodes(ctx)
	if err != nil {
		return found(Fail, "%v", err)
	}
	var good, apart, missing, remote []string
	var wake shell.Command
	stopped := 0
	for _, n := range nodes {
		good = append(good, n.Name)
	}
	if len(good) > 0 {
		good = []string{fmt.Sprintf("%s: each registered by its file in %s",
			strings.Join(good, ", "), dir)}
	}
	for _, vm := range vms {
		name, theirs := vmargs.ShortName(vm.Args), vmargs.NodesDir(vm.Args)
		port := vmargs.PeersPort(vm.Args)
		if vmargs.ChangedUser(vm.Args, vm.UID) {
			theirs = dir // by the module's own search
		}
		who := fmt.Sprintf("%s (pid %d)", name, vm.PID)
		by := filepath.Base(vmargs.RemoteShell(vm.Args))
		if theirs != "" && (by == "ssh" || by == "rsh") {
			remote = append(remote, who)
		}
		isIts := func(n epmdless.Node) bool { return n.PID == vm.PID || n.Name == name }
		switch {
		case name == "": // it may have none, or one that it took later
		case theirs != "" && (vm.Apart || !isSame(theirs, dir)):
			apart = append(apart, who+" in "+theirs)
		case theirs != "" && !slices.ContainsFunc(nodes, isIts) &&
			time.Since(vm.Since()) > enrol && vm.Birth() != "":
			missing = append(missing, who)
			if vm.Stopped() {
				stopped, wake = stopped+1, wake.Then(shell.New("kill", "-CONT").Int(vm.PID))
			}
		case port != 0 && slices.ContainsFunc(vm.Sockets, isAt(port)):
			good = append(good, fmt.Sprintf("%s on port %d, as all of its peers", who, port))
		}
	}
	if len(remote) > 0 {
		good = append(good, fmt.Sprintf("nodes that %s starts on other hosts (-rsh)"+
			" get no environment, so look for an epmd: %s", strings.Join(remote, ", "), startThere))
	}
	var problems []Check
	if len(strange) > 0 {
		problems = append(problems, foreign(dir, strange))
	}
	if len(apart) > 0 {
		c := found(Warn, "registered in another folder than that of this environment, %s,"+
			" so nodes of one are not found from the other: %s", dir, strings.Join(apart, ", "))
		problems = append(problems, c.advise("give both the same HOME and XDG_CACHE_HOME"))
	}
	if len(missing) > 0 {
		c := found(Fail, "running, and without a file in %s, so not found: %s",
			dir, strings.Join(missing, ", "))
		if stopped < len(missing) {
			c = c.advise("a node makes its file anew within 2 s, where it can:" +
				" see that the disk has room; else start it anew")
		}
		problems = append(problems, c.run(wake))
	}
	unseen := notSeen(h.unseenVMs, "VM")
	if closed > 0 {
		unseen += "; " + count(closed, "VM") + " of this user could not be looked at"
	}
	switch {
	case len(problems) > 0:
		c := merged(problems)
		c.Evidence += unseen
		return c
	case len(good) > 0:
		return ok("%s%s", strings.Join(good, "; "), unseen)
	case h.epmdless && unseen != "":
		return ok("none was seen%s", unseen)
	}
	return Check{}
}

// foreign is the problem of entries of the directory that are no nodes' files.
func foreign(dir string, entries []string) Check {
	var said []string
	files, dirs := shell.New("rm", "-f"), shell.New("rm", "-r")
	anyFile, anyDir := false, false
	var theirs []string
	for _, path := range entries {
		info, err := os.Lstat(path)
		if err != nil {
			continue // gone meanwhile
		}
		is := "not a node's"
		switch mode := info.Mode(); {
		case mode.IsDir():
			is = "a folder"
			if !safepath.IsOwn(info) { // words: what is in it is another user's, who may need it
				is = "a folder of user " + userName(safepath.FileOwner(info))
				theirs = append(theirs, shell.Quote(path))
			}
		case mode&fs.ModeSymlink != 0:
			is = "a link"
		case mode&fs.ModeNamedPipe != 0:
			is = "a pipe"
		case !mode.IsRegular():
			is = "no file"
		case !safepath.IsOwn(info):
			is = "another user's"
		}
		said = append(said, fmt.Sprintf("%s is %s", shell.Quote(filepath.Base(path)), is))
		switch {
		case info.IsDir() && !safepath.IsOwn(info):
		case info.IsDir():
			dirs, anyDir = dirs.Path(path), true
		default:
			files, anyFile = files.Path(path), true
		}
	}
	var remove shell.Command
	if anyFile {
		remove = files
	}
	if anyDir {
		remove = remove.Then(dirs)
	}
	c := found(Warn, "no nodes' files, in %s: %s", dir, strings.Join(said, ", ")).run(remove)
	if len(theirs) > 0 {
		c = c.advise("have its user look into it, and move it elsewhere: %s",
			strings.Join(theirs, ", "))
	}
	return c
}

// merged is one check of several. Each command is a whole one, so they run one after the other.
func merged(all []Check) Check {
	var evidence, commands, advice []string
	for _, c := range all {
		evidence = append(evidence, c.Evidence)
		commands = append(commands, c.Command)
		advice = append(advice, c.Advice)
	}
	join := func(words []string) string {
		return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), "; ")
	}
	return Check{
		Status:   Worst(all),
		Evidence: join(evidence),
		Command:  join(commands),
		Advice:   join(advice),
	}
}

// isAt reports whether a socket has that port.
func isAt(port uint16) func(owner.Socket) bool {
	return func(s owner.Socket) bool { return s.Addr.Port() == port }
}

// isSame reports whether both mean one directory.
func isSame(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return a == b || errA == nil && errB == nil && os.SameFile(infoA, infoB)
}
