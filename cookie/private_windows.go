package cookie

import "io/fs"

// Erlang checks no mode on Windows either: the file is in the user's profile.
func isPrivate(fs.FileInfo) bool { return true }
