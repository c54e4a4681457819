//go:build unix

// Package neterr knows what the errors of a connection mean, by the numbers of each system.
package neterr

import (
	"errors"
	"syscall"
)

// IsRefused reports whether the connection was refused: nothing listens there.
func IsRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// IsReset reports whether the peer ended the connection.
func IsReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// IsAbsent reports whether this host has no such address.
func IsAbsent(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) ||
		errors.Is(err, syscall.ENETUNREACH)
}
