// Package locate finds the epmd program of this host.
package locate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/spawn"
)

// Error is why there is no epmd program to start.
type Error struct {
	Missing bool // there is none; else there may be one, which cannot be run or looked for
	Err     error
	Hint    string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Epmd returns the epmd to start, an absolute path: the program of that name or path, or, if it is
// empty, the first in the places that may have one. releaseRoot is the directory of a release,
// whose own epmd comes before others; empty: RELEASE_ROOT. The error is an *[Error].
//
// As root it is one that root alone can change, with every directory and link on the way, unless
// program names it.
func Epmd(ctx context.Context, program, releaseRoot string) (string, error) {
	if program != "" {
		return named(program)
	}
	release := func() []string { return ofRelease(releaseRoot) }
	return findIn(ctx, []func() []string{release, onPath, besideErl, installed})
}

// findIn looks in the places, the best first: each lists its own directories, and only when those
// before it have none. Any version's epmd serves nodes of any other (its protocol has been the same
// since R4), so which erts directory comes first does not matter.
func findIn(ctx context.Context, places []func() []string) (string, error) {
	var dirs []string
	var refused refusals
	for _, place := range places {
		here := place()
		for _, dir := range here {
			if path := filepath.Join(dir, epmdName); refused.mayRun(path) && isProgram(path) {
				return path, nil
			}
		}
		dirs = append(dirs, here...)
	}
	missing := errors.New("no epmd program in " + strings.Join(dirs, ", ") +
		", nor in the other usual directories of Erlang")
	if err := refused.failed; err != nil {
		return "", &Error{Err: err, Hint: spawn.ScarcityHint(err)}
	}
	hint := "or name an epmd program by its path"
	erl, err := safepath.LookPath("erl", os.Geteuid())
	refused.add(err)
	if len(refused.unsafe) > 0 {
		missing = fmt.Errorf("%w; %w", missing, refused)
		hint += ", which root then runs from anywhere"
	}
	if err != nil {
		hint = "install Erlang (" + installHint + "), " + hint
		return "", &Error{Missing: true, Err: missing, Hint: hint}
	}
	const asked = "%w; %s was asked where its own is: %w"
	dir, err := askErl(ctx, erl)
	if end := ended(ctx); end != nil {
		return "", &Error{Err: fmt.Errorf(asked, missing, erl, end)}
	}
	if err == nil {
		path := filepath.Join(dir, epmdName)
		var refused refusals
		if refused.mayRun(path) && isProgram(path) {
			return path, nil
		}
		if err = fmt.Errorf("it has none in %s", dir); len(refused.unsafe) > 0 {
			err = refused
		}
	}
	return "", &Error{Missing: true, Err: fmt.Errorf(asked, missing, erl, err),
		Hint: "see that this works here: erl -noinput -s erlang halt; " + hint}
}

// refusals are what root does not run.
type refusals struct {
	unsafe []*safepath.Error // for another user can change it: each place once
	failed error             // the last one that could not be looked at, for lack of resources
}

// mayRun reports whether this user may run what path leads to. Root runs only what root alone can
// change: a program of another user's would be that user's way to become root.
func (r *refusals) mayRun(path string) bool {
	if os.Geteuid() != 0 {
		return true
	}
	err := safepath.Check(path, 0)
	r.add(err)
	return err == nil
}

func (r *refusals) add(err error) {
	unsafe := new(safepath.Error)
	switch {
	case !errors.As(err, &unsafe):
		if isScarcity(err) {
			r.failed = err
		}
	case !slices.ContainsFunc(r.unsafe, func(e *safepath.Error) bool { return e.At == unsafe.At }):
		r.unsafe = append(r.unsafe, unsafe)
	}
}

func (r refusals) Error() string {
	const most = 5
	var all []string
	for _, e := range r.unsafe[:min(most, len(r.unsafe))] {
		all = append(all, e.Error())
	}
	if more := len(r.unsafe) - most; more > 0 {
		all = append(all, fmt.Sprintf("%d more", more))
	}
	return "root runs none that another user can change: " + strings.Join(all, ", ")
}

func named(program string) (string, error) {
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
		return "", &Error{Missing: true, Err: err, Hint: "to install one: " + installHint}
	}
	hint := cmp.Or(spawn.Hint(program, err), "name a file that is an epmd program")
	return "", &Error{Err: err, Hint: hint}
}

// ofRelease are the calling release's own: erl and the start scripts of releases set these
// variables.
func ofRelease(root string) []string {
	dirs := absolute(os.Getenv("BINDIR"))
	dirs = append(dirs, ertsDirs(os.Getenv("ROOTDIR"))...)
	return append(dirs, ertsDirs(cmp.Or(root, os.Getenv("RELEASE_ROOT")))...)
}

func onPath() (dirs []string) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		dirs = append(dirs, absolute(dir)...)
	}
	return dirs
}

// besideErl are where erl on PATH leads, which is often a link into the installation.
func besideErl() []string {
	erl, err := safepath.LookPath("erl", os.Geteuid())
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
		dirs = append(dirs, glob(pattern)...)
	}
	return dirs
}

// absolute returns the directory, or those that it stands for, unless it is a relative one: that
// would mean a program of whoever made the current directory.
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
	return glob(filepath.Join(root, "erts-*", "bin"))
}

// glob is [filepath.Glob]. Root lists no directory that another user can change: there it returns
// the pattern itself, which leads to nothing, and the search then tells why.
func glob(pattern string) []string {
	if os.Geteuid() != 0 {
		found, _ := filepath.Glob(pattern)
		return found
	}
	paths := []string{"/"}
	parts := strings.Split(strings.Trim(pattern, "/"), "/")
	for i, part := range parts {
		var next []string
		for _, path := range paths {
			if !strings.Contains(part, "*") {
				next = append(next, filepath.Join(path, part))
				continue
			}
			err := safepath.Check(path, 0)
			if errors.As(err, new(*safepath.Error)) {
				return []string{filepath.Join(append([]string{path}, parts[i:]...)...)}
			}
			entries, _ := os.ReadDir(path) // none where it is missing
			for _, e := range entries {
				if match, _ := filepath.Match(part, e.Name()); match {
					next = append(next, filepath.Join(path, e.Name()))
				}
			}
		}
		paths = next
	}
	return slices.DeleteFunc(paths, func(path string) bool {
		return errors.Is(safepath.Check(path, 0), fs.ErrNotExist)
	})
}

// ended returns the context's error, also in the moment after its deadline when the context does
// not have one yet.
func ended(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(end) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}
