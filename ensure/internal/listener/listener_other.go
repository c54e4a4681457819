//go:build !linux

package listener

func on(int) (Process, bool) { return Process{}, false }
