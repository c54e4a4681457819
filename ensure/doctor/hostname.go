package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/beamrun/beamrun/internal/hostaddr"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
)

// hostName: whether the names that nodes of this host get lead here.
//
// The host part of a short name (-sname) is the host's own name up to the first dot. A long one's
// (-name) is that with a domain, where there is one; else the name has to hold a host itself.
func (h *host) hostName(ctx context.Context) Check {
	full, err := os.Hostname()
	if err != nil {
		return found(Fail, "this host has no name: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	short, domain, _ := strings.Cut(full, ".")
	at, err := leadsHere(ctx, short)
	if err != nil {
		return withHost(found(Fail, "short names (NAME@%s): %v", short, err), debians(), short)
	}
	evidence := fmt.Sprintf("short names: %s is %s", short, at)
	if domain == "" {
		full, domain = longName(short)
	}
	if domain == "" {
		return ok("%s; long names: the host has no domain, so name a host (-name x@127.0.0.1)",
			evidence)
	}
	shorts := at
	if at, err = leadsHere(ctx, full); err != nil {
		c := found(Warn, "%s; long names (NAME@%s): %v", evidence, full, err)
		return withHost(c, shorts, full, short)
	}
	return ok("%s; long names: %s is %s", evidence, full, at)
}

// debians is the address that Debian gives a host's own name.
func debians() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 1, 1}) }

// withHost adds the command that puts the names before all else that the hosts file has of them:
// the first line of a name counts. It writes into the file, which in a container is a mount, so
// that no other file can take its place. A name that leads here keeps its address, at which nodes
// that run, or epmd, may listen alone; one that does not lead here has led to none of them.
func withHost(c Check, at netip.Addr, names ...string) Check {
	if !at.Is4() {
		at = debians()
	}
	if slices.ContainsFunc(names, func(s string) bool { return !isHostName(s) }) {
		return c.advise("no node can have a host of that name;" +
			" give this host another: letters, digits, - and dots")
	}
	if runtime.GOOS == "windows" {
		return c.advise("add an address of this host, and the name, to the file hosts of Windows")
	}
	prepend := shell.New("sh", "-c",
		`'h=$(cat /etc/hosts) && printf "%s\n" "$*" "$h" >/etc/hosts'`, "sh")
	return c.run(asRoot(prepend.Arg(at.String()).Args(names...)))
}

// isHostName reports whether a text can be a host's name, in a hosts file, in a command and in the
// arguments of getent(1). DHCP, or who made the container, may have set any.
func isHostName(s string) bool {
	const allowed = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-"
	return s != "" && len(s) <= 253 && s[0] != '-' && s[0] != '.' && strings.Trim(s, allowed) == ""
}

// leadsHere returns the first address of a name, which has to be one of this host.
func leadsHere(ctx context.Context, name string) (netip.Addr, error) {
	at, err := resolve(ctx, name)
	if err != nil {
		return at, err
	}
	ours, err := hostaddr.All()
	if err != nil {
		return at, err
	}
	if at.IsLoopback() || slices.Contains(ours, at) {
		return at, nil
	}
	return at, fmt.Errorf("%s leads to %s, which is no address of this host", name, at)
}

// resolve returns the first address of a name. What the C library knows beyond /etc/hosts and DNS
// (nss-myhostname, LDAP), and so Erlang, getent(1) does.
func resolve(ctx context.Context, name string) (netip.Addr, error) {
	if !isHostName(name) {
		return netip.Addr{}, fmt.Errorf("%q is not a host name", name)
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		if addrs = getent(ctx, name); len(addrs) == 0 {
			return netip.Addr{}, fmt.Errorf("%s has no address: %w", name, err)
		}
	}
	addr, err := netip.ParseAddr(addrs[0])
	return addr.Unmap(), err
}

// getent returns what getent(1) says of a name. As root it is one that root alone can change, with
// no variable by which another user could have it load code.
func getent(ctx context.Context, name string) []string {
	path, err := safepath.LookPath("getent", os.Geteuid())
	if err != nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, path, "ahosts", name)
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.Env = []string{"PATH=" + safepath.SystemPath}
	}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}

// longName is the name with a domain that /etc/hosts has for the host, or resolv.conf(5) makes, as
// for Erlang.
func longName(short string) (full, domain string) {
	for _, f := range fieldsOf("/etc/hosts") {
		if !slices.Contains(f, short) {
			continue
		}
		for _, name := range f[1:] {
			if rest, is := strings.CutPrefix(name, short+"."); is {
				return name, rest
			}
		}
	}
	for _, f := range fieldsOf("/etc/resolv.conf") {
		if (f[0] == "domain" || f[0] == "search") && len(f) > 1 && strings.Trim(f[1], ".") != "" {
			return short + "." + f[1], f[1]
		}
	}
	return short, ""
}

// fieldsOf are the words of a file's lines, without comments.
func fieldsOf(path string) (lines [][]string) {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 {
			lines = append(lines, f)
		}
	}
	return lines
}
