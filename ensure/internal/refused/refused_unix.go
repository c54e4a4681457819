//go:build unix

// Package refused knows a connection that was refused: nobody listens there.
package refused

import (
	"errors"
	"syscall"
)

// Is says whether the error is of such a connection.
func Is(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
