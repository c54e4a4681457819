//go:build !linux

package main

// useBuilt does nothing: few tests run on other systems.
func useBuilt() {}
