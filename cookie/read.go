package cookie

import (
	"io"
	"os"
)

// MaxFile is the most bytes that a cookie file may have. A cookie has 255 characters; line ends and spaces may follow.
const MaxFile = 64 << 10

// Read reads an open cookie file, as [Load] does. Path is what the error names. The error is a *[FileError].
func Read(f *os.File, path string) (string, error) {
	fail := func(err error, hint string) (string, error) { return "", &FileError{path, cause(err), hint} }
	info, err := f.Stat()
	if err != nil {
		return fail(err, "")
	}
	if hint, err := attributes(path, info); err != nil {
		return fail(err, hint)
	}
	c, err := parse(io.LimitReader(f, min(info.Size(), MaxFile)))
	if err != nil {
		return fail(err, "")
	}
	return c, nil
}
