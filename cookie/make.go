package cookie

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LoadOrCreate reads the cookie file at path, and makes it with [New] and mode 0400 where there is none. Of any number
// of processes that do so at once, all get the same cookie, and no reader ever sees a part of one. The folder must be
// there. As Erlang does, it makes the file that a link to nothing names. The error is a *[FileError].
func LoadOrCreate(path string) (string, error) {
	c, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	file := follow(path)
	// the first link wins, and all others read what it made
	if err := store(file, nil, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", &FileError{path, cause(err), storeHint(path, file, err)}
	}
	return Load(path)
}

// Rotate puts a new cookie into the file at path, in one step, and makes it where there is none. The old file stays
// when that fails. Nodes that run keep the cookie that they have, and can not be reached by those that start afterwards.
//
// A link stays a link: the file that it leads to is replaced, in that file's folder. The new file belongs to the owner
// of the old one, so that root may rotate another user's; where that is not allowed, and where path is no regular file,
// nothing is done. The error is a *[FileError].
func Rotate(path string) error {
	fail := func(err error, hint string) error { return &FileError{path, cause(err), hint} }
	old, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	case err != nil:
		return fail(err, reachHint(path, err))
	case !old.Mode().IsRegular():
		return fail(irregular(old), moveHint(path, old))
	}
	file := follow(path)
	if err := store(file, old, replace); err != nil {
		return fail(err, storeHint(path, file, err))
	}
	return nil
}

// store writes a new cookie beside path, to disk, lets put move it there, and removes what it wrote. A process that is
// killed meanwhile leaves a file .erlang.cookie.*.tmp (the lesser evil: one that is removed by its name alone may be in
// use by another host, or be the user's). It is private, at most 64 bytes, and nobody reads it.
func store(path string, old fs.FileInfo, put func(from, to string) error) error {
	f, err := os.CreateTemp(folder(path), fileName+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(New())
	err = errors.Join(err, keepOwner(f, old), f.Chmod(Mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return put(f.Name(), path)
}

// follow returns the file to which path leads through links, and which may be missing.
func follow(path string) string {
	for range 255 { // more than a system follows; what is no file then is refused by it
		to, err := os.Readlink(path)
		if err != nil {
			return path
		}
		if !filepath.IsAbs(to) {
			dir, _ := filepath.Split(path)
			to = dir + to // not Join: a .. after a link must stay
		}
		path = to
	}
	return path
}

// folder is the one that path is in. Unlike filepath.Dir it keeps a .. after a link.
func folder(path string) string {
	dir, _ := filepath.Split(path)
	switch short := strings.TrimRight(dir, "/"); {
	case dir == "":
		return "."
	case short != "" && filepath.Separator == '/':
		return short
	}
	return dir
}
