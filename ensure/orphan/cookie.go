package orphan

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/beamrun/beamrun/internal/cookiefile"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// cookie returns the cookie that this user's node was started with: that of its arguments
// (-setcookie), the one that beamrun handed it (BEAMRUN_COOKIE), else that of the file that a node
// of its environment reads. It ends with the context: the file system on which the file is may be
// the node's own.
func (n Node) cookie(ctx context.Context) (string, *Problem) {
	if c := vmargs.Cookie(n.vm.Args); c != "" {
		return c, nil
	}
	const handed = "BEAMRUN_COOKIE"
	if c := n.getenv(handed); c != "" && vmargs.Evaluates(n.vm.Args, handed) {
		return c, nil
	}
	home := vmargs.Value(n.vm.Args, "-home") // erl's, as it was before an -env HOME
	if home == "" {
		return "", n.problem(KindCookie, "name its file: --cookie file:PATH",
			"it has no -home, so where its cookie file is cannot be determined")
	}
	config := n.getenv("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	type result struct {
		cookie string
		err    error
	}
	done := make(chan result, 1)
	go func() {
		const name = ".erlang.cookie"
		c, err := n.load(filepath.Join(home, name))
		if errors.Is(err, fs.ErrNotExist) {
			other, otherErr := n.load(filepath.Join(config, "erlang", name))
			if !errors.Is(otherErr, fs.ErrNotExist) {
				c, err = other, otherErr
			}
		}
		done <- result{c, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		r.err = ctx.Err()
	}
	if r.err == nil {
		return r.cookie, nil
	}
	file := new(cookiefile.Error)
	if !errors.As(r.err, &file) {
		return "", n.problem(KindCookie, "", "its cookie file: %w", r.err)
	}
	hint, why := "", file.Err
	switch {
	case errors.Is(r.err, fs.ErrNotExist):
		hint = "say where its cookie is: --cookie SOURCE"
	case n.from == nil && !n.vm.Apart: // else the path means another file to whoever reads this
		hint, why = file.Fix.String(), file
	}
	return "", n.problem(KindCookie, hint, "its cookie file %s: %w", dist.Plain(file.Path), why)
}

func (n Node) getenv(key string) string {
	if n.from != nil {
		return n.from.Getenv(key)
	}
	return n.vm.Getenv(key)
}
