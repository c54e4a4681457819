//go:build !linux

package epmdless

func here() (boot, space string) { return unknown, unknown }
func network() string            { return "" }
