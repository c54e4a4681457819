package launcher

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/statedir"
)

const cookieFile = ".erlang.cookie"

// asksForShell reports whether the arguments ask for a shell in another node. It connects before
// any -eval has run on some versions of OTP, so it must have the cookie from its first moment.
func asksForShell(args []string) bool {
	isRemsh := func(arg string) bool { return arg == "-remsh" || arg == "--remsh" }
	return slices.ContainsFunc(options(args), isRemsh)
}

// withHome returns env with a HOME that holds the cookie's file. erlexec looks at HOME before it
// applies -env, so the node, and what it starts, have the real one in their environment.
func withHome(env []string, c string) ([]string, error) {
	home := value(env, "HOME")
	if home == "" {
		return nil, errors.New("HOME is not set")
	}
	dir, err := shellHome(home, c)
	if err != nil {
		return nil, err
	}
	return withFlags(with(without(env, cookieVar), "HOME="+dir), "-env HOME "+escape(home)), nil
}

// escape makes one word of s for erlexec, which splits the options in the environment.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, " ", `\ `,
		"\t", "\\\t", "\n", "\\\n", "\v", "\\\v", "\f", "\\\f", "\r", "\\\r").Replace(s)
}

// shellHome returns a home directory with the cookie's file. It is the same one for the same home
// and cookie, so that they don't pile up. Erlang puts its name into the argument list: it is made
// with a key, or a weak cookie could be guessed from it.
func shellHome(home, c string) (string, error) {
	state, _, err := statedir.Dir()
	if err != nil {
		return "", err
	}
	key, err := cookie.LoadOrCreate(filepath.Join(state, "remsh.key"))
	if err != nil {
		return "", err
	}
	name, err := cookie.Derive([]byte(key), home+"\x00"+c)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, "remsh-"+name[:16])
	// what stands there is ours: nobody else can enter the directory around it, or change what its
	// path leads to
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	linkSettings(dir, home)
	return dir, putCookie(filepath.Join(dir, cookieFile), c)
}

// linkSettings makes links to what programs look for in a home directory (.erlang, .cache, a
// version manager's .tool-versions), as far as it can. For root it makes none into one that another
// user can change, as sudo -E leaves it: whoever can change .erlang has it run by root's shell.
func linkSettings(dir, home string) {
	if abs, err := filepath.Abs(home); err == nil {
		home = abs
	}
	if os.Geteuid() == 0 && safepath.Check(home, 0) != nil {
		return
	}
	entries, _ := os.ReadDir(home)
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, ".") && !strings.HasPrefix(name, cookieFile) {
			// that of an earlier launch stays
			os.Symlink(filepath.Join(home, name), filepath.Join(dir, name))
		}
	}
}

// putCookie makes the file at path one with that cookie, in one step, for others may start shells
// at the same time.
func putCookie(path, c string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		if have, err := cookie.Load(path); err == nil && have == c {
			return nil
		}
	}
	return statedir.Replace(path, []byte(c), cookie.Mode)
}
