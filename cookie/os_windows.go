package cookie

import (
	"io/fs"
	"os"
)

const nonblock = 0

// Erlang checks no mode on Windows either: the file is in the user's profile.
func isPrivate(fs.FileInfo) bool { return true }

// replace takes the read-only mark off first, which keeps a file from being replaced here.
func replace(from, to string) error {
	os.Chmod(to, 0o600) // there may be none
	return os.Rename(from, to)
}

// keepOwner has nothing to do: a file of the user's profile may be read by its owner whoever made it.
func keepOwner(*os.File, fs.FileInfo) error { return nil }
