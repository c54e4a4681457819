//go:build unix

package cookie

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// chain makes one command of two, of which the second needs the first.
func chain(first, next string) string { return first + " && " + next }

// quote makes one word of a shell from s, and no option.
func quote(s string) string {
	if strings.HasPrefix(s, "-") {
		s = "./" + s
	}
	if strings.IndexFunc(s, notPlain) < 0 && s != "" {
		return s
	}
	if utf8.ValidString(s) && strings.IndexFunc(s, isControl) < 0 {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	// what a terminal would act on: every shell but dash knows this form
	var b strings.Builder
	for _, c := range []byte(s) {
		if c == '\'' || c == '\\' || notPrintable(rune(c)) {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}

func isControl(r rune) bool { return !unicode.IsPrint(r) }

func notPlain(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-./:@%+=,", r))
}

// moveCommand asks before it overwrites.
func moveCommand(path string) string { return "mv -i " + quote(path) + " " + quote(path+".old") }

// replaceHint puts a new cookie in the place of a text that is none, whatever else it is: that one keeps a second name.
// Unlike cp and mv, ln overwrites nothing, and a name that is taken stops the command.
func replaceHint(path string) string {
	return chain("ln -L "+quote(path)+" "+quote(path+".old"), rotateCommand(path))
}

// isSystem says whether path names no place for files, such as the /dev/fd/63 of a shell's <(…).
func isSystem(path string) bool {
	return strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/")
}

// privateHint is for a file that may not be read, or that others may.
func privateHint(path string, info fs.FileInfo) string {
	if isMine(info) || os.Geteuid() == 0 {
		return "chmod 400 " + quote(path)
	}
	uid, _ := owner(info)
	if dir, err := os.Stat(folder(follow(path))); err == nil && isMine(dir) {
		// root's, most often: a program of ours ran under sudo
		chown := fmt.Sprintf("sudo chown %d %s", os.Geteuid(), quote(path))
		if isPrivate(info) {
			return chown
		}
		return chain(chown, "chmod 400 "+quote(path))
	}
	return fmt.Sprintf("the file is another user's: become that one, with sudo -H -u '#%d', or name a file of your own", uid)
}

// reachHint is for a path that can't be followed to its end.
func reachHint(path string, err error) string {
	dir := folder(follow(path))
	switch {
	case errors.Is(err, syscall.ELOOP):
		return moveCommand(path)
	case errors.Is(err, syscall.ENOTDIR):
		return folderHint(dir)
	case errors.Is(err, fs.ErrPermission):
		// Only a folder that can be entered shows what is in it.
		closed, info := nearest(dir)
		if info != nil && isMine(info) {
			return "chmod u+x " + quote(closed)
		}
		return fmt.Sprintf("folder %s is another user's, and closed: is HOME yours? or name a file of your own", quote(closed))
	}
	return ""
}

// folderHint makes the folder dir, and is empty when it is there.
func folderHint(dir string) string {
	above, info := nearest(dir)
	switch {
	case info == nil:
		return ""
	case !info.IsDir():
		return chain(moveCommand(above), "mkdir -p -m 700 "+quote(dir))
	case above == dir:
		return ""
	}
	switch err := unix.Access(above, unix.W_OK|unix.X_OK); {
	case errors.Is(err, syscall.EROFS):
		return "df " + quote(above)
	case err != nil:
		return fmt.Sprintf("sudo install -d -o %d -m 700 %s", os.Geteuid(), quote(dir))
	}
	return "mkdir -p -m 700 " + quote(dir)
}

// nearest returns dir, or the lowest thing above it that is there and can be seen.
func nearest(dir string) (string, fs.FileInfo) {
	for {
		info, err := os.Stat(dir)
		if err == nil {
			return dir, info
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir, nil
		}
		dir = up
	}
}

// storeHint is for a file, at the end of path's links, that could not be made.
func storeHint(path, file string, err error) string {
	dir := folder(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return folderHint(dir)
	case errors.Is(err, syscall.EROFS):
		return "df " + quote(dir)
	case errors.Is(err, syscall.ENOSPC): // of bytes, or of inodes
		return chain("df -h "+quote(dir), "df -i "+quote(dir))
	case errors.Is(err, syscall.EDQUOT):
		return "quota"
	case errors.Is(err, syscall.EFBIG):
		return "ulimit -f unlimited"
	case !errors.Is(err, fs.ErrPermission) || os.Geteuid() == 0:
		return ""
	}
	if info, err := os.Stat(dir); err == nil && isMine(info) && unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		return "chmod u+wx " + quote(dir)
	}
	hint := "sudo " + rotateCommand(path)
	if isMissing(path) { // else it keeps its owner
		return chain(hint, fmt.Sprintf("sudo chown %d %s", os.Geteuid(), quote(path)))
	}
	return hint
}
