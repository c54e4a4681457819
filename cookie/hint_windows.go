package cookie

import (
	"errors"
	"io/fs"
	"strings"
)

// chain gives the first of two commands, for cmd and PowerShell 5 share no &&. The next call says the second.
func chain(first, _ string) string { return first }

// quote makes one word of cmd or PowerShell from s. A path holds no ".
func quote(s string) string {
	if strings.ContainsAny(s, " &()[]{}^=;!'+,`~$@#%") {
		return `"` + s + `"`
	}
	return s
}

func moveCommand(path string) string { return "move " + quote(path) + " " + quote(path+".old") }

func replaceHint(path string) string { return chain(moveCommand(path), rotateCommand(path)) }

func isSystem(string) bool { return false }

func privateHint(path string, _ fs.FileInfo) string { return "icacls " + quote(path) }

func reachHint(string, error) string { return "" }

func folderHint(dir string) string {
	if isMissing(dir) {
		return "mkdir " + quote(dir)
	}
	return ""
}

func storeHint(_, file string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return folderHint(folder(file))
	}
	return ""
}
