package launcher

import (
	"path/filepath"
	"slices"
)

// ReleaseRoot returns the directory of a release if program is its start script (ROOT/bin/my_app,
// or a link to it), else "". The release's own epmd is in ROOT/erts-*/bin. The script makes that
// known only to what it starts itself.
func ReleaseRoot(program string) string {
	root := rootOf(program)
	for _, part := range []string{"releases", "erts-*/bin"} {
		if found, _ := filepath.Glob(filepath.Join(root, part)); root == "" || len(found) == 0 {
			return ""
		}
	}
	return root
}

// rootOf returns ROOT for the program ROOT/bin/NAME, or a link to it; else "".
func rootOf(program string) string {
	path, err := filepath.EvalSymlinks(program)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil || filepath.Base(filepath.Dir(path)) != "bin" {
		return ""
	}
	return filepath.Dir(filepath.Dir(path))
}

// visits are the commands of the start scripts of mix and relx that start a node to visit the one
// that runs.
var visits = []string{"remote", "rpc", "pid", "stop", "restart", "remote_console", "ping", "status"}

// isVisit reports whether the program's nodes only connect to another one: a remote shell, or such
// a command of a release.
func isVisit(program string, args []string) bool {
	return asksForShell(args) ||
		len(args) > 0 && slices.Contains(visits, args[0]) && ReleaseRoot(program) != ""
}
