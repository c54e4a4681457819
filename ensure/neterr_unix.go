//go:build unix

package ensure

import "syscall"

// What the system's network errors mean to the probe.
var (
	errsReset  = []error{syscall.ECONNRESET, syscall.EPIPE}
	errsAbsent = []error{syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.ENETUNREACH}
)
