package main

import "path/filepath"

// releaseRoot returns the folder of the release whose start script program is (ROOT/bin/my_app, or a link to it), or "".
// Such a script's own epmd is in ROOT/erts-*/bin, and the script says where only to what it starts itself.
func releaseRoot(program string) string {
	path, err := filepath.EvalSymlinks(program)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil || filepath.Base(filepath.Dir(path)) != "bin" {
		return ""
	}
	root := filepath.Dir(filepath.Dir(path))
	for _, part := range []string{"releases", "erts-*/bin"} {
		if found, _ := filepath.Glob(filepath.Join(root, part)); len(found) == 0 {
			return ""
		}
	}
	return root
}
