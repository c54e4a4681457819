package cookie

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/beamrun/beamrun/internal/safepath"
)

// LoadOrCreate reads the cookie file at path, and makes it with [New] and mode 0400 where there is
// none. Of any number of processes that do so at once, all get the same cookie, and no reader ever
// sees a part of one. The directory must be there. As Erlang does, it makes the file that a link to
// nothing names. The error is a *[FileError].
func LoadOrCreate(path string) (string, error) {
	c, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	// the first link wins, and all others read what it made
	err = store(path, func(f *safepath.Found, temp string) error {
		if err := f.Link(temp); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return Load(path)
}

// Rotate puts a new cookie into the file at path, in one step, and makes it where there is none.
// The old file stays when that fails. Nodes that run keep the cookie that they have, and can not be
// reached by those that start afterwards.
//
// A link stays a link: the file that it leads to is replaced, in that file's directory, which is
// held open: what was looked at is what is replaced. That file has to be this user's, also for
// root, who can change any: see [ErrOtherUser]. Where path is no regular file, nothing is done. The
// error is a *[FileError].
func Rotate(path string) error { return store(path, (*safepath.Found).Replace) }

// store writes a new cookie beside the file that path leads to, to disk, lets put move it there,
// and removes what it wrote. A process that is killed meanwhile leaves a file .erlang.cookie.*.tmp
// (the lesser evil: one that is removed by its name alone may be in use by another host, or be the
// user's). It is private, at most 64 bytes, and nobody reads it.
func store(path string, put func(f *safepath.Found, temp string) error) error {
	if info, err := os.Stat(path); isDescriptor(path) && err == nil && !info.Mode().IsRegular() {
		return fail(path, irregular(info), moveHint(path, info))
	}
	found, err := find(path)
	switch {
	case errors.As(err, new(*FileError)):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fail(path, err, storeHint(follow(path), err))
	case err != nil:
		return fail(path, err, reachHint(path, err))
	}
	defer found.Close()
	if found.Err == nil {
		if err := replaceable(path, found); err != nil {
			return err
		}
	}
	temp := fileName + "." + New()[:16] + ".tmp"
	f, err := found.Create(temp, 0o600)
	if err == nil {
		defer found.Remove(temp)
		_, err = f.WriteString(New())
		if err = errors.Join(err, f.Chmod(Mode), f.Sync(), f.Close()); err == nil {
			err = put(found, temp)
		}
	}
	if err != nil {
		return fail(path, err, storeHint(found.Path(), err))
	}
	return nil
}

// replaceable returns an error for what is no cookie file of this user's.
func replaceable(path string, found *safepath.Found) error {
	info, err := found.Stat()
	switch {
	case err != nil:
		return fail(path, err, hint{})
	case !info.Mode().IsRegular():
		return fail(path, irregular(info), moveHint(path, info))
	case !isMine(info):
		return fail(path, fmt.Errorf("it belongs to uid %d", owner(info)), privateHint(path, info))
	}
	return nil
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

// dirOf is the directory that path is in. Unlike filepath.Dir it keeps a .. after a link.
func dirOf(path string) string {
	dir, _ := filepath.Split(path)
	switch short := strings.TrimRight(dir, "/"); {
	case dir == "":
		return "."
	case short != "" && filepath.Separator == '/':
		return short
	}
	return dir
}
