package cookiefile

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/beamrun/beamrun/internal/shell"
)

// missingHint is for Load, where LoadOrCreate makes the file.
func missingHint(path string) Fix {
	if isSystem(path) {
		return Fix{Words: "name a regular file", Other: true}
	}
	dir := dirHint(dirOf(follow(path)))
	if dir.Words != "" {
		return dir
	}
	return Fix{Command: dir.Command, Rotate: true}
}

// textHint is for a file that holds no cookie.
func textHint(path string, err error) Fix {
	switch {
	case isSystem(path):
		return Fix{Words: "name a regular file", Other: true}
	case isSystem(follow(path)):
		return Fix{Command: moveCommand(path)}
	case errors.Is(err, errEmpty):
		return Fix{Rotate: true}
	}
	return Fix{Command: keepCommand(path), Rotate: true}
}

// moveHint is for what is no regular file.
func moveHint(path string, info fs.FileInfo) Fix {
	switch {
	case isSystem(path):
		return Fix{Words: "name a regular file", Other: true}
	case info.IsDir() && filepath.Base(path) != Name: // a home, rather than a file gone wrong
		file := filepath.Join(path, Name)
		return Fix{Words: "name a file in it: " + shell.Quote(file), Inside: file}
	}
	return Fix{Command: moveCommand(path)}
}
