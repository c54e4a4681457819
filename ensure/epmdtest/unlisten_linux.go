package epmdtest

import (
	"net"
	"syscall"
)

// unlisten closes the listener for all: a program that the test starts just then has a copy of the
// socket for a moment, between fork and exec, and the kernel would go on to accept connections for
// it.
func unlisten(l *net.TCPListener) {
	if raw, err := l.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { syscall.Shutdown(int(fd), syscall.SHUT_RD) })
	}
	l.Close()
}
