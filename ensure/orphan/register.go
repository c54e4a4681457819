package orphan

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure/epmd"
)

// Register has the node register itself with the epmd at addr, and returns when that epmd has its name. That the node is
// registered by then (from OTP 23.3 on it tries by itself, every 2 s) is no error.
//
// A wrong cookie leaves a line in the node's log: "Connection attempt … rejected". The error is an *[Error].
func (n Node) Register(ctx context.Context, addr netip.AddrPort, cookie string) error {
	if err := n.register(ctx, addr, cookie); err != nil {
		return err
	}
	return nil
}

// RegisterItself is Register with the node's own [Node.Cookie].
func (n Node) RegisterItself(ctx context.Context, addr netip.AddrPort) error {
	c, err := n.Cookie()
	if err != nil {
		return err
	}
	return n.Register(ctx, addr, c)
}

func (n Node) register(ctx context.Context, addr netip.AddrPort, cookie string) *Error {
	if n.Problem != nil {
		return n.Problem
	}
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	p, err := meet(ctx, n.Addr)
	if err != nil {
		return n.problem(KindSilent, "", "at %s: %w", n.Addr, err)
	}
	defer p.close()
	if p.name != n.Name {
		return n.problem(KindSilent, "", "at %s there is node %.255q now", n.Addr, p.name)
	}
	switch err := p.prove(cookie); {
	case errors.Is(err, errCookie):
		return n.problem(KindCookie, "give its own: --cookie SOURCE; its log has a line of this", "%w", err)
	case err != nil:
		return n.problem(KindSilent, "", "at %s: %w", n.Addr, err)
	}
	result, err := p.call("erl_epmd", "register_node", n.Short(), int(n.Addr.Port()))
	if err != nil {
		return n.problem(KindSilent, "", "at %s: its answer: %w", n.Addr, err)
	}
	info, err := epmd.Lookup(ctx, addr.String(), n.Short())
	answer := show(result)
	switch {
	case err == nil && info.Port == n.Addr.Port():
		return nil
	case err == nil:
		return n.taken(info.Port)
	case !errors.Is(err, epmd.ErrNotRegistered):
		return n.problem(KindRefused, "", "%w", err)
	case isTuple(result, "ok"), isTuple(result, "error", "already_registered"), isTuple(result, "error", "econnrefused"):
		return n.problem(KindEpmd, "name the epmd that it uses: --port N", "it uses an epmd on another port (its erl_epmd says %s)", answer)
	case isTuple(result, "badrpc"):
		return n.problem(KindEpmdless, "", "it has no erl_epmd that could register it: %.200s", answer)
	}
	return n.problem(KindRefused, "", "its erl_epmd says %.200s", answer)
}

// isTuple says whether the term is a tuple that begins with these atoms.
func isTuple(term any, atoms ...atom) bool {
	t, ok := term.([]any)
	if !ok || len(t) < len(atoms) {
		return false
	}
	for i, a := range atoms {
		if t[i] != a {
			return false
		}
	}
	return true
}

// Cookie returns the cookie that the node was started with: that of its arguments (-setcookie), the one that beamrun handed it
// (BEAMRUN_COOKIE), else that of the file that a node of its environment reads. All of them can be seen by the node's user and
// by root. The error is an *[Error] of KindCookie.
func (n Node) Cookie() (string, error) {
	if n.Problem != nil {
		return "", n.Problem
	}
	if c := ownCookie(n.vm.Args); c != "" {
		return c, nil
	}
	const handed = "BEAMRUN_COOKIE"
	if c := n.vm.Getenv(handed); c != "" && evaluates(n.vm.Args, handed) {
		return c, nil
	}
	if len(n.vm.Args) == 0 { // nobody tells, so it is taken for this user's
		path, err := cookie.DefaultPath()
		if err != nil {
			return "", n.problem(KindCookie, "give its cookie: --cookie SOURCE", "%w", err)
		}
		return cookie.Load(path)
	}
	home := value(n.vm.Args, "-home") // erl's, as it was before an -env HOME
	if home == "" {
		return "", n.problem(KindCookie, "name its file: --cookie file:PATH", "nobody says where its cookie file is: it has no -home")
	}
	config := n.vm.Getenv("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	c, err := loadOf(n.UID, cookie.PathIn(n.vm.Path(home), n.vm.Path(config)))
	var file *cookie.FileError
	if errors.As(err, &file) {
		if errors.Is(err, fs.ErrNotExist) { // a new one, as its hint has it, would not be the node's
			file.Hint = "say where its cookie is: --cookie SOURCE"
		}
		return "", n.problem(KindCookie, file.Hint, "its cookie file %s: %w", file.Path, file.Err)
	}
	return c, err
}
