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
	return findIn(ctx, epmdDirs())
}

func findIn(ctx context.Context, dirs []string) (string, *Error) {
	for _, dir := range dirs {
		if path := filepath.Join(dir, epmdName); isProgram(path) {
			return path, nil
		}
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

// epmdDirs lists the folders that may hold an epmd, the best first. Any version's epmd serves nodes of any other
// (its protocol has been the same since R4), so which erts folder comes first does not matter.
func epmdDirs() []string {
	var dirs []string
	add := func(dir string) {
		switch {
		case !filepath.IsAbs(dir): // it would mean a program of whoever made the current one
		case isShims(dir):
			dirs = append(dirs, shimmed(dir)...)
		default:
			dirs = append(dirs, dir)
		}
	}
	addErts := func(root string) {
		if filepath.IsAbs(root) {
			erts, _ := filepath.Glob(filepath.Join(root, "erts-*", "bin"))
			dirs = append(dirs, erts...)
		}
	}

	// the calling release's own: erl and the start scripts of releases set these
	add(os.Getenv("BINDIR"))
	addErts(os.Getenv("ROOTDIR"))
	addErts(os.Getenv("RELEASE_ROOT"))

	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		add(dir)
	}

	// erl on PATH is often a link into the installation
	if erl, err := exec.LookPath("erl"); err == nil {
		if erl, err = filepath.EvalSymlinks(erl); err == nil {
			bin := filepath.Dir(erl)
			add(bin)
			addErts(filepath.Dir(bin))
		}
	}

	for _, pattern := range installDirs() {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	return dirs
}
