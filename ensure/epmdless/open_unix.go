//go:build unix

package epmdless

import "syscall"

// openSafely are flags of open(2) that follow no link, and do not wait for who writes to a pipe.
const openSafely = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
