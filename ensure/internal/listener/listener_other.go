//go:build !linux

package listener

func on(int) (Process, bool)       { return Process{}, false }
func holds(int, int) bool          { return true }
func locks(string) (Process, bool) { return Process{}, false }
