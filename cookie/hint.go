package cookie

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/beamrun/beamrun/internal/shell"
)

// Rules for hints: a command that can be pasted into a shell as it is, that destroys nothing, and
// after which the same call succeeds or, on Windows, says what is next. Words where no command
// does, and for root where another user could change what the command acts on.

// hint is a command, or else words.
type hint struct {
	command shell.Command
	words   string

	rotates bool // the command puts a new cookie into the file
}

// rotateCommand puts a new cookie into path.
func rotateCommand(path string) shell.Command {
	return shell.New("beamrun", "--cookie").Option("file:", path).Words("cookie", "rotate")
}

// missingHint is for Load, where LoadOrCreate makes the file.
func missingHint(path string) hint {
	if isSystem(path) {
		return otherHint
	}
	dir := dirHint(dirOf(follow(path)))
	if dir.words != "" {
		return dir
	}
	return hint{command: both(dir.command, rotateCommand(path)), rotates: true}
}

var otherHint = hint{words: "name a regular file, or give the cookie with --cookie env:NAME"}

// textHint is for a file that holds no cookie.
func textHint(path string, err error) hint {
	switch {
	case isSystem(path):
		return otherHint
	case isSystem(follow(path)):
		return hint{command: moveCommand(path)}
	case errors.Is(err, errEmpty):
		return hint{command: rotateCommand(path), rotates: true}
	}
	return hint{command: replaceCommand(path), rotates: true}
}

// moveHint is for what is no regular file.
func moveHint(path string, info fs.FileInfo) hint {
	switch {
	case isSystem(path):
		return otherHint
	case info.IsDir() && filepath.Base(path) != fileName: // a home directory, rather than a file gone wrong
		return hint{words: "name a file in it: --cookie " + shell.Quote("file:"+filepath.Join(path, fileName))}
	}
	return hint{command: moveCommand(path)}
}
