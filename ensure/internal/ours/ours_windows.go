package ours

import "io/fs"

func Is(fs.FileInfo) bool { return true }

func UID(fs.FileInfo) int { return -1 }
