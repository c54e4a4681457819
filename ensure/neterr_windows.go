package ensure

import "golang.org/x/sys/windows"

// What the system's network errors mean to the probe. The names without WSA in package syscall are numbers of its own
// there, which no call returns.
var (
	errsReset  = []error{windows.WSAECONNRESET, windows.WSAECONNABORTED}
	errsAbsent = []error{windows.WSAEADDRNOTAVAIL, windows.WSAEAFNOSUPPORT, windows.WSAENETUNREACH}
)
