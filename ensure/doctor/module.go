package doctor

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// epmdModule: whether the nodes of this environment can load what is to be their client of epmd.
// With a module that is missing none with a name boots: undef (elixir#13809).
func (h *host) epmdModule(ctx context.Context) Check {
	type flags struct {
		key    string
		words  []string
		module string
	}
	var all []flags
	var erls, paths []string // arguments of every erl, and the directories of their modules
	for _, key := range []string{"ERL_AFLAGS", "ERL_FLAGS", "ERL_ZFLAGS", "ELIXIR_ERL_OPTIONS"} {
		f := flags{key: key, words: flagWords(os.Getenv(key))}
		if f.module = vmargs.EpmdModule(f.words); f.module != "" {
			all = append(all, f)
		}
		erls = append(erls, f.words...)
		if key != "ELIXIR_ERL_OPTIONS" { // which plain erl does not look at
			paths = vmargs.CodePaths(erls)
		}
	}
	if len(all) == 0 {
		return Check{}
	}
	var good []string
	for _, f := range all {
		dirs := paths
		if f.key == "ELIXIR_ERL_OPTIONS" {
			dirs = vmargs.CodePaths(erls)
		}
		at := h.beam(ctx, f.module, dirs)
		if at != "" {
			has := fmt.Sprintf("%s has -epmd_module %s, which is %s", f.key, f.module, at)
			good = append(good, has)
			continue
		}
		c := found(Warn, "%s has -epmd_module %s, of which no file was found:"+
			" neither in -pa and -pz of these variables (%s), nor in ERL_LIBS (%s),"+
			" nor in OTP's own lib; without it no node with a name boots (undef)",
			f.key, shell.Quote(f.module),
			cmp.Or(strings.Join(dirs, ", "), "none"), cmp.Or(os.Getenv("ERL_LIBS"), "not set"))
		return c.advise("add -pa with its directory to %s, or take -epmd_module out of it", f.key)
	}
	return ok("%s", strings.Join(good, "; "))
}

// beam returns the path of a module's file, where a node would find it, or "".
func (h *host) beam(ctx context.Context, module string, dirs []string) string {
	if strings.ContainsAny(module, `/\`) {
		return ""
	}
	libs := filepath.SplitList(os.Getenv("ERL_LIBS"))
	if path, err := h.config.Find(ctx); err == nil {
		// ROOT/erts-V/bin/epmd, and ROOT/lib has OTP's applications
		if real, err := filepath.EvalSymlinks(path); err == nil && ertsOf(real) != "" {
			libs = append(libs, filepath.Join(filepath.Dir(real), "..", "..", "lib"))
		}
	}
	all := slices.Clone(dirs)
	unsafe := func(dir string) bool { // root opens no directory of others
		return os.Geteuid() == 0 && safepath.Check(dir, 0) != nil
	}
	libs = slices.DeleteFunc(libs, unsafe)
	all = slices.DeleteFunc(all, unsafe)
	for _, lib := range libs {
		all = append(all, filepath.Join(lib, "ebin"))
		apps, _ := os.ReadDir(lib)
		for _, app := range apps {
			all = append(all, filepath.Join(lib, app.Name(), "ebin"))
		}
	}
	for _, dir := range all {
		path := filepath.Join(dir, module+".beam")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// flagWords splits the text of ERL_FLAGS and the like as erl does: at spaces, but not within
// quotes, and not behind a backslash.
func flagWords(text string) (words []string) {
	var word []rune
	var quote rune
	begun, escaped := false, false
	for _, r := range text {
		switch {
		case escaped:
			word, escaped = append(word, r), false
		case r == '\\' && quote != '\'':
			begun, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word = append(word, r)
		case r == '"' || r == '\'':
			begun, quote = true, r
		case strings.ContainsRune(" \t\r\n", r):
			if begun {
				words = append(words, string(word))
			}
			word, begun = nil, false
		default:
			word, begun = append(word, r), true
		}
	}
	if begun {
		words = append(words, string(word))
	}
	return words
}
