package cookie

import (
	"errors"
	"io"
	"os"
)

// Read reads an open cookie file as [Load] does. Path is what the error names. The error is a
// *[FileError].
func Read(f *os.File, path string) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", fail(path, err, hint{})
	}
	if err := attributes(path, info); err != nil {
		return "", err
	}
	return read(f, info.Size(), path)
}

// read reads what an open file of that size holds.
func read(f io.Reader, size int64, path string) (string, error) {
	if size > maxFile {
		return "", fail(path, errLarge, textHint(path, errLarge))
	}
	// Erlang reads as much as the file says it has: nothing from most files of /proc.
	c, err := parse(io.LimitReader(f, size))
	switch {
	case errors.As(err, new(*textError)):
		return "", fail(path, err, textHint(path, err))
	case err != nil:
		return "", fail(path, err, hint{})
	}
	return c, nil
}
