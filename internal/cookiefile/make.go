package cookiefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/beamrun/beamrun/internal/safepath"
)

// LoadOrCreate is that of package cookie, which makes a missing file with the cookie that fresh
// returns. The error is an *[Error].
func LoadOrCreate(path string, fresh func() string) (string, error) {
	c, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	// the first link wins, and all others read what it made
	err = store(path, fresh(), func(f *safepath.Found, temp string) error {
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

// Rotate is that of package cookie, which puts the cookie c into the file. The error is an
// *[Error].
func Rotate(path, c string) error { return store(path, c, (*safepath.Found).Replace) }

// store writes the cookie c beside the file that path leads to, to disk, lets put move it there,
// and removes what it wrote. A process that is killed meanwhile leaves a file .erlang.cookie.*.tmp
// (the lesser evil: one that is removed by its name alone may be in use by another host, or be the
// user's). It is private, at most 64 bytes, and no program reads it.
func store(path, c string, put func(f *safepath.Found, temp string) error) error {
	if info, err := os.Stat(path); isDescriptor(path) && err == nil && !info.Mode().IsRegular() {
		return fail(path, irregular(info), moveHint(path, info))
	}
	found, err := find(path)
	switch {
	case errors.As(err, new(*Error)):
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
	temp := Name + "." + rand.Text()[:16] + ".tmp"
	f, err := found.Create(temp, 0o600)
	if err == nil {
		defer found.Remove(temp)
		_, err = f.WriteString(c)
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
		return fail(path, err, Fix{})
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
