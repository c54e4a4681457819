package safepath

import "io/fs"

// IsOwn reports whether the file is this user's. Windows does not say; the directories in question
// are in the user's profile there, which other users cannot enter.
func IsOwn(fs.FileInfo) bool { return true }

// FileOwner returns -1: Windows has no such number.
func FileOwner(fs.FileInfo) int { return -1 }

// OpenFlags has none here, where other users cannot enter the directories in question.
const OpenFlags = 0
