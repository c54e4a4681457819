package refused

import (
	"errors"

	"golang.org/x/sys/windows"
)

// syscall.ECONNREFUSED is a number of Go's own on Windows, which no call returns.
func Is(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }
