package launcher

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/beamrun/beamrun/ensure/epmdless"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// withEpmdless returns env with what makes nodes do without epmd: all on one port, which OTP can by
// itself, or each on its own, found by its file. Where the arguments or the environment say how
// already, they win; given twice, OTP takes none.
func (c Config) withEpmdless(env []string) ([]string, error) {
	// as below another launch of this kind
	if strings.Contains(value(env, "ERL_ZFLAGS"), vmargs.NodesFlag+" ") {
		if c.DistPort.IsOne() && c.Warn != nil {
			c.Warn("the program's nodes find each other by files already, as ERL_ZFLAGS has it:" +
				" that stays as it is")
		}
		return c.withoutDistPort(env), nil
	}
	for _, word := range []string{"erl_epmd_port", "erl_epmd_node_listen_port", "epmd_module"} {
		if !c.given(env, word) {
			continue
		}
		isSame := c.DistPort.IsOne() && c.given(env, word+" "+strconv.Itoa(c.DistPort.First))
		if c.Warn != nil && !isSame { // as below another launch of this kind
			c.Warn(fmt.Sprintf("the program is given %s already, in its arguments or in"+
				" ERL_*FLAGS: that stays as it is", word))
		}
		return c.withoutDistPort(env), nil
	}
	env = withoutOwnEpmd(env)
	if c.DistPort.IsOne() { // for all nodes, one on each address
		return c.withStaticPort(env), nil
	}
	module, err := epmdless.Install()
	if err != nil {
		return nil, fmt.Errorf("launcher: %w", err)
	}
	dir, err := epmdless.Dir()
	if err != nil {
		return nil, fmt.Errorf("launcher: %w", err)
	}
	c.warnIfElsewhere(dir)
	flags := "-pa " + escape(module) + " " + vmargs.NodesFlag + " " + escape(dir)
	if uid := os.Geteuid(); uid >= 0 { // Windows has none
		flags += " " + strconv.Itoa(uid)
	}
	for _, peer := range c.Peers {
		flags += " " + vmargs.PeerFlag + " " + escape(peer)
	}
	if c.PeersFile != "" {
		path, err := filepath.Abs(c.PeersFile)
		if err != nil {
			return nil, fmt.Errorf("launcher: %w", err)
		}
		flags += " " + vmargs.PeersFlag + " " + escape(path)
	}
	if c.DistPort != (Ports{}) {
		env = c.withDistPort(env)
	}
	return withLastFlags(c.withNodetool(env), flags), nil
}

// withoutDistPort returns env without the variable that makes a script give the port, where the
// port is given already.
func (c Config) withoutDistPort(env []string) []string {
	set := value(env, distPortVar)
	if set == "" {
		return env
	}
	if c.Warn != nil {
		c.Warn(fmt.Sprintf("%s=%q is taken back: of two ports Erlang takes neither",
			distPortVar, set))
	}
	return without(env, distPortVar)
}

// warnIfElsewhere warns of nodes' files that are not where another program of this user looks for
// them: another user could change that place.
func (c Config) warnIfElsewhere(directory string) {
	cache, err := os.UserCacheDir()
	if err != nil || c.Warn == nil {
		return
	}
	if unsafe := new(safepath.Error); errors.As(safepath.Check(cache, os.Geteuid()), &unsafe) {
		c.Warn(fmt.Sprintf("nodes are found by their files in %s, for another user can change %v",
			directory, unsafe))
	}
}

// withNodetool returns env with USE_NODETOOL for the start script of relx, where it is not set:
// without it the script asks the node by erl_call, which asks epmd.
func (c Config) withNodetool(env []string) []string {
	const key = "USE_NODETOOL"
	if value(env, key) == "" && reads(c.script(), key) {
		env = with(env, key+"=1")
	}
	return env
}

// withStaticPort returns env with a port for all nodes, of this host and of others. Some start
// scripts (relx, ejabberdctl) have a variable for that: they give the port to the node, and to what
// visits it, which must not listen there too.
func (c Config) withStaticPort(env []string) []string {
	port := strconv.Itoa(c.DistPort.First)
	if set := value(env, distPortVar); set != "" && set != port && c.Warn != nil {
		c.Warn(fmt.Sprintf("%s is set to %q already: it is taken back, and all nodes are on"+
			" port %s", distPortVar, set, port))
	}
	// a script that reads it would give the port a second time: OTP takes neither
	env = without(env, distPortVar)
	if reads(c.script(), distPortVar) {
		return with(env, distPortVar+"="+port)
	}
	flags := "-erl_epmd_port "
	if c.hasKernelParameters() {
		flags = "-kernel erl_epmd_node_listen_port "
	}
	flags += port
	if isVisit(c.Program, c.Args) { // the port of this address is the other one's
		flags += " -dist_listen false"
	}
	return withFlags(env, flags)
}

// hasKernelParameters reports whether the program's Erlang is of OTP 27.2 (ERTS 15.2) or later,
// where kernel's erl_epmd_node_listen_port replaces the flag -erl_epmd_port. That flag is
// deprecated, and still works on OTP 29: so it is used where the version cannot be determined.
// Given both, OTP takes neither.
func (c Config) hasKernelParameters() bool {
	var paths []string
	if path, err := exec.LookPath(c.Program); err == nil {
		paths = append(paths, path)
	}
	if path, err := safepath.LookPath("erl", os.Geteuid()); err == nil {
		paths = append(paths, path)
	}
	for _, path := range paths {
		root := rootOf(path)
		if found, _ := filepath.Glob(filepath.Join(root, "erts-*")); root != "" && len(found) == 1 {
			var major, minor int
			fmt.Sscanf(filepath.Base(found[0]), "erts-%d.%d", &major, &minor)
			return major > 15 || major == 15 && minor >= 2
		}
	}
	return false
}

// CheckPeer returns an error if s is not NAME@HOST=PORT. The error does not repeat s, which may be
// a secret in the wrong place.
func CheckPeer(s string) error {
	node, port, _ := strings.Cut(s, "=")
	name, host, _ := strings.Cut(node, "@")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || name == "" || host == "" ||
		strings.ContainsAny(s, " \t\"'\\#") || strings.ContainsRune("-+", rune(name[0])) {
		return errors.New("it is not NAME@HOST=PORT")
	}
	return nil
}

const (
	maxPeers     = 1 << 20 // bytes that the nodes read of a file of peers
	maxBadPeers  = 10      // lines that an error names
	ordinaryFile = "%s is no ordinary file of at most 1 MiB"
)

// CheckPeersFile returns an error if nodes cannot read the file: it has to be an ordinary one of at
// most 1 MiB, each line of which is NAME@HOST=PORT, or empty, or a remark behind a #. The error
// names lines by their numbers and never repeats them: the file may be another one, with a secret
// in it.
func CheckPeersFile(path string) error {
	// a pipe without a writer must not keep us waiting
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf(ordinaryFile, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPeers+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxPeers:
		return fmt.Errorf(ordinaryFile, path)
	}
	var errs []error
	number, bad := 0, 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		node, port, _ := strings.Cut(line, "=")
		if CheckPeer(strings.TrimSpace(node)+"="+strings.TrimSpace(port)) == nil {
			continue
		}
		if bad++; bad <= maxBadPeers {
			errs = append(errs, fmt.Errorf("%s, line %d: it is not NAME@HOST=PORT", path, number))
		}
	}
	if more := bad - maxBadPeers; more > 0 {
		errs = append(errs, fmt.Errorf("%s: %d more such lines", path, more))
	}
	return errors.Join(errs...)
}
