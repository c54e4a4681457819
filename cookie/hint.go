package cookie

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Rules for hints: a command that can be pasted into a shell as it is, that destroys nothing, and after which the same call
// succeeds or, on Windows, says what is next. Words where no command does.

// rotateCommand puts a new cookie into path.
func rotateCommand(path string) string {
	return "beamrun --cookie " + quote("file:"+path) + " cookie rotate"
}

// missingHint is for Load, where LoadOrCreate makes the file.
func missingHint(path string) string {
	if mkdir := folderHint(folder(follow(path))); mkdir != "" {
		return chain(mkdir, rotateCommand(path))
	}
	return rotateCommand(path)
}

const otherHint = "name a regular file, or give the cookie with --cookie env:NAME"

// textHint is for a file that holds no cookie.
func textHint(path string, err error) string {
	switch {
	case isSystem(path):
		return otherHint
	case isSystem(follow(path)):
		return moveCommand(path)
	case errors.Is(err, errEmpty):
		return rotateCommand(path)
	}
	return replaceHint(path)
}

// moveHint is for what is no regular file.
func moveHint(path string, info fs.FileInfo) string {
	switch {
	case isSystem(path):
		return otherHint
	case info.IsDir() && filepath.Base(path) != fileName: // a home folder, rather than a file gone wrong
		return "name a file in it: --cookie " + quote("file:"+filepath.Join(path, fileName))
	}
	return moveCommand(path)
}
