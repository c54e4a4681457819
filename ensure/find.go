package ensure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Find returns the epmd that [Epmd] would start, an absolute path. The error is an *[Error] of [KindNotFound] or [KindSpawn].
func (c Config) Find(ctx context.Context) (string, error) {
	path, err := c.find(ctx)
	if err != nil {
		return "", err
	}
	return path, nil
}

// find returns the epmd to start, an absolute path.
func (c Config) find(ctx context.Context) (string, *Error) {
	if c.Program != "" {
		return findNamed(c.Program)
	}
	return findIn(ctx, places)
}

func findIn(ctx context.Context, places []func() []string) (string, *Error) {
	var dirs []string
	for _, place := range places {
		here := place()
		for _, dir := range here {
			if path := filepath.Join(dir, epmdName); isProgram(path) {
				return path, nil
			}
		}
		dirs = append(dirs, here...)
	}
	missing := errors.New("no epmd program in " + strings.Join(dirs, ", ") + ", nor in the other usual folders of Erlang")
	hint := "or name an epmd with --epmd PATH"
	erl, err := exec.LookPath("erl")
	if err != nil {
		return "", &Error{Kind: KindNotFound, Err: missing, Hint: "install Erlang (" + installHint + "), " + hint}
	}
	dir, err := askErl(ctx, erl)
	if end := ended(ctx); end != nil {
		return "", &Error{Kind: endKind(end), Err: fmt.Errorf("%w; %s was asked where its own is: %w", missing, erl, end)}
	}
	if err == nil {
		path := filepath.Join(dir, epmdName)
		if isProgram(path) {
			return path, nil
		}
		err = fmt.Errorf("it has none in %s", dir)
	}
	return "", &Error{Kind: KindNotFound, Err: fmt.Errorf("%w; %s was asked where its own is: %w", missing, erl, err),
		Hint: "see that this works here: erl -noinput -s erlang halt; " + hint}
}

func findNamed(program string) (string, *Error) {
	path, err := exec.LookPath(program)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err == nil {
		return path, nil
	}
	if e := new(fs.PathError); errors.As(err, &e) {
		err = e.Err
	} else if e := new(exec.Error); errors.As(err, &e) {
		err = e.Err
	}
	err = fmt.Errorf("%s: %w", program, err)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return "", &Error{Kind: KindNotFound, Err: err, Hint: "leave --epmd out to have one looked for; to install one: " + installHint}
	}
	return "", &Error{Kind: KindSpawn, Err: err, Hint: cmp.Or(programHint(program, err), "--epmd takes the path of an epmd program")}
}

// places are the folders that may hold an epmd, the best first: each lists its own, and only when those before it have none.
// Any version's epmd serves nodes of any other (its protocol has been the same since R4), so which erts folder comes first
// does not matter.
var places = []func() []string{ofRelease, onPath, besideErl, installed}

// ofRelease are the calling release's own: erl and the start scripts of releases set these variables.
func ofRelease() []string {
	dirs := absolute(os.Getenv("BINDIR"))
	dirs = append(dirs, ertsDirs(os.Getenv("ROOTDIR"))...)
	return append(dirs, ertsDirs(os.Getenv("RELEASE_ROOT"))...)
}

func onPath() (dirs []string) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		dirs = append(dirs, absolute(dir)...)
	}
	return dirs
}

// besideErl are where erl on PATH leads, which is often a link into the installation.
func besideErl() []string {
	erl, err := exec.LookPath("erl")
	if err == nil {
		erl, err = filepath.EvalSymlinks(erl)
	}
	if err != nil {
		return nil
	}
	bin := filepath.Dir(erl)
	return append(absolute(bin), ertsDirs(filepath.Dir(bin))...)
}

func installed() (dirs []string) {
	for _, pattern := range installDirs() {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	return dirs
}

// absolute is the folder, or those that it stands for, unless it is a relative one: that would mean a program of whoever made
// the current folder.
func absolute(dir string) []string {
	switch {
	case !filepath.IsAbs(dir):
		return nil
	case isShims(dir):
		return shimmed(dir)
	}
	return []string{dir}
}

// ertsDirs are those of the runtime systems in an installation or a release.
func ertsDirs(root string) []string {
	if !filepath.IsAbs(root) {
		return nil
	}
	found, _ := filepath.Glob(filepath.Join(root, "erts-*", "bin"))
	return found
}
