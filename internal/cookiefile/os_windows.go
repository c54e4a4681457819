package cookiefile

import "io/fs"

const nonblock = 0

// Erlang checks no mode on Windows either: the file is in the user's profile.
func isPrivate(fs.FileInfo) bool { return true }

func isMine(fs.FileInfo) bool { return true }

func owner(fs.FileInfo) (uid int) { return -1 }

func isDescriptor(string) bool { return false }
