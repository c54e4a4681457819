package safepath

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// SystemPath is where root looks for a program that no safe directory of PATH has.
const SystemPath = "/usr/bin:/bin:/usr/sbin:/sbin"

// LookPath returns the path of the program of that name, a word without a slash. For uid 0 it is
// the first on PATH that root alone can change; where no directory of PATH is safe, [SystemPath] is
// searched. The error may be an *[Error]. For everyone else it is that of [exec.LookPath].
func LookPath(name string, uid int) (string, error) {
	if uid != 0 {
		return exec.LookPath(name)
	}
	list := os.Getenv("PATH")
	if Trusted(list, uid) == "" {
		list += ":" + SystemPath
	}
	var refused error = &exec.Error{Name: name, Err: exec.ErrNotFound}
	for _, dir := range filepath.SplitList(list) {
		path := filepath.Join(dir, name)
		if !filepath.IsAbs(dir) {
			continue
		}
		err := Check(path, uid)
		if err == nil {
			if path, err = exec.LookPath(path); err == nil { // which sees that it is a program
				return path, nil
			}
		}
		if unsafe, ok := err.(*Error); ok {
			refused = unsafe
		}
	}
	return "", refused
}

// Trusted returns the directories of a list such as PATH that nobody but root and uid can change;
// of an empty PATH nothing is left.
func Trusted(list string, uid int) string {
	var kept []string
	for _, dir := range filepath.SplitList(list) {
		if filepath.IsAbs(dir) && Check(dir, uid) == nil {
			kept = append(kept, dir)
		}
	}
	return strings.Join(kept, string(filepath.ListSeparator))
}
