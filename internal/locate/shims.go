package locate

import "path/filepath"

// A version manager (asdf, mise) has a directory of shims on PATH. These programs look for the real
// ones of the version that a file of the current directory, or a variable, names. For the daemon,
// in the root directory and without those variables, that ends with "No version is set". But any
// version's epmd will do, whichever is set here: it is taken from where the manager installs them.

func isShims(dir string) bool { return filepath.Base(dir) == "shims" }

// shimmed lists the directories of the epmds that shims stand for, as asdf and mise lay them out.
func shimmed(shims string) []string {
	return glob(filepath.Join(filepath.Dir(shims), "installs", "erlang", "*", "erts-*", "bin"))
}
