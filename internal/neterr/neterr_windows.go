// Package neterr knows what the errors of a connection mean, by the numbers of each system.
package neterr

import (
	"errors"

	"golang.org/x/sys/windows"
)

// The names without WSA in package syscall are numbers of Go's own here, which no call returns.

// IsRefused reports whether the connection was refused: nothing listens there.
func IsRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }

// IsReset reports whether the peer ended the connection.
func IsReset(err error) bool {
	return errors.Is(err, windows.WSAECONNRESET) || errors.Is(err, windows.WSAECONNABORTED)
}

// IsAbsent reports whether this host has no such address.
func IsAbsent(err error) bool {
	return errors.Is(err, windows.WSAEADDRNOTAVAIL) || errors.Is(err, windows.WSAEAFNOSUPPORT) ||
		errors.Is(err, windows.WSAENETUNREACH)
}
